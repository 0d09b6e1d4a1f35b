# SPDX-License-Identifier: Apache-2.0
"""Asynchronous functions: order, capacity, timeouts, retries, watermarks, snapshots, and errors."""

from __future__ import annotations

import asyncio
import random

import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows, row_kinds_of
from flinkcore.columnar.schema import Schema
from flinkcore.common import Row, RowKind
from flinkcore.datastream.async_retry_predicates import empty_result_predicate
from flinkcore.datastream.async_retry_strategies import (
    NO_RETRY_STRATEGY,
    ExponentialBackoffDelayRetryStrategy,
    FixedDelayRetryStrategy,
)
from flinkcore.datastream.functions import AsyncFunction
from flinkcore.errors import SchemaError, UserFunctionError
from flinkcore.operators.async_wait import AsyncWait
from flinkcore.testing.harness import harness
from flinkcore.time import MAX_WATERMARK

LONGS = Schema(("value",), (pa.int64(),), "value")
OBJECTS = Schema.of_objects()


class Sleep(AsyncFunction):
    """Sleeps for as many milliseconds as the record says."""

    def __init__(self):
        self.running = self.running_max = 0
        self.calls = []
        self.cancelled = []
        self.closed = False

    async def async_invoke(self, value):
        self.calls.append(value)
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        try:
            await asyncio.sleep(value / 1000)
            return [value]
        except asyncio.CancelledError:
            self.cancelled.append(value)
            raise
        finally:
            self.running -= 1

    def close(self):
        self.closed = True


def wait(function=None, *, ordered=False, timeout_ms=0, capacity=100, retry=NO_RETRY_STRATEGY, schema=LONGS, **options):
    operator = AsyncWait(
        schema, function or Sleep(), OBJECTS, ordered=ordered, timeout_ms=timeout_ms, capacity=capacity, retry=retry
    )
    made.append(harness(operator, **options))
    return made[-1]


made = []


@pytest.fixture(autouse=True)
def closed_at_the_end():
    yield
    while made:
        made.pop().close()


def function_of(op):
    return op.operator._function


def test_unordered_results_come_as_they_are_ready_with_the_timestamps_of_their_records():
    op = wait()
    op.batch([30, 10, 20], timestamps_ms=[1, 2, 3])
    assert op.timestamped() == []
    op.advance(30)
    assert op.timestamped() == [(10, 2), (20, 3), (30, 1)]


def test_ordered_results_wait_for_those_before_them():
    op = wait(ordered=True)
    op.batch([30, 10, 20], timestamps_ms=[1, 2, 3])
    op.advance(29)
    assert op.timestamped() == []
    op.advance(1)
    assert op.timestamped() == [(30, 1), (10, 2), (20, 3)]


def test_a_function_that_waits_for_nothing_answers_at_once_with_any_number_of_results():
    class Repeat(AsyncFunction):
        async def async_invoke(self, value):
            return [value] * value

    assert wait(Repeat()).batch([2, 0, 1]).output() == [2, 2, 1]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_watermark_waits_for_the_records_before_it_and_is_not_passed_by_those_behind(ordered):
    op = wait(ordered=ordered)
    op.batch([20], timestamps_ms=[5]).watermark(10)
    op.batch([5], timestamps_ms=[11]).watermark(12)
    op.advance(19)
    assert (op.output(), op.watermarks()) == ([], [])
    op.advance(1)
    assert (op.output(), op.watermarks()) == ([20, 5], [10, 12])


def test_a_watermark_with_nothing_before_it_passes_at_once():
    assert wait().watermark(7).watermarks() == [7]


def test_idleness_keeps_its_place_among_records_and_watermarks():
    op = wait()
    op.batch([20])
    op.operator.process_idle(True)
    assert op.collected.idleness == []
    op.advance(20)
    assert op.collected.idleness == [True]


