# SPDX-License-Identifier: Apache-2.0
"""map, flat_map, filter, process: what functions are handed, what they may return, and that nobody sees a record
change after it was emitted."""

from __future__ import annotations

import time

import pytest

from flinkcore.common import Row, Types
from flinkcore.datastream import KeyedProcessFunction, MapFunction, OutputTag, ProcessFunction
from flinkcore.datastream.functions import ProcessWindowFunction
from flinkcore.datastream.state import ValueStateDescriptor
from flinkcore.datastream.window import CountTrigger, GlobalWindows, SlidingEventTimeWindows
from tests.datastream.jobs import by, collected, environment

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])


class Counting(MapFunction):
    """Gives the dict that it goes on changing."""

    def open(self, runtime_context):
        self.counts = {}

    def map(self, value):
        self.counts[value] = self.counts.get(value, 0) + 1
        return self.counts


class Profile(KeyedProcessFunction):
    """Gives the dict that it keeps in its state."""

    def open(self, runtime_context):
        self.state = runtime_context.get_state(ValueStateDescriptor("profile", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value, ctx):
        profile = self.state.value() or {"seen": 0}
        profile["seen"] += 1
        self.state.update(profile)
        yield profile


def test_a_function_may_be_a_callable_or_an_object():
    class Double(MapFunction):
        def map(self, value):
            return value * 2

    stream = environment().from_collection([1, 2])
    assert collected(stream.map(lambda value: value + 1).map(Double()).map(str)) == ["4", "6"]


@pytest.mark.parametrize(("result", "expected"), [("ab", ["a", "b"]), (None, []), ((1, 2), [1, 2]), ([], [])])
def test_flat_map_takes_any_iterable_or_none(result, expected):
    assert collected(environment().from_collection([0]).flat_map(lambda value: result)) == expected


def test_filter_keeps_what_python_calls_true():
    assert collected(
        environment().from_collection([0, 1, "", "x", None, []]).filter(lambda value: value)
    ) == [1, "x"]


def test_a_row_has_names_and_positions_and_a_tuple_is_a_tuple():
    rows = environment().from_collection(
        [("hi", 1)], Types.ROW_NAMED(["word", "n"], [Types.STRING(), Types.INT()])
    )
    assert collected(rows.map(lambda row: (row.word, row["n"], row[0]))) == [("hi", 1, "hi")]
    assert collected(environment().from_collection([("hi", 1)], PAIR)) == [("hi", 1)]
    unnamed = Types.ROW([Types.STRING(), Types.INT()])
    assert collected(environment().from_collection([("hi", 1)], unnamed)) == [Row(f0="hi", f1=1)]


def test_project_picks_fields_of_typed_tuples():
    assert collected(environment().from_collection([("a", 1)], PAIR).project(1, 0)) == [(1, "a")]


@pytest.mark.parametrize("output_type", [None, Types.MAP(Types.STRING(), Types.INT())])
def test_a_record_stays_as_it_was_when_map_returned_it(output_type):
    counted = environment().from_collection(["a", "b", "a"]).map(Counting(), output_type)
    assert collected(counted) == [{"a": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 1}]


def test_a_record_stays_as_it_was_when_a_generator_gave_it():
    def prefixes(value):
        found = []
        for item in value:
            found.append(item)
            yield found

    assert collected(environment().from_collection([[1, 2, 3]]).flat_map(prefixes)) == [
        [1],
        [1, 2],
        [1, 2, 3],
    ]


def test_a_record_stays_as_it_was_when_a_source_gave_it():
    def ticks():
        tick = {"n": 0}
        for tick["n"] in range(3):
            yield tick

    assert collected(environment().from_collection(ticks())) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_values_of_state_may_be_changed_and_emitted():
    stream = environment().from_collection(["a", "a", "b"]).key_by(lambda value: value).process(Profile())
    assert collected(stream) == [{"seen": 1}, {"seen": 2}, {"seen": 1}]


def test_a_reduce_function_may_change_its_first_argument():
    def add(total, value):
        total[1] += value[1]
        return total

    rows = [["a", 1], ["a", 2], ["a", 3]]
    totals = environment().from_collection(rows).key_by(lambda row: row[0]).reduce(add)
    assert collected(totals) == [["a", 1], ["a", 3], ["a", 6]]
    assert rows == [["a", 1], ["a", 2], ["a", 3]]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_what_one_consumer_changes_another_does_not_see(parallelism):
    def spoil(record):
        record["n"] = -1
        return record

    env = environment(parallelism)
    records = [{"n": 1}, {"n": 2}]
    stream = env.from_collection(records).map(lambda record: record)
    both = stream.map(spoil).union(stream.map(lambda record: record), stream.broadcast().map(spoil))
    found = sorted(record["n"] for record in collected(both))
    assert found == [-1] * (2 + 2 * parallelism) + [1, 2]
    assert records == [{"n": 1}, {"n": 2}]


def test_windows_that_share_an_element_do_not_share_its_changes():
    class Mark(ProcessWindowFunction):
        def process(self, key, context, elements):
            for element in elements:
                element.append("seen")
                yield element

    stream = (
        environment().from_collection([[1], [3]]).assign_timestamps_and_watermarks(by(lambda value: value[0]))
    )
    marked = stream.key_by(lambda value: 0).window(SlidingEventTimeWindows.of(4, 2)).process(Mark())
    assert collected(marked) == [[1, "seen"], [1, "seen"], [3, "seen"], [3, "seen"]]


def test_a_window_that_fires_twice_gives_two_results():
    class Gather(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield elements

    stream = environment().from_collection([1, 2, 3, 4]).key_by(lambda value: 0)
    fired = stream.window(GlobalWindows.create()).trigger(CountTrigger.of(2)).process(Gather())
    assert collected(fired) == [[1, 2], [1, 2, 3, 4]]


def test_an_object_that_cannot_be_copied_is_handed_on():
    numbers = (number for number in range(3))
    assert collected(
        environment().from_collection([0]).map(lambda value: numbers).flat_map(lambda each: each)
    ) == [0, 1, 2]


def test_side_outputs_go_by_tag_and_take_its_type():
    odd = OutputTag("odd", Types.INT())

    class Sort(ProcessFunction):
        def process_element(self, value, ctx):
            if value % 2:
                yield odd, value
            else:
                yield value
            yield "no tag", value

    stream = environment().from_collection([1, 2, 3]).process(Sort())
    assert collected(stream) == [("no tag", 1), 2, ("no tag", 2), ("no tag", 3)]
    stream = environment().from_collection([1, 2, 3]).process(Sort())
    assert collected(stream.get_side_output(OutputTag("odd", Types.INT()))) == [1, 3]
    stream = environment().from_collection([1, 2, 3]).process(Sort())
    assert collected(stream.get_side_output(OutputTag("odd")).map(lambda value: value + 1)) == [2, 4]


@pytest.mark.timeout(20)
def test_the_results_of_a_slow_function_do_not_wait_for_its_batch():
    def slow(value):
        time.sleep(0.05)
        return value

    started = time.monotonic()
    with environment().from_collection(list(range(10_000))).map(slow).execute_and_collect() as results:
        assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert time.monotonic() - started < 10


@pytest.mark.timeout(20)
def test_the_values_of_a_slow_generator_do_not_wait_for_each_other():
    def slow():
        while True:
            time.sleep(0.02)
            yield 1

    with environment().from_collection(slow()).execute_and_collect() as results:
        assert [next(results) for _ in range(3)] == [1, 1, 1]


def test_a_list_of_types_is_a_row_of_them():
    stream = environment().from_collection([1]).map(lambda value: (value, str(value)), [Types.INT(), Types.STRING()])
    assert stream.get_type() == Types.ROW([Types.INT(), Types.STRING()])
    assert collected(stream) == [Row(f0=1, f1="1")]
