# SPDX-License-Identifier: Apache-2.0
"""FileSource: files of one format as one stream, bounded or watching for new files."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.connectors.base import (
    Boundedness,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
)
from flinkcore.connectors.files.format import FileSplit, ReaderFormat
from flinkcore.connectors.files.paths import InputFile, PathLike, find_files, reading, resolve
from flinkcore.connectors.files.text import TextLines
from flinkcore.errors import ConfigurationError, ConnectorError, SchemaError

log = logging.getLogger(__name__)

# Splits of a bounded input: a few for each subtask, neither tiny nor so large that one subtask works alone at
# the end.
SPLIT_BYTES_MIN = 1 << 20
SPLIT_BYTES_MAX = 64 << 20
SPLITS_PER_SUBTASK = 4


@dataclass(frozen=True)
class DiscoveryState:
    """What a continuous enumerator remembers: sizes of the files that it saw, by path, and splits not handed out."""

    seen: tuple[tuple[str, int], ...]
    splits: tuple[SourceSplit, ...]


class FileSource(Source):
    """Rows of files.

    paths : a file, a folder, a glob, or a list of them; local, or URIs of a pyarrow file system. In folders
        and globs, names starting with . or _ are ignored.
    format : a ReaderFormat, e.g. TextLines(), Csv(header=True), JsonLines(), Parquet(), ArrowIpc()
    schema : names and types of the columns (a Schema, a pyarrow schema, or TypeInformation); without it they
        are inferred from the first file with rows when the job is built, and then fixed
    monitor_interval_ms : None reads what is there and ends. Else the paths are looked at again after each
        interval of processing time, for ever, and new files are read. A file seen once is read once, as long
        as it was then: move finished files into place rather than write them there.
    split_bytes : size of the pieces that parallel subtasks read; chosen from the input's size by default
    bad_records : "fail", "drop" (and count), or the id of a side output, for records that cannot be read

    ConnectorError : a path does not exist, or there is no file (fine when monitoring)
    SchemaError : the schema cannot be inferred, or the format cannot read its types
    """

    splits_at_once = 1
    state_types = (DiscoveryState,)

    def __init__(self, paths: PathLike | Sequence[PathLike], format: ReaderFormat, schema: Any = None, *,
                 monitor_interval_ms: int | None = None, recursive: bool = True,
                 filesystem: pafs.FileSystem | None = None, split_bytes: int | None = None,
                 bad_records: str = "fail") -> None:
        for path in paths if isinstance(paths, (list, tuple)) else [paths]:
            if not isinstance(path, (str, os.PathLike)):
                raise ConfigurationError(f"a file source reads a path or a list of paths, got {path!r}")
        if not isinstance(format, ReaderFormat):
            raise ConfigurationError("a file source reads in a ReaderFormat, e.g. Csv(header=True), JsonLines() or "
                                     f"Parquet(), got {format!r}")
        self.paths: list[PathLike] = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        if not self.paths:
            raise ConfigurationError("a file source needs at least one path, got an empty list")
        if monitor_interval_ms is not None and monitor_interval_ms <= 0:
            raise ConfigurationError(f"the interval between two looks for new files must be positive, got "
                                     f"{monitor_interval_ms} ms")
        if split_bytes is not None and split_bytes <= 0:
            raise ConfigurationError(f"split_bytes must be positive, got {split_bytes}")
        self.format = format
        resolved = [resolve(path, filesystem) for path in self.paths]
        self.filesystem = resolved[0][0]
        self.waits = self.filesystem.type_name != "local"
        self.inner_paths = [inner for _, inner in resolved]
        if any(other != self.filesystem for other, _ in resolved):
            raise ConfigurationError("the paths of one file source are on one file system; read the others "
                                     "with a second source and union the "
                                     "streams: " + ", ".join(map(str, self.paths)))
        self.recursive = recursive
        self.monitor_interval_ms = monitor_interval_ms
        self.split_bytes = split_bytes
        self.bad_records = bad_records
        if monitor_interval_ms is not None:
            self.boundedness = Boundedness.CONTINUOUS_UNBOUNDED
        declared = _declared(schema) or format.only_schema
        self.inferred = declared is None
        self.schema = declared or self._infer()
        format.bind(self.schema)

    def find(self) -> list[InputFile]:
        """The input's files now."""
        return find_files(self.inner_paths, self.filesystem, recursive=self.recursive,
                          may_be_empty=self.monitor_interval_ms is not None)

    def splits_of(self, files: Iterable[InputFile], parallelism: int) -> list[FileSplit]:
        """The files' splits, in order; a file without bytes has none."""
        files = [file for file in files if file.size]
        if self.split_bytes is None and parallelism == 1:
            split_bytes = 2**62
        else:
            share = sum(file.size for file in files) // (SPLITS_PER_SUBTASK * parallelism)
            split_bytes = self.split_bytes or min(max(share, SPLIT_BYTES_MIN), SPLIT_BYTES_MAX)
        return [split for file in files for split in self.format.split(file, split_bytes)]

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        if self.monitor_interval_ms is not None:
            return FileDiscovery(self, parallelism)
        return SplitQueue(self.splits_of(self.find(), parallelism))

    def restore_enumerator(self, parallelism: int, state: Any) -> SplitEnumerator:
        monitored = isinstance(state, DiscoveryState)
        if monitored is (self.monitor_interval_ms is None):
            was, now = ("monitored", "read once") if monitored else ("read once", "monitored")
            raise ConfigurationError(f"the input of this file source was {was} when the checkpoint was made, and is "
                                     f"{now} in this program, which cannot know what was read; restore with "
                                     f"monitor_interval_ms as it was, or give the source another uid")
        if not monitored:
            return super().restore_enumerator(parallelism, state)
        for split in state.splits:
            self.check_restored(split)
        enumerator = FileDiscovery(self, parallelism)
        enumerator.seen = dict(state.seen)
        enumerator.splits = deque(state.splits)
        return enumerator

    def check_restored(self, split: SourceSplit) -> None:
        """ConnectorError when the file is gone, or is not as it was when the split was cut."""
        assert isinstance(split, FileSplit)
        with reading(split.path):
            info = self.filesystem.get_file_info(split.path)
        found = f"has {info.size} bytes, it had {split.size}" if info.size != split.size else "was written again"
        if info.type != pafs.FileType.File:
            found = "is gone"
        elif info.size == split.size and (info.mtime_ns or 0) == split.mtime_ns:
            return
        raise ConnectorError(f"'{split.path}' {found} since it was found, before the checkpoint was made: "
                             "reading on would lose or repeat records. Put the file back as it was, with its time of "
                             "change, or start without the checkpoint; new records belong in new files")

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, FileSplit)
        file = InputFile(self.filesystem, split.path, split.size, split.mtime_ns)
        if file.codec and not self.format.compressible:
            raise ConnectorError(f"'{split.path}' is compressed as a whole, which {self.format.name} cannot "
                                 f"read; decompress it ({self.format.name} has its own compression inside)")
        return self.format.open(file, split, self.schema, self.inferred, context)

    def _infer(self) -> Schema:
        for file in self.find():
            schema = self.format.infer_schema(file) if file.size else None
            if schema is not None:
                return schema
        raise SchemaError(f"the schema of {', '.join(map(str, self.paths))} cannot be inferred, since there "
                          "is no file with rows yet; give it: schema=pyarrow.schema([...]) or "
                          "Types.ROW_NAMED([...], [...])")


