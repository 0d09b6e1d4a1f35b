# SPDX-License-Identifier: Apache-2.0
"""TableResult: the rows of a running job, to be printed, read one by one, or taken as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flinkcore.columnar.batch import DELETE, UPDATE_BEFORE, Batch
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.table_box import TableBox
from flinkcore.common.job_client import JobClient
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.datastream.collect import CloseableIterator
from flinkcore.errors import ConfigurationError
from flinkcore.table.result_kind import ResultKind
from flinkcore.table.table_schema import ResolvedSchema, TableSchema

if TYPE_CHECKING:
    from flinkcore.runtime.job import JobRun

__all__ = ["CloseableIterator", "TableResult"]


class TableResult:
    """The result of Table.execute(). Its rows can be taken once: by print, collect, to_arrow or to_pandas.

    with_kinds : streaming mode, where rows have kinds and print shows them
    """

    def __init__(self, sink: ArrowCollectSink, job: JobRun, schema: ResolvedSchema, with_kinds: bool) -> None:
        self._sink = sink
        self._job = job
        self._resolved = schema
        self._with_kinds = with_kinds
        self._taken = False

    def get_job_client(self) -> JobClient:
        """The job, to look at it and to stop it."""
        return JobClient.of_run(self._job)

    def get_result_kind(self) -> ResultKind:
        return ResultKind.SUCCESS_WITH_CONTENT

    def get_table_schema(self) -> TableSchema:
        columns = self._resolved.columns
        return TableSchema(
            [c.name for c in columns], [c.data_type for c in columns], [c.time for c in columns]
        )

    def get_resolved_schema(self) -> ResolvedSchema:
        return self._resolved

    def wait(self, timeout_ms: int | None = None) -> None:
        """Waits until the job has ended; its rows can still be taken. TimeoutError after `timeout_ms`."""
        self._sink.capacity = None  # rows wait in memory, or the job could not end
        with self._sink.changed:
            self._sink.changed.notify_all()
        if not self._job.wait(None if timeout_ms is None else timeout_ms / 1000):
            raise TimeoutError(f"the job '{self._job.name}' had not ended after {timeout_ms} ms")

    def collect(self) -> CloseableIterator:
        """The rows one by one, with their kinds, as they come. Closing it ends the job."""
        self._take()
        return CloseableIterator(self._sink, self._job)

    def print(self) -> None:
        """Draws the rows in a box on standard output, as they come, in the form of Flink's SQL client."""
        box = TableBox(self._schema(), with_kinds=self._with_kinds)
        for batch in self._batches():
            for line in box.lines(batch):
                print(line)
        print("\n".join(box.end()))

    def to_arrow(self) -> pa.Table:
        """The rows that are there at the end: what was taken back or replaced is gone. Beyond PyFlink."""
        schema = self._schema().arrow
        batches = [batch for batch in self._batches() if batch.num_rows]
        table = pa.Table.from_batches(
            [batch.to_arrow().rename_columns(schema.names) for batch in batches], schema
        )
        if all(batch.row_kinds is None for batch in batches):
            return table
        return table.take(pa.array(_last_rows(batches, table)))

    def to_pandas(self) -> Any:
        """The rows that are there at the end, as a pandas DataFrame. Beyond PyFlink."""
        return self.to_arrow().to_pandas()

    # -- inside ---------------------------------------------------------------------------------------------

    def _schema(self) -> Schema:
        return Schema([c.name for c in self._resolved.columns], [c.arrow for c in self._resolved.columns])

    def _take(self) -> None:
        if self._taken:
            raise ConfigurationError("the rows of this result were taken already; execute the table again")
        self._taken = True

    def _batches(self) -> Iterator[Batch]:
        self._take()
        try:
            yield from self._sink
        except BaseException:
            if self._job.is_running:
                self._job.cancel()
            self._sink.cancel()
            raise


def _last_rows(batches: list[Batch], table: pa.Table) -> list[int]:
    """Positions of the rows of a changelog that are left: -U and -D take the oldest equal row away, and a +U
    that follows stands where the row before it stood."""
    places: dict[tuple[Any, ...], list[int]] = {}  # row -> its places, the oldest first
    left: dict[int, int] = {}  # place -> position of the row
    freed: list[int] = []
    rows = (
        zip(*(_hashable(column.to_pylist()) for column in table.columns)) if table.num_columns else iter(())
    )
    kinds = (kind for batch in batches for kind in batch.kinds().tolist())
    for position, (kind, row) in enumerate(zip(kinds, rows)):
        if kind in (UPDATE_BEFORE, DELETE):
            if places.get(row):
                place = places[row].pop(0)
                left.pop(place)
                freed = [place] if kind == UPDATE_BEFORE else []
        else:
            place = freed.pop() if freed else position
            places.setdefault(row, []).append(place)
            left[place] = position
            freed = []
    return [left[place] for place in sorted(left)]


def _hashable(values: list[Any]) -> list[Any]:
    """NaN as itself, lists and dicts as text: what a changelog compares rows by."""
    return [
        "NaN" if value != value else repr(value) if isinstance(value, (list, dict)) else value
        for value in values
    ]
