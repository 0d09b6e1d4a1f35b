# SPDX-License-Identifier: Apache-2.0
"""One watermark out of many: over the channels of a task, and over the splits of a source.

The two differ in what happens when everything is idle, as they do in Flink: channels then flush the highest
watermark any of them reached, splits do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP


@dataclass
class _Input:
    watermark_ms: int = MIN_TIMESTAMP
    idle: bool = False
    aligned: bool = True
    finished: bool = False

    @property
    def active(self) -> bool:
        return not self.idle and not self.finished


class ChannelWatermarks:
    """The watermark of a task: the minimum over its active channels, never going back.

    A channel that turns active again with a watermark behind the task's does not hold it back until it has
    caught up. When the last active channel turns idle and it was the one that held the watermark, no channel
    will advance any more, so the watermark becomes the maximum over all of them.

    The last watermark of all, MAX_WATERMARK, says that a channel has finished. Such a channel no longer counts, and
    the task's own last watermark comes when all have finished: while one is idle, or behind after it was, its records
    are still to come and must not all be late.
    Source: Flink, StatusWatermarkValve; for finished channels FLINK-38477, where Flink as released lets the last
    watermark of a finished channel pass an idle one.
    """

    def __init__(self, channel_count: int) -> None:
        self._channels = [_Input() for _ in range(channel_count)]
        self.watermark_ms = MIN_TIMESTAMP
        self.idle = False

    def on_watermark(self, channel: int, watermark_ms: int) -> int | None:
        """`channel` reached `watermark_ms`; the task's new watermark, or None when it did not advance.

        A watermark says that the channel is active, so one from an idle channel wakes it first.
        """
        entry = self._channels[channel]
        if entry.idle:
            self.on_idle(channel, False)
        if watermark_ms <= entry.watermark_ms:
            return None
        entry.watermark_ms = watermark_ms
        if not entry.aligned and watermark_ms >= self.watermark_ms:
            entry.aligned = True
        return self._advance_to_minimum()

    def on_finished(self, channel: int) -> tuple[int | None, bool | None]:
        """`channel` reached MAX_WATERMARK.

        -> as on_idle: when only idle channels are left, the task is idle from now on
        """
        entry = self._channels[channel]
        entry.finished, entry.idle, entry.aligned = True, False, False
        if all(other.finished for other in self._channels):
            self.idle = False
            return self._advance(MAX_WATERMARK), None
        return self._without(not self.idle)

    def on_idle(self, channel: int, idle: bool) -> tuple[int | None, bool | None]:
        """`channel` turned idle or active.

        -> (the task's new watermark or None, the task's new idleness or None), to be passed on in this order
        when turning idle. A task that turns active has no new watermark.
        """
        entry = self._channels[channel]
        if entry.idle == idle or entry.finished:
            return None, None
        entry.idle = idle
        if not idle:
            entry.aligned = entry.watermark_ms >= self.watermark_ms
            if not self.idle:
                return None, None
            self.idle = False
            return None, False
        entry.aligned = False
        return self._without(entry.watermark_ms == self.watermark_ms)

    def _without(self, held: bool) -> tuple[int | None, bool | None]:
        """A channel no longer counts; `held`: it may have been the one that held the watermark."""
        if any(other.active for other in self._channels):
            return (self._advance_to_minimum() if held else None), None
        watermark_ms = None
        if held:
            watermark_ms = self._advance(
                max(other.watermark_ms for other in self._channels if not other.finished)
            )
        was_idle, self.idle = self.idle, True
        return watermark_ms, None if was_idle else True

    def holding_back(self) -> list[int]:
        """The channels whose watermark is the lowest of those that count: why time stands still."""
        active = [entry.watermark_ms for entry in self._channels if entry.aligned]
        if not active:
            return []
        lowest = min(active)
        return [i for i, entry in enumerate(self._channels) if entry.aligned and entry.watermark_ms == lowest]

    def _advance_to_minimum(self) -> int | None:
        aligned = [entry.watermark_ms for entry in self._channels if entry.aligned]
        return self._advance(min(aligned)) if aligned else None

    def _advance(self, watermark_ms: int) -> int | None:
        if watermark_ms <= self.watermark_ms:
            return None
        self.watermark_ms = watermark_ms
        return watermark_ms


class SplitWatermarks:
    """The watermark of a source reader: the minimum over its splits that are not idle, never going back.

    Splits come and go. With no split left nothing is emitted; with all idle the reader is idle.
    Source: Flink, WatermarkOutputMultiplexer and CombinedWatermarkStatus.
    """

    def __init__(self) -> None:
        self._splits: dict[str, _Input] = {}
        self.watermark_ms = MIN_TIMESTAMP
        self.idle = False

    def add(self, split_id: str, watermark_ms: int | None = None) -> None:
        """A split was assigned; until its first watermark it holds the reader back.

        watermark_ms : what it had reached in the run that the reader was restored from
        """
        self._splits[split_id] = _Input(MIN_TIMESTAMP if watermark_ms is None else watermark_ms)

    def remove(self, split_id: str) -> int | None:
        """A split is finished; the reader's new watermark, or None when it did not advance."""
        self._splits.pop(split_id, None)
        return self._combine()

    def on_watermark(self, split_id: str, watermark_ms: int) -> int | None:
        """A split reached `watermark_ms` and is active; the reader's new watermark, or None."""
        split = self._splits[split_id]
        split.idle = False
        if watermark_ms > split.watermark_ms:
            split.watermark_ms = watermark_ms
        return self._combine()

    def on_idle(self, split_id: str) -> int | None:
        """A split has been without records for too long; `idle` then says whether all of them are."""
        self._splits[split_id].idle = True
        return self._combine()

    def snapshot(self) -> int | None:
        """The reader's own watermark: splits that ended may have taken it further than those that are left."""
        return None if self.watermark_ms == MIN_TIMESTAMP else self.watermark_ms

    def restore(self, watermark_ms: int | None) -> int | None:
        """Goes on from snapshot(), after the restored splits were added. -> the reader's watermark, to be emitted"""
        self.watermark_ms = MIN_TIMESTAMP if watermark_ms is None else watermark_ms
        self._combine()
        return self.snapshot()

    def holding_back(self) -> list[str]:
        """The splits whose watermark is the lowest of those that count."""
        active = [split.watermark_ms for split in self._splits.values() if not split.idle]
        if not active:
            return []
        lowest = min(active)
        return [
            name for name, split in self._splits.items() if not split.idle and split.watermark_ms == lowest
        ]

    def _combine(self) -> int | None:
        if not self._splits:
            return None
        active = [split.watermark_ms for split in self._splits.values() if not split.idle]
        self.idle = not active
        if not active or min(active) <= self.watermark_ms:
            return None
        self.watermark_ms = min(active)
        return self.watermark_ms
