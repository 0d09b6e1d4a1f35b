# SPDX-License-Identifier: Apache-2.0
"""When the next checkpoint begins, and what a failed one means. Pure: facts in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass

from flinkcore import options
from flinkcore.config import ConfigOption, Configuration
from flinkcore.errors import ConfigurationError

_LEAST: dict[ConfigOption[int], int] = {
    options.CHECKPOINT_INTERVAL: 1,
    options.CHECKPOINT_MIN_PAUSE: 0,
    options.CHECKPOINT_TIMEOUT: 1,
    options.CHECKPOINT_MAX_CONCURRENT: 1,
    options.CHECKPOINT_TOLERABLE_FAILURES: 0,
    options.CHECKPOINT_NUM_RETAINED: 1,
}


@dataclass(frozen=True)
class Settings:
    """The options that the coordinator goes by; times in milliseconds.

    interval_ms : between two triggers; None: only savepoints, when asked for
    """

    interval_ms: int | None
    min_pause_ms: int
    timeout_ms: int
    max_concurrent: int
    tolerable_failures: int
    aligned: bool
    retained: int
    retention: str

    @staticmethod
    def of(config: Configuration) -> Settings:
        """ConfigurationError: an option has a value that means nothing."""
        for option, least in _LEAST.items():
            value = config.get(option)
            if value is not None and value < least:
                raise ConfigurationError(f"{option.key} is {value}; expected at least {least}")
        batch = config.get(options.RUNTIME_MODE) == "BATCH"  # Flink makes no checkpoints then either
        return Settings(
            None if batch else config.get(options.CHECKPOINT_INTERVAL),
            config.get(options.CHECKPOINT_MIN_PAUSE),
            config.get(options.CHECKPOINT_TIMEOUT),
            config.get(options.CHECKPOINT_MAX_CONCURRENT),
            config.get(options.CHECKPOINT_TOLERABLE_FAILURES),
            config.get(options.CHECKPOINT_MODE) == "EXACTLY_ONCE",
            config.get(options.CHECKPOINT_NUM_RETAINED),
            config.get(options.CHECKPOINT_RETENTION),
        )


def next_trigger_ms(
    settings: Settings, last_triggered_ms: int, last_ended_ms: int | None, pending_count: int
) -> int | None:
    """When the next periodic checkpoint may begin; None: not before one of the pending ones has ended.

    last_triggered_ms : when the last one began, or the job;  last_ended_ms : when the last one completed or failed
    Source: Flink, CheckpointCoordinator, CheckpointRequestDecider: with a pause one checkpoint at a time
    """
    if settings.interval_ms is None:
        return None
    concurrent = 1 if settings.min_pause_ms > 0 else settings.max_concurrent
    if pending_count >= concurrent:
        return None
    due_ms = last_triggered_ms + settings.interval_ms
    if last_ended_ms is not None:
        due_ms = max(due_ms, last_ended_ms + settings.min_pause_ms)
    return due_ms


def fails_job(settings: Settings, failures_in_a_row: int) -> bool:
    """Whether so many failed checkpoints in a row fail the job. Flink: CheckpointFailureManager"""
    return failures_in_a_row > settings.tolerable_failures
