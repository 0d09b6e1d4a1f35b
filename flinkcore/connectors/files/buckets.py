# SPDX-License-Identifier: Apache-2.0
"""Which folder of a file sink a record goes to."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError

# Flink's SimpleDateFormat letters that a bucket's name may use.
_DATE_LETTERS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S",
                 "DDD": "%j"}
_DATE_TOKEN = re.compile(r"'(?P<quoted>[^']*)'|(?P<letter>[A-Za-z])(?P=letter)*|[^A-Za-z']+")
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


class BucketAssigner(ABC):
    """Divides a batch among folders below the sink's base path."""

    def bind(self, schema: Schema) -> None:  # noqa: B027  most take any stream
        """Checks that the stream has what the assigner needs."""

    @abstractmethod
    def buckets(self, batch: Batch, now_ms: int) -> Iterator[tuple[str, Batch]]:
        """Relative folder and rows, each folder once; "" for the base path itself."""


class BasePathBuckets(BucketAssigner):
    """No folders: all files in the base path."""

    def buckets(self, batch: Batch, now_ms: int) -> Iterator[tuple[str, Batch]]:
        yield "", batch


@dataclass(frozen=True)
class DateTimeBuckets(BucketAssigner):
    """A folder per hour of processing time, or as the pattern says, in Java's letters: yyyy-MM-dd--HH."""

    pattern: str = "yyyy-MM-dd--HH"
    timezone: str | None = None

    def __post_init__(self) -> None:
        self._strftime()
        try:
            self._zone()
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigurationError(f"unknown time zone '{self.timezone}'; give one as Europe/Berlin or "
                                     "UTC") from error

    def buckets(self, batch: Batch, now_ms: int) -> Iterator[tuple[str, Batch]]:
        moment = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.timezone.utc)
        yield moment.astimezone(self._zone()).strftime(self._strftime()), batch

    def _zone(self) -> datetime.tzinfo | None:
        return zoneinfo.ZoneInfo(self.timezone) if self.timezone else None

    def _strftime(self) -> str:
        """The pattern in strftime's words; ConfigurationError for letters without a meaning here."""
        parts = []
        for match in _DATE_TOKEN.finditer(self.pattern):
            text = match[0]
            if match["letter"] and text not in _DATE_LETTERS:
                raise ConfigurationError(f"the bucket pattern '{self.pattern}' has '{text}'; known are "
                                         f"{', '.join(_DATE_LETTERS)}, and text in single quotes")
            literal = text if match["quoted"] is None else match["quoted"] or "'"
            parts.append(_DATE_LETTERS[text] if match["letter"] else literal.replace("%", "%%"))
        return "".join(parts)


@dataclass(frozen=True)
class ColumnBuckets(BucketAssigner):
    """A folder per value of some columns, `name=value/...`, as Hive names partitions. Beyond PyFlink."""

    names: tuple[str, ...]

    def bind(self, schema: Schema) -> None:
        for name in self.names:
            schema.index_of(name)

    def buckets(self, batch: Batch, now_ms: int) -> Iterator[tuple[str, Batch]]:
        paths = np.zeros(batch.num_rows, np.int64)
        texts: list[str] = [""]
        for name in self.names:
            encoded = batch.column(name).to_arrow().dictionary_encode(null_encoding="encode")
            values = [HIVE_NULL if value is None else quote(str(value), safe=" ") or HIVE_NULL
                      for value in encoded.dictionary.to_pylist()]
            combined = paths * len(values) + encoded.indices.to_numpy()
            found, paths = np.unique(combined, return_inverse=True)
            texts = [f"{texts[i // len(values)]}/{name}={values[i % len(values)]}".lstrip("/")
                     for i in found.tolist()]
        for bucket, text in enumerate(texts):
            yield text, batch.take(np.flatnonzero(paths == bucket))
