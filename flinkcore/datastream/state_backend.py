# SPDX-License-Identifier: Apache-2.0
"""State backends as settings (PyFlink: pyflink.datastream.state_backend).

flinkcore has one state backend: tables of columns in memory, of which the pages that are not in use go to files when
taskmanager.memory.managed.size is exceeded. A StateBackend object given to StreamExecutionEnvironment.set_state_backend
(PyFlink until 1.20) sets the options that have a meaning for it; the other settings are kept for their getters.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, NoReturn

from flinkcore import options
from flinkcore.common.utils import no_java_object
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError

__all__ = [
    "CustomStateBackend",
    "EmbeddedRocksDBStateBackend",
    "FsStateBackend",
    "HashMapStateBackend",
    "MemoryStateBackend",
    "PredefinedOptions",
    "RocksDBStateBackend",
    "StateBackend",
]


class StateBackend:
    """How state is kept while a job runs."""

    #: The value of state.backend.type.
    kind = "hashmap"

    def __init__(self, j_state_backend: Any = None) -> None:
        if j_state_backend is not None:
            no_java_object(type(self).__name__, "leave its j_ argument out")

    def add_to(self, configuration: Configuration) -> None:
        """Sets the options that stand for this backend. Beyond PyFlink."""
        configuration.set(options.STATE_BACKEND, self.kind)


class HashMapStateBackend(StateBackend):
    """State in memory: what flinkcore does without a limit of managed memory."""

    def __init__(self, j_hashmap_state_backend: Any = None) -> None:
        super().__init__(j_hashmap_state_backend)

    def __str__(self) -> str:
        return "HashMapStateBackend"


class PredefinedOptions(Enum):
    """Settings of RocksDB for kinds of disks; kept, and without effect."""

    DEFAULT = 0
    SPINNING_DISK_OPTIMIZED = 1
    SPINNING_DISK_OPTIMIZED_HIGH_MEM = 2
    FLASH_SSD_OPTIMIZED = 3


class EmbeddedRocksDBStateBackend(StateBackend):
    """State larger than memory, in files of this machine.

    With managed memory limited (taskmanager.memory.managed.size), flinkcore's own backend does that. Incremental
    checkpoints (execution.checkpointing.incremental) and the storage paths (io.tmp.dirs) hold for it; predefined
    options, the options factory (a class of Java) and the number of threads are kept and have no effect.
    """

    kind = "rocksdb"

    def __init__(
        self,
        enable_incremental_checkpointing: bool | None = None,
        j_embedded_rocks_db_state_backend: Any = None,
    ) -> None:
        super().__init__(j_embedded_rocks_db_state_backend)
        self._incremental = bool(enable_incremental_checkpointing)
        self._incremental_set = enable_incremental_checkpointing is not None
        self._paths: list[str] | None = None
        self._predefined = PredefinedOptions.DEFAULT
        self._options: str | None = None
        self._threads = 4

    def add_to(self, configuration: Configuration) -> None:
        super().add_to(configuration)
        if self._incremental_set:
            configuration.set(options.CHECKPOINT_INCREMENTAL, self._incremental)
        if self._paths is not None:
            configuration.set(options.TMP_DIRS, ",".join(self._paths))

    def is_incremental_checkpoints_enabled(self) -> bool:
        return self._incremental

    def set_db_storage_paths(self, *paths: str) -> None:
        """Folders of this machine, as paths or file: URIs; none: those of the configuration."""
        self._paths = [_local_path(path) for path in paths] or None

    def get_db_storage_paths(self) -> list[str] | None:
        return None if self._paths is None else list(self._paths)

    def set_predefined_options(self, options: PredefinedOptions) -> None:
        if not isinstance(options, PredefinedOptions):
            raise ConfigurationError(f"set_predefined_options takes one of PredefinedOptions, got {options!r}")
        self._predefined = options

    def get_predefined_options(self) -> PredefinedOptions:
        return self._predefined

    def set_options(self, options_factory_class_name: str) -> None:
        self._options = options_factory_class_name

    def get_options(self) -> str | None:
        return self._options

    def get_number_of_transfer_threads(self) -> int:
        return self._threads

    def set_number_of_transfer_threads(self, number_of_transfering_threads: int) -> None:
        if number_of_transfering_threads < 1:
            raise ConfigurationError(
                f"The number of threads used to transfer files should be greater than zero, got "
                f"{number_of_transfering_threads}"
            )
        self._threads = number_of_transfering_threads

    def __str__(self) -> str:
        return (
            f"EmbeddedRocksDBStateBackend(localRocksDbDirectories={self._paths}, "
            f"enableIncrementalCheckpointing={self._incremental}, numberOfTransferThreads={self._threads})"
        )


class MemoryStateBackend(HashMapStateBackend):
    """PyFlink until 1.20: state and checkpoints in memory."""

    def __init__(
        self,
        checkpoint_path: str | None = None,
        savepoint_path: str | None = None,
        max_state_size: int | None = None,
        using_asynchronous_snapshots: bool | None = None,
    ) -> None:
        super().__init__()
        self._checkpoint_path = checkpoint_path
        self._savepoint_path = savepoint_path

    def add_to(self, configuration: Configuration) -> None:
        super().add_to(configuration)
        if self._checkpoint_path is not None:
            configuration.set(options.CHECKPOINT_DIR, self._checkpoint_path)
        if self._savepoint_path is not None:
            configuration.set(options.SAVEPOINT_DIR, self._savepoint_path)

    def __str__(self) -> str:
        return "MemoryStateBackend"


class FsStateBackend(HashMapStateBackend):
    """PyFlink until 1.20: state in memory, checkpoints in files."""

    def __init__(
        self,
        checkpoint_directory_uri: str,
        default_savepoint_directory_uri: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int | None = None,
        using_asynchronous_snapshots: bool | None = None,
    ) -> None:
        super().__init__()
        self._checkpoint_path = checkpoint_directory_uri
        self._savepoint_path = default_savepoint_directory_uri
        self._threshold = file_state_size_threshold

    def get_checkpoint_path(self) -> str:
        return self._checkpoint_path

    def add_to(self, configuration: Configuration) -> None:
        super().add_to(configuration)
        configuration.set(options.CHECKPOINT_DIR, self._checkpoint_path)
        if self._savepoint_path is not None:
            configuration.set(options.SAVEPOINT_DIR, self._savepoint_path)
        if self._threshold is not None and self._threshold >= 0:
            configuration.set(options.DATA_INLINE_THRESHOLD, self._threshold)

    def __str__(self) -> str:
        return f"FsStateBackend({self._checkpoint_path})"


class RocksDBStateBackend(EmbeddedRocksDBStateBackend):
    """PyFlink until 1.20: state larger than memory, checkpoints in files.

    checkpoint_stream_backend : a FsStateBackend, in place of checkpoint_data_uri
    """

    def __init__(
        self,
        checkpoint_data_uri: str | None = None,
        enable_incremental_checkpointing: bool | None = None,
        checkpoint_stream_backend: StateBackend | None = None,
    ) -> None:
        super().__init__(enable_incremental_checkpointing)
        if checkpoint_stream_backend is None:
            if checkpoint_data_uri is None:
                raise ConfigurationError(
                    "The parameter 'checkpoint_data_uri' is required when the parameter "
                    "'checkpoint_stream_backend' is not set; give the folder of the checkpoints"
                )
            checkpoint_stream_backend = FsStateBackend(checkpoint_data_uri)
        self._checkpoints = checkpoint_stream_backend

    def get_checkpoint_backend(self) -> StateBackend:
        return self._checkpoints

    def add_to(self, configuration: Configuration) -> None:
        self._checkpoints.add_to(configuration)
        super().add_to(configuration)

    def __str__(self) -> str:
        return f"RocksDBStateBackend({self._checkpoints})"


class CustomStateBackend(StateBackend):
    """PyFlink's handle of a state backend written in Java. UnsupportedOperationError when one is made."""

    def __init__(self, j_custom_state_backend: Any) -> None:
        no_java_object("CustomStateBackend", "use HashMapStateBackend or EmbeddedRocksDBStateBackend")


def state_backend_of(configuration: Configuration) -> StateBackend:
    """The backend that a configuration names."""
    if configuration.get(options.STATE_BACKEND) == "rocksdb":
        backend = EmbeddedRocksDBStateBackend(configuration.get(options.CHECKPOINT_INCREMENTAL))
        folders = configuration.get(options.TMP_DIRS)
        if folders:
            backend.set_db_storage_paths(*folders.split(","))
        return backend
    return HashMapStateBackend()


def _local_path(text: str) -> str:
    """The path of a local folder, from a path or a file: URI, as Flink's Path.getPath reads it."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(//[^/]*)?", text)
    if scheme is not None and scheme[1] != "file":
        raise ConfigurationError(
            f"Path {text} has a non-local scheme {scheme[1]}; state that is in use lies in folders of this machine"
        )
    path = text if scheme is None else text[scheme.end() :]
    return path.rstrip("/") or "/"


def _from_j_state_backend(j_state_backend: Any) -> NoReturn:
    """Where PyFlink turns a backend of Java into one of these. UnsupportedOperationError."""
    no_java_object("_from_j_state_backend", "use HashMapStateBackend or EmbeddedRocksDBStateBackend")