@pytest.mark.parametrize("ordered", [True, False])
def test_no_more_than_capacity_are_in_flight_and_the_operator_says_that_it_is_full(ordered):
    op = wait(ordered=ordered, capacity=2)
    op.batch([10])
    assert not op.operator.is_full
    op.batch([10, 10, 10])
    assert op.operator.is_full
    op.advance(20)
    assert not op.operator.is_full and not op.operator.is_busy
    assert op.output() == [10] * 4
    assert function_of(op).running_max == 2


def test_in_order_a_result_that_waits_for_another_takes_its_room():
    op = wait(ordered=True, capacity=2)
    op.batch([30, 10, 10])
    op.advance(29)
    assert function_of(op).calls == [30, 10]


def test_the_end_of_the_input_waits_for_what_is_in_flight():
    op = wait(capacity=1)
    op.batch([10, 10]).end()
    assert (op.output(), op.watermarks()) == ([10, 10], [MAX_WATERMARK])
    assert function_of(op).closed


def test_closing_cancels_what_is_in_flight():
    op = wait()
    op.batch([10, 20])
    function = function_of(op)
    op.close()
    assert sorted(function.cancelled) == [10, 20] and function.running == 0


# -- timeouts ------------------------------------------------------------------------------------------------


class Patient(Sleep):
    def timeout(self, value):
        return [-value]


def test_after_the_timeout_its_results_count_and_the_call_is_cancelled():
    op = wait(Patient(), timeout_ms=15)
    op.batch([10, 20])
    op.advance(30)
    assert op.output() == [10, -20]
    assert function_of(op).cancelled == [20]


def test_a_timeout_counts_from_the_call_not_from_when_the_record_came():
    op = wait(Patient(), timeout_ms=15, capacity=1)
    op.batch([10, 10, 10])
    op.advance(30)
    assert op.output() == [10, 10, 10]


def test_without_a_timeout_method_the_job_fails_with_the_record():
    op = wait(timeout_ms=15)
    op.batch([20])
    with pytest.raises(UserFunctionError, match=r"Sleep.timeout raised TimeoutError: Async function call has timed out"
                                                r" for input: 20\n  at record 20"):
        op.advance(15)


# -- retries -------------------------------------------------------------------------------------------------


