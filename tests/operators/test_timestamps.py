# SPDX-License-Identifier: Apache-2.0
"""Assigning timestamps and watermarks in the middle of a stream."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.errors import DataError, SchemaError, UserFunctionError
from flinkcore.operators.timestamps import AssignTimestamps
from flinkcore.testing.harness import harness
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.watermark_spec import WatermarkGenerator, WatermarkStrategySpec
from flinkcore.time.watermarks import merged_snapshots

EVENTS = Schema(("name", "at"), (pa.string(), pa.int64()), "row")
INSTANTS = Schema(("name", "at"), (pa.string(), pa.timestamp("us", "UTC")), "row")


def bounded(**fields):
    return WatermarkStrategySpec(**{"kind": "bounded", "timestamp_column": "at"} | fields)


def test_a_short_input_is_consumed_before_the_first_watermark():
    op = harness(AssignTimestamps(bounded(bound_ms=5), EVENTS))
    for at in (0, 8, 4):
        op.batch([("a", at)])
    assert op.watermarks() == []
    assert op.timestamped() == [(("a", 0), 0), (("a", 8), 8), (("a", 4), 4)]
    op.end()
    assert op.watermarks() == [MAX_WATERMARK]


def test_watermarks_come_every_interval_and_never_go_back():
    op = harness(AssignTimestamps(bounded(bound_ms=5), EVENTS))
    op.batch([("a", 100)]).advance(200)
    assert op.watermarks() == [94]
    op.batch([("a", 50)]).advance(200).advance(200)
    assert op.watermarks() == []
    op.batch([("a", 101)]).advance(1000)
    assert op.watermarks() == [95]


def test_many_records_bring_a_watermark_without_the_clock():
    config = Configuration().set_string("flinkcore.batch-rows", "4")
    op = harness(AssignTimestamps(bounded(), EVENTS), config=config)
    op.batch([("a", 1), ("a", 2), ("a", 3)])
    assert op.watermarks() == []
    op.batch([("a", 4), ("a", 5), ("a", 6)])
    assert op.watermarks() == [5]


def test_interval_zero_and_batch_mode_emit_only_the_last_watermark():
    for key, value in (("pipeline.auto-watermark-interval", "0"), ("execution.runtime-mode", "BATCH")):
        op = harness(AssignTimestamps(bounded(), EVENTS), config=Configuration().set_string(key, value))
        op.batch([("a", 1)]).advance(10_000).end()
        assert op.watermarks() == [MAX_WATERMARK]


def test_watermarks_and_idleness_from_upstream_end_here_but_for_the_last():
    op = harness(AssignTimestamps(bounded(), EVENTS))
    op.watermark(10)
    op.operator.process_idle(True)
    assert op.watermarks() == [] and op.collected.idleness == []
    op.watermark(MAX_WATERMARK)
    assert op.watermarks() == [MAX_WATERMARK]


def test_a_timestamp_assigner_runs_on_columns_where_it_can():
    spec = bounded(timestamp_column=None, timestamp_assigner=lambda value, before: value[1] * 2)
    op = harness(AssignTimestamps(spec, EVENTS))
    assert op.operator.describe().native
    op.batch([("a", at) for at in range(20)])
    assert op.timestamped() == [(("a", at), 2 * at) for at in range(20)]
    assert op.metrics.counts["rows_by_python"] == 0
    op.batch([("a", at) for at in range(7)])  # few rows are cheaper so
    assert op.metrics.counts["rows_by_python"] == 7
    with pytest.raises(UserFunctionError, match="unsupported operand"):
        op.batch([("a", None)] * 20)
    of_before = bounded(timestamp_column=None, timestamp_assigner=lambda value, before: before)
    assert not AssignTimestamps(of_before, EVENTS).describe().native


def test_idle_without_records_and_active_again_with_the_next_watermark():
    op = harness(AssignTimestamps(bounded(idle_timeout_ms=1000), EVENTS))
    op.batch([("a", 100)]).advance(1000)
    assert op.watermarks() == [99] and op.collected.idleness == []
    op.advance(200)
    assert op.collected.idleness == [True]
    assert op.operator.facts().idle_since_ms == 0
    op.batch([("a", 90)]).advance(200)
    assert op.collected.idleness == [True], (
        "a record that does not move event time leaves the stream idle, as in Flink"
    )
    op.batch([("a", 300)]).advance(200)
    assert op.collected.idleness == [True, False] and op.watermarks() == [299]


def test_timestamps_of_any_unit_are_floored_to_milliseconds():
    op = harness(AssignTimestamps(bounded(), INSTANTS))
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    op.batch([("a", epoch - dt.timedelta(microseconds=1)), ("b", epoch + dt.timedelta(microseconds=1999))])
    assert [stamp for _, stamp in op.timestamped()] == [-1, 1]


def test_dates_seconds_and_nanoseconds_are_event_time_too():
    for type, value, expected in [
        (pa.date32(), dt.date(1970, 1, 2), 86_400_000),
        (pa.timestamp("s"), dt.datetime(1970, 1, 2), 86_400_000),
        (pa.timestamp("ns"), dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), -1),
        (pa.int32(), 7, 7),
    ]:
        schema = Schema(("at",), (type,), "row")
        op = harness(AssignTimestamps(bounded(), schema))
        op.batch([(value,)])
        assert [stamp for _, stamp in op.timestamped()] == [expected]


@pytest.mark.parametrize("type", [pa.string(), pa.float64(), pa.time32("s"), pa.duration("ms"), pa.bool_()])
def test_a_column_that_is_no_time_is_refused_when_the_job_is_built(type):
    with pytest.raises(SchemaError, match=r"'at' is .* expected timestamp, date or int64 milliseconds"):
        AssignTimestamps(bounded(), Schema(("at",), (type,), "row"))


def test_a_column_that_does_not_exist_names_those_that_do():
    with pytest.raises(SchemaError, match="name, at"):
        AssignTimestamps(bounded(timestamp_column="when"), EVENTS)


def test_an_assigner_sees_the_record_and_its_earlier_timestamp():
    seen = []

    def extract(value, record_timestamp):
        seen.append((value.name, record_timestamp))
        return value.at * 10

    op = harness(AssignTimestamps(bounded(timestamp_column=None, timestamp_assigner=extract), EVENTS))
    op.batch([("a", 1)]).batch([("b", 2)], timestamps_ms=[77])
    assert op.timestamped() == [(("a", 1), 10), (("b", 2), 20)]
    assert seen == [("a", MIN_TIMESTAMP), ("b", 77)]


def test_an_assigner_that_raises_or_returns_text_names_the_record():
    for extract, message in [
        (lambda value, before: 1 // 0, "division"),
        (lambda value, before: "soon", "'soon'"),
    ]:
        op = harness(AssignTimestamps(bounded(timestamp_column=None, timestamp_assigner=extract), EVENTS))
        with pytest.raises(UserFunctionError, match=message) as failure:
            op.batch([("a", 1)])
        assert failure.value.position == 0


def test_without_column_or_assigner_records_keep_their_timestamps():
    op = harness(AssignTimestamps(bounded(timestamp_column=None), EVENTS))
    op.batch([("a", 1)], timestamps_ms=[500]).advance(200)
    assert op.timestamped() == [(("a", 1), 500)] and op.watermarks() == [499]
    op.batch([("b", 1)])
    assert op.timestamped() == [(("b", 1), None)]


@pytest.mark.parametrize(("at", "text"), [(None, "'at' is null"), (2**62, "'at' is out of range")])
def test_bad_timestamps_fail_drop_or_go_aside_as_asked(at, text):
    records = [("a", 1), ("bad", at), ("c", 3)]
    op = harness(AssignTimestamps(bounded(), EVENTS))
    with pytest.raises(DataError, match=f"AssignTimestamps', record 1 of its batch: timestamp column {text}"):
        op.batch(records)
    op = harness(AssignTimestamps(bounded(on_bad_timestamp="drop"), EVENTS))
    op.batch(records)
    assert [row[0] for row in op.output()] == ["a", "c"]
    assert op.metrics.counts["bad_records_dropped"] == 1
    op = harness(AssignTimestamps(bounded(on_bad_timestamp="bad"), EVENTS))
    op.batch(records)
    assert [row[0] for row in op.output()] == ["a", "c"]
    ((record, reason),) = op.side("bad")
    assert "bad" in record and text in reason


def test_records_from_the_future_are_at_fault_when_asked():
    op = harness(AssignTimestamps(bounded(future_ms_max=100, on_future="drop"), EVENTS), now_ms=1000)
    op.batch([("a", 1100), ("b", 1101)]).advance(200)
    assert op.output() == [("a", 1100)] and op.watermarks() == [1099]


class Punctuated(WatermarkGenerator):
    """A record named "mark" carries a watermark."""

    def on_event(self, event, event_timestamp, output):
        if event.name == "mark":
            output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output):
        pass


def test_punctuated_watermarks_stand_between_the_records():
    spec = bounded(kind="custom", generator_factory=Punctuated)
    op = harness(AssignTimestamps(spec, EVENTS))
    order = []
    op.collected.batch = lambda batch: order.extend(batch.timestamps_ms.tolist())
    op.collected.watermark = lambda watermark: order.append(f"w{watermark}")
    op.batch([("a", 1), ("mark", 5), ("b", 6), ("mark", 4), ("mark", 9)])
    assert order == [1, 5, "w5", 6, 4, 9, "w9"]


class Periodic(WatermarkGenerator):
    """Highest timestamp less 100; idle while asked to be."""

    def __init__(self):
        self.highest = None

    def on_event(self, event, event_timestamp, output):
        self.highest = max(self.highest or event_timestamp, event_timestamp)

    def on_periodic_emit(self, output):
        if self.highest == 666:
            output.mark_idle()
        elif self.highest is not None:
            output.emit_watermark(self.highest - 100)


def test_periodic_generators_are_asked_every_interval():
    op = harness(AssignTimestamps(bounded(kind="custom", generator_factory=Periodic), EVENTS))
    op.advance(200).batch([("a", 500)]).advance(200)
    assert op.watermarks() == [400]
    op.batch([("a", 666)]).advance(200)
    assert op.watermarks() == [] and op.collected.idleness == [True]
    op.batch([("a", 700)]).advance(200)
    assert op.watermarks() == [600] and op.collected.idleness == [True, False]


def test_a_generator_that_raises_is_named():
    class Broken(Periodic):
        def on_event(self, event, event_timestamp, output):
            raise ValueError("no luck")

    op = harness(AssignTimestamps(bounded(kind="custom", generator_factory=Broken), EVENTS))
    with pytest.raises(UserFunctionError, match=r"WatermarkGenerator\.on_event raised ValueError: no luck"):
        op.batch([("a", 1)])


def test_facts_say_why_time_stands_still():
    op = harness(AssignTimestamps(bounded(bound_ms=10), EVENTS))
    assert op.operator.facts().rows == 0 and op.operator.facts().behind_ms is None
    op.batch([("a", 100), ("b", 90)]).advance(200)
    facts = op.operator.facts()
    assert (facts.rows, facts.last_timestamp_ms, facts.watermark_ms, facts.behind_ms) == (2, 100, 89, 11)


# -- snapshots ------------------------------------------------------------------------------------------------


def restored(snapshot, spec=None):
    op = harness(AssignTimestamps(spec or bounded(bound_ms=5), EVENTS))
    op.operator.restore(snapshot)
    return op


def test_a_restored_operator_says_its_last_watermark_and_never_goes_back():
    op = harness(AssignTimestamps(bounded(bound_ms=5), EVENTS))
    op.batch([("a", 100)]).advance(200)
    snapshot = op.operator.snapshot()
    again = restored(snapshot)
    assert again.watermarks() == [94] and again.operator.snapshot() == snapshot
    again.batch([("a", 50)]).advance(200)
    assert again.watermarks() == []
    again.batch([("a", 101)]).advance(200)
    assert again.watermarks() == [95]


def test_the_highest_timestamp_is_not_forgotten_before_its_watermark():
    op = harness(AssignTimestamps(bounded(bound_ms=5), EVENTS))
    op.batch([("a", 100)])
    again = restored(op.operator.snapshot())
    assert again.watermarks() == []
    again.batch([("a", 7)]).advance(200)
    assert again.watermarks() == [94]


def test_rows_since_the_last_watermark_count_on():
    config = Configuration().set_string("flinkcore.batch-rows", "4")
    op = harness(AssignTimestamps(bounded(), EVENTS), config=config)
    op.batch([("a", 1), ("a", 2), ("a", 3)])
    again = harness(AssignTimestamps(bounded(), EVENTS), config=config)
    again.operator.restore(op.operator.snapshot())
    again.batch([("a", 4)])
    assert again.watermarks() == [3]


def test_a_new_operator_and_one_of_another_strategy_begin_anew_as_far_as_they_must():
    assert restored(None).watermarks() == []
    op = harness(AssignTimestamps(bounded(bound_ms=5), EVENTS))
    op.batch([("a", 100)]).advance(200)
    again = restored(op.operator.snapshot(), WatermarkStrategySpec("none", timestamp_column="at"))
    assert again.watermarks() == [94]
    again.batch([("a", 200)]).advance(200)
    assert again.watermarks() == []
    again = restored(op.operator.snapshot(), bounded(bound_ms=50))
    again.batch([("a", 140)]).advance(200)
    assert again.watermarks() == [94]  # not back to 89
    again.batch([("a", 150)]).advance(200)
    assert again.watermarks() == [99]


def test_another_parallelism_goes_on_from_the_slowest_that_was_not_idle():
    def snapshot(watermark_ms, highest_ms, idle=False):
        return {"watermark_ms": watermark_ms, "highest_ms": highest_ms, "rows": 9, "rows_since": 1, "idle": idle,
                "generator": None}  # fmt: skip

    def slowest(*snapshots):
        merged = merged_snapshots(snapshots)
        assert merged["rows_since"] == 0 and not merged["idle"]
        return merged["watermark_ms"], merged["highest_ms"]

    assert slowest(snapshot(7, 20), snapshot(5, 30)) == (5, 20)
    assert slowest(snapshot(7, 20), snapshot(5, 10, idle=True)) == (7, 20)
    assert slowest(snapshot(7, 20, idle=True), snapshot(5, 10, idle=True)) == (5, 10)
    assert slowest(snapshot(7, 20), snapshot(None, None)) == (None, None)
    assert slowest(snapshot(7, 20), snapshot(None, 3)) == (None, 3)
