# SPDX-License-Identifier: Apache-2.0
"""Jobs in which records are late, and certainly so: one source, whose watermarks stand between its records."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flinkcore.common import WatermarkStrategy
from flinkcore.common.watermark_strategy import WatermarkGenerator
from flinkcore.datastream import DataStream, OutputTag
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from tests.simulation.aggregates import Aggregate, expressions, random_aggregates, results
from tests.simulation.data import ID, TS, TYPE, Record, plain, random_records, rows_of
from tests.simulation.end import End, Found, same
from tests.simulation.ends import _Process, _SameTrigger, _summed
from tests.simulation.keys import Key, random_key
from tests.simulation.outcome import Keep
from tests.simulation.physical import Physical
from tests.simulation.sources import _Time
from tests.simulation.steps import replaced
from tests.simulation.windows import Span, Windows, random_windows


class _Between(WatermarkGenerator):
    """A watermark behind every record whose id says so."""

    def __init__(self, bound_ms: int, every: int) -> None:
        self.rule = watermark_rule(bound_ms, every)

    def on_event(self, event: Any, event_timestamp: int, output: Any) -> None:
        watermark_ms = self.rule(event)
        if watermark_ms is not None:
            output.emit_watermark(watermark_ms)

    def on_periodic_emit(self, output: Any) -> None:
        pass


def watermark_rule(bound_ms: int, every: int) -> Callable[[Any], int | None]:
    """The watermark right behind a record, None for none."""
    return lambda record: record[TS] - bound_ms if record[ID] % every == 0 else None


class NaiveWindows:
    """Flink's WindowOperator with EventTimeTrigger, one record and one window at a time."""

    def __init__(self, windows: Windows, lateness_ms: int) -> None:
        self.windows = windows
        self.lateness_ms = lateness_ms
        self.watermark_ms = MIN_TIMESTAMP
        self.held: dict[tuple[Any, Span], list[Record]] = {}
        self.fired: list[tuple[Any, Span, list[Record]]] = []
        self.late: list[Record] = []

    def add(self, key: Any, record: Record) -> None:
        taken = False
        for span in self.windows.of_record(record):
            into, records = span, []
            if self.windows.merges:
                touching = [
                    other for name, other in self.held
                    if name == key and other[0] <= into[1] and into[0] <= other[1]
                ]  # fmt: skip
                into = (min(s for s, _ in (span, *touching)), max(e for _, e in (span, *touching)))
                if into[1] - 1 + self.lateness_ms > self.watermark_ms:
                    for other in sorted(touching):
                        records += self.held.pop((key, other))
            if into[1] - 1 + self.lateness_ms <= self.watermark_ms:
                continue
            taken = True
            mine = self.held.setdefault((key, into), [])
            mine += [*records, record]
            mine.sort(key=lambda each: each[ID])  # ids are in the order of arrival
            if into[1] - 1 <= self.watermark_ms:
                self.fired.append((key, into, list(mine)))
        if not taken and record[TS] + self.lateness_ms <= self.watermark_ms:
            self.late.append(record)

    def advance(self, watermark_ms: int) -> None:
        if watermark_ms <= self.watermark_ms:
            return
        due = [entry for entry in self.held if self.watermark_ms < entry[1][1] - 1 <= watermark_ms]
        for key, span in sorted(due, key=lambda entry: entry[1][1]):
            self.fired.append((key, span, list(self.held[key, span])))
        self.watermark_ms = watermark_ms
        for key, span in list(self.held):
            if span[1] - 1 + self.lateness_ms <= watermark_ms:
                del self.held[key, span]


