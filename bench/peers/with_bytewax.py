# SPDX-License-Identifier: Apache-2.0
"""The jobs in Bytewax, in its natural form: Python items through operators, with event time.

It is handed ready-made (key, value) tuples in lists of 1,000, so no conversion is timed. Keys are strings,
as Bytewax asks. Its event clock also runs with the wall clock, which would close windows early while a
recording is replayed; a fixed `now_getter` and no wake-ups leave only the data's own time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from importlib.metadata import version as version_of
from operator import itemgetter

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import KeyedStream
from bytewax.operators.windowing import (
    EventClock,
    SessionWindower,
    SlidingWindower,
    TumblingWindower,
    Windower,
    fold_window,
)
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from bench.workloads import (
    OUT_OF_ORDERNESS_MS,
    SESSION_GAP_MS,
    SLIDE_MS,
    VALUE_MIN,
    WINDOW_MS,
    add_weighted,
    base,
    discounted,
    merge_weighted,
    weighted_result,
)

BATCH_ROWS = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Items = list[tuple]


def version() -> str:
    return version_of("bytewax")


class Batches(StatelessSourcePartition):
    def __init__(self, items: Items) -> None:
        self.batches = iter([items[i : i + BATCH_ROWS] for i in range(0, len(items), BATCH_ROWS)])

    def next_batch(self) -> Items:
        return next(self.batches)  # StopIteration ends the source


class ItemSource(DynamicSource):
    def __init__(self, items: Items) -> None:
        self.items = items

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Batches:
        return Batches(self.items)


class ListPartition(StatelessSinkPartition):
    def __init__(self, results: Items) -> None:
        self.results = results

    def write_batch(self, items: Items) -> None:
        self.results += items


class ListSink(DynamicSink):
    def __init__(self, results: Items) -> None:
        self.results = results

    def build(self, step_id: str, worker_index: int, worker_count: int) -> ListPartition:
        return ListPartition(self.results)


def windowed(
    keyed: KeyedStream, windower: Windower, empty: Callable, add: Callable, merge: Callable
) -> KeyedStream:
    clock = EventClock(
        ts_getter=itemgetter(1),
        wait_for_system_duration=timedelta(milliseconds=OUT_OF_ORDERNESS_MS),
        now_getter=lambda: EPOCH,
        to_system_utc=lambda _: None,
    )
    return fold_window("window", keyed, clock, windower, empty, add, merge).down


def tumbling(keyed: KeyedStream) -> KeyedStream:
    def add(total: tuple, item: tuple) -> tuple:
        return (total[0] + 1, total[1] + item[0], max(total[2], item[0]))

    def merge(a: tuple, b: tuple) -> tuple:
        return (a[0] + b[0], a[1] + b[1], max(a[2], b[2]))

    windower = TumblingWindower(align_to=EPOCH, length=timedelta(milliseconds=WINDOW_MS))
    return windowed(keyed, windower, lambda: (0, 0, 0), add, merge)


def sliding(keyed: KeyedStream) -> KeyedStream:
    length, offset = timedelta(milliseconds=WINDOW_MS), timedelta(milliseconds=SLIDE_MS)
    windower = SlidingWindower(align_to=EPOCH, length=length, offset=offset)
    return windowed(keyed, windower, int, lambda count, _: count + 1, int.__add__)


def sessions(keyed: KeyedStream) -> KeyedStream:
    def add(session: tuple | None, item: tuple) -> tuple:
        first, last, count = session or (item[1], item[1], 0)
        return (min(first, item[1]), max(last, item[1]), count + 1)

    def merge(a: tuple | None, b: tuple | None) -> tuple | None:
        if a is None or b is None:
            return a or b
        return (min(a[0], b[0]), max(a[1], b[1]), a[2] + b[2])

    return windowed(keyed, SessionWindower(timedelta(milliseconds=SESSION_GAP_MS)), lambda: None, add, merge)


def running(keyed: KeyedStream) -> KeyedStream:
    def add(state: tuple | None, item: tuple) -> tuple:
        total, count = state or (0, 0)
        state = (total + item[0], count + 1)
        return state, state

    return op.stateful_map("sum", keyed, add)


def filtered(rows: KeyedStream) -> KeyedStream:
    kept = op.filter("filter", rows, lambda item: item[1] >= VALUE_MIN)
    return op.map("project", kept, lambda item: (item[0], item[1] * 3 + 1, item[2]))


def word_count(lines: KeyedStream) -> KeyedStream:
    return op.count_final(
        "count", op.flat_map("split", lines, lambda item: item[0].split(" ")), lambda word: word
    )


def url_count(rows: KeyedStream) -> KeyedStream:
    return op.count_final("count", rows, itemgetter(0))


def mapped(rows: KeyedStream) -> KeyedStream:
    return op.map("map", rows, lambda item: (item[0], discounted(item[1])))


def weighted(keyed: KeyedStream) -> KeyedStream:
    windower = TumblingWindower(align_to=EPOCH, length=timedelta(milliseconds=WINDOW_MS))
    add = lambda accumulator, item: add_weighted(accumulator, item[0])  # noqa: E731
    return windowed(keyed, windower, lambda: (0, 0, 0), add, merge_weighted)


FLOWS = {
    "W1": tumbling,
    "W2": sliding,
    "W3": running,
    "W4": word_count,
    "W5": filtered,
    "W6": sessions,
    "W8": url_count,
    "W9": mapped,
    "WA": weighted,
}
KEYED = {"W1", "W2", "W3", "W6", "WA"}


def items_of(job: str, table: pa.Table) -> Items:
    columns = [column.to_pylist() for column in table.columns]
    if base(job) in KEYED:  # (key, (value, time))
        keys, values, times = columns
        return list(zip(map(str, keys), zip(values, (time.replace(tzinfo=timezone.utc) for time in times))))
    return list(zip(*columns))


def prepare(
    job: str, table: pa.Table, threads: int
) -> tuple[Callable[[], Items], Callable[[Items], pa.Table]]:
    items = items_of(job, table)

    def run() -> Items:
        results: Items = []
        flow = Dataflow(base(job))
        op.output("out", FLOWS[base(job)](op.input("in", flow, ItemSource(items))), ListSink(results))
        run_main(flow)
        return results

    return run, lambda results: pa.table(COLUMNS[base(job)](results))


def ms(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)


def window_columns(results: Items, step_ms: int) -> dict[str, list]:
    return {
        "key": [int(key) for key, _ in results],
        "window_start": [window * step_ms for _, (window, _) in results],
    }


def tumbling_columns(results: Items) -> dict[str, list]:
    counts, sums, tops = zip(*(total for _, (_, total) in results))
    return {**window_columns(results, WINDOW_MS), "count": list(counts), "sum": list(sums), "max": list(tops)}


def sliding_columns(results: Items) -> dict[str, list]:
    return {**window_columns(results, SLIDE_MS), "count": [count for _, (_, count) in results]}


def session_columns(results: Items) -> dict[str, list]:
    firsts, lasts, counts = zip(*(session for _, (_, session) in results))
    return {
        "key": [int(key) for key, _ in results],
        "window_start": [ms(first) for first in firsts],
        "window_end": [ms(last) + SESSION_GAP_MS for last in lasts],
        "count": list(counts),
    }


def running_columns(results: Items) -> dict[str, list]:
    last = dict(results)
    sums, counts = zip(*last.values())
    return {"key": [int(key) for key in last], "sum": list(sums), "count": list(counts)}


def filtered_columns(results: Items) -> dict[str, object]:
    keys, amounts, times = zip(*results)
    return {"key": list(keys), "amount": list(amounts), "date_time": pa.array(times, pa.timestamp("ms"))}


def count_columns(name: str) -> Callable[[Items], dict[str, list]]:
    return lambda results: {name: [key for key, _ in results], "count": [count for _, count in results]}


def weighted_columns(results: Items) -> dict[str, list]:
    averages, tops = zip(*(weighted_result(accumulator) for _, (_, accumulator) in results))
    return {"average": list(averages), "top": list(tops)}


COLUMNS = {
    "W1": tumbling_columns,
    "W2": sliding_columns,
    "W3": running_columns,
    "W4": count_columns("word"),
    "W5": filtered_columns,
    "W6": session_columns,
    "W8": count_columns("url"),
    "WA": weighted_columns,
    "W9": lambda results: dict(zip(("key", "amount"), map(list, zip(*results)))),
}
