# SPDX-License-Identifier: Apache-2.0
"""Functions of the user at fault: each fails the job, with its place, its record and its own traceback."""

from __future__ import annotations

import re
import sys
import threading

import pytest

from flinkcore.common import Time, Types, WatermarkStrategy
from flinkcore.connectors.base import Sink, SinkWriter
from flinkcore.connectors.datagen import DataGeneratorSource
from flinkcore.datastream import (
    AsyncDataStream,
    AsyncFunction,
    KeyedProcessFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
)
from flinkcore.datastream.functions import AggregateFunction, ProcessWindowFunction
from flinkcore.datastream.state import ListStateDescriptor, ValueStateDescriptor
from flinkcore.errors import (
    JobExecutionError,
)
from flinkcore.table.expressions import col, lit
from tests.datastream.jobs import collected, keyed, numbers, objects

pytestmark = pytest.mark.timeout(30)

NONE = WatermarkStrategy.no_watermarks()
ASCENDING = WatermarkStrategy.for_monotonous_timestamps()
INT = Types.INT()


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


def failing(method, error=ValueError):
    """A keyed process function that fails in one of its methods."""

    class Failing(KeyedProcessFunction):
        def open(self, runtime_context):
            self._fail("open")

        def process_element(self, value, ctx):
            self._fail("process_element")
            ctx.timer_service().register_event_time_timer(5)
            yield value
            self._fail("generator")

        def on_timer(self, timestamp, ctx):
            self._fail("on_timer")

        def close(self):
            self._fail("close")

        def _fail(self, here):
            if here == method:
                raise error("of the user")

    return Failing()


def raising(error):
    def raise_it(value):
        raise error

    return raise_it


def endless_recursion(value):
    return endless_recursion(value)


class Averages(AggregateFunction):
    def __init__(self, method):
        self.method = method

    def create_accumulator(self):
        return self._fail("create_accumulator")

    def add(self, value, accumulator):
        return self._fail("add")

    def get_result(self, accumulator):
        return self._fail("get_result")

    def merge(self, acc_a, acc_b):
        return self._fail("merge")

    def _fail(self, here):
        if here == self.method:
            raise ValueError("of the user")
        return 0


class Forgetful(Averages):
    def add(self, value, accumulator):
        accumulator += value


class Window(ProcessWindowFunction):
    def __init__(self, result):
        self.result = result

    def process(self, key, context, elements):
        return self.result()


class States(MapFunction):
    def __init__(self, use):
        self.use = use

    def open(self, runtime_context):
        self.context = runtime_context

    def map(self, value):
        return self.use(self.context)


