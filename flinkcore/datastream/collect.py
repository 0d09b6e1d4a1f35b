# SPDX-License-Identifier: Apache-2.0
"""Results of a job in the program that started it: as Python values, or as Arrow record batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.runtime.job import JobRun


class _Results:
    """The batches of a running job; closing stops the job."""

    def __init__(self, sink: ArrowCollectSink, job: JobRun) -> None:
        self._sink = sink
        self._job = job
        self._batches = iter(sink)

    def close(self) -> None:
        """Ends the job when it has not ended, and drops what was not read."""
        if self._job.is_running:
            self._job.cancel()
        self._sink.cancel()

    def __del__(self) -> None:
        self.close()  # nobody will read any more: the job need not run on

    def _next_batch(self) -> Batch | None:
        try:
            return next(self._batches, None)
        except KeyboardInterrupt:
            self.close()
            raise
        except Exception:
            self._job.end_told = True
            raise

    def __enter__(self):  # type: ignore[no-untyped-def]
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.close()


class CloseableIterator(_Results):
    """The records of a job, one by one (PyFlink: CloseableIterator). Raises what the job failed with."""

    def __init__(self, sink: ArrowCollectSink, job: JobRun) -> None:
        super().__init__(sink, job)
        self._rows: Iterator[Any] = iter(())

    def __iter__(self) -> CloseableIterator:
        return self

    def __next__(self) -> Any:
        while True:
            for row in self._rows:
                return row
            batch = self._next_batch()
            if batch is None:
                raise StopIteration
            self._rows = iter(to_rows(batch))

    def next(self) -> Any:
        return self.__next__()


class ArrowResults(_Results):
    """The record batches of a job, as they come. Speaks __arrow_c_stream__; raises what the job failed with."""

    def __init__(self, sink: ArrowCollectSink, job: JobRun, schema: Schema) -> None:
        super().__init__(sink, job)
        self.schema: pa.Schema = schema.arrow

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._next_batch()) is not None:
            yield batch.to_arrow()

    def read_all(self) -> pa.Table:
        """All results as one table."""
        return pa.Table.from_batches(list(self), self.schema)

    def to_reader(self) -> pa.RecordBatchReader:
        """The results as a pyarrow reader."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.to_reader().__arrow_c_stream__(requested_schema)
