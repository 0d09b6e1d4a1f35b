# SPDX-License-Identifier: Apache-2.0
"""What a random job does with its records in the end: builds it, and says whether what came out is right."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flinkcore.common import Time, Types
from flinkcore.datastream import (
    AggregateFunction,
    DataStream,
    ProcessWindowFunction,
    WindowFunction,
)
from flinkcore.datastream.window import (
    CountTrigger,
    EventTimeTrigger,
    ProcessingTimeSessionWindows,
    ProcessingTimeTrigger,
    PurgingTrigger,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from flinkcore.table.expressions import col, lit
from tests.simulation.aggregates import DISTINCT, Aggregate, expressions, random_aggregates, results
from tests.simulation.data import ID, TS, G, Record, V, plain
from tests.simulation.end import End, Found, Outputs, by_key, grouped, only_inserts, same
from tests.simulation.keyed_ends import KeyedProcess, random_batch_states, random_late_states
from tests.simulation.keys import Key, random_key
from tests.simulation.physical import Physical
from tests.simulation.steps import replaced
from tests.simulation.windows import Windows, random_windows


@dataclass
class Nothing(End):
    """The records themselves, with their times."""

    form: str = ""

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        return {"main": physical.route(stream)}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        only_inserts(found["main"])
        came = [(result.row, result.timestamp_ms) for result in found["main"]]
        wanted = [(plain(record), record[TS]) for record in records]
        same(came, wanted, "records")
        assert not ordered or came == wanted, "the order of records changed"


# -- windows ---------------------------------------------------------------------------------------------------


@dataclass
class WindowColumns(End):
    """Aggregates as expressions over windows of time; `again`: once more over all keys, in larger windows."""

    key: Key
    windows: Windows
    aggregates: list[Aggregate]
    lateness_ms: int
    again: bool
    all_keys: bool
    row_wise: bool

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        assigner = self.windows.assigner()
        stream = physical.route(stream)
        windowed = stream.window_all(assigner) if self.all_keys else self.key.build(stream).window(assigner)
        if self.lateness_ms:
            windowed = windowed.allowed_lateness(self.lateness_ms)
        if self.row_wise:
            windowed = windowed.trigger(_SameTrigger())
        elif physical.rng.random() < 0.2:
            windowed = windowed.trigger(EventTimeTrigger())
        made = windowed.aggregate(*expressions(self.aggregates), lit(1).count.alias("records"))
        if not self.all_keys:
            made = physical.place(made, physical.rng.randint(1, 4))
        outputs = {"main": made}
        if self.again:
            size = Time.milliseconds(self.windows.size_ms * 3)
            total = physical.route(made).window_all(TumblingEventTimeWindows.of(size))
            outputs["again"] = total.aggregate(
                col("records").sum.alias("records"), lit(1).count.alias("windows")
            )
        return outputs

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        only_inserts(found["main"])
        key_of = (lambda record: ()) if self.all_keys else self.key.plain
        kept = records if self.all_keys else self.key.kept(records)
        groups = self.windows.groups(kept, key_of)
        wanted = [
            ((*key, *span, *plain(results(self.aggregates, mine)), len(mine)), span[1] - 1)
            for (key, span), mine in groups.items()
        ]
        same([(result.row, result.timestamp_ms) for result in found["main"]], wanted, "windows")
        columns = 0 if self.all_keys else self.key.columns
        for key, mine in by_key(found["main"], columns).items():
            ends = [result.row[columns + 1] for result in mine]
            assert ends == sorted(ends), f"windows of key {key} did not come in the order of their ends: {ends}"
        if self.again:
            size = self.windows.size_ms * 3
            totals: dict[int, list[int]] = {}
            for (_, span), mine in groups.items():
                total = totals.setdefault((span[1] - 1) // size * size, [0, 0])
                total[0] += len(mine)
                total[1] += 1
            same(
                [result.row for result in found["again"]],
                [(start, start + size, *total) for start, total in totals.items()],
                "windows of windows",
            )


class _SameTrigger(EventTimeTrigger):
    """EventTimeTrigger under a name of its own, so that rows do what columns would."""


class _SumFunction(AggregateFunction):
    def create_accumulator(self) -> tuple[int, int, int]:
        return 0, 0, 2**62

    def add(self, value: Any, accumulator: tuple[int, int, int]) -> tuple[int, int, int]:
        count, total, least = accumulator
        return count + 1, (total + (value[V] or 0)) % 10007, min(least, value[ID])

    def get_result(self, accumulator: tuple[int, int, int]) -> tuple[int, int, int]:
        return accumulator

    def merge(self, acc_a: tuple[int, int, int], acc_b: tuple[int, int, int]) -> tuple[int, int, int]:
        return acc_a[0] + acc_b[0], (acc_a[1] + acc_b[1]) % 10007, min(acc_a[2], acc_b[2])


def _summed(records: Iterable[Any]) -> tuple[int, int, int]:
    records = list(records)
    return len(records), sum(record[V] or 0 for record in records) % 10007, min(record[ID] for record in records)


class _Process(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        window = context.window()
        yield key, window.start, window.end, *_summed(elements)


class _OfAggregate(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        (one,) = elements
        yield key, context.window().start, context.window().end, *one


class _OfReduced(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        (one,) = elements
        yield key, context.window().start, context.window().end, tuple(one)


class _Apply(WindowFunction):
    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        yield key, window.start, window.end, *_summed(inputs)


def _rank(record: Any) -> tuple[int, int]:
    return record[ID], record[G]  # records that were copied differ in G


def combine(left: Any, right: Any) -> Any:
    """Two records as one, in whatever order: that with the smaller id, and both sums."""
    first = left if _rank(left) <= _rank(right) else right
    made = replaced(first, v=((left[V] or 0) + (right[V] or 0)) % 10007)
    return tuple(made) if isinstance(left, tuple) else type(left)(*made)


def combined(records: Sequence[Record]) -> Record:
    if len(records) == 1:
        return records[0]
    return replaced(min(records, key=_rank), v=_summed(records)[1])


@dataclass
class WindowRows(End):
    """Functions of the user over windows of time."""

    key: Key
    windows: Windows
    function: str  # "process", "apply", "aggregate", "aggregate, process", "reduce", "reduce, process"
    lateness_ms: int
    form: str

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        windowed = self.key.build(physical.route(stream)).window(self.windows.assigner())
        if self.lateness_ms:
            windowed = windowed.allowed_lateness(self.lateness_ms)
        typed = Types.TUPLE([Types.LONG()] * 3) if physical.rng.random() < 0.5 else None
        made = {
            "process": lambda: windowed.process(_Process()),
            "apply": lambda: windowed.apply(_Apply()),
            "aggregate": lambda: windowed.aggregate(_SumFunction(), output_type=typed),
            "aggregate, process": lambda: windowed.aggregate(
                _SumFunction(), window_function=_OfAggregate(), accumulator_type=typed
            ),
            "reduce": lambda: windowed.reduce(combine),
            "reduce, process": lambda: windowed.reduce(combine, window_function=_OfReduced()),
        }[self.function]()
        return {"main": physical.place(made, physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        wanted = []
        groups = self.windows.groups(self.key.kept(records), self.key.plain)
        for (key, span), mine in groups.items():
            # A key of one column is given to functions bare, one of several as a tuple.
            head = (key[0] if len(key) == 1 else key, *span)
            row = {
                "aggregate": lambda: _summed(mine),  # noqa: B023
                "reduce": lambda: plain(combined(mine)),  # noqa: B023
                "reduce, process": lambda: (*head, plain(combined(mine))),  # noqa: B023
            }.get(self.function, lambda: (*head, *_summed(mine)))()  # noqa: B023
            wanted.append((row, span[1] - 1))
        only_inserts(found["main"])
        same([(result.row, result.timestamp_ms) for result in found["main"]], wanted, "windows")
        if self.function not in ("aggregate", "reduce"):
            for key, mine in by_key(found["main"], 1).items():
                ends = [result.row[2] for result in mine]
                assert ends == sorted(ends), f"windows of key {key} not in the order of their ends: {ends}"


@dataclass
class PurgedWindows(End):
    """Windows that fire and forget at every third record."""

    key: Key
    windows: Windows
    aggregates: list[Aggregate]

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        windowed = self.key.build(stream).window(self.windows.assigner())
        windowed = windowed.trigger(PurgingTrigger.of(CountTrigger.of(3)))
        return {"main": physical.place(windowed.aggregate(*expressions(self.aggregates)), physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        wanted = [
            (*key, *span, *plain(results(self.aggregates, mine[start : start + 3])))
            for (key, span), mine in self.windows.groups(self.key.kept(records), self.key.plain).items()
            for start in range(0, len(mine) - 2, 3)
        ]
        same([result.row for result in found["main"]], wanted, "purged windows")


@dataclass
class CountWindowsEnd(End):
    """Windows of a number of records."""

    key: Key
    size: int
    slide: int  # 0: tumbling
    aggregates: list[Aggregate] | None  # None: a function of the user
    form: str

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        windowed = self.key.build(physical.route(stream)).count_window(self.size, self.slide)
        if self.aggregates is None:
            made = windowed.process(_Numbered())
        else:
            made = windowed.aggregate(*expressions(self.aggregates), lit(1).count.alias("records"))
        return {"main": physical.place(made, physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        slide = self.slide or self.size
        groups = grouped(self.key, records)
        wanted = []
        for key, mine in groups.items():
            head = key if self.aggregates is not None else (key[0] if len(key) == 1 else key,)
            for start in range(0, len(mine) - self.size + 1, slide):
                part = mine[start : start + self.size]
                if not ordered:
                    wanted.append((*head, self.size))
                elif self.aggregates is None:
                    wanted.append((*head, tuple(record[ID] for record in part), self.size))
                else:
                    wanted.append((*head, *plain(results(self.aggregates, part)), self.size))
        rows = [result.row for result in found["main"]]
        if not ordered:
            columns = 1 if self.aggregates is None else self.key.columns
            rows = [(*row[:columns], row[-1]) for row in rows]
        same(rows, wanted, "count windows")


class _Numbered(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        ids = tuple(element[ID] for element in elements)
        yield key, ids, len(ids)


@dataclass
class ProcessingWindows(End):
    """Windows of the clock's time: which records meet in one is chance, but each meets only its own."""

    key: Key
    kind: str
    row_wise: bool
    clocked = True

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        ten = Time.milliseconds(10)
        assigner = {
            "tumbling": lambda: TumblingProcessingTimeWindows.of(ten),
            "sliding": lambda: SlidingProcessingTimeWindows.of(Time.milliseconds(30), ten),
            "session": lambda: ProcessingTimeSessionWindows.with_gap(ten),
        }[self.kind]()
        windowed = self.key.build(physical.route(stream)).window(assigner)
        if self.row_wise:
            windowed = windowed.trigger(_SameClockTrigger())
        made = windowed.aggregate(lit(1).count.alias("n"), col("id").sum.alias("ids"))
        return {"main": physical.place(made, physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        columns = self.key.columns
        groups = grouped(self.key, records)
        overlap = 3 if self.kind == "sliding" else 1
        for key, mine in by_key(found["main"], columns).items():
            spans = [result.row[columns : columns + 2] for result in mine]
            if self.kind != "session" and not self.row_wise:  # those follow a clock that is behind, as in Flink
                assert len(set(spans)) == len(spans), f"key {key}: a window fired twice: {spans}"
                assert spans == sorted(spans), f"key {key}: windows out of order: {spans}"
            count = sum(result.row[columns + 2] for result in mine)
            assert count <= overlap * len(groups[key]), f"key {key}: {count} of {len(groups[key])} records"
            ids = sum(result.row[columns + 3] for result in mine)
            assert ids <= overlap * sum(record[ID] for record in groups[key])


class _SameClockTrigger(ProcessingTimeTrigger):
    """ProcessingTimeTrigger under a name of its own."""


# -- running aggregates ------------------------------------------------------------------------------------------


@dataclass
class RunningRows(End):
    """reduce, sum, min, max, min_by and max_by over the records of a key."""

    key: Key
    op: str
    form: str

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        keyed = self.key.build(physical.route(stream))
        made = keyed.reduce(combine) if self.op == "reduce" else getattr(keyed, self.op)(ID)
        return {"main": physical.place(made, physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        groups = grouped(self.key, records)
        count = len(groups) if batch_mode else sum(map(len, groups.values()))
        assert len(found["main"]) == count, f"{len(found['main'])} results, expected {count}"
        if ordered:
            wanted = []
            for mine in groups.values():
                last = len(mine)
                for end in range(last if batch_mode else 1, last + 1):
                    wanted.append(plain(self._of(mine[:end])))
            same([result.row for result in found["main"]], wanted, self.op)
        else:
            finals = Counter(self._certain(plain(self._of(mine))) for mine in groups.values())
            came = Counter(self._certain(result.row) for result in found["main"])
            assert not finals - came, f"last results missing: {list((finals - came).elements())[:5]}"

    def _of(self, records: list[Record]) -> Record:
        if self.op == "reduce":
            return combined(records)
        ids = [record[ID] for record in records]
        if self.op in ("min_by", "max_by"):
            best = min(ids) if self.op == "min_by" else max(ids)
            return next(record for record in records if record[ID] == best)
        return replaced(records[0], id={"sum": sum, "min": min, "max": max}[self.op](ids))

    def _certain(self, row: tuple[Any, ...]) -> Any:
        return row if self.op == "reduce" else row[ID]


@dataclass
class RunningColumns(End):
    """Running aggregates on columns: a changelog."""

    key: Key
    aggregates: list[Aggregate]
    emit: str

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        made = self.key.build(physical.route(stream)).aggregate(*expressions(self.aggregates), emit=self.emit)
        return {"main": physical.place(made, physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        columns = self.key.columns
        groups = grouped(self.key, records)
        table: dict[Any, Any] = {}
        history: dict[Any, list[Any]] = {}
        for result in found["main"]:
            key, values = result.row[:columns], result.row[columns:]
            if result.kind == 0:
                assert key not in table, f"+I for key {key}, which is there"
                table[key] = values
            elif result.kind == 2:
                assert key in table, f"+U for key {key}, which is not there"
                table[key] = values
            else:
                assert result.kind == 1, f"-D of key {key} where nothing is taken back"
                assert table.get(key) == values, f"-U of key {key}: {values}, but it is {table.get(key)}"
                continue
            history.setdefault(key, []).append(values)
        wanted = {key: plain(results(self.aggregates, mine)) for key, mine in groups.items()}
        same(table.items(), wanted.items(), "the table that the changelog makes")
        if self.emit == "final":
            assert all(result.kind == 0 for result in found["main"])
        if self.emit == "record" and ordered:
            for key, mine in groups.items():
                steps: list[Any] = []
                for end in range(1, len(mine) + 1):
                    values = plain(results(self.aggregates, mine[:end]))
                    if not steps or steps[-1] != values:
                        steps.append(values)
                assert history[key] == steps, f"changes of key {key}: {history[key]}, expected {steps}"


def random_end(rng: random.Random, ordered: bool, wild: bool) -> End:
    """`wild` records are for columns: Python's numbers do not wrap."""
    choices = ["nothing", "window columns", "window columns", "running columns", "processing time"]
    if not wild:
        choices += ["window rows", "window rows", "count rows", "running rows", "keyed process"]
    choices += ["count columns", "late states", "late states", "batch states"]
    if ordered:
        choices.append("purged windows")
    choice = rng.choice(choices)
    form = rng.choice(["row", "object"])
    windows = random_windows(rng)
    lateness_ms = rng.choice([0, 0, 5, 1000])
    if choice == "nothing":
        return Nothing()
    if choice == "window columns":
        row_wise = rng.random() < 0.2
        return WindowColumns(
            random_key(rng, True, True),
            windows,
            random_aggregates(rng, ordered, wild, windows.kind != "tumbling"),
            lateness_ms,
            rng.random() < 0.3,
            rng.random() < 0.15,
            row_wise,
        )
    if choice == "processing time":
        key = random_key(rng, True, True)
        return ProcessingWindows(key, rng.choice(["tumbling", "sliding", "session"]), rng.random() < 0.5)
    if choice == "running columns":
        return RunningColumns(
            random_key(rng, True, True),
            random_aggregates(rng, ordered, wild, more=DISTINCT),
            rng.choice(["record", "record", "batch", "final"]),
        )
    if choice == "purged windows":
        while windows.merges:  # CountTrigger merges counts, which is another story
            windows = random_windows(rng)
        return PurgedWindows(random_key(rng, True, True), windows, random_aggregates(rng, ordered, wild))
    if choice == "count columns":
        size = rng.randint(1, 6)
        return CountWindowsEnd(
            random_key(rng, True, True),
            size,
            rng.choice([0, 0, rng.randint(1, 8)]),
            random_aggregates(rng, ordered, wild),
            "row",
        )
    if choice == "batch states":
        return random_batch_states(rng, random_key(rng, True, True))
    key = random_key(rng, False, form == "row")
    if choice == "late states":
        return random_late_states(rng, key, form)
    if choice == "count rows":
        return CountWindowsEnd(key, rng.randint(1, 6), rng.choice([0, rng.randint(1, 8)]), None, form)
    if choice == "running rows":
        return RunningRows(key, rng.choice(["reduce", "reduce", "sum", "min", "max", "min_by", "max_by"]), form)
    if choice == "keyed process":
        return KeyedProcess(key, form)
    function = rng.choice(["process", "apply", "aggregate", "aggregate, process", "reduce", "reduce, process"])
    return WindowRows(key, windows, function, lateness_ms, form)
