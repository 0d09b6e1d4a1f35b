# SPDX-License-Identifier: Apache-2.0
"""StreamExecutionEnvironment: where a program makes its streams and runs them."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from flinkcore import options
from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.common.configuration import Configuration
from flinkcore.common.execution_config import ExecutionConfig
from flinkcore.common.job_client import JobClient
from flinkcore.common.job_execution_result import JobExecutionResult
from flinkcore.common.restart_strategy import RestartStrategyConfiguration
from flinkcore.common.watermark_strategy import WatermarkStrategy
from flinkcore.config import ConfigOption
from flinkcore.connectors.arrow import ArrowSource
from flinkcore.connectors.base import Source
from flinkcore.connectors.collection import CollectionSource
from flinkcore.connectors.sequence import NumberSequenceSource
from flinkcore.datastream.arguments import require_parallelism, require_strategy, require_text
from flinkcore.datastream.cached_data_stream import CachedDataStream
from flinkcore.datastream.checkpoint_config import CheckpointConfig
from flinkcore.datastream.checkpointing_mode import CheckpointingMode
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.execution_mode import RuntimeExecutionMode
from flinkcore.datastream.slot_sharing_group import SlotSharingGroup
from flinkcore.datastream.state_backend import StateBackend, state_backend_of
from flinkcore.datastream.time_characteristic import TimeCharacteristic
from flinkcore.errors import ConfigurationError, FlinkcoreWarning
from flinkcore.graph.job_graph import JobGraph, build
from flinkcore.graph.transformation import Edge, Transformation
from flinkcore.operators.timestamps import AssignTimestamps
from flinkcore.runtime.job import JobRun
from flinkcore.runtime.launch import launch

DEFAULT_JOB_NAME = "Flink Streaming Job"

#: Options that every environment of this process starts with; the command line sets them.
defaults = Configuration()


class StreamExecutionEnvironment:
    """The context of a streaming program (PyFlink: the class of the same name).

    Jobs run in threads of this process. Each execute() runs everything built since the last one.
    """

    #: Environments made by this process; the command line tells a program that executes nothing from one that
    #: is about something else.
    made: ClassVar[int] = 0
    _default_local_parallelism: ClassVar[int | None] = None

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._config = Configuration()
        self._config.add_all(defaults)
        if configuration is not None:
            self._config.add_all(configuration)
        self._ids = itertools.count(1)
        self._transformations: list[Transformation] = []
        self._caches: list[CachedDataStream] = []
        self._time_characteristic = TimeCharacteristic.EventTime
        StreamExecutionEnvironment.made += 1

    @staticmethod
    def get_execution_environment(configuration: Configuration | None = None) -> StreamExecutionEnvironment:
        """A new environment; jobs run in this process."""
        return StreamExecutionEnvironment(configuration)

    @property
    def _j_stream_execution_environment(self) -> StreamExecutionEnvironment:
        # Programs give it to get_j_env_configuration, to reach the options.
        return self

    # -- settings -----------------------------------------------------------------------------------------

    def get_config(self) -> ExecutionConfig:
        return ExecutionConfig(self._config)

    def configure(self, configuration: Configuration) -> None:
        """Sets options on top of those already set."""
        self._config.add_all(configuration)

    def get_configuration(self) -> Configuration:
        """The options of this environment, live. Beyond PyFlink."""
        return self._config

    def set_parallelism(self, parallelism: int) -> StreamExecutionEnvironment:
        """Subtasks of every operator that has none of its own; by default the number of processors."""
        require_parallelism("parallelism", parallelism)
        self._config.set(options.PARALLELISM, parallelism)
        return self

    def get_parallelism(self) -> int:
        parallelism = self._config.get(options.PARALLELISM)
        return parallelism if parallelism is not None else self.get_default_local_parallelism()

    def get_default_local_parallelism(self) -> int:
        """The parallelism of environments that have none of their own: the number of processors, unless set."""
        return StreamExecutionEnvironment._default_local_parallelism or _processors()

    def set_default_local_parallelism(self, parallelism: int) -> None:
        """Sets it for all environments of this process, as in Flink."""
        require_parallelism("default local parallelism", parallelism)
        StreamExecutionEnvironment._default_local_parallelism = parallelism

    def set_max_parallelism(self, max_parallelism: int) -> StreamExecutionEnvironment:
        """Key groups of keyed operators: the most subtasks that they can ever be scaled to, 1 to 32768."""
        require_parallelism("max parallelism", max_parallelism)
        self._config.set(options.MAX_PARALLELISM, max_parallelism)
        return self

    def get_max_parallelism(self) -> int:
        return self._config.get(options.MAX_PARALLELISM)

    def set_runtime_mode(self, execution_mode: RuntimeExecutionMode) -> StreamExecutionEnvironment:
        """STREAMING emits updates as they happen, BATCH only final results of a bounded input. AUTOMATIC is BATCH for
        jobs all of whose sources are bounded."""
        self._config.set(options.RUNTIME_MODE, execution_mode.name)
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> StreamExecutionEnvironment:
        """The longest that a record waits in a batch that is not full; -1 waits for full batches."""
        if timeout_millis < -1:
            raise ConfigurationError(
                f"the buffer timeout must be -1 or more milliseconds, got {timeout_millis}"
            )
        self._config.set(options.BUFFER_TIMEOUT_ENABLED, timeout_millis >= 0)
        if timeout_millis >= 0:
            self._config.set(options.BUFFER_TIMEOUT, timeout_millis)
        return self

    def get_buffer_timeout(self) -> int:
        return (
            self._config.get(options.BUFFER_TIMEOUT)
            if self._config.get(options.BUFFER_TIMEOUT_ENABLED)
            else -1
        )

    def disable_operator_chaining(self) -> StreamExecutionEnvironment:
        """Every operator gets tasks of its own."""
        self._config.set(options.OPERATOR_CHAINING, False)
        return self

    def is_chaining_enabled(self) -> bool:
        return self._config.get(options.OPERATOR_CHAINING)

    def is_chaining_of_operators_with_different_max_parallelism_enabled(self) -> bool:
        return self._config.get(options.CHAIN_DIFFERENT_MAX_PARALLELISM)

    def register_slot_sharing_group(self, slot_sharing_group: SlotSharingGroup) -> StreamExecutionEnvironment:
        """Accepted as in PyFlink; one process has no slots to share."""
        if not isinstance(slot_sharing_group, SlotSharingGroup):
            raise ConfigurationError(
                "register_slot_sharing_group takes a SlotSharingGroup, e.g. SlotSharingGroup.builder('name').build(), "
                f"got {slot_sharing_group!r}"
            )
        return self

    def set_stream_time_characteristic(self, characteristic: TimeCharacteristic) -> None:
        """PyFlink until 1.20. Event and ingestion time emit watermarks every 200 ms, processing time none."""
        if not isinstance(characteristic, TimeCharacteristic):
            raise ConfigurationError(
                f"set_stream_time_characteristic takes a TimeCharacteristic, e.g. EventTime, got {characteristic!r}"
            )
        self._time_characteristic = characteristic
        processing = characteristic is TimeCharacteristic.ProcessingTime
        self.get_config().set_auto_watermark_interval(0 if processing else 200)

    def get_stream_time_characteristic(self) -> TimeCharacteristic:
        return self._time_characteristic

    def set_restart_strategy(self, restart_strategy_configuration: RestartStrategyConfiguration) -> None:
        """What happens after a failure (PyFlink until 1.20; now options restart-strategy.*)."""
        self.get_config().set_restart_strategy(restart_strategy_configuration)

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        return self.get_config().get_restart_strategy()

    # -- what functions need ------------------------------------------------------------------------------

    def add_python_file(self, file_path: str) -> None:
        """A module, a package (.zip, .whl, .egg, .tar.gz) or a folder that functions can import while a job of this
        environment runs."""
        self._append(options.PYTHON_FILES, file_path)

    def set_python_requirements(
        self, requirements_file_path: str, requirements_cache_dir: str | None = None
    ) -> None:
        """Packages that functions can import while a job of this environment runs; pip installs them, for the job only.

        requirements_cache_dir : a folder that has the packages; without it they come from the package index
        """
        value = requirements_file_path + (f"#{requirements_cache_dir}" if requirements_cache_dir else "")
        self._config.set(options.PYTHON_REQUIREMENTS, value)

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """An archive (.zip, .tar, .tar.gz) whose contents are in the folder `target_dir` of the working directory while
        a job of this environment runs; by default in a folder named as the archive.

        A process has one working directory: meanwhile paths in the rest of the program are relative to it, too.
        """
        self._append(options.PYTHON_ARCHIVES, archive_path + (f"#{target_dir}" if target_dir else ""))

    def set_python_executable(self, python_exec: str) -> None:
        """The interpreter that functions are for. They run in the process of the program: a job does not start when
        this is another one."""
        self._config.set(options.PYTHON_EXECUTABLE, python_exec)

    def add_jars(self, *jars_path: str) -> None:
        """Kept as pipeline.jars, with a warning: there is no JVM to load them. What flinkcore has of a connector or
        format works without."""
        self._without_java("pipeline.jars", jars_path)

    def add_classpaths(self, *classpaths: str) -> None:
        """Kept as pipeline.classpaths, with a warning: there is no JVM to load them."""
        self._without_java("pipeline.classpaths", classpaths)

    def _without_java(self, key: str, paths: Sequence[str]) -> None:
        before = self._config.get_string(key, "")
        self._config.set_string(key, ";".join(filter(None, (before, *paths))))
        warnings.warn(
            f"{key}: {', '.join(paths)} are not loaded: flinkcore runs without a JVM, and has its own connectors and "
            "formats",
            FlinkcoreWarning,
            stacklevel=3,
        )

    def register_cached_file(self, file_path: str, name: str, executable: bool = False) -> None:
        """Kept as pipeline.cached-files. Functions run on this machine, where the file is; PyFlink's have no way to ask
        for it either."""
        entry = f"name:{name},path:{file_path}" + (",executable:true" if executable else "")
        before = self._config.get_string("pipeline.cached-files", "")
        self._config.set_string("pipeline.cached-files", ";".join(filter(None, (before, entry))))

    def _append(self, option: ConfigOption[str], item: str) -> None:
        """Adds to an option that is a list between commas."""
        if not isinstance(item, str) or not item or "," in item:
            raise ConfigurationError(f"{option.key} takes paths without commas, got {item!r}")
        before = self._config.get(option)
        self._config.set(option, item if not before else f"{before},{item}")

    # -- checkpoints --------------------------------------------------------------------------------------

    def get_checkpoint_config(self) -> CheckpointConfig:
        return CheckpointConfig(self._config)

    def enable_checkpointing(
        self, interval: int, mode: CheckpointingMode | None = None
    ) -> StreamExecutionEnvironment:
        """Asks for a checkpoint every `interval` milliseconds."""
        config = self.get_checkpoint_config()
        config.set_checkpoint_interval(interval)
        if mode is not None:
            config.set_checkpointing_mode(mode)
        return self

    def get_checkpoint_interval(self) -> int:
        return self.get_checkpoint_config().get_checkpoint_interval()

    def get_checkpointing_mode(self) -> CheckpointingMode:
        return self.get_checkpoint_config().get_checkpointing_mode()

    get_checkpointing_consistency_mode = get_checkpointing_mode

    def is_unaligned_checkpoints_enabled(self) -> bool:
        return self.get_checkpoint_config().is_unaligned_checkpoints_enabled()

    def is_force_unaligned_checkpoints(self) -> bool:
        return self.get_checkpoint_config().is_force_unaligned_checkpoints()

    def set_default_savepoint_directory(self, directory: str) -> StreamExecutionEnvironment:
        """Where savepoints go that are asked for without a folder."""
        require_text("savepoint directory", directory)
        self._config.set(options.SAVEPOINT_DIR, directory)
        return self

    def get_default_savepoint_directory(self) -> str | None:
        return self._config.get(options.SAVEPOINT_DIR)

    def enable_changelog_state_backend(self, enabled: bool) -> StreamExecutionEnvironment:
        """Kept, and without effect: what a checkpoint writes is the pages of state that changed in any case."""
        self._config.set(options.CHANGELOG_STATE_BACKEND, enabled)
        return self

    def is_changelog_state_backend_enabled(self) -> bool | None:
        """None when it was not said."""
        return self._config.get(options.CHANGELOG_STATE_BACKEND)

    def set_state_backend(self, state_backend: StateBackend) -> StreamExecutionEnvironment:
        """Sets the options that stand for it (PyFlink until 1.20): see flinkcore.datastream.state_backend."""
        if not isinstance(state_backend, StateBackend):
            raise ConfigurationError(
                f"set_state_backend takes a StateBackend, e.g. HashMapStateBackend(), got {state_backend!r}"
            )
        state_backend.add_to(self._config)
        return self

    def get_state_backend(self) -> StateBackend:
        return state_backend_of(self._config)

    def set_checkpoint_dir(self, path: str) -> StreamExecutionEnvironment:
        """Where checkpoints go: execution.checkpointing.dir. PyFlink never had this method; old programs call it."""
        self._config.set(options.CHECKPOINT_DIR, path)
        return self

    # -- sources ------------------------------------------------------------------------------------------

    def from_collection(
        self, collection: Iterable[Any], type_info: TypeInformation | None = None
    ) -> DataStream:
        """The values of a collection, in order. Without `type_info` they stay the Python objects they are."""
        if isinstance(collection, np.ndarray):
            collection = collection.tolist()
        if hasattr(collection, "__arrow_c_stream__") or hasattr(collection, "__arrow_c_array__"):
            raise ConfigurationError(
                f"from_collection takes Python values; for a {type(collection).__name__} use from_arrow"
            )
        if not isinstance(collection, Iterable):
            raise ConfigurationError(
                f"from_collection takes a collection, e.g. a list, got {type(collection).__name__}"
            )
        schema = None if type_info is None else schema_of(type_info)
        return self.add_transformation_source(CollectionSource(collection, schema), "Collection Source")

    def from_arrow(self, data: Any, source_name: str = "Arrow Source") -> DataStream:
        """The rows of anything that speaks Arrow, without a copy. Beyond PyFlink.

        data : has __arrow_c_stream__ or __arrow_c_array__ (pyarrow, Polars, pandas, DuckDB), or is a dict of NumPy
               arrays; a stream is read once, as the job runs
        """
        return self.add_transformation_source(ArrowSource(data), source_name)

    def from_sequence(self, start: int, end: int) -> DataStream:
        """The numbers from `start` to `end`, both included."""
        return self.add_transformation_source(NumberSequenceSource(start, end), "Sequence Source")

    def from_source(
        self,
        source: Any,
        watermark_strategy: WatermarkStrategy | None = None,
        source_name: str = "Source",
        type_info: TypeInformation | None = None,
    ) -> DataStream:
        """A source, with watermarks made for each of its splits.

        source : a flinkcore.connectors Source, or one of flinkcore.datastream.connectors
        type_info : accepted as in PyFlink; the source knows its type
        """
        source = getattr(source, "get_source", lambda: source)()
        if not isinstance(source, Source):
            raise ConfigurationError(
                f"from_source takes a Source, got {type(source).__name__}; implement "
                f"flinkcore.connectors.base.Source, or use one of flinkcore.datastream.connectors"
            )
        if watermark_strategy is not None:
            require_strategy("from_source", watermark_strategy)
        return self.add_transformation_source(source, source_name, watermark_strategy)

    def add_source(
        self, source_func: Any, source_name: str = "Custom Source", type_info: TypeInformation | None = None
    ) -> DataStream:
        """A source, as from_source takes it. PyFlink's SourceFunction is a class of Java, which cannot run here."""
        return self.from_source(source_func, None, source_name, type_info)

    def create_input(self, input_format: Any, type_info: TypeInformation | None = None) -> DataStream:
        """A source, as from_source takes it. PyFlink's InputFormat is a class of Java, which cannot run here."""
        return self.from_source(input_format, None, "Input Format Source", type_info)

    def read_text_file(self, path: str) -> DataStream:
        """The lines of text files: a file, a folder or a glob."""
        from flinkcore.connectors.files.source import text_source

        return self.add_transformation_source(text_source(path), "Text File Source")

    def socket_text_stream(self, host: str, port: int, delimiter: str = "\n") -> DataStream:
        """The lines that a server on host:port sends. (Flink has it in Java; beyond PyFlink.)"""
        from flinkcore.connectors.socket import SocketTextSource

        return self.add_transformation_source(SocketTextSource(host, port, delimiter), "Socket Stream")

    def add_transformation_source(
        self, source: Source, name: str, watermark_strategy: WatermarkStrategy | None = None
    ) -> DataStream:
        """A stream of a source of the engine. For authors of connectors."""
        schema = getattr(source, "schema", None)
        if not isinstance(schema, Schema):
            raise ConfigurationError(
                f"{type(source).__name__}.schema is a Schema, e.g. Schema(['n'], [pa.int64()], 'value') or "
                f"Schema.from_arrow(pa.schema(...)), got {schema!r}"
            )
        if watermark_strategy is not None:
            AssignTimestamps(watermark_strategy.spec, schema)  # a missing or wrong column is said here
        transformation = Transformation(
            id=self.next_id(),
            name=name,
            kind="Data Source",
            schema=source.schema,
            source=source,
            watermarks=None if watermark_strategy is None else watermark_strategy.spec,
            parallelism_max=source.parallelism_max,
        )
        return DataStream(self, (Edge(transformation),), source.schema)

    # -- running ------------------------------------------------------------------------------------------

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Runs everything built since the last execute and waits for its end.

        JobExecutionError : the job failed; its text has the user's own traceback
        """
        job = self.launch(job_name)
        try:
            job.wait()
        except KeyboardInterrupt:
            job.cancel()
            _wait_quietly(job)
            raise
        return JobExecutionResult.of_run(job)

    def execute_async(self, job_name: str = DEFAULT_JOB_NAME) -> JobClient:
        """Starts everything built since the last execute and returns at once."""
        return JobClient.of_run(self.launch(job_name))

    def get_execution_plan(self) -> str:
        """The plan of everything built since the last execute, in Flink's JSON."""
        return self.job_graph().to_json()

    def launch(
        self, job_name: str | None = None, transformations: Sequence[Transformation] | None = None
    ) -> JobRun:
        """Starts the job of these transformations, or of everything built since the last execute."""
        graph = self.job_graph(job_name, transformations)
        if transformations is None:
            self._transformations.clear()
        else:
            self._transformations = [t for t in self._transformations if t not in set(transformations)]
        job = launch(graph)
        for cache in self._caches:
            cache.runs_in(job)
        return job

    def job_graph(
        self, job_name: str | None = None, transformations: Sequence[Transformation] | None = None
    ) -> JobGraph:
        """What launch would run. ConfigurationError when nothing was built."""
        for cache in self._caches:
            cache.prepare()
        parts = self._transformations if transformations is None else transformations
        if not parts:
            raise ConfigurationError("No operators defined in streaming topology. Cannot execute.")
        max_parallelism = self._config.get(options.MAX_PARALLELISM)
        if max_parallelism > 0:
            require_parallelism("max parallelism", max_parallelism)
        name = job_name or self._config.get(options.PIPELINE_NAME) or DEFAULT_JOB_NAME
        return build(
            parts,
            self._config,
            name,
            self.get_parallelism(),
            max_parallelism if max_parallelism > 0 else None,
        )

    def close(self) -> None:
        """Forgets what was built and not executed, and what streams keep for later jobs."""
        self._transformations.clear()
        for cache in self._caches:
            cache.invalidate()

    def next_id(self) -> int:
        return next(self._ids)

    def add(self, transformation: Transformation) -> None:
        """The next execute() runs this step."""
        self._transformations.append(transformation)

    def add_cache(self, cache: CachedDataStream) -> None:
        """Tells the cache of every job that is built and started."""
        self._caches.append(cache)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _wait_quietly(job: JobRun) -> None:
    try:
        job.wait()
    except Exception:
        pass  # how it ended is no news: the interrupt is what the caller asked for, and gets


__all__ = ["StreamExecutionEnvironment"]
