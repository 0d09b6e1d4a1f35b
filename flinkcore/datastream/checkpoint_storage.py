# SPDX-License-Identifier: Apache-2.0
"""Checkpoint storages as settings (PyFlink: pyflink.datastream.checkpoint_storage).

Where checkpoints go is the option execution.checkpointing.dir. A CheckpointStorage object given to
CheckpointConfig.set_checkpoint_storage (PyFlink until 1.20) sets that option.
"""

from __future__ import annotations

import re
from typing import Any

from flinkcore import options
from flinkcore.common.utils import no_java_object
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError

__all__ = [
    "CheckpointStorage",
    "CustomCheckpointStorage",
    "FileSystemCheckpointStorage",
    "JobManagerCheckpointStorage",
]


class CheckpointStorage:
    """Where checkpoints go."""

    #: The value of execution.checkpointing.storage.
    kind: str

    def __init__(self, j_checkpoint_storage: Any = None) -> None:
        if j_checkpoint_storage is not None:
            no_java_object(type(self).__name__, "leave its j_ argument out")

    def add_to(self, configuration: Configuration) -> None:
        """Sets the options that stand for this storage. Beyond PyFlink."""
        configuration.set(options.CHECKPOINT_STORAGE, self.kind)


class JobManagerCheckpointStorage(CheckpointStorage):
    """Checkpoints in the memory of this process, or in files when a path is given.

    max_state_size : bytes; kept, and without effect, because no message has to carry the state
    """

    kind = "jobmanager"
    #: 5 MiB, the most that Flink's messages are meant to carry.
    DEFAULT_MAX_STATE_SIZE = 5 * 1024 * 1024

    def __init__(
        self,
        checkpoint_path: str | None = None,
        max_state_size: int | None = None,
        j_jobmanager_checkpoint_storage: Any = None,
    ) -> None:
        super().__init__(j_jobmanager_checkpoint_storage)
        self._path = None if checkpoint_path is None else _path_text(checkpoint_path)
        self._max_state_size = self.DEFAULT_MAX_STATE_SIZE if max_state_size is None else max_state_size
        if self._max_state_size <= 0:
            raise ConfigurationError(f"maxStateSize must be > 0, got {self._max_state_size}")

    def get_checkpoint_path(self) -> str | None:
        return self._path

    def get_max_state_size(self) -> int:
        return self._max_state_size

    def get_savepoint_path(self) -> str | None:
        """None: the folder of savepoints is an option, execution.checkpointing.savepoint-dir."""
        return None

    def add_to(self, configuration: Configuration) -> None:
        super().add_to(configuration)
        configuration.set(options.CHECKPOINT_DIR, self._path or "memory:")

    def __str__(self) -> str:
        return f"JobManagerCheckpointStorage(checkpoints to JobManager, maxStateSize: {self._max_state_size})"


class FileSystemCheckpointStorage(CheckpointStorage):
    """Checkpoints in files.

    checkpoint_path : a folder, as execution.checkpointing.dir takes it
    file_state_size_threshold : bytes; a snapshot up to this size lies in the manifest. None or -1: as configured
    write_buffer_size : bytes; kept, and without effect. -1: as configured
    """

    kind = "filesystem"
    #: The most that file_state_size_threshold can be.
    MAX_FILE_STATE_THRESHOLD = 1024 * 1024

    def __init__(
        self,
        checkpoint_path: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int = -1,
        j_filesystem_checkpoint_storage: Any = None,
    ) -> None:
        super().__init__(j_filesystem_checkpoint_storage)
        if checkpoint_path is None:
            raise ConfigurationError("checkpoint_path must not be None; give the folder of the checkpoints")
        self._path = _path_text(checkpoint_path)
        self._threshold = -1 if file_state_size_threshold is None else file_state_size_threshold
        if not -1 <= self._threshold <= self.MAX_FILE_STATE_THRESHOLD:
            raise ConfigurationError(
                f"The threshold for file state size must be in [-1, {self.MAX_FILE_STATE_THRESHOLD}], where '-1' "
                f"means to use the value from the deployment's configuration, got {self._threshold}"
            )
        if write_buffer_size < -1:
            raise ConfigurationError(
                "The write buffer size must be not less than '-1', where '-1' means to use the value from the "
                f"deployment's configuration, got {write_buffer_size}"
            )
        self._write_buffer_size = write_buffer_size

    def get_checkpoint_path(self) -> str:
        return self._path

    def get_savepoint_path(self) -> str | None:
        """None: the folder of savepoints is an option, execution.checkpointing.savepoint-dir."""
        return None

    def get_min_file_size_threshold(self) -> int:
        return self._threshold if self._threshold >= 0 else Configuration().get(options.DATA_INLINE_THRESHOLD)

    def get_write_buffer_size(self) -> int:
        """Bytes; Flink's default is 4096, or the threshold when that is more."""
        if self._write_buffer_size >= 0:
            return self._write_buffer_size
        return max(4096, self.get_min_file_size_threshold())

    def add_to(self, configuration: Configuration) -> None:
        super().add_to(configuration)
        configuration.set(options.CHECKPOINT_DIR, self._path)
        if self._threshold >= 0:
            configuration.set(options.DATA_INLINE_THRESHOLD, self._threshold)

    def __str__(self) -> str:
        return (
            f"FileSystemCheckpointStorage(checkpoints: {self._path}, savepoints: null, "
            f"fileStateSizeThreshold: {self._threshold})"
        )


class CustomCheckpointStorage(CheckpointStorage):
    """PyFlink's handle of a storage written in Java. UnsupportedOperationError when one is made."""

    def __init__(self, j_custom_checkpoint_storage: Any) -> None:
        no_java_object("CustomCheckpointStorage", "use FileSystemCheckpointStorage")


def _path_text(path: str) -> str:
    """Without the slash at its end, as Flink's Path prints it."""
    return path if re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*:)?/*", path) else path.rstrip("/")
