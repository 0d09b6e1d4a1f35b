# SPDX-License-Identifier: Apache-2.0
"""A watermark strategy is built step by step into a value that the engine reads."""

from __future__ import annotations

import pytest

from flinkcore.common import Duration, WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner, WatermarkGenerator
from flinkcore.errors import ConfigurationError, FlinkcoreWarning
from flinkcore.time.watermark_spec import WatermarkStrategySpec


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Punctuated(WatermarkGenerator):
    def on_event(self, event, event_timestamp, output):
        output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output):
        pass


def test_kinds():
    assert WatermarkStrategy.for_monotonous_timestamps().spec == WatermarkStrategySpec("bounded", 0)
    assert WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5)).spec.bound_ms == 5000
    assert WatermarkStrategy.no_watermarks().spec.kind == "none"
    custom = WatermarkStrategy.for_generator(Punctuated).spec
    assert custom.kind == "custom" and isinstance(custom.generator_factory(), Punctuated)


def test_steps_add_up():
    strategy = (
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(3))
        .with_timestamp_assigner(Second())
        .with_idleness(Duration.of_minutes(1))
        .with_max_future(Duration.of_hours(1), on_future="drop")
        .with_bad_timestamps("drop")
    )
    spec = strategy.spec
    assert (spec.bound_ms, spec.idle_timeout_ms, spec.future_ms_max) == (3, 60_000, 3_600_000)
    assert (spec.on_future, spec.on_bad_timestamp) == ("drop", "drop")
    assert spec.timestamp_assigner(("a", 7), 0) == 7


def test_the_last_source_of_timestamps_counts():
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    by_column = strategy.with_timestamp_column("t").spec
    assert by_column.timestamp_column == "t" and by_column.timestamp_assigner is None
    assert strategy.spec.timestamp_column is None
    assert strategy.with_timestamp_column("t").with_timestamp_assigner(Second()).spec.timestamp_column is None


def test_the_assigner_is_set_in_place_as_in_pyflink():
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    assert strategy.with_timestamp_assigner(Second()) is strategy
    assert strategy.spec.timestamp_assigner is not None
    assert strategy.with_idleness(Duration.of_millis(1)) is not strategy
    assert strategy.spec.idle_timeout_ms is None


def test_what_makes_no_sense_is_refused():
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    with pytest.raises(ConfigurationError, match=r"must be a Duration, e.g. Duration.of_seconds\(5\), not 5"):
        WatermarkStrategy.for_bounded_out_of_orderness(5)
    with pytest.raises(ConfigurationError, match="cannot be negative"):
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(-1))
    with pytest.raises(ConfigurationError, match="longer than 0 ms"):
        strategy.with_idleness(Duration.of_millis(0))
    with pytest.raises(ConfigurationError, match="takes a TimestampAssigner"):
        strategy.with_timestamp_assigner("t")
    with pytest.raises(ConfigurationError, match="takes a function that makes a WatermarkGenerator"):
        WatermarkStrategy.for_generator(Punctuated())


def test_watermark_alignment_is_left_out_and_said():
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    with pytest.warns(FlinkcoreWarning, match="group 'g'"):
        assert strategy.with_watermark_alignment("g", Duration.of_seconds(1)) == strategy
