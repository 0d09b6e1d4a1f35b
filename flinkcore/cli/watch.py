# SPDX-License-Identifier: Apache-2.0
"""What the command line says about a job: its progress, its summary, and why its windows wait."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flinkcore.cli.text import count, duration, instant, short, size

if TYPE_CHECKING:
    from flinkcore.runtime.job import JobRun
    from flinkcore.time.watermarks import WatermarkFacts

MAX_WATERMARK = 2**63 - 1
RATE_SPAN_S = 2.0


@dataclass(frozen=True)
class Sample:
    """A job's counts at one moment.

    busy_ns : of one subtask on average, by operator; not of sources, whose time is mostly that of waiting
    """

    elapsed_ns: int
    rows_in: int
    rows_out: int
    watermark_ms: int | None
    busy_ns: dict[str, int]

    @staticmethod
    def of(job: JobRun) -> Sample:
        nodes = {node.operator_id: node for node in job.graph.nodes}
        rows_in = rows_out = 0
        watermarks: list[int] = []
        busy_ns: dict[str, int] = {}
        for context, metrics in job.operator_metrics():
            node = nodes[context.operator_id]
            kind = node.transformation.kind
            if kind == "Data Source":
                rows_in += metrics.rows_out
            elif kind == "Data Sink":
                rows_out += metrics.rows_in
            if metrics.watermark_ms is not None:
                watermarks.append(metrics.watermark_ms)
            if kind != "Data Source":
                busy_ns[node.name] = busy_ns.get(node.name, 0) + metrics.busy_ns // node.parallelism
        return Sample(job.elapsed_ns(), rows_in, rows_out, min(watermarks, default=None), busy_ns)


class Progress:
    """The status line of one job, from samples taken a few times a second."""

    def __init__(self, job: JobRun) -> None:
        self.job = job
        self._samples: list[Sample] = []
        self._moved_ns = 0
        self._restarts = 0

    def line(self) -> str:
        """Takes a sample; the line it gives, without regard to the width of the terminal."""
        now = Sample.of(self.job)
        before = self._samples[0] if self._samples else None
        if self.job.restarts != self._restarts:           # counts begin again
            self._restarts, self._samples, before = self.job.restarts, [], None
        if not self._samples or now.rows_in != self._samples[-1].rows_in:
            self._moved_ns = now.elapsed_ns
        self._samples.append(now)
        while now.elapsed_ns - self._samples[0].elapsed_ns > RATE_SPAN_S * 1e9:
            self._samples.pop(0)
        parts = [self.job.name, f"in {short(now.rows_in)}", f"out {short(now.rows_out)}"]
        if before is not None and now.elapsed_ns > before.elapsed_ns:
            span_ns = now.elapsed_ns - before.elapsed_ns
            parts.append(f"{short((now.rows_in - before.rows_in) * 1e9 / span_ns)}/s")
        if now.watermark_ms is not None and now.watermark_ms != MAX_WATERMARK:
            lag_ms = self.job.clock.now_ms() - now.watermark_ms
            parts.append(f"watermark {duration(lag_ms)} ago" if 0 <= lag_ms < 86_400_000
                         else f"watermark {instant(now.watermark_ms)}")
        if before is not None and now.elapsed_ns > before.elapsed_ns:
            shares = sorted((min(1.0, (busy - before.busy_ns.get(name, 0)) / span_ns), name)
                            for name, busy in now.busy_ns.items())
            busiest = [f"{name.partition('(')[0]} {share:.0%}"
                       for share, name in reversed(shares[-3:]) if share >= 0.005]
            if busiest:
                parts.append("busy " + ", ".join(busiest))
        history = self.job.checkpoint_history()
        if history.completed_count:
            last = history.recent[-1]
            parts.append(f"checkpoints {short(history.completed_count)}, last {duration(last.duration_ms)} "
                         f"{size(last.written_bytes)}")
        if self.job.restarts:
            parts.append(f"restarts {self.job.restarts:,}")
        if self.job.status.value == "RESTARTING":
            parts.append("restarting")
        elif self.idle_s() > 2:
            parts.append(f"idle {self.idle_s():.0f} s")
        return "  ".join(parts)

    def idle_s(self) -> float:
        """For how long no record has come in, as of the last sample."""
        return (self._samples[-1].elapsed_ns - self._moved_ns) / 1e9 if self._samples else 0.0


def summary(job: JobRun) -> str:
    """The lines that end a run: what came in and went out, how fast, and what was lost on the way."""
    total = Sample.of(job)
    seconds = total.elapsed_ns / 1e9
    rate = f", {short(total.rows_in / seconds)} records/s" if total.rows_in > seconds > 0 else ""
    lines = [f"job '{job.name}' {job.status.value.lower()}: {count(total.rows_in, 'record')} in, "
             f"{total.rows_out:,} out, {duration(total.elapsed_ns // 1_000_000)}{rate}"]
    if job.restarts:
        lines.append(f"  {count(job.restarts, 'restart')}; the counts are those since the last")
    lines += _checkpoints(job)
    for name, noun, what in _WORTH_SAYING:
        n = job.count(name)
        if n:
            lines.append(f"  {count(n, noun)} {what}")
    return "\n".join(lines) + "\n"


def _checkpoints(job: JobRun) -> Iterable[str]:
    history = job.checkpoint_history()
    if history.origin is not None:
        yield f"  it {history.origin}"
    if history.failed_count:
        yield f"  {count(history.failed_count, 'checkpoint')} failed"
    if history.recent:
        last = history.recent[-1]
        yield (f"  {count(history.completed_count, 'checkpoint')} completed, the last in {duration(last.duration_ms)}: "
               f"{size(last.written_bytes)} written of {size(last.full_bytes)}")
    kept = [stats.path for stats in history.recent if stats.kind == "checkpoint"]
    if kept and job.status.value != "FINISHED" and not job.cancelled_for_good and not kept[-1].startswith("memory:"):
        yield f"  flinkcore run --resume goes on from {kept[-1]}"


_WORTH_SAYING = (
    ("late_dropped", "record", "dropped as late, after their windows had gone: more out-of-orderness, "
                               "allowed_lateness or side_output_late_data keeps such records"),
    ("bad_records_dropped", "record", "dropped as bad, as the policy says"),
    ("bad_records_sent_aside", "record", "sent to a side output as bad"),
    ("sum_overflows", "sum", "left 64 bits and wrapped, as Java's do: cast to a wider type before summing"),
    ("leftover_files", "hidden file", "of an earlier run found in the folder of a sink"),
)


@dataclass(frozen=True)
class WatermarkReport:
    """Where a job's watermarks stand and what waits for them."""

    now_ms: int
    facts: dict[str, WatermarkFacts]
    waiting: dict[str, str]

    @staticmethod
    def of(job: JobRun) -> WatermarkReport:
        """The report of this moment, taken while the job's own threads go on."""
        try:
            return WatermarkReport(job.clock.now_ms(), job.watermark_facts(), job.unfired())
        except AttributeError:               # an operator that has not opened yet holds nothing
            return WatermarkReport(job.clock.now_ms(), {}, {})

    def text(self) -> str:
        """Who waits, who holds the watermark back, and how far each place has come."""
        lines = [f"  {place} waits: {what}" for place, what in self.waiting.items()]
        if not self.facts:
            if self.waiting:
                lines.append("  no watermark is made anywhere: call assign_timestamps_and_watermarks on the "
                             "stream before its windows")
            return "\n".join(lines)
        holding = set(holding_back(self.facts))
        furthest_ms = max((fact.last_timestamp_ms for fact in self.facts.values()
                           if fact.last_timestamp_ms is not None), default=None)
        for place, fact in sorted(self.facts.items(), key=lambda item: _order(item[1])):
            mark = "holds the watermark back" if place in holding and len(self.facts) > 1 else ""
            lines.append(f"  {place}: {', '.join(filter(None, [mark, *self._standing(fact, furthest_ms)]))}")
        return "\n".join(lines)

    def _standing(self, fact: WatermarkFacts, furthest_ms: int | None) -> Iterable[str]:
        if fact.last_timestamp_ms is None:
            yield "no record yet, so no watermark"
            return
        yield f"last timestamp {instant(fact.last_timestamp_ms)}"
        if fact.watermark_ms is None:
            yield "no watermark yet"
        else:
            yield f"watermark {instant(fact.watermark_ms)}"
            if fact.behind_ms is not None:
                yield f"{duration(fact.behind_ms)} behind it"
        if furthest_ms is not None and fact.last_timestamp_ms < furthest_ms:
            yield f"{duration(furthest_ms - fact.last_timestamp_ms)} behind the furthest"
        if fact.idle_since_ms is not None:
            yield f"idle for {duration(self.now_ms - fact.idle_since_ms)} and not waited for"


def holding_back(facts: dict[str, WatermarkFacts]) -> list[str]:
    """The places with the lowest watermark among those that are waited for."""
    active = {place: _order(fact) for place, fact in facts.items() if fact.idle_since_ms is None}
    return [place for place, order in active.items() if order == min(active.values())]


def _order(fact: WatermarkFacts) -> tuple[int, int]:
    """How far a place has come; before its first watermark, by its timestamps."""
    return (-(2**63) if fact.watermark_ms is None else fact.watermark_ms,
            -(2**63) if fact.last_timestamp_ms is None else fact.last_timestamp_ms)
