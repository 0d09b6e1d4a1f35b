# SPDX-License-Identifier: Apache-2.0
"""ExecutionConfig: settings of a program, kept in its configuration under Flink's keys."""

from __future__ import annotations

from typing import Any

from flinkcore import options
from flinkcore.common.restart_strategy import RestartStrategyConfiguration, restart_strategy_of
from flinkcore.config import ConfigOption, Configuration
from flinkcore.errors import ConfigurationError

__all__ = ["ExecutionConfig"]

_CLOSURE_CLEANER = ConfigOption("pipeline.closure-cleaner-level", "string", "RECURSIVE")
_FORCE_KRYO = ConfigOption("pipeline.force-kryo", "boolean", False)
_FORCE_AVRO = ConfigOption("pipeline.force-avro", "boolean", False)
_GENERIC_TYPES = ConfigOption("pipeline.generic-types", "boolean", True)


class ExecutionConfig:
    """A view of a program's configuration: what is set here is seen there, and the other way round.

    Settings of Java's serializers (Kryo, Avro, generic types), the closure cleaner, object reuse and latency
    tracking keep their values and change nothing: records are columns. Types cannot be registered with Kryo.
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

    def enable_force_kryo(self) -> ExecutionConfig:
        return self._set(_FORCE_KRYO, True)

    def disable_force_kryo(self) -> ExecutionConfig:
        return self._set(_FORCE_KRYO, False)

    def is_force_kryo_enabled(self) -> bool:
        return self._configuration.get(_FORCE_KRYO)

    def enable_force_avro(self) -> ExecutionConfig:
        return self._set(_FORCE_AVRO, True)

    def disable_force_avro(self) -> ExecutionConfig:
        return self._set(_FORCE_AVRO, False)

    def is_force_avro_enabled(self) -> bool:
        return self._configuration.get(_FORCE_AVRO)

    def enable_generic_types(self) -> ExecutionConfig:
        return self._set(_GENERIC_TYPES, True)

    def disable_generic_types(self) -> ExecutionConfig:
        return self._set(_GENERIC_TYPES, False)

    def has_generic_types_disabled(self) -> bool:
        return not self._configuration.get(_GENERIC_TYPES)

    def get_default_kryo_serializer_classes(self) -> dict[str, str]:
        """Empty: there is no Kryo to register serializers with."""
        return {}

    def get_registered_kryo_types(self) -> list[str]:
        """Empty: there is no Kryo to register types with."""
        return []

    def get_registered_pojo_types(self) -> list[str]:
        """Empty: classes of Java cannot be registered."""
        return []

    # -- restarts (PyFlink until 1.20; now options restart-strategy.*) -----------------------------------------

    def set_restart_strategy(self, restart_strategy_configuration: RestartStrategyConfiguration) -> ExecutionConfig:
        """What happens after a failure, e.g. RestartStrategies.fixed_delay_restart(3, 10000)."""
        if not isinstance(restart_strategy_configuration, RestartStrategyConfiguration):
            raise ConfigurationError(
                "set_restart_strategy takes one of RestartStrategies, e.g. "
                f"RestartStrategies.fixed_delay_restart(3, 10000), got {restart_strategy_configuration!r}"
            )
        restart_strategy_configuration.add_to(self._configuration)
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        return restart_strategy_of(self._configuration)

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
