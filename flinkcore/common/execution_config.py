# SPDX-License-Identifier: Apache-2.0
"""ExecutionConfig: settings of a program, kept in its configuration under Flink's keys."""

from __future__ import annotations

from typing import Any

from flinkcore import options
from flinkcore.config import ConfigOption, Configuration

__all__ = ["ExecutionConfig"]

_CLOSURE_CLEANER = ConfigOption("pipeline.closure-cleaner-level", "string", "RECURSIVE")


class ExecutionConfig:
    """A view of a program's configuration: what is set here is seen there, and the other way round.

    Settings of Java's serializers (Kryo, Avro, registered types) have no meaning here and are left out. The
    closure cleaner, object reuse and latency tracking keep their settings and change nothing.
    """

    #: The default parallelism.
    PARALLELISM_DEFAULT = -1
    #: No parallelism was set; it stays as it is.
    PARALLELISM_UNKNOWN = -2

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = Configuration() if configuration is None else configuration

    def _set(self, option: ConfigOption[Any], value: Any) -> ExecutionConfig:
        self._configuration.set(option, value)
        return self

    # -- parallelism -----------------------------------------------------------------------------------------

    def get_parallelism(self) -> int:
        """Subtasks of an operator that has none of its own; PARALLELISM_DEFAULT when not set."""
        return self._configuration.get(options.PARALLELISM, self.PARALLELISM_DEFAULT)

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        if parallelism == self.PARALLELISM_UNKNOWN:
            return self
        if parallelism == self.PARALLELISM_DEFAULT:
            self._configuration.remove_config(options.PARALLELISM.key)
            return self
        if parallelism < 1:
            raise ValueError(f"Parallelism must be at least one, or PARALLELISM_DEFAULT, not {parallelism}")
        return self._set(options.PARALLELISM, parallelism)

    def get_max_parallelism(self) -> int:
        """How many key groups keyed state has; -1 when not set."""
        return self._configuration.get(options.MAX_PARALLELISM)

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        if not 0 < max_parallelism <= 32768:
            raise ValueError(f"The maximum parallelism must be from 1 to 32768, not {max_parallelism}")
        return self._set(options.MAX_PARALLELISM, max_parallelism)

    # -- watermarks, latency, cancellation -------------------------------------------------------------------

    def get_auto_watermark_interval(self) -> int:
        """Milliseconds between periodic watermarks; 0: none are emitted before the end of the input."""
        return self._configuration.get(options.AUTO_WATERMARK_INTERVAL)

    def set_auto_watermark_interval(self, interval: int) -> ExecutionConfig:
        if interval < 0:
            raise ValueError(f"Auto watermark interval must not be negative, and is {interval}")
        return self._set(options.AUTO_WATERMARK_INTERVAL, interval)

    def get_latency_tracking_interval(self) -> int:
        return self._configuration.get(options.LATENCY_INTERVAL)

    def set_latency_tracking_interval(self, interval: int) -> ExecutionConfig:
        return self._set(options.LATENCY_INTERVAL, interval)

    def get_task_cancellation_interval(self) -> int:
        return self._configuration.get(options.TASK_CANCELLATION_INTERVAL)

    def set_task_cancellation_interval(self, interval: int) -> ExecutionConfig:
        return self._set(options.TASK_CANCELLATION_INTERVAL, interval)

    def get_task_cancellation_timeout(self) -> int:
        return self._configuration.get(options.TASK_CANCELLATION_TIMEOUT)

    def set_task_cancellation_timeout(self, timeout: int) -> ExecutionConfig:
        """Milliseconds that a task has to stop after it was cancelled; 0: as long as it takes."""
        if timeout < 0:
            raise ValueError(f"Timeout needs to be >= 0, and is {timeout}")
        return self._set(options.TASK_CANCELLATION_TIMEOUT, timeout)

    # -- switches --------------------------------------------------------------------------------------------

    def enable_closure_cleaner(self) -> ExecutionConfig:
        return self._set(_CLOSURE_CLEANER, "RECURSIVE")

    def disable_closure_cleaner(self) -> ExecutionConfig:
        return self._set(_CLOSURE_CLEANER, "NONE")

    def is_closure_cleaner_enabled(self) -> bool:
        return self._configuration.get(_CLOSURE_CLEANER) != "NONE"

    def enable_object_reuse(self) -> ExecutionConfig:
        return self._set(options.OBJECT_REUSE, True)

    def disable_object_reuse(self) -> ExecutionConfig:
        return self._set(options.OBJECT_REUSE, False)

    def is_object_reuse_enabled(self) -> bool:
        return self._configuration.get(options.OBJECT_REUSE)

    def enable_auto_generated_uids(self) -> ExecutionConfig:
        return self._set(options.AUTO_GENERATE_UIDS, True)

    def disable_auto_generated_uids(self) -> ExecutionConfig:
        """Operators without a uid are an error."""
        return self._set(options.AUTO_GENERATE_UIDS, False)

    def has_auto_generated_uids_enabled(self) -> bool:
        return self._configuration.get(options.AUTO_GENERATE_UIDS)

    def is_use_snapshot_compression(self) -> bool:
        return self._configuration.get(options.SNAPSHOT_COMPRESSION)

    def set_use_snapshot_compression(self, use_snapshot_compression: bool) -> ExecutionConfig:
        return self._set(options.SNAPSHOT_COMPRESSION, use_snapshot_compression)

    # -- parameters ------------------------------------------------------------------------------------------

    def get_global_job_parameters(self) -> dict[str, str]:
        """Parameters of the job that every function can read."""
        return self._configuration.get(options.GLOBAL_JOB_PARAMETERS) or {}

    def set_global_job_parameters(self, global_job_parameters_dict: dict[str, Any]) -> ExecutionConfig:
        parameters = {str(key): str(value) for key, value in global_job_parameters_dict.items()}
        return self._set(options.GLOBAL_JOB_PARAMETERS, parameters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionConfig) and self._configuration == other._configuration

    def __hash__(self) -> int:
        return hash(self._configuration)

    def __repr__(self) -> str:
        return f"ExecutionConfig({self._configuration})"
