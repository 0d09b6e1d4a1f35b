# SPDX-License-Identifier: Apache-2.0
"""Windows over rows: when they fire, what is late, how sessions merge, what triggers and evictors decide."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicTypeInfo, RowTypeInfo
from flinkcore.errors import ConfigurationError, DataError, UnsupportedOperationError, UserFunctionError
from flinkcore.operators.functions import (
    AggregateFunction,
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.descriptors import ListStateDescriptor, ReducingStateDescriptor, ValueStateDescriptor
from flinkcore.testing.harness import harness, written_snapshot
from flinkcore.time import MAX_WATERMARK
from flinkcore.time.assigners import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    DynamicEventTimeSessionWindows,
    EventTimeSessionWindows,
    GlobalWindows,
    MergingWindowAssigner,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from flinkcore.time.evictors import CountEvictor, DeltaEvictor, TimeEvictor
from flinkcore.time.triggers import (
    ContinuousEventTimeTrigger,
    ContinuousProcessingTimeTrigger,
    CountTrigger,
    DeltaTrigger,
    EventTimeTrigger,
    NeverTrigger,
    ProcessingTimeTrigger,
    PurgingTrigger,
    Trigger,
    TriggerResult,
)
from flinkcore.time.windows import TimeWindow

PAIRS = Schema(("k", "v"), (pa.string(), pa.int64()), "tuple")
OBJECTS = Schema.of_objects()


class Bounds(ProcessWindowFunction):
    """(key, start, end, values in order of arrival)"""

    def process(self, key, context, elements):
        window = context.window()
        yield key, window.start, window.end, [value for _, value in elements]


class Values(WindowFunction):
    """(key, values in order of arrival)"""

    def apply(self, key, window, inputs):
        return [(key, [value for _, value in inputs])]


def add_pairs(left, right):
    return left[0], left[1] + right[1]


def windows(assigner, function=None, key="k", now_ms=0, **options):
    if function is None and not {"reduce", "aggregate"} & options.keys():
        function = Bounds()
    schema_out = options.pop("schema_out", OBJECTS)
    return harness(
        RowWindow(PAIRS, assigner, schema_out, window_function=function, **options), key=key, now_ms=now_ms
    )


def rows(*records):
    """(key, value, timestamp) records as the arguments of Harness.batch"""
    return {"rows": [record[:2] for record in records], "timestamps_ms": [record[2] for record in records]}


# -- time windows -------------------------------------------------------------------------------------------


def test_a_window_fires_when_the_watermark_reaches_its_last_millisecond():
    op = windows(TumblingEventTimeWindows.of(1000))
    op.batch(**rows(("a", 1, 0), ("a", 2, 999), ("b", 5, 10), ("a", 3, 1000)))
    op.watermark(998)
    assert op.output() == []
    op.watermark(999)
    assert op.timestamped() == [(("a", 0, 1000, [1, 2]), 999), (("b", 0, 1000, [5]), 999)]
    assert op.watermarks() == [998, 999]
    op.watermark(MAX_WATERMARK)
    assert op.output() == [("a", 1000, 2000, [3])]


def test_windows_lie_on_a_floored_grid_with_offset():
    op = windows(TumblingEventTimeWindows.of(1000, 100))
    op.batch(**rows(("a", 1, -1), ("a", 2, 99), ("a", 3, 100))).watermark(MAX_WATERMARK)
    assert op.output() == [("a", -900, 100, [1, 2]), ("a", 100, 1100, [3])]


def test_sliding_windows_begin_before_the_first_record():
    op = windows(SlidingEventTimeWindows.of(5, 2))
    op.batch(**rows(("a", 1, 1), ("a", 2, 2))).watermark(MAX_WATERMARK)
    assert op.output() == [("a", -2, 3, [1, 2]), ("a", 0, 5, [1, 2]), ("a", 2, 7, [2])]


SEEDED = [(key, i, (i * 7919) % 211) for i, key in enumerate("abcabcaabbccab" * 4)]


@pytest.mark.parametrize(
    "assigner",
    [
        lambda: TumblingEventTimeWindows.of(20),
        lambda: SlidingEventTimeWindows.of(30, 10),
        lambda: EventTimeSessionWindows.with_gap(9),
        lambda: CountTumblingWindowAssigner.of(3),
        lambda: CountSlidingWindowAssigner.of(4, 2),
    ],
)
def test_batch_size_does_not_change_the_answer(assigner):
    def run(batch_rows):
        op = windows(assigner(), Values())
        for start in range(0, len(SEEDED), batch_rows):
            op.batch(**rows(*SEEDED[start : start + batch_rows]))
        return op.end().output()

    assert run(1) == run(7) == run(len(SEEDED)) != []


# -- lateness -----------------------------------------------------------------------------------------------


def test_a_record_late_by_one_millisecond_is_dropped_and_counted():
    op = windows(TumblingEventTimeWindows.of(10))
    op.batch(**rows(("a", 1, 0))).watermark(8).batch(**rows(("a", 2, 5))).watermark(9)
    assert op.output() == [("a", 0, 10, [1, 2])]
    op.batch(**rows(("a", 3, 9), ("a", 4, 10)))
    assert op.metrics.late_dropped == 1
    op.end()
    assert op.output() == [("a", 10, 20, [4])]


def test_allowed_lateness_fires_again_for_each_late_record_until_it_ends():
    op = windows(TumblingEventTimeWindows.of(10), allowed_lateness_ms=5)
    op.batch(**rows(("a", 1, 0))).watermark(9)
    assert op.output() == [("a", 0, 10, [1])]
    op.batch(**rows(("a", 2, 1), ("a", 3, 2)))
    assert op.output() == [("a", 0, 10, [1, 2]), ("a", 0, 10, [1, 2, 3])]
    op.watermark(13).batch(**rows(("a", 4, 3)))
    assert op.output() == [("a", 0, 10, [1, 2, 3, 4])]
    op.watermark(14).batch(**rows(("a", 5, 4)))
    assert op.output() == [] and op.metrics.late_dropped == 1


def test_a_first_record_within_the_lateness_fires_at_once_and_is_cleaned_up():
    op = windows(TumblingEventTimeWindows.of(10), allowed_lateness_ms=5)
    op.watermark(12).batch(**rows(("a", 1, 3)))
    assert op.output() == [("a", 0, 10, [1])]
    op.watermark(14)
    assert len(op.operator.state.keys) == 0


def test_late_records_go_to_the_side_output_instead_of_being_counted():
    tag = OutputTag("late", RowTypeInfo([BasicTypeInfo.STRING_TYPE_INFO(), BasicTypeInfo.LONG_TYPE_INFO()]))
    op = windows(TumblingEventTimeWindows.of(10), late_tag=tag)
    op.watermark(19).batch(**rows(("a", 1, 5), ("a", 2, 20), ("b", 3, 9)))
    assert op.side(tag) == [("a", 1), ("b", 3)]
    assert op.metrics.late_dropped == 0


def test_a_late_record_that_some_window_still_takes_is_not_late():
    op = windows(SlidingEventTimeWindows.of(10, 5))
    op.watermark(12).batch(**rows(("a", 1, 7)))  # [0, 10) is gone, [5, 15) is not
    assert op.metrics.late_dropped == 0
    op.end()
    assert op.output() == [("a", 5, 15, [1])]


# -- sessions -----------------------------------------------------------------------------------------------


def test_sessions_merge_on_touch():
    op = windows(EventTimeSessionWindows.with_gap(5))
    op.batch(
        **rows(("a", 1, 0), ("a", 2, 8), ("a", 3, 4), ("b", 4, 5), ("b", 5, 0), ("c", 6, 0), ("c", 7, 6))
    )
    op.end()
    assert sorted(op.output()) == [
        ("a", 0, 13, [1, 2, 3]),
        ("b", 0, 10, [4, 5]),
        ("c", 0, 5, [6]),
        ("c", 6, 11, [7]),
    ]


def test_a_session_that_a_late_record_would_reopen_is_gone():
    op = windows(EventTimeSessionWindows.with_gap(5))
    op.batch(**rows(("a", 1, 0))).watermark(4)
    assert op.output() == [("a", 0, 5, [1])]
    op.batch(**rows(("a", 2, 1)))  # [1, 6): 5 > 4, so still a session of its own
    op.watermark(5)
    assert op.output() == [("a", 1, 6, [2])]
    op.batch(**rows(("a", 3, 0)))
    assert op.metrics.late_dropped == 1


def test_dynamic_gaps_come_from_the_records():
    op = windows(DynamicEventTimeSessionWindows.with_dynamic_gap(lambda pair: pair[1]))
    op.batch(**rows(("a", 3, 0), ("a", 10, 2), ("a", 1, 12), ("a", 1, 14))).end()
    assert op.output() == [("a", 0, 13, [3, 10, 1]), ("a", 14, 15, [1])]


def test_a_gap_that_is_not_positive_is_refused():
    op = windows(DynamicEventTimeSessionWindows.with_dynamic_gap(lambda pair: 0))
    with pytest.raises(DataError, match="0 < gap"):
        op.batch(**rows(("a", 1, 0)))


def test_accumulators_of_merging_sessions_merge():
    class Sum(AggregateFunction):
        def create_accumulator(self):
            return {"sum": 0, "merged": 0}

        def add(self, value, accumulator):
            accumulator["sum"] += value[1]
            return accumulator

        def get_result(self, accumulator):
            return accumulator["sum"], accumulator["merged"]

        def merge(self, acc_a, acc_b):
            return {"sum": acc_a["sum"] + acc_b["sum"], "merged": acc_a["merged"] + acc_b["merged"] + 1}

    op = windows(EventTimeSessionWindows.with_gap(5), aggregate=Sum())
    op.batch(**rows(("a", 1, 0), ("a", 2, 8), ("a", 4, 16), ("a", 8, 12), ("a", 16, 4))).end()
    assert op.output() == [(31, 2)]


def test_a_session_of_processing_time_ends_after_its_gap():
    op = windows(ProcessingTimeSessionWindows.with_gap(10), now_ms=100)
    op.batch([("a", 1)]).advance(5).batch([("a", 2)]).advance(9)
    assert op.output() == []
    op.advance(1)
    assert op.output() == [("a", 100, 115, [1, 2])]
    op.batch([("a", 3)]).end()
    assert op.output() == [], "processing time does not end with the input"


def test_a_trigger_that_cannot_merge_is_refused_with_sessions():
    with pytest.raises(UnsupportedOperationError, match="can_merge"):
        windows(EventTimeSessionWindows.with_gap(5), trigger=NeverTrigger())


def test_a_users_own_merging_assigner_works_like_sessions():
    class ByParity(MergingWindowAssigner):
        """All windows of a key merge into one."""

        def assign_windows(self, element, timestamp, context):
            return [TimeWindow(timestamp, timestamp + 1)]

        def merge_windows(self, windows, callback):
            windows = list(windows)
            if len(set(windows)) > 1:
                callback.merge(
                    set(windows), TimeWindow(min(w.start for w in windows), max(w.end for w in windows))
                )

        def get_default_trigger(self, env):
            return EventTimeTrigger()

        def get_window_serializer(self):
            return None

        def is_event_time(self):
            return True

    op = windows(ByParity())
    op.batch(**rows(("a", 1, 5), ("a", 2, 100), ("a", 3, 1), ("b", 4, 7))).end()
    assert sorted(op.output()) == [("a", 1, 101, [1, 2, 3]), ("b", 7, 8, [4])]


# -- counts and global windows ------------------------------------------------------------------------------


def test_count_windows_emit_and_purge_at_n_and_never_emit_a_remainder():
    op = windows(CountTumblingWindowAssigner.of(3), Values())
    op.batch([("a", 1), ("b", 2), ("a", 3), ("a", 4), ("a", 5), ("a", 6)]).end()
    assert op.output() == [("a", [1, 3, 4])]
    assert len(op.operator._contents.table) == 2


def test_sliding_count_windows_emit_at_each_slide():
    op = windows(CountSlidingWindowAssigner.of(2, 1), reduce=add_pairs, schema_out=PAIRS)
    op.batch([("hi", 1), ("hi", 3), ("hi", 5), ("ho", 9)]).end()
    assert op.output() == [("hi", 4), ("hi", 8)]


def test_a_global_window_fires_by_its_trigger_only():
    op = windows(GlobalWindows.create(), Values(), trigger=PurgingTrigger.of(CountTrigger.of(2)))
    op.batch([("a", i) for i in range(7)]).end()
    assert op.output() == [("a", [0, 1]), ("a", [2, 3]), ("a", [4, 5])]
    op = windows(GlobalWindows.create(), Values(), trigger=CountTrigger.of(2))
    op.batch([("a", i) for i in range(4)]).end()
    assert op.output() == [("a", [0, 1]), ("a", [0, 1, 2, 3])]
    op = windows(GlobalWindows.create(), Values())
    op.batch([("a", 1)]).end()
    assert op.output() == []


# -- processing time ----------------------------------------------------------------------------------------


def test_windows_of_processing_time_fire_by_the_clock():
    op = windows(TumblingProcessingTimeWindows.of(100), now_ms=50)
    op.batch([("a", 1)]).advance(49).batch([("a", 2)]).advance(1)
    assert op.output() == [("a", 0, 100, [1, 2])]
    op.batch([("a", 3)]).advance(1000)
    assert op.output() == [("a", 100, 200, [3])]
    assert len(op.operator.state.keys) == 0


def test_sliding_windows_of_processing_time():
    op = windows(SlidingProcessingTimeWindows.of(100, 50), now_ms=60)
    op.batch([("a", 1)]).advance(200)
    assert op.output() == [("a", 0, 100, [1]), ("a", 50, 150, [1])]


def test_a_processing_time_trigger_on_event_time_windows():
    op = windows(TumblingEventTimeWindows.of(100), trigger=ProcessingTimeTrigger.create(), now_ms=10)
    op.batch(**rows(("a", 1, 20))).advance(90)
    assert op.output() == [("a", 0, 100, [1])]


# -- triggers -----------------------------------------------------------------------------------------------


def test_a_continuous_trigger_fires_at_each_interval_and_at_the_end():
    op = windows(TumblingEventTimeWindows.of(100), trigger=ContinuousEventTimeTrigger.of(30))
    op.batch(**rows(("a", 1, 5), ("a", 2, 65)))
    for watermark in (29, 30, 59, 60, 98, 99):
        op.watermark(watermark)
    assert op.output() == [("a", 0, 100, [1, 2])] * 3 + [("a", 0, 100, [1, 2])]
    assert op.operator.unfired() is None


def test_a_continuous_trigger_of_processing_time():
    op = windows(
        GlobalWindows.create(), Values(), trigger=ContinuousProcessingTimeTrigger.of(100), now_ms=120
    )
    op.batch([("a", 1)]).advance(80)
    assert op.output() == []
    op.advance(1)
    assert op.output() == [("a", [1])]
    op.batch([("a", 2)]).advance(100)
    assert op.output() == [("a", [1, 2])]


def test_a_continuous_trigger_survives_a_merge():
    op = windows(EventTimeSessionWindows.with_gap(10), trigger=ContinuousEventTimeTrigger.of(4))
    op.batch(**rows(("a", 1, 0), ("a", 2, 8))).watermark(4)
    assert op.output() == [("a", 0, 18, [1, 2])]
    op.end()
    assert op.output()[-1] == ("a", 0, 18, [1, 2])


def test_a_delta_trigger_fires_when_a_record_is_far_from_the_last_that_fired():
    op = windows(
        GlobalWindows.create(), Values(), trigger=DeltaTrigger.of(10, lambda old, new: new[1] - old[1])
    )
    op.batch([("a", 1), ("a", 5), ("a", 12), ("a", 20), ("a", 23)])
    assert op.output() == [("a", [1, 5, 12]), ("a", [1, 5, 12, 20, 23])]


class EveryOtherAndTimeout(Trigger):
    """Fires at every second record and 5 ms after the first, with state and timers of its own."""

    def __init__(self):
        self.count = ReducingStateDescriptor("count", lambda a, b: a + b, BasicTypeInfo.LONG_TYPE_INFO())

    def on_element(self, element, timestamp, window, ctx):
        count = ctx.get_partitioned_state(self.count)
        if count.get() is None:
            ctx.register_event_time_timer(timestamp + 5)
        count.add(1)
        return TriggerResult.FIRE if count.get() % 2 == 0 else TriggerResult.CONTINUE

    def on_event_time(self, time, window, ctx):
        return TriggerResult.FIRE_AND_PURGE if time != window.max_timestamp() else TriggerResult.CONTINUE

    def on_processing_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def can_merge(self):
        return True

    def on_merge(self, window, ctx):
        ctx.merge_partitioned_state(self.count)
        ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window, ctx):
        ctx.get_partitioned_state(self.count).clear()


def test_a_users_trigger_has_state_and_timers_per_key_and_window():
    op = windows(TumblingEventTimeWindows.of(100), trigger=EveryOtherAndTimeout())
    op.batch(**rows(("a", 1, 0), ("b", 2, 1), ("a", 3, 2), ("a", 4, 3)))
    assert op.output() == [("a", 0, 100, [1, 3])]
    op.watermark(5)
    assert op.output() == [("a", 0, 100, [1, 3, 4])]
    op.watermark(6)
    assert op.output() == [("b", 0, 100, [2])]
    op.watermark(99)
    assert op.output() == [] and len(op.operator.state.keys) == 0


def test_a_users_trigger_keeps_its_count_over_a_merge():
    op = windows(EventTimeSessionWindows.with_gap(10), trigger=EveryOtherAndTimeout())
    op.batch(**rows(("a", 1, 0), ("a", 2, 15), ("a", 3, 8)))  # 3 bridges two sessions of one record each
    assert op.output() == []
    op.batch(**rows(("a", 4, 9)))
    assert op.output() == [("a", 0, 25, [1, 2, 3, 4])]


def test_a_trigger_that_returns_nothing_is_told():
    class Broken(EventTimeTrigger):
        def on_element(self, element, timestamp, window, ctx):
            return None

    op = windows(TumblingEventTimeWindows.of(10), trigger=Broken())
    with pytest.raises(UserFunctionError, match="Broken returned None, expected a TriggerResult"):
        op.batch(**rows(("a", 1, 0)))


# -- window functions ---------------------------------------------------------------------------------------


def test_reduce_alone_emits_the_reduced_record():
    op = windows(TumblingEventTimeWindows.of(10), reduce=add_pairs, schema_out=PAIRS)
    op.batch(**rows(("a", 1, 0), ("a", 2, 5), ("b", 7, 3))).end()
    assert op.output() == [("a", 3), ("b", 7)]


def test_reduce_hands_exactly_one_element_to_its_window_function():
    op = windows(TumblingEventTimeWindows.of(10), Bounds(), reduce=add_pairs)
    op.batch(**rows(("a", 1, 0), ("a", 2, 5))).end()
    assert op.output() == [("a", 0, 10, [3])]


class Average(AggregateFunction):
    def create_accumulator(self):
        return [0, 0]

    def add(self, value, accumulator):
        accumulator[0] += value[1]
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a, acc_b):
        return [acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]]


def test_aggregate_has_an_accumulator_per_key_and_window():
    op = windows(TumblingEventTimeWindows.of(10), aggregate=Average())
    op.batch(**rows(("a", 1, 0), ("a", 2, 5), ("b", 7, 3), ("a", 9, 11))).end()
    assert op.output() == [1.5, 7.0, 9.0]


def test_early_results_do_not_change_when_the_accumulator_does():
    class Collect(Average):
        def add(self, value, accumulator):
            accumulator.append(value[1])
            return accumulator

        def get_result(self, accumulator):
            return accumulator

    op = windows(GlobalWindows.create(), aggregate=Collect(), trigger=CountTrigger.of(1))
    op.batch([("a", 1), ("a", 2)])
    assert op.output() == [[0, 0, 1], [0, 0, 1, 2]]


def test_window_and_global_state_are_two_states_of_one_name():
    class Stateful(ProcessWindowFunction):
        def process(self, key, context, elements):
            of_window = context.window_state().get_state(ValueStateDescriptor("seen", None))
            of_key = context.global_state().get_state(ValueStateDescriptor("seen", None))
            of_window.update((of_window.value() or 0) + 1)
            of_key.update((of_key.value() or 0) + 1)
            yield key, context.window().start, of_window.value(), of_key.value(), context.current_watermark()

        def clear(self, context):
            context.window_state().get_state(ValueStateDescriptor("seen", None)).clear()

    op = windows(TumblingEventTimeWindows.of(10), Stateful(), allowed_lateness_ms=10)
    op.batch(**rows(("a", 1, 0))).watermark(9).batch(**rows(("a", 1, 1), ("a", 1, 10))).watermark(30)
    assert op.output() == [("a", 0, 1, 1, 9), ("a", 0, 2, 2, 9), ("a", 10, 1, 3, 30)]
    assert len(op.operator.state.tables["window/seen"]) == 0


def test_per_window_state_is_refused_when_windows_merge():
    class Stateful(ProcessWindowFunction):
        def process(self, key, context, elements):
            context.window_state().get_list_state(ListStateDescriptor("x", None))

    op = windows(EventTimeSessionWindows.with_gap(5), Stateful())
    op.batch(**rows(("a", 1, 0)))
    with pytest.raises(UnsupportedOperationError, match="Per-window state is not allowed"):
        op.end()


def test_a_window_function_can_feed_a_side_output():
    tag = OutputTag("big")

    class Split(ProcessWindowFunction):
        def process(self, key, context, elements):
            for _, value in elements:
                yield (tag, value) if value > 5 else value

    op = windows(TumblingEventTimeWindows.of(10), Split())
    op.batch(**rows(("a", 1, 0), ("a", 9, 1))).end()
    assert op.output() == [1] and op.side(tag) == [9]


def test_functions_over_all_records_see_no_key():
    class All(AllWindowFunction):
        def apply(self, window, inputs):
            yield window.start, len(inputs)

    class ProcessAll(ProcessAllWindowFunction):
        def process(self, context, elements):
            return [(context.window().start, len(elements))]

    for function in (All(), ProcessAll()):
        op = windows(TumblingEventTimeWindows.of(10), function, key=None)
        op.batch(**rows(("a", 1, 0), ("b", 2, 5), ("c", 3, 12)), keys=[0, 0, 0]).end()
        assert op.output() == [(0, 2), (10, 1)]


def test_a_window_function_may_return_nothing():
    class Silent(WindowFunction):
        def apply(self, key, window, inputs):
            return None

    op = windows(TumblingEventTimeWindows.of(10), Silent())
    op.batch(**rows(("a", 1, 0))).end()
    assert op.output() == []


def test_a_failing_window_function_names_timer_window_and_key():
    class Failing(WindowFunction):
        def apply(self, key, window, inputs):
            raise ValueError("no luck")

    op = windows(TumblingEventTimeWindows.of(10), Failing())
    op.batch(**rows(("a", 1, 0)))
    with pytest.raises(
        UserFunctionError, match=r"Failing, at timer 9 of TimeWindow\(start=0, end=10\) of key 'a'.*no luck"
    ):
        op.end()


# -- evictors -----------------------------------------------------------------------------------------------


def test_evictors_keep_the_last_the_newest_and_the_near():
    records = rows(("a", 1, 0), ("a", 2, 40), ("a", 9, 45), ("a", 10, 30))
    for evictor, expected in [
        (CountEvictor.of(2), [9, 10]),
        (TimeEvictor.of(10), [2, 9]),
        (DeltaEvictor.of(5, lambda old, new: abs(new[1] - old[1])), [9, 10]),
    ]:
        op = windows(TumblingEventTimeWindows.of(100), evictor=evictor)
        op.batch(**records).end()
        assert op.output() == [("a", 0, 100, expected)]


def test_evicting_after_the_function_shapes_the_next_firing():
    op = windows(
        GlobalWindows.create(), Values(), trigger=CountTrigger.of(2), evictor=CountEvictor.of(1, True)
    )
    op.batch([("a", i) for i in range(6)])
    assert op.output() == [("a", [0, 1]), ("a", [1, 2, 3]), ("a", [3, 4, 5])]


def test_reduce_with_an_evictor_reduces_what_stayed():
    op = windows(
        GlobalWindows.create(), None, reduce=add_pairs, trigger=CountTrigger.of(2), evictor=CountEvictor.of(3)
    )
    op.batch([("a", i) for i in range(6)])
    assert op.output() == [("a", 1), ("a", 6), ("a", 12)]


# -- faults -------------------------------------------------------------------------------------------------


def test_records_without_timestamps_are_told_what_is_missing():
    op = windows(TumblingEventTimeWindows.of(10))
    with pytest.raises(DataError, match="assign_timestamps_and_watermarks"):
        op.batch([("a", 1)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allowed_lateness_ms": -1}, "cannot be negative"),
        ({"reduce": add_pairs, "aggregate": Average()}, "not both"),
        ({"function": lambda *args: None}, "expected a WindowFunction"),
        ({"trigger": 5}, "expects a Trigger"),
    ],
)
def test_windows_that_cannot_be_built_say_why(options, message):
    with pytest.raises(ConfigurationError, match=message):
        windows(TumblingEventTimeWindows.of(10), **options)


def test_unfired_windows_say_what_they_wait_for():
    op = windows(TumblingEventTimeWindows.of(10))
    op.batch(**rows(("a", 1, 0), ("b", 1, 5))).watermark(3)
    assert (
        op.operator.unfired()
        == "2 event-time timers of windows, the first for watermark 9; the watermark is 3"
    )
    op.end()
    assert op.operator.unfired() is None


# -- elements of a window and key together -----------------------------------------------------------------------


class Counted(ProcessWindowFunction):
    """(key, start, values, how often the key was seen before), with state of the window that clear() clears."""

    TIMES = ValueStateDescriptor("times", None)

    def process(self, key, context, elements):
        state = context.global_state().get_state(self.TIMES)
        before = state.value() or 0
        state.update(before + 1)
        context.window_state().get_state(self.TIMES).update(1)
        yield key, context.window().start, [value for _, value in elements], before
        elements.clear()  # they are the function's own

    def clear(self, context):
        assert context.window_state().get_state(self.TIMES).value() == 1
        context.window_state().get_state(self.TIMES).clear()


@pytest.mark.parametrize("seed", range(20))
def test_elements_that_come_together_are_as_elements_one_by_one(seed):
    """Tumbling windows take them together; sliding ones of the same size and slide one by one."""
    rng = random.Random(seed)
    late = OutputTag("late")

    def opened(assigner, restore=None):
        more = {} if restore is None else {"restore": restore}
        operator = RowWindow(PAIRS, assigner, OBJECTS, window_function=Counted(), late_tag=late)
        return harness(operator, key="k", **more)

    assigners = [TumblingEventTimeWindows(10, 3), SlidingEventTimeWindows(10, 10, 3)]
    ops = [opened(assigner) for assigner in assigners]
    now_ms, saved = -30, None
    for _ in range(25):
        count = rng.choice([1, 2, 30])
        keys = [rng.choice("abcdefg") for _ in range(count)]
        times = [now_ms + rng.randrange(-15, 40) for _ in range(count)]
        now_ms += rng.choice([0, 3, 11, 25])
        for op in ops:
            op.batch(k=keys, v=list(range(count)), timestamps_ms=times).watermark(now_ms)
        one, other = ([sorted(map(str, op.output())), op.side(late)] for op in ops)
        assert one == other
        if rng.random() < 0.2:
            saved = [op.snapshot() for op in ops]
            if rng.random() < 0.5:
                saved.reverse()  # what one has written, the other reads
            ops = [opened(assigner, restore) for assigner, restore in zip(assigners, saved)]
    for op in ops:
        op.watermark(MAX_WATERMARK)
    assert sorted(map(str, ops[0].output())) == sorted(map(str, ops[1].output()))


class Changing(ProcessWindowFunction):
    def process(self, key, context, elements):
        for element in elements:
            element.append("seen")
        yield list(elements)


def test_what_a_function_changes_is_not_in_a_snapshot_that_is_written_later():
    def make(restore=None):
        operator = RowWindow(OBJECTS, TumblingEventTimeWindows(10, 0), OBJECTS, window_function=Changing())
        return harness(operator, key="value", restore=restore)

    op = make()
    op.batch([[1]], timestamps_ms=[1])
    frozen = op.state.freeze(0)
    assert op.watermark(9).output() == [[[1, "seen"]]]
    stored = written_snapshot(frozen, parallelism=1, subtask_index=0)
    assert make(stored).watermark(9).output() == [[[1, "seen"]]]


def test_windows_fire_in_the_order_in_which_their_keys_came():
    op = windows(TumblingEventTimeWindows.of(10))
    op.batch(k=["b", "a", "b", "c", "a"], v=[1, 2, 3, 4, 5], timestamps_ms=[11, 2, 1, 3, 4])
    op.batch(k=["d", "a"], v=[6, 7], timestamps_ms=[5, 6]).watermark(19)
    assert op.output() == [
        ("a", 0, 10, [2, 5, 7]), ("b", 0, 10, [3]), ("c", 0, 10, [4]), ("d", 0, 10, [6]), ("b", 10, 20, [1])
    ]  # fmt: skip