@dataclass
class LateJob:
    end = End()
    records: tuple[Record, ...]
    key: Key
    windows: Windows
    lateness_ms: int
    bound_ms: int
    every: int
    aggregates: list[Aggregate]
    how: str  # "columns", "rows" or "functions"
    to_side: bool
    ordered = True
    batch_mode = False

    def build(self, physical: Physical, make_sink: Callable[[str], Any] = lambda name: Keep()) -> dict[str, Any]:
        strategy = WatermarkStrategy.for_generator(lambda: _Between(self.bound_ms, self.every))
        stream = physical.env.from_collection(rows_of(list(self.records)), TYPE)
        stream = physical.place(
            stream.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(_Time()))
        )
        stream = physical.place(stream.filter(lambda record: True))
        windowed = self.key.build(stream).window(self.windows.assigner())
        tag = OutputTag("late", TYPE)
        if self.lateness_ms:
            windowed = windowed.allowed_lateness(self.lateness_ms)
        if self.to_side:
            windowed = windowed.side_output_late_data(tag)
        if self.how == "functions":
            made: DataStream = windowed.process(_Process())
        else:
            if self.how == "rows":
                windowed = windowed.trigger(_SameTrigger())
            made = windowed.aggregate(*expressions(self.aggregates))
        made = physical.place(made, physical.rng.randint(1, 4))
        outputs = {"main": made}
        if self.to_side:
            outputs["late"] = made.get_side_output(tag)
        sinks = {name: make_sink(name) for name in outputs}
        for name, output in outputs.items():
            output.sink_to(sinks[name]).set_parallelism(
                physical.rng.choice([1, made._transformation.parallelism])
            )
        return sinks

    def check(self, found: Found) -> None:
        naive = NaiveWindows(self.windows, self.lateness_ms)
        rule = watermark_rule(self.bound_ms, self.every)
        kept = set(self.key.kept(self.records))
        for record in self.records:
            if record in kept:
                naive.add(self.key.plain(record), record)
            watermark_ms = rule(record)
            if watermark_ms is not None:
                naive.advance(watermark_ms)
        naive.advance(MAX_WATERMARK)
        rows = [result.row for result in found["main"]]
        wanted = [self._row(key, span, records) for key, span, records in naive.fired]
        same(rows, wanted, "windows")
        columns = 1 if self.how == "functions" else self.key.columns
        assert _by_key(rows, columns) == _by_key(wanted, columns), "the windows of a key changed their order"
        if self.to_side:
            same(
                [(result.row, result.timestamp_ms) for result in found["late"]],
                [(plain(record), record[TS]) for record in naive.late],
                "late records",
            )

    def _row(self, key: Any, span: Span, records: list[Record]) -> Any:
        if self.how == "functions":
            return (key[0] if len(key) == 1 else key, *span, *_summed(records))
        return (*key, *span, *plain(results(self.aggregates, records)))

    def __str__(self) -> str:
        return (
            f"{len(self.records)} records, watermarks {self.bound_ms} ms behind one of {self.every}, "
            f"by {self.key.name}, {self.windows}, lateness {self.lateness_ms} ms, {self.how}, "
            f"{[aggregate.name for aggregate in self.aggregates]}"
        )


def _by_key(rows: Iterable[Any], columns: int) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for row in rows:
        groups.setdefault(row[:columns], []).append(row)
    return groups


def random_late_job(rng: random.Random) -> LateJob:
    how = rng.choice(["columns", "columns", "rows", "functions"])
    disorder_ms = rng.choice([10, 100, 500])
    records = random_records(rng, rng.randint(0, 150), 0, rng.choice([0, -5000]), disorder_ms, False, False)
    if rng.random() < 0.5:  # around the bounds of windows
        records = [replaced(r, ts=round(r[TS], -1) + rng.choice([-1, -1, 0, 1])) for r in records]
    windows = random_windows(rng)
    return LateJob(
        tuple(records),
        random_key(rng, how != "functions", True),
        windows,
        rng.choice([0, 0, 5, 50, 1000]),
        rng.choice([0, 1, disorder_ms // 2]),
        rng.randint(1, 10),
        random_aggregates(rng, True, False, windows.kind != "tumbling"),
        how,
        rng.random() < 0.6,
    )
