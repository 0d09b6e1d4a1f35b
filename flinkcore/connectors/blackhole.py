# SPDX-License-Identifier: Apache-2.0
"""A sink that forgets, as Flink's DiscardingSink and the blackhole connector."""

from __future__ import annotations

from flinkcore.columnar.batch import Batch
from flinkcore.connectors.base import Sink, SinkContext, SinkWriter


class BlackHoleSink(Sink):
    """Takes records and drops them; for measuring and for jobs whose effects lie elsewhere."""

    takes_batches = True

    def create_writer(self, context: SinkContext) -> SinkWriter:
        return BlackHoleWriter()


class BlackHoleWriter(SinkWriter):
    """Does nothing with its batches, so no column that nobody reads is ever gathered."""

    def write_batch(self, batch: Batch) -> None:
        pass