JOBS_AT_FAULT = {
    "map": (
        lambda: objects().map(raising(ValueError("of the user"))),
        "raise_it raised ValueError: of the user\n  at record 0",
    ),
    "filter": (
        lambda: objects().filter(raising(ValueError("of the user"))),
        "raise_it raised ValueError: of the user",
    ),
    "flat_map": (
        lambda: objects().flat_map(raising(ValueError("of the user"))),
        "raise_it raised ValueError: of the user",
    ),
    "key selector": (
        lambda: objects().key_by(raising(ValueError("of the user"))).map(str),
        "raise_it raised ValueError",
    ),
    "key type": (
        lambda: objects().key_by(lambda value: "x", INT).map(str),
        "key of operator 'KeyBy': record 0",
    ),
    "reduce": (
        lambda: keyed().reduce(lambda a, b: a / 0),
        "ZeroDivisionError: division by zero\n  at record",
    ),
    "position": (
        lambda: objects(range(1000)).map(lambda value: 1 // (value - 777)),
        "at record (393|137) of its batch: 777",
    ),
    "stop iteration": (lambda: objects().map(lambda value: next(iter(()))), "raised StopIteration"),
    "recursion": (
        lambda: objects().map(endless_recursion),
        "RecursionError: maximum recursion depth exceeded",
    ),
    "system exit": (lambda: objects().map(lambda value: sys.exit(3)), "operator 'Map': SystemExit: 3"),
    "no text": (lambda: objects().map(raising(Hostile())), "raised Hostile: <its text raised RuntimeError>"),
    "no repr": (
        lambda: objects([Unprintable()]).map(raising(ValueError("x"))),
        "Unprintable, whose repr raised",
    ),
    "arguments": (
        lambda: objects().map(lambda one, two: one),
        "missing 1 required positional argument: 'two'",
    ),
    "no iterable": (
        lambda: objects().flat_map(lambda value: value),
        "expected an iterable of records.*got int [12]",
    ),
    "type": (lambda: objects().map(str, INT), "record 0 of the batch has '[12]' .str.; expected INT"),
    "shape": (
        lambda: objects().map(lambda value: (1, 2, 3), Types.ROW([INT, INT])),
        "expected 2 fields .f0, f1., not 3",
    ),
    "range": (lambda: objects().map(lambda value: 2**40, INT), "1099511627776 .int.; expected INT"),
    "fraction": (lambda: objects().map(lambda value: value / 2, INT), "(0.5|1.0|1.5) .float.; expected INT"),
    "null": (lambda: objects().map(lambda value: None, INT), "cannot be null"),
    "uncopyable": (lambda: objects().map(Locked()), "make connections, locks and files in its open"),
    "open": (lambda: keyed().process(failing("open")), "Failing.open raised ValueError: of the user"),
    "process": (
        lambda: keyed().process(failing("process_element")),
        "Failing raised ValueError: of the user",
    ),
    "generator": (lambda: keyed().process(failing("generator")), "Failing raised ValueError: of the user"),
    "on_timer": (
        lambda: keyed().process(failing("on_timer")),
        "Failing.on_timer, timer 5 .event time. of key 0",
    ),
    "close": (lambda: keyed().process(failing("close")), "Failing.close raised ValueError: of the user"),
    "exit in close": (
        lambda: keyed().process(failing("close", SystemExit)),
        "operator 'KEYED PROCESS': SystemExit",
    ),
    "accumulator": (lambda: keyed().count_window(1).aggregate(Averages("create_accumulator")), "of the user"),
    "add": (
        lambda: keyed().count_window(1).aggregate(Averages("add")),
        "Averages raised ValueError: of the user",
    ),
    "result": (lambda: keyed().count_window(1).aggregate(Averages("get_result")), "of the user"),
    "no return in add": (
        lambda: keyed().count_window(1).aggregate(Forgetful("")),
        "Forgetful raised TypeError: add returned None",
    ),
    "no return in reduce": (
        lambda: keyed().count_window(2).reduce(lambda a, b: None),
        "reduce returned None for two",
    ),
    "window": (lambda: keyed().count_window(1).process(Window(lambda: 5)), "expected an iterable of records"),
    "window error": (
        lambda: keyed().count_window(1).process(Window(lambda: 1 / 0)),
        "Window raised ZeroDivisionError",
    ),
    "state without keys": (
        lambda: objects().map(States(lambda context: context.get_state(ValueStateDescriptor("s", INT)))),
        "can only be used on a keyed stream",
    ),
    "state of a type": (
        lambda: keyed().map(
            States(lambda context: context.get_state(ValueStateDescriptor("s", INT)).update("x"))
        ),
        "state 's': expected Integer, got 'x'",
    ),
    "state of two kinds": (
        lambda: keyed().map(States(two_kinds_of_state)),
        "state 's' is already a value state",
    ),
    "side output": (
        lambda: objects().process(Aside()).get_side_output(OutputTag("aside", INT)),
        "side output 'aside': record 0",
    ),
    "side type": (
        lambda: objects().process(Aside()).get_side_output(OutputTag("aside", Types.FLOAT())),
        "side output 'aside'",
    ),
    "batches": (lambda: numbers().map_batches(broken_batch), "broken_batch raised ValueError: of the user"),
    "batch columns": (
        lambda: numbers().map_batches(lambda batch: batch.rename_columns(["z"] if batch.num_rows else ["a"])),
        "returned columns z, expected a",
    ),
    "division": (
        lambda: numbers(a=[1, 0]).select((lit(1) / col("a")).alias("x")),
        "/ by zero at row . of the batch",
    ),
}


class Locked(MapFunction):
    def __init__(self):
        self.lock = threading.Lock()

    def map(self, value):
        return value


class Aside(ProcessFunction):
    def process_element(self, value, ctx):
        yield OutputTag("aside", Types.STRING()), "text"


def two_kinds_of_state(context):
    context.get_state(ValueStateDescriptor("s", INT))
    context.get_list_state(ListStateDescriptor("s", INT))


def broken_batch(batch):
    if batch.num_rows:
        raise ValueError("of the user")
    return batch


@pytest.mark.parametrize("fault", JOBS_AT_FAULT)
@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_function_at_fault_fails_the_job(fault, parallelism):
    build, message = JOBS_AT_FAULT[fault]
    stream = build()
    stream.get_execution_environment().set_parallelism(parallelism)
    with pytest.raises(JobExecutionError) as failure:
        collected(stream)
    assert re.search(message, str(failure.value)), str(failure.value)


def fault(*_):
    """What all functions of FAILING call."""
    raise KeyError("k")


class FailingWindow(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield fault(elements)


class FailingProcess(ProcessFunction):
    def process_element(self, value, ctx):
        yield fault(value)


class FailingAsync(AsyncFunction):
    async def async_invoke(self, value):
        return [fault(value)]


class FailingSink(Sink):
    def create_writer(self, context):
        return FailingWriter()


class FailingWriter(SinkWriter):
    def write(self, value, timestamp_ms=None):
        fault(value)


def generated(stream):
    env = stream.get_execution_environment()
    return env.from_source(DataGeneratorSource(fault, 3), NONE, "Generator")


#: Where a function fails -> (a stream of two "a" to one in which it does, the operator, what is said of the record).
FAILING = {
    "map": (lambda stream: stream.map(fault), "Map", "at record 0 of its batch: 'a'"),
    "flat_map": (lambda stream: stream.flat_map(fault), "FlatMap", "at record 0 of its batch: 'a'"),
    "filter": (lambda stream: stream.filter(fault), "Filter", "at record 0 of its batch: 'a'"),
    "key": (lambda stream: stream.key_by(fault).map(str), "KeyBy", "at record 0 of its batch: 'a'"),
    "reduce": (lambda stream: stream.key_by(str).reduce(fault), "Reduce", r"at record \d of its batch: 'a'"),
    "process": (lambda stream: stream.process(FailingProcess()), "PROCESS", "at record 0 of its batch: 'a'"),
    "window": (
        lambda stream: stream.key_by(str).count_window(2).process(FailingWindow()).name("Window"),
        "Window",
        r"at record \d of its batch: 'a'",
    ),
    "async": (
        lambda stream: AsyncDataStream.unordered_wait(stream, FailingAsync(), Time.seconds(5)).name("Async"),
        "Async",
        "at record 'a'",
    ),
    "source": (generated, "Generator", "at record 0 of its batch: 0"),
    "sink": (lambda stream: stream.sink_to(FailingSink()).name("Sink"), "Sink", "at record 0 of its batch: 'a'"),
}


@pytest.mark.parametrize("where", FAILING)
def test_a_failure_shows_the_users_code_the_operator_and_the_record_and_nothing_of_the_engine(where):
    build, operator, record = FAILING[where]
    stream = objects(["a", "a"])
    env = stream.get_execution_environment()
    built = build(stream)
    if where != "sink":
        built.print()
    with pytest.raises(JobExecutionError) as failure:
        env.execute()
    text = str(failure.value)
    assert f"operator '{operator}': " in text and "raised KeyError: 'k'" in text and re.search(record, text)
    trace = text[text.index("Traceback") :]
    assert set(re.findall(r'File "([^"]+)"', trace)) == {__file__} and 'raise KeyError("k")' in trace


def test_the_error_ends_with_the_users_own_traceback():
    with pytest.raises(JobExecutionError) as failure:
        collected(objects().map(raising(KeyError("k"))))
    text = str(failure.value)
    assert "operator 'Map': raise_it raised KeyError: 'k'" in text
    trace = text[text.index("Traceback") :]
    assert trace.splitlines()[1].strip().startswith(f'File "{__file__}"')
    assert "raise error" in trace and "flinkcore" not in trace
    assert isinstance(failure.value.__cause__.__cause__, KeyError)
