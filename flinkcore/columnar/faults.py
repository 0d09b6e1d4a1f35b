# SPDX-License-Identifier: Apache-2.0
"""BadRecords: what happens to a record that cannot be processed, as the user decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_texts
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError, DataError

#: "fail", "drop", the id of a side output, or an OutputTag (anything with a tag_id).
Policy: TypeAlias = Any

#: What a side output of bad records holds: the record as text, and where it was and what is wrong with it.
BAD_RECORD_SCHEMA = Schema(("record", "reason"), (pa.string(), pa.string()), "row")

DROPPED = "bad_records_dropped"
SENT_ASIDE = "bad_records_sent_aside"


class _Counter(Protocol):
    def count(self, name: str, n: int = 1) -> None: ...


class BadRecords:
    """The policy of one operator or reader, with the counter and the side output that it needs.

    policy : "fail" ends the job with a DataError that names the record; "drop" forgets the record and counts
        it; a tag sends it to that side output (BAD_RECORD_SCHEMA) and counts it
    metrics : counts DROPPED and SENT_ASIDE;  side : takes a tag id and a batch
    """

    def __init__(
        self,
        policy: Policy = "fail",
        metrics: _Counter | None = None,
        side: Callable[[str, Batch], None] | None = None,
    ) -> None:
        tag = getattr(policy, "tag_id", None)
        if tag is None and not (isinstance(policy, str) and policy):
            raise ConfigurationError(
                f'what happens to bad records is "fail", "drop" or an OutputTag or its id, not {policy!r}'
            )
        self.drops = tag is None and policy == "drop"
        self.fails = tag is None and policy == "fail"
        self.tag: str | None = None if self.drops or self.fails else str(tag or policy)
        self._metrics = metrics
        self._side = side

    @staticmethod
    def of(policy: Policy, metrics: _Counter, out: Any) -> BadRecords:
        """The policy of an operator that emits into `out`."""
        return BadRecords(policy, metrics, out.side)

    def report(self, record: str, where: str, reason: str) -> None:
        """One record that could not be read.

        record : the record as text;  where : its place, "orders.csv, line 7";  reason : what is wrong
        DataError when the policy is to fail.
        """
        self._take([record], where, reason)

    def rows(self, batch: Batch, reason: str, where: str = "") -> None:
        """Records that were read but cannot be processed, all for one reason."""
        if batch.num_rows and not self.drops:
            self._take(to_texts(batch), where, reason)
        else:
            self._count(DROPPED, batch.num_rows)

    def _take(self, records: list[str], where: str, reason: str) -> None:
        at = f"{where}: {reason}" if where else reason
        if self.fails:
            text = records[0] if len(records[0]) <= 200 else records[0][:197] + "..."
            raise DataError(
                f"{at}, in the record {text}; such records can also be dropped and counted, or sent to a "
                'side output: give the policy "drop" or an OutputTag instead of "fail"'
            )
        if self.tag is None:
            self._count(DROPPED, len(records))
            return
        self._count(SENT_ASIDE, len(records))
        if self._side is None:
            raise DataError(
                f"{at}; the side output '{self.tag}' that should take the record does not exist here"
            )
        columns = [pa.array(records, pa.string()), pa.array([at] * len(records), pa.string())]
        self._side(self.tag, Batch(BAD_RECORD_SCHEMA, [Column.from_arrow(column) for column in columns]))

    def _count(self, name: str, count: int) -> None:
        if self._metrics is not None and count:
            self._metrics.count(name, count)
