# SPDX-License-Identifier: Apache-2.0
"""WatermarkStrategy: which timestamps the records of a stream have, and how far event time has come."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flinkcore.common.time import Duration
from flinkcore.common.utils import JavaObjectWrapper
from flinkcore.errors import ConfigurationError, FlinkcoreWarning
from flinkcore.time.watermark_spec import WatermarkGenerator, WatermarkOutput, WatermarkStrategySpec

__all__ = [
    "AssignerWithPeriodicWatermarksWrapper",
    "TimestampAssigner",
    "WatermarkGenerator",
    "WatermarkOutput",
    "WatermarkStrategy",
]


class TimestampAssigner(ABC):
    """Reads the event time of a record."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """The event time of a record, in milliseconds since the epoch.

        record_timestamp : the timestamp that the record had before, -2**63 when it had none
        """


class AssignerWithPeriodicWatermarksWrapper(JavaObjectWrapper):
    """PyFlink's handle of an AssignerWithPeriodicWatermarks of Java; UnsupportedOperationError when one is made."""

    instead = "use WatermarkStrategy, e.g. WatermarkStrategy.for_monotonous_timestamps()"

    def __init__(self, j_assigner_with_periodic_watermarks: Any) -> None:
        super().__init__(j_assigner_with_periodic_watermarks)


class WatermarkStrategy:
    """How the watermarks of a stream are made, built step by step:

        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5)).with_timestamp_column("date_time")

    Watermarks are periodic (pipeline.auto-watermark-interval, 200 ms), not per record, as in Flink.
    """

    def __init__(self, spec: WatermarkStrategySpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> WatermarkStrategySpec:
        """The strategy as the engine reads it. Beyond PyFlink."""
        return self._spec

    # -- where watermarks come from ------------------------------------------------------------------------

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """Timestamps only ascend: the watermark follows right behind the highest one."""
        return WatermarkStrategy(WatermarkStrategySpec("bounded"))

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: Duration) -> WatermarkStrategy:
        """A record is at most so much older than the newest one; older ones are late."""
        bound_ms = _millis("max_out_of_orderness", max_out_of_orderness)
        return WatermarkStrategy(WatermarkStrategySpec("bounded", bound_ms))

    @staticmethod
    def no_watermarks() -> WatermarkStrategy:
        """No watermarks before the end of the input; for processing time."""
        return WatermarkStrategy(WatermarkStrategySpec("none"))

    @staticmethod
    def for_generator(generator_supplier: Callable[[], WatermarkGenerator]) -> WatermarkStrategy:
        """Watermarks by a generator of one's own, one per split or subtask. Beyond PyFlink, as in Java.

        WatermarkStrategy.for_generator(MyGenerator)
        """
        if not callable(generator_supplier):
            raise ConfigurationError(
                "for_generator takes a function that makes a WatermarkGenerator, "
                f"not {generator_supplier!r}; give the class itself, or a lambda"
            )
        return WatermarkStrategy(WatermarkStrategySpec("custom", generator_factory=generator_supplier))

    # -- where timestamps come from ------------------------------------------------------------------------

    def with_timestamp_assigner(self, timestamp_assigner: TimestampAssigner) -> WatermarkStrategy:
        """Timestamps by a function of the record, called for each.

        Changes this strategy and returns it, as PyFlink does; the other methods leave it as it is.
        """
        extract = getattr(timestamp_assigner, "extract_timestamp", None)
        if not callable(extract):
            raise ConfigurationError(
                f"with_timestamp_assigner takes a TimestampAssigner, not {timestamp_assigner!r}; "
                "give it a method extract_timestamp(self, value, record_timestamp)"
            )
        self._spec = replace(self._spec, timestamp_assigner=extract, timestamp_column=None)
        return self

    def with_timestamp_column(self, name: str) -> WatermarkStrategy:
        """Timestamps from a column: a timestamp type, or whole milliseconds since the epoch. Beyond PyFlink.

        No row is seen by Python.
        """
        return self._with(timestamp_column=name, timestamp_assigner=None)

    def with_max_future(self, max_future: Duration, on_future: Any = "fail") -> WatermarkStrategy:
        """Refuse records further in the future than this, by the processing-time clock. Beyond PyFlink.

        One such record would make every record after it late.

        on_future : "fail", "drop" (and count), or an OutputTag for a side output
        """
        return self._with(future_ms_max=_millis("max_future", max_future), on_future=on_future)

    def with_bad_timestamps(self, policy: Any) -> WatermarkStrategy:
        """What happens to a record whose timestamp is null or out of range. Beyond PyFlink.

        policy : "fail" (the default), "drop" (and count), or an OutputTag for a side output
        """
        return self._with(on_bad_timestamp=policy)

    # -- idleness, alignment -------------------------------------------------------------------------------

    def with_idleness(self, idle_timeout: Duration) -> WatermarkStrategy:
        """After so long without a record the stream no longer holds the watermark of others back."""
        idle_timeout_ms = _millis("idle_timeout", idle_timeout)
        if idle_timeout_ms <= 0:
            raise ConfigurationError(f"idle_timeout must be longer than 0 ms, not {idle_timeout}")
        return self._with(idle_timeout_ms=idle_timeout_ms)

    def with_watermark_alignment(
        self,
        watermark_group: str,
        max_allowed_watermark_drift: Duration,
        update_interval: Duration | None = None,
    ) -> WatermarkStrategy:
        """Left out, with a warning: sources do not wait for one another here. Results are the same; what lies in state
        until the slower sources catch up is more."""
        _millis("max_allowed_watermark_drift", max_allowed_watermark_drift)
        warnings.warn(
            f"watermark alignment (group '{watermark_group}') is left out: sources do not wait for one another; "
            "results are the same, and more records lie in state meanwhile",
            FlinkcoreWarning,
            stacklevel=2,
        )
        return self._with()

    def _with(self, **changes: Any) -> WatermarkStrategy:
        return WatermarkStrategy(replace(self._spec, **changes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WatermarkStrategy) and self._spec == other._spec

    def __hash__(self) -> int:
        return hash(self._spec.kind)

    def __repr__(self) -> str:
        return f"WatermarkStrategy({self._spec})"


def _millis(name: str, duration: Duration) -> int:
    if not isinstance(duration, Duration):
        raise ConfigurationError(f"{name} must be a Duration, e.g. Duration.of_seconds(5), not {duration!r}")
    if duration.to_nanos() < 0:
        raise ConfigurationError(f"{name} cannot be negative, and is {duration}")
    return duration.to_millis()
