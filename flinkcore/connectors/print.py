# SPDX-License-Identifier: Apache-2.0
"""A sink that writes records to standard output, in PyFlink's text forms."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.format import print_lines
from flinkcore.connectors.base import Sink, SinkContext, SinkWriter

# Subtasks write whole batches in turn, so that lines stay whole.
_turn = threading.Lock()


class PrintSink(Sink):
    """Writes one line per record to standard output, or to standard error. After a failure, records since the last
    checkpoint are written again, as Flink does.

    identifier : comes before each line, "identifier> "; with several subtasks also the number of the subtask,
        from 1: "identifier:2> ", or "2> " without an identifier (Flink: PrintSinkOutputWriter)
    lines : the text of each record of a batch
    """

    takes_batches = True

    def __init__(
        self,
        identifier: str | None = None,
        to_stderr: bool = False,
        lines: Callable[[Batch], list[str]] = print_lines,
    ) -> None:
        self.identifier = identifier
        self.to_stderr = to_stderr
        self.lines = lines

    def create_writer(self, context: SinkContext) -> SinkWriter:
        return PrintWriter(self, context)


class PrintWriter(SinkWriter):
    """The lines of one subtask, one write per batch."""

    def __init__(self, sink: PrintSink, context: SinkContext) -> None:
        parts = [sink.identifier] if sink.identifier else []
        if context.parallelism > 1:
            parts.append(str(context.subtask_index + 1))
        self.prefix = ":".join(parts) + "> " if parts else ""
        self.to_stderr = sink.to_stderr
        self.lines = sink.lines

    def write_batch(self, batch: Batch) -> None:
        text = "".join(f"{self.prefix}{line}\n" for line in self.lines(batch))
        # looked up now, since it may have been redirected
        stream = sys.stderr if self.to_stderr else sys.stdout
        with _turn:
            stream.write(text)
            stream.flush()
