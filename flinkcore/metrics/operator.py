# SPDX-License-Identifier: Apache-2.0
"""What the engine counts for each operator of each subtask."""

from __future__ import annotations

from collections import Counter as Multiset

from flinkcore.metrics.metricbase import MetricGroup


class OperatorMetrics:
    """Counts of one operator in one subtask. Written by its one thread, read by anyone.

    rows_in, rows_out : records taken and emitted, side outputs included
    late_dropped : records dropped because their window was gone (Flink: numLateRecordsDropped)
    busy_ns : time spent inside this operator, without the operators chained behind it
    watermark_ms : the last watermark it passed on, None before the first
    counts : everything else, by name, e.g. "bad_records_dropped", "sum_overflows"; with a memory budget also
        "state_resident_bytes" and "state_spilled_bytes", as of the last batch; "keys_direct" is 1 while keys are
        numbers so close together that they are looked up without a hash
    user : metrics registered by the user's function
    """

    def __init__(self) -> None:
        self.rows_in = 0
        self.rows_out = 0
        self.late_dropped = 0
        self.busy_ns = 0
        self.watermark_ms: int | None = None
        self.counts: Multiset[str] = Multiset()
        self.user = MetricGroup()

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] += n
