# SPDX-License-Identifier: Apache-2.0
"""The status line and the summary of a job, from counts that a test sets."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from flinkcore.cli.watch import Progress, summary
from flinkcore.runtime.coordinator import CheckpointHistory, CheckpointStats
from flinkcore.runtime.job import JobStatus

SECOND = 10**9


class Job:
    """What the status line reads of a JobRun: a source, a window, a sink."""

    name = "bids"
    status = JobStatus.FINISHED

    def __init__(self) -> None:
        self.elapsed = 0
        self.now_ms = 0
        self.losses: Counter[str] = Counter()
        self.restarts = 0
        self.cancelled_for_good = False
        self.checkpoints = CheckpointHistory()
        kinds = {"source": "Data Source", "window": "Operator", "print": "Data Sink"}
        self.graph = SimpleNamespace(nodes=[
            SimpleNamespace(operator_id=name, name=name, parallelism=2, transformation=SimpleNamespace(kind=kind))
            for name, kind in kinds.items()])
        self.metrics = {name: SimpleNamespace(rows_in=0, rows_out=0, busy_ns=0, watermark_ms=None)
                        for name in kinds}
        self.clock = SimpleNamespace(now_ms=lambda: self.now_ms)

    def elapsed_ns(self) -> int:
        return self.elapsed

    def operator_metrics(self) -> list[tuple[object, object]]:
        return [(SimpleNamespace(operator_id=name, name=name), metrics) for name, metrics in self.metrics.items()]

    def checkpoint_history(self) -> CheckpointHistory:
        return self.checkpoints

    def count(self, name: str) -> int:
        return self.losses[name]


def test_the_status_line_shows_counts_rate_watermark_and_the_busiest_operators() -> None:
    job = Job()
    progress = Progress(job)
    assert progress.line() == "bids  in 0  out 0"
    job.elapsed, job.now_ms = SECOND // 2, 1_767_225_610_000
    job.metrics["source"].rows_out = 12_345
    job.metrics["print"].rows_in = 7
    job.metrics["source"].busy_ns = SECOND // 2
    job.metrics["window"].busy_ns = SECOND // 4
    job.metrics["print"].busy_ns = SECOND
    job.metrics["window"].watermark_ms = 1_767_225_605_000
    assert progress.line() == ("bids  in 12.3k  out 7  24.7k/s  watermark 5 s ago  "
                               "busy print 100%, window 25%")


def test_the_rate_is_that_of_the_last_two_seconds() -> None:
    job = Job()
    progress = Progress(job)
    for second in range(10):
        job.elapsed = second * SECOND
        job.metrics["source"].rows_out = min(second, 5) * 1_000
        line = progress.line()
        if second == 4:
            assert "1k/s" in line
    assert "  0/s" in line
    assert "idle 4 s" in line


def test_a_watermark_of_long_ago_is_shown_as_a_date() -> None:
    job = Job()
    job.now_ms = 1_767_225_610_000
    job.metrics["source"].watermark_ms = 1_700_000_000_000
    assert "watermark 2023-11-14 22:13:20.000" in Progress(job).line()
    job.metrics["source"].watermark_ms = 2**63 - 1
    assert "watermark" not in Progress(job).line()


def test_the_summary_says_what_was_lost_and_only_that() -> None:
    job = Job()
    job.elapsed = 2 * SECOND
    job.metrics["source"].rows_out = 1_000
    assert summary(job) == "job 'bids' finished: 1,000 records in, 0 out, 2 s, 500 records/s\n"
    job.losses.update(late_dropped=1, bad_records_dropped=2, sum_overflows=3)
    _, late, bad, overflows = summary(job).splitlines()
    assert late.startswith("  1 record dropped as late")
    assert bad == "  2 records dropped as bad, as the policy says"
    assert overflows.startswith("  3 sums left 64 bits")


def stats(number: int, kind: str = "checkpoint", path: str = "/checkpoints/ab/chk-7") -> CheckpointStats:
    return CheckpointStats(number, kind, path, 0, 85, 1_000, 3_400_000, 120_000_000)


def test_the_status_line_shows_checkpoints_and_restarts() -> None:
    job = Job()
    progress = Progress(job)
    job.checkpoints.completed(stats(7))
    assert progress.line() == "bids  in 0  out 0  checkpoints 1, last 85 ms 3.4MB"
    job.restarts, job.status = 1, JobStatus.RESTARTING
    assert progress.line().endswith("  checkpoints 1, last 85 ms 3.4MB  restarts 1  restarting")


def test_the_rate_begins_again_with_the_counts() -> None:
    job = Job()
    progress = Progress(job)
    job.metrics["source"].rows_out = 1_000
    progress.line()
    job.restarts, job.elapsed, job.metrics["source"].rows_out = 1, SECOND // 2, 10
    assert progress.line() == "bids  in 10  out 0  restarts 1"
    job.elapsed, job.metrics["source"].rows_out = SECOND, 20
    assert progress.line() == "bids  in 20  out 0  20/s  restarts 1"


def test_the_summary_tells_checkpoints_and_restarts_and_how_to_go_on() -> None:
    job = Job()
    job.checkpoints.completed(stats(7))
    job.checkpoints.completed(stats(8, "savepoint", "/saved/savepoint-1"))
    _, checkpoints = summary(job).splitlines()
    assert checkpoints == "  2 checkpoints completed, the last in 85 ms: 3.4MB written of 120MB"
    job.checkpoints.failed_count, job.restarts, job.status = 3, 1, JobStatus.FAILED
    _, restarts, failed, checkpoints, resume = summary(job).splitlines()
    assert restarts == "  1 restart; the counts are those since the last"
    assert failed == "  3 checkpoints failed" and checkpoints.startswith("  2 checkpoints completed, ")
    assert resume == "  flinkcore run --resume goes on from /checkpoints/ab/chk-7"
    job.cancelled_for_good = True                       # the checkpoints have gone with it
    assert "--resume" not in summary(job)


def test_the_summary_tells_what_the_job_went_on_from() -> None:
    job = Job()
    job.checkpoints.origin = "went on from checkpoint 7 of '/checkpoints/ab'"
    assert summary(job).splitlines()[1:] == ["  it went on from checkpoint 7 of '/checkpoints/ab'"]


def test_checkpoints_in_memory_are_not_offered_to_go_on_from() -> None:
    job = Job()
    job.status = JobStatus.FAILED
    job.checkpoints.completed(stats(7, path="memory:/chk-7"))
    assert "--resume" not in summary(job)
