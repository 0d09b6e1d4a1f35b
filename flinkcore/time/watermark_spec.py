# SPDX-License-Identifier: Apache-2.0
"""What a watermark strategy says, as a value: which timestamps records have, and how far event time has come.

The API wing's WatermarkStrategy builds a WatermarkStrategySpec; operators and source drivers read it. The
interfaces for a user's own generator are here too, in the style of Flink's Java API.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


class WatermarkOutput(ABC):
    """Where a WatermarkGenerator sends its watermarks (Flink: WatermarkOutput)."""

    @abstractmethod
    def emit_watermark(self, watermark: int) -> None:
        """Event time has reached `watermark` milliseconds: no record at or before it will follow."""

    @abstractmethod
    def mark_idle(self) -> None:
        """No records come at present; others need not wait for this stream."""

    @abstractmethod
    def mark_active(self) -> None:
        """Records come again."""


class WatermarkGenerator(ABC):
    """A user's own rule for watermarks (Flink: WatermarkGenerator). One instance per split or subtask.

    Emit from on_event for punctuated watermarks, from on_periodic_emit for periodic ones.
    """

    @abstractmethod
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Called for every record, with its timestamp in milliseconds."""

    @abstractmethod
    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Called every pipeline.auto-watermark-interval."""

    def snapshot_state(self) -> Any:
        """What restore_state needs to go on, as plain data (see connectors.plain). Without it only the last watermark
        comes back after a failure, and the generator begins anew."""
        return None

    def restore_state(self, state: Any) -> None:  # noqa: B027  most have none
        """Called before the first event, with what snapshot_state returned."""


@dataclass(frozen=True)
class WatermarkStrategySpec:
    """A watermark strategy as the engine reads it.

    kind : "bounded" (watermark = highest timestamp - bound_ms - 1; monotonous is bound 0), "none" or "custom"
    generator_factory : makes the WatermarkGenerator of one split or subtask; only with "custom"
    timestamp_column : the column that holds the timestamps, a timestamp type or int64 milliseconds
    timestamp_assigner : extract_timestamp(value, record_timestamp) of a TimestampAssigner, called per row;
        neither of the two: records keep the timestamps that they have
    idle_timeout_ms : the stream is idle after so long without a record; None: never
    future_ms_max, on_future : a record further than this ahead of the processing-time clock is at fault, and
        the policy (flinkcore.columnar.faults) says what happens to it; None: the future is not checked
    on_bad_timestamp : the policy for null and out-of-range timestamps
    """

    kind: Literal["bounded", "none", "custom"] = "none"
    bound_ms: int = 0
    generator_factory: Callable[[], WatermarkGenerator] | None = None
    timestamp_column: str | None = None
    timestamp_assigner: Callable[[Any, int], int] | None = None
    idle_timeout_ms: int | None = None
    future_ms_max: int | None = None
    on_future: Any = "fail"
    on_bad_timestamp: Any = "fail"