def _declared(schema: Any) -> Schema | None:
    if schema is None or isinstance(schema, Schema):
        return schema
    if isinstance(schema, pa.Schema):
        return Schema.from_arrow(schema)
    if isinstance(schema, TypeInformation):
        return schema_of(schema)
    raise SchemaError(f"the schema of a file source is a Schema, a pyarrow schema or TypeInformation, not "
                      f"{type(schema).__name__}")


class FileDiscovery(SplitEnumerator):
    """Looks for new files again and again. Remembers each file for ever, as Flink does: a name is read once."""

    def __init__(self, source: FileSource, parallelism: int) -> None:
        self.source = source
        self.parallelism = parallelism
        self.seen: dict[str, int] = {}
        self.splits: deque[SourceSplit] = deque()

    def poll(self, now_ms: int) -> int:
        files = self.source.find()
        new = [file for file in files if file.path not in self.seen]
        new.sort(key=lambda file: (file.mtime_ns, file.path))
        for file in files:
            size = self.seen.get(file.path)
            if size is not None and size != file.size:
                log.warning("'%s' changed from %d to %d bytes after it was found; it is not read again. Move "
                            "finished files into a monitored folder.", file.path, size, file.size)
        self.seen.update((file.path, file.size) for file in files)
        self.splits.extend(self.source.splits_of(new, self.parallelism))
        assert self.source.monitor_interval_ms is not None
        return now_ms + self.source.monitor_interval_ms

    def next_split(self, subtask_index: int) -> SourceSplit | None:
        return self.splits.popleft() if self.splits else None

    def is_finished(self) -> bool:
        return False

    def add_back(self, splits: Iterable[SourceSplit]) -> None:
        self.splits.extendleft(reversed(list(splits)))

    def snapshot(self) -> DiscoveryState:
        return DiscoveryState(tuple(self.seen.items()), tuple(self.splits))


def text_source(paths: PathLike | Sequence[PathLike]) -> FileSource:
    """The lines of text files, bounded."""
    return FileSource(paths, TextLines())