class Flaky(AsyncFunction):
    """Gives what a list says, attempt by attempt; exceptions are raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.times_ms = []
        self.clock = None

    async def async_invoke(self, value):
        self.times_ms.append(self.clock.now_ms())
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def timeout(self, value):
        return ["too late"]


def flaky(retry, *answers, **options):
    op = wait(Flaky(*answers), retry=retry, **options)
    function_of(op).clock = op.clock
    return op


def is_value_error(error):
    return isinstance(error, ValueError)


def test_an_attempt_that_a_predicate_asks_for_is_made_after_the_delay():
    retry = FixedDelayRetryStrategy(5, 10, empty_result_predicate, is_value_error)
    op = flaky(retry, ValueError("first"), [], ["third"])
    op.batch([0]).advance(19)
    assert op.output() == []
    op.advance(1)
    assert op.output() == ["third"]
    assert function_of(op).times_ms == [0, 10, 20]


def test_delays_grow_up_to_their_most():
    retry = ExponentialBackoffDelayRetryStrategy(4, 10, 50, 2.5, empty_result_predicate, None)
    op = flaky(retry, [], [], [], [], ["fifth"])
    op.batch([0]).advance(1000)
    assert function_of(op).times_ms == [0, 10, 35, 85, 135]
    assert op.output() == ["fifth"]


def test_when_no_attempt_is_left_the_last_one_counts():
    retry = FixedDelayRetryStrategy(2, 10, empty_result_predicate, is_value_error)
    assert flaky(retry, [], [], []).batch([0]).advance(100).output() == []
    with pytest.raises(UserFunctionError, match="third"):
        flaky(retry, *map(ValueError, ["first", "second", "third"])).batch([0]).advance(100)


def test_an_error_that_no_predicate_asks_for_fails_at_once():
    retry = FixedDelayRetryStrategy(2, 10, None, is_value_error)
    with pytest.raises(UserFunctionError, match="KeyError"):
        flaky(retry, KeyError("k")).batch([0])


def test_the_timeout_covers_all_attempts():
    retry = FixedDelayRetryStrategy(10, 10, empty_result_predicate, None)
    op = flaky(retry, *[[]] * 10, timeout_ms=25)
    op.batch([0]).advance(100)
    assert op.output() == ["too late"]
    assert function_of(op).times_ms == [0, 10, 20]


def test_a_call_that_timed_out_and_takes_no_notice_is_not_tried_again():
    class Stubborn(Sleep):
        async def async_invoke(self, value):
            try:
                return await super().async_invoke(value)
            except asyncio.CancelledError:
                return []

        def timeout(self, value):
            return [-value]

    op = wait(Stubborn(), timeout_ms=10, retry=FixedDelayRetryStrategy(3, 5, empty_result_predicate, None))
    op.batch([100]).advance(10)
    assert op.output() == [-100]
    op.advance(1000)
    assert function_of(op).calls == [100]


def test_a_predicate_that_raises_fails_the_job():
    retry = FixedDelayRetryStrategy(1, 10, lambda results: results[0] > 0, None)
    with pytest.raises(UserFunctionError, match=r"Flaky.async_invoke, its retry strategy raised IndexError"):
        flaky(retry, []).batch([0])


# -- errors --------------------------------------------------------------------------------------------------


def test_an_error_is_told_with_the_record_and_the_lines_of_the_user():
    class Broken(AsyncFunction):
        async def async_invoke(self, value):
            await asyncio.sleep(0)
            raise ValueError("of the user")

    with pytest.raises(UserFunctionError) as caught:
        wait(Broken()).batch([7])
    assert "Broken.async_invoke raised ValueError: of the user\n  at record 7" in str(caught.value)
    assert 'raise ValueError("of the user")' in str(caught.value)


@pytest.mark.parametrize("answer, words", [(None, "cannot be none"), (3, "should be of list type")])
def test_what_is_no_list_is_refused_in_the_words_of_flink(answer, words):
    class Wrong(AsyncFunction):
        async def async_invoke(self, value):
            return answer

    with pytest.raises(SchemaError, match=f"The result of AsyncFunction {words}.*for 7"):
        wait(Wrong()).batch([7])


def test_a_call_that_something_else_cancels_fails_the_job_rather_than_never_end():
    class Cancelled(AsyncFunction):
        async def async_invoke(self, value):
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

    with pytest.raises(UserFunctionError, match="CancelledError"):
        wait(Cancelled()).batch([7])


# -- snapshots -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_in_flight_is_called_anew_after_a_restore(ordered):
    op = wait(ordered=ordered, capacity=2)
    op.batch([10, 30, 40], timestamps_ms=[1, 2, 3]).watermark(2)
    op.advance(10)
    assert op.timestamped() == [(10, 1)]
    again = wait(ordered=ordered, capacity=2, restore=op.snapshot())
    assert function_of(again).calls == [30, 40]
    again.watermark(2)  # a source repeats it: the records before it are in flight still
    assert again.watermarks() == []
    again.advance(40)
    assert (again.timestamped(), again.watermarks()) == ([(30, 2), (40, 3)], [2])


def test_what_is_called_anew_is_given_its_record_as_it_came():
    class Pops(AsyncFunction):
        async def async_invoke(self, value):
            name = value.pop("name")
            await asyncio.sleep(0.01)
            return [name]

        def timeout(self, value):
            return [value]

    op = wait(Pops(), schema=OBJECTS, timeout_ms=5).batch([{"name": "a"}])
    again = wait(Pops(), schema=OBJECTS, timeout_ms=5, restore=op.snapshot())
    assert op.advance(5).output() == again.advance(5).output() == [{"name": "a"}]


def test_a_result_that_is_not_emitted_is_not_kept_its_record_is():
    op = wait(ordered=True)
    op.batch([50, 10]).advance(20)  # 10 is ready, and waits for 50
    again = wait(ordered=True, restore=op.snapshot())
    assert function_of(again).calls == [50, 10]


def test_records_in_flight_are_dealt_out_when_the_job_is_rescaled():
    op = wait()
    op.batch([10, 20, 30, 40])
    saved = op.snapshot()
    halves = [wait(restore=saved, parallelism=2, subtask_index=i) for i in range(2)]
    found = [half.advance(40).output() for half in halves]
    assert all(found) and sorted(found[0] + found[1]) == [10, 20, 30, 40]


def test_rows_keep_their_kinds_and_objects_their_types_through_a_snapshot():
    class Keep(AsyncFunction):
        async def async_invoke(self, value):
            await asyncio.sleep(0.01)
            return [value]

    pairs = Schema(("a", "b"), (pa.int64(), pa.string()), "row")
    row = Row(a=1, b=None)
    row.set_row_kind(RowKind.UPDATE_BEFORE)
    op = wait(Keep(), schema=pairs)
    op.batch(Batch(pairs, from_rows([row], pairs, "test"), 1, None, row_kinds_of([row])))
    again = wait(Keep(), schema=pairs, restore=op.snapshot()).advance(10)
    (found,) = again.output()
    assert found == row and found.get_row_kind() is RowKind.UPDATE_BEFORE

    op = wait(Keep(), schema=OBJECTS)
    op.batch([{"any", "object"}])
    assert wait(Keep(), schema=OBJECTS, restore=op.snapshot()).advance(10).output() == [{"any", "object"}]


# -- properties ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("ordered", [True, False])
def test_whatever_comes_when_every_record_has_its_result_on_its_side_of_every_watermark(seed, ordered):
    rng = random.Random(seed)
    sent, events, time_ms = [], [], 0
    op = listen(wait(ordered=ordered, capacity=rng.randint(1, 5)), events)
    for _ in range(rng.randint(1, 30)):
        what = rng.random()
        if what < 0.45:
            values = [rng.randint(0, 50) for _ in range(rng.randint(1, 6))]
            sent += values
            op.batch(values)
        elif what < 0.7:
            time_ms += 1
            sent.append(("watermark", time_ms))
            op.watermark(time_ms)
        elif what < 0.9:
            op.advance(rng.randint(0, 40))
        else:
            restored = wait(
                ordered=ordered, capacity=rng.randint(1, 5), restore=op.snapshot(), now_ms=op.clock.now_ms()
            )
            op.close()
            op = listen(restored, events)
            if time_ms:  # the source repeats its last watermark; those before it that had not passed never will
                sent = [item for item in sent if not isinstance(item, tuple) or item in events]
                if ("watermark", time_ms) not in events:
                    sent.append(("watermark", time_ms))
                    op.watermark(time_ms)
    op.end()
    events.remove(("watermark", MAX_WATERMARK))
    if ordered:
        assert events == sent
    else:
        assert segments(events) == segments(sent)


def listen(op, events):
    """Has what the operator emits from now on put down in its order."""
    keep = op.collected.batch
    op.collected.batch = lambda batch: (keep(batch), events.extend(op.output()))
    op.collected.watermark = lambda watermark_ms: events.append(("watermark", watermark_ms))
    events.extend(op.output())  # of records that were restored, and had their results at once
    return op


def segments(events):
    """The records between each two watermarks, in any order."""
    found = [[]]
    for event in events:
        if isinstance(event, tuple):
            found += [event, []]
        else:
            found[-1].append(event)
    return [segment if isinstance(segment, tuple) else sorted(segment) for segment in found]
