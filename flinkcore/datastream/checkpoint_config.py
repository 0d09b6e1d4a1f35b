# SPDX-License-Identifier: Apache-2.0
"""CheckpointConfig: PyFlink's methods over the options of an environment."""

from __future__ import annotations

from enum import Enum
from typing import Any

from flinkcore import options
from flinkcore.common.time import Duration
from flinkcore.config import Configuration
from flinkcore.datastream.checkpoint_storage import (
    CheckpointStorage,
    FileSystemCheckpointStorage,
    JobManagerCheckpointStorage,
)
from flinkcore.datastream.checkpointing_mode import CheckpointingMode
from flinkcore.datastream.externalized_checkpoint_retention import ExternalizedCheckpointRetention
from flinkcore.errors import ConfigurationError

#: The name of ExternalizedCheckpointRetention until Flink 1.20.
ExternalizedCheckpointCleanup = ExternalizedCheckpointRetention

#: Flink: CheckpointFailureManager.UNLIMITED_TOLERABLE_FAILURE_NUMBER
UNLIMITED = 2**31 - 1


class CheckpointConfig:
    """Settings of checkpoints, under Flink's keys (execution.checkpointing.*). Setters return self."""

    # PyFlink until 1.20.
    DEFAULT_MODE = CheckpointingMode.EXACTLY_ONCE
    DEFAULT_TIMEOUT = options.CHECKPOINT_TIMEOUT.default
    DEFAULT_MIN_PAUSE_BETWEEN_CHECKPOINTS = options.CHECKPOINT_MIN_PAUSE.default
    DEFAULT_MAX_CONCURRENT_CHECKPOINTS = options.CHECKPOINT_MAX_CONCURRENT.default

    def __init__(self, configuration: Configuration) -> None:
        self._config = configuration

    def is_checkpointing_enabled(self) -> bool:
        return self._config.get(options.CHECKPOINT_INTERVAL) is not None

    def get_checkpoint_interval(self) -> int:
        """Milliseconds between checkpoints; -1 when they are off."""
        interval = self._config.get(options.CHECKPOINT_INTERVAL)
        return -1 if interval is None else interval

    def set_checkpoint_interval(self, checkpoint_interval: int) -> CheckpointConfig:
        return self._set(options.CHECKPOINT_INTERVAL, checkpoint_interval, 10)

    def get_checkpointing_mode(self) -> CheckpointingMode:
        return CheckpointingMode[self._config.get(options.CHECKPOINT_MODE)]

    def set_checkpointing_mode(self, checkpointing_mode: CheckpointingMode) -> CheckpointConfig:
        _require(CheckpointingMode.EXACTLY_ONCE, "set_checkpointing_mode", checkpointing_mode)
        self._config.set(options.CHECKPOINT_MODE, checkpointing_mode.name)
        return self

    get_checkpointing_consistency_mode = get_checkpointing_mode
    set_checkpointing_consistency_mode = set_checkpointing_mode

    def get_checkpoint_timeout(self) -> int:
        return self._config.get(options.CHECKPOINT_TIMEOUT)

    def set_checkpoint_timeout(self, checkpoint_timeout: int) -> CheckpointConfig:
        return self._set(options.CHECKPOINT_TIMEOUT, checkpoint_timeout, 10)

    def get_min_pause_between_checkpoints(self) -> int:
        return self._config.get(options.CHECKPOINT_MIN_PAUSE)

    def set_min_pause_between_checkpoints(self, min_pause_between_checkpoints: int) -> CheckpointConfig:
        return self._set(options.CHECKPOINT_MIN_PAUSE, min_pause_between_checkpoints, 0)

    def get_max_concurrent_checkpoints(self) -> int:
        return self._config.get(options.CHECKPOINT_MAX_CONCURRENT)

    def set_max_concurrent_checkpoints(self, max_concurrent_checkpoints: int) -> CheckpointConfig:
        return self._set(options.CHECKPOINT_MAX_CONCURRENT, max_concurrent_checkpoints, 1)

    def get_tolerable_checkpoint_failure_number(self) -> int:
        return self._config.get(options.CHECKPOINT_TOLERABLE_FAILURES)

    def set_tolerable_checkpoint_failure_number(
        self, tolerable_checkpoint_failure_number: int
    ) -> CheckpointConfig:
        return self._set(options.CHECKPOINT_TOLERABLE_FAILURES, tolerable_checkpoint_failure_number, 0)

    def get_externalized_checkpoint_retention(self) -> ExternalizedCheckpointRetention:
        return ExternalizedCheckpointRetention[self._config.get(options.CHECKPOINT_RETENTION)]

    def set_externalized_checkpoint_retention(
        self, retention_mode: ExternalizedCheckpointRetention
    ) -> CheckpointConfig:
        retain = ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION
        _require(retain, "set_externalized_checkpoint_retention", retention_mode)
        self._config.set(options.CHECKPOINT_RETENTION, retention_mode.name)
        return self

    def enable_externalized_checkpoints(
        self, cleanup_mode: ExternalizedCheckpointRetention
    ) -> CheckpointConfig:
        """The name until Flink 1.20 of set_externalized_checkpoint_retention."""
        return self.set_externalized_checkpoint_retention(cleanup_mode)

    # The names of PyFlink 1.15 to 1.20.
    set_externalized_checkpoint_cleanup = enable_externalized_checkpoints
    get_externalized_checkpoint_cleanup = get_externalized_checkpoint_retention

    def is_externalized_checkpoints_enabled(self) -> bool:
        return (
            self.get_externalized_checkpoint_retention()
            is not ExternalizedCheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS
        )

    def is_unaligned_checkpoints_enabled(self) -> bool:
        return self._config.get(options.CHECKPOINT_UNALIGNED)

    def enable_unaligned_checkpoints(self, enabled: bool = True) -> CheckpointConfig:
        self._config.set(options.CHECKPOINT_UNALIGNED, enabled)
        return self

    def disable_unaligned_checkpoints(self) -> CheckpointConfig:
        return self.enable_unaligned_checkpoints(False)

    def is_force_unaligned_checkpoints(self) -> bool:
        return self._config.get(options.CHECKPOINT_UNALIGNED_FORCED)

    def set_force_unaligned_checkpoints(self, force_unaligned_checkpoints: bool = True) -> CheckpointConfig:
        """Kept, and without effect, as enable_unaligned_checkpoints: checkpoints are aligned."""
        self._config.set(options.CHECKPOINT_UNALIGNED_FORCED, force_unaligned_checkpoints)
        return self

    def get_aligned_checkpoint_timeout(self) -> Duration:
        return Duration.of_millis(self._config.get(options.CHECKPOINT_ALIGNED_TIMEOUT))

    def set_aligned_checkpoint_timeout(self, alignment_timeout: Duration) -> CheckpointConfig:
        """Kept, and without effect: an aligned checkpoint does not become an unaligned one."""
        if not isinstance(alignment_timeout, Duration):
            raise ConfigurationError(
                f"the timeout is a Duration, e.g. Duration.of_seconds(30), got {alignment_timeout!r}"
            )
        self._config.set(options.CHECKPOINT_ALIGNED_TIMEOUT, alignment_timeout.to_millis())
        return self

    get_alignment_timeout = get_aligned_checkpoint_timeout
    set_alignment_timeout = set_aligned_checkpoint_timeout

    def is_fail_on_checkpointing_errors(self) -> bool:
        """Whether one failed checkpoint fails the job."""
        return self.get_tolerable_checkpoint_failure_number() == 0

    def set_fail_on_checkpointing_errors(self, fail_on_checkpointing_errors: bool) -> CheckpointConfig:
        """Tolerates no failed checkpoint, or any number of them."""
        return self.set_tolerable_checkpoint_failure_number(0 if fail_on_checkpointing_errors else UNLIMITED)

    def set_checkpoint_storage(self, storage: CheckpointStorage) -> CheckpointConfig:
        """Where checkpoints go (PyFlink until 1.20; now the option execution.checkpointing.dir)."""
        if not isinstance(storage, CheckpointStorage):
            raise ConfigurationError(
                "set_checkpoint_storage takes a CheckpointStorage, e.g. "
                f"FileSystemCheckpointStorage('file:///folder'), got {storage!r}"
            )
        storage.add_to(self._config)
        return self

    def get_checkpoint_storage(self) -> CheckpointStorage | None:
        """The storage that the options stand for; None when they name no folder."""
        folder = self._config.get(options.CHECKPOINT_DIR)
        if folder is None:
            return None
        return JobManagerCheckpointStorage() if folder == "memory:" else FileSystemCheckpointStorage(folder)

    def set_checkpoint_storage_dir(self, checkpoint_path: str) -> CheckpointConfig:
        """Where checkpoints go (PyFlink until 1.20; now the option execution.checkpointing.dir)."""
        self._config.set(options.CHECKPOINT_DIR, checkpoint_path)
        return self

    def _set(self, option: options.ConfigOption[int], value: int, least: int) -> CheckpointConfig:
        if not isinstance(value, int) or value < least:
            raise ConfigurationError(
                f"{option.key} must be a whole number of at least {least}, got {value!r}"
            )
        self._config.set(option, value)
        return self


def _require(example: Enum, method: str, value: Any) -> None:
    """ConfigurationError unless `value` is one of the enum that `example` is of."""
    if not isinstance(value, type(example)):
        raise ConfigurationError(
            f"{method} takes a {type(example).__name__}, e.g. {example}, got {type(value).__name__} {value!r}"
        )
