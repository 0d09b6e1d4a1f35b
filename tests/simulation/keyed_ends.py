# SPDX-License-Identifier: Apache-2.0
"""Ends of random jobs that are functions with keyed state and timers: of single records, and of batches.

In some of them a process asks for its states when a record needs them first, and another process asks for others in
its `open`: what is restored may wait for long, through checkpoints and crashes, for somebody to ask for it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore.common import Time, Types
from flinkcore.datastream import (
    AggregateFunction,
    DataStream,
    KeyedBatchFunction,
    KeyedProcessFunction,
    OutputTag,
    RuntimeContext,
)
from flinkcore.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from flinkcore.datastream.time_domain import TimeDomain
from flinkcore.time import MAX_WATERMARK
from tests.simulation.data import ID, TS, Record, V
from tests.simulation.end import End, Found, Outputs, grouped, same
from tests.simulation.keys import Key
from tests.simulation.physical import Physical
from tests.simulation.steps import is_typed


class _Counts(KeyedProcessFunction):
    """Counts and timers per key: a row per timer, one at the end with everything, and a side output."""

    def __init__(self, tag: OutputTag, clock: OutputTag) -> None:
        self.tag = tag
        self.clock = clock

    def open(self, runtime_context: RuntimeContext) -> None:
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.PICKLED_BYTE_ARRAY()))
        self.per_id = runtime_context.get_map_state(
            MapStateDescriptor("per id", Types.LONG(), Types.LONG())
        )

    def process_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        soon = ctx.timer_service().current_processing_time() + value[ID] % 7 * 10
        ctx.timer_service().register_processing_time_timer(soon)
        yield self.clock, ("registered", ctx.get_current_key(), soon)
        count, sum_ = self.total.value() or (0, 0)
        self.total.update((count + 1, sum_ + (value[V] or 0)))
        bucket = value[ID] % 4
        self.per_id.put(bucket, (self.per_id.get(bucket) or 0) + 1)
        assert ctx.timestamp() == value[TS]
        timers = ctx.timer_service()
        timers.register_event_time_timer(value[TS] // 100 * 100 + 99)
        timers.register_event_time_timer(value[TS] // 100 * 100 + 50)
        timers.delete_event_time_timer(value[TS] // 100 * 100 + 50)
        timers.register_event_time_timer(MAX_WATERMARK)
        if value[ID] % 3 == 0:
            yield self.tag, value[ID]

    def on_timer(self, timestamp: int, ctx: Any) -> Iterable[Any]:
        if ctx.time_domain() is TimeDomain.PROCESSING_TIME:
            now = ctx.timer_service().current_processing_time()
            yield self.clock, ("fired", ctx.get_current_key(), timestamp, now)
        elif timestamp < MAX_WATERMARK:
            yield ctx.get_current_key(), timestamp
        else:
            yield ctx.get_current_key(), self.total.value(), tuple(sorted(self.per_id.items()))


@dataclass
class KeyedProcess(End):
    key: Key
    form: str
    tag_name: str = field(default="thirds")
    clocked = True

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        tag = OutputTag(self.tag_name, Types.LONG() if is_typed(stream) else None)
        clock = OutputTag("clock")
        keyed = self.key.build(physical.route(stream))
        made = physical.place(keyed.process(_Counts(tag, clock)), physical.rng.randint(1, 4))
        return {
            "main": made,
            "side": made.get_side_output(tag),
            "clock": made.get_side_output(clock),
        }

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        kept = self.key.kept(records)
        groups = grouped(self.key, records)
        wanted: list[Any] = []
        for key, mine in groups.items():
            head = key[0] if len(key) == 1 else key
            times = sorted({record[TS] // 100 * 100 + 99 for record in mine})
            wanted += [((head, time), time) for time in times]
            buckets = Counter(record[ID] % 4 for record in mine)
            last = (head, (len(mine), sum(record[V] or 0 for record in mine)), tuple(sorted(buckets.items())))
            wanted.append((last, MAX_WATERMARK))
        same([(result.row, result.timestamp_ms) for result in found["main"]], wanted, "timers")
        same(
            [(result.row, result.timestamp_ms) for result in found["side"]],
            [((record[ID],), record[TS]) for record in kept if record[ID] % 3 == 0],
            "side output",
        )
        standing: set[Any] = set()
        for result in found["clock"]:  # a timer of processing time fires once, and only when it was registered
            what, key, time, *now = result.row
            if what == "registered":
                standing.add((key, time))
            else:
                assert (key, time) in standing, f"timer {time} of {key} fired that was not registered"
                standing.remove((key, time))
                assert batch_mode or now[0] >= time, "in batch mode timers fire with the last record of their key"


# -- states that are asked for late ------------------------------------------------------------------------------


class _Totals(AggregateFunction):
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add(self, value: int, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + 1, accumulator[1] + value

    def get_result(self, accumulator: tuple[int, int]) -> list[int]:
        return list(accumulator)

    def merge(self, acc_a: tuple[int, int], acc_b: tuple[int, int]) -> tuple[int, int]:
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


STATES = ("value", "list", "map", "reducing", "aggregating", "toggle", "pickled")


class _LateStates(KeyedProcessFunction):
    """Seven states of a key, each of which counts the records whose ids are multiples of its number; what a record
    changes comes out. "toggle" is there and not there in turn, an entry of "map" goes when its timer fires.

    divisors : the number of each state;  early : those that are asked for in open(), others when first needed
    widened : "value" holds 64 bits, not 32;  ttl : states expire, but in a century
    last : a timer at the end of time, which reads all that there is
    """

    def __init__(self, divisors: dict[str, int], early: list[str], widened: bool, ttl: bool, last: bool) -> None:
        self.divisors = divisors
        self.early = early
        self.widened = widened
        self.ttl = ttl
        self.last = last

    def open(self, runtime_context: RuntimeContext) -> None:
        self.context = runtime_context
        self.states: dict[str, Any] = {}
        for name in self.early:
            self.state(name)

    def state(self, name: str) -> Any:
        if name not in self.states:
            long, context = Types.LONG(), self.context
            get, descriptor = {
                "value": (context.get_state, ValueStateDescriptor(name, long if self.widened else Types.INT())),
                "list": (context.get_list_state, ListStateDescriptor(name, long)),
                "map": (context.get_map_state, MapStateDescriptor(name, long, long)),
                "reducing": (context.get_reducing_state, ReducingStateDescriptor(name, lambda a, b: a + b, long)),
                "aggregating": (
                    context.get_aggregating_state,
                    AggregatingStateDescriptor(name, _Totals(), Types.TUPLE([long, long])),
                ),
                "toggle": (context.get_state, ValueStateDescriptor(name, Types.STRING())),
                "pickled": (context.get_state, ValueStateDescriptor(name, Types.PICKLED_BYTE_ARRAY())),
            }[name]
            if self.ttl:
                descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(10**6)).build())
            self.states[name] = get(descriptor)
        return self.states[name]

    def process_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        key = ctx.get_current_key()
        timers = ctx.timer_service()
        if self.last:
            timers.register_event_time_timer(MAX_WATERMARK)
        for name in STATES:
            if value[ID] % self.divisors[name] == 0:
                state = self.state(name)
                if name == "map":
                    bucket = bucket_of(value)
                    state.put(bucket, (state.get(bucket) or 0) + 1)
                    timers.register_event_time_timer(bucket)
                else:
                    yield key, name, _counted(name, state, value[ID])

    def on_timer(self, timestamp: int, ctx: Any) -> Iterable[Any]:
        key = ctx.get_current_key()
        if timestamp < MAX_WATERMARK:
            buckets = self.state("map")
            yield key, timestamp, buckets.get(timestamp)
            buckets.remove(timestamp)
        else:
            assert self.state("map").is_empty()
            yield (
                key,
                self.state("value").value() or 0,
                tuple(sorted(self.state("list").get() or ())),
                self.state("reducing").get() or 0,
                tuple(self.state("aggregating").get() or (0, 0)),
                self.state("toggle").value(),
                (self.state("pickled").value() or {"n": 0})["n"],
            )


def bucket_of(record: Any) -> int:
    return record[TS] // 100 * 100 + 99


def _counted(name: str, state: Any, number: int) -> int:
    """Counts a record; the count that there is now."""
    if name == "value":
        state.update((state.value() or 0) + 1)
        return state.value()
    if name == "list":
        state.add(number)
        return len(list(state.get()))
    if name == "reducing":
        state.add(1)
        return state.get()
    if name == "aggregating":
        state.add(number)
        return state.get()[0]
    if name == "pickled":
        state.update({"n": (state.value() or {"n": 0})["n"] + 1})
        return state.value()["n"]
    if state.value() is None:
        state.update("on")
        return 1
    state.clear()
    return 0


@dataclass
class LateStates(End):
    key: Key
    divisors: dict[str, int]
    ttl: bool
    widened_at: int  # the process from which on a state has a wider type
    last: bool
    form: str

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        early = [name for name in STATES if physical.scale.random() < 0.3]  # another way in every process
        widened = physical.process is None or physical.process >= self.widened_at
        function = _LateStates(self.divisors, early, widened, self.ttl, self.last)
        made = self.key.build(physical.route(stream)).process(function)
        return {"main": physical.place(made, physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        wanted: list[Any] = []
        for key, mine in grouped(self.key, records).items():
            head = key[0] if len(key) == 1 else key
            by_state = {name: [r for r in mine if r[ID] % self.divisors[name] == 0] for name in STATES}
            buckets = Counter(map(bucket_of, by_state["map"]))
            wanted += [(head, end, count) for end, count in buckets.items()]
            for name in STATES:
                if name != "map":
                    wanted += [(head, name, count) for count in _counts(name, len(by_state[name]))]
            if self.last:
                last = (
                    head,
                    len(by_state["value"]),
                    tuple(sorted(r[ID] for r in by_state["list"])),
                    len(by_state["reducing"]),
                    (len(by_state["aggregating"]), sum(r[ID] for r in by_state["aggregating"])),
                    "on" if len(by_state["toggle"]) % 2 else None,
                    len(by_state["pickled"]),
                )
                wanted.append(last)
        same([result.row for result in found["main"]], wanted, "what the states hold")


def _counts(name: str, count: int) -> list[int]:
    """What comes out, in the order of time, when a state has counted so many records of a key."""
    return [i % 2 if name == "toggle" else i for i in range(1, count + 1)]


def random_divisors(rng: random.Random, names: Iterable[str]) -> dict[str, int]:
    return {name: rng.choice([1, 2, 3, 7, 20]) for name in names}


def random_late_states(rng: random.Random, key: Key, form: str) -> LateStates:
    divisors = random_divisors(rng, STATES)
    return LateStates(key, divisors, rng.random() < 0.3, rng.randint(0, 4), rng.random() < 0.5, form)


# -- states of batches -------------------------------------------------------------------------------------------

BATCH_STATES = {"column": Types.LONG(), "toggle": Types.STRING(), "row": Types.ROW([Types.LONG()])}
CHANGES = pa.schema([("key", pa.string()), ("state", pa.string()), ("count", pa.int64())])


class _BatchStates(KeyedBatchFunction):
    """The same with states of batches, of three kinds."""

    def __init__(self, key: Key, divisors: dict[str, int], early: list[str]) -> None:
        self.key = key
        self.divisors = divisors
        self.early = early

    def open(self, runtime_context: Any) -> None:
        self.context = runtime_context
        for name in self.early:
            self.state(name)

    def state(self, name: str) -> Any:
        return self.context.get_batch_state(ValueStateDescriptor(name, BATCH_STATES[name]))

    def map_batch(self, batch: pa.RecordBatch, context: KeyedBatchFunction.Context) -> Any:
        records = [tuple(row.values()) for row in batch.to_pylist()]
        changes: list[tuple[str, str, int]] = []
        for name in BATCH_STATES:
            places = [i for i, record in enumerate(records) if record[ID] % self.divisors[name] == 0]
            if not places:
                continue
            state, ids = self.state(name), context.ids[places]
            now: dict[int, Any] = dict(zip(ids.tolist(), state.get_many(ids).to_pylist()))
            for place, id in zip(places, ids.tolist()):
                now[id], count = _next_value(name, now[id])
                changes.append((repr(self.key.plain(records[place])), name, count))
            gone = [id for id, value in now.items() if value is None]
            held = [id for id, value in now.items() if value is not None]
            if gone:
                state.clear_many(_ids(gone))
            if held:
                state.put_many(_ids(held), [now[id] for id in held])
        return pa.RecordBatch.from_pylist([dict(zip(CHANGES.names, change)) for change in changes], CHANGES)


def _ids(ids: list[int]) -> Any:
    return np.array(ids, np.int32)


def _next_value(name: str, value: Any) -> tuple[Any, int]:
    """A state's next value, and the count that it stands for."""
    if name == "toggle":
        return ("on", 1) if value is None else (None, 0)
    if name == "row":
        count = (value["f0"] if value else 0) + 1
        return {"f0": count}, count
    return (value or 0) + 1, (value or 0) + 1


@dataclass
class BatchStates(End):
    key: Key
    divisors: dict[str, int]

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        early = [name for name in BATCH_STATES if physical.scale.random() < 0.3]
        keyed = self.key.build(physical.route(stream))
        made = keyed.map_batches(_BatchStates(self.key, self.divisors, early), CHANGES)
        return {"main": physical.place(made, physical.rng.randint(1, 4))}

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        wanted: list[Any] = []
        for key, mine in grouped(self.key, records).items():
            for name in BATCH_STATES:
                count = sum(record[ID] % self.divisors[name] == 0 for record in mine)
                wanted += [(repr(key), name, now) for now in _counts(name, count)]
        same([result.row for result in found["main"]], wanted, "changes of the states")


def random_batch_states(rng: random.Random, key: Key) -> BatchStates:
    return BatchStates(key, random_divisors(rng, BATCH_STATES))
