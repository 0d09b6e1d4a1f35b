# SPDX-License-Identifier: Apache-2.0
"""Settings of PyFlink programs, those of 1.13 to 1.20 included: which options they stand for, what is only kept."""

from __future__ import annotations

import pytest

from flinkcore import options
from flinkcore.common import Configuration, Duration, RestartStrategies
from flinkcore.datastream import (
    CheckpointConfig,
    CheckpointingMode,
    EmbeddedRocksDBStateBackend,
    ExternalizedCheckpointCleanup,
    ExternalizedCheckpointRetention,
    FileSystemCheckpointStorage,
    FsStateBackend,
    HashMapStateBackend,
    JobManagerCheckpointStorage,
    MemorySize,
    MemoryStateBackend,
    PredefinedOptions,
    RocksDBStateBackend,
    SinkFunction,
    SlotSharingGroup,
    SourceFunction,
    StateBackend,
    StreamExecutionEnvironment,
    TimeCharacteristic,
)
from flinkcore.datastream.checkpoint_storage import CustomCheckpointStorage
from flinkcore.datastream.state_backend import CustomStateBackend
from flinkcore.errors import ConfigurationError, FlinkcoreWarning, UnsupportedOperationError
from flinkcore.runtime.restart import FixedDelay, restart_strategy
from flinkcore.util.java_utils import get_j_env_configuration
from tests.datastream.jobs import collected, environment


def options_of(backend: StateBackend) -> dict[str, str]:
    env = StreamExecutionEnvironment.get_execution_environment().set_state_backend(backend)
    return env.get_configuration().to_dict()


# -- slots -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1, "1 bytes"), (1024, "1 kb"), (1536, "1536 bytes"), (3 << 20, "3 mb"), (1 << 50, "1024 tb")],
)
def test_the_text_of_a_size_is_in_the_largest_whole_unit(size: int, text: str) -> None:
    assert str(MemorySize(bytes_size=size)) == text


def test_sizes_have_units_and_an_order() -> None:
    size = MemorySize.of_mebi_bytes(3000)
    assert (size.get_bytes(), size.get_kibi_bytes(), size.get_mebi_bytes()) == (3000 << 20, 3000 << 10, 3000)
    assert (size.get_gibi_bytes(), size.get_tebi_bytes()) == (2, 0)
    assert MemorySize.of_mebi_bytes(1) <= MemorySize.of_mebi_bytes(1) < size
    with pytest.raises(TypeError, match="compared with a MemorySize"):
        size.__lt__(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="at least 0"):
        MemorySize(bytes_size=-1)


def test_a_group_with_resources_needs_cores_and_heap() -> None:
    group = SlotSharingGroup.builder("g").set_cpu_cores(1).set_task_heap_memory_mb(100).build()
    assert group.get_task_off_heap_memory() == group.get_managed_memory() == MemorySize(bytes_size=0)
    assert group == SlotSharingGroup.builder("g").set_task_heap_memory_mb(100).set_cpu_cores(1.0).build()
    assert SlotSharingGroup.builder("g").build().get_cpu_cores() is None
    for builder in (
        SlotSharingGroup.builder("g").set_cpu_cores(1.0),
        SlotSharingGroup.builder("g").set_external_resource("gpu", 1),
        SlotSharingGroup.builder("g").set_managed_memory_mb(0),
    ):
        with pytest.raises(ConfigurationError, match="cpu cores and task heap memory are required"):
            builder.build()
    with pytest.raises(ConfigurationError, match="should be positive"):
        SlotSharingGroup.builder("g").set_task_heap_memory_mb(0)


def test_groups_are_accepted_and_change_nothing() -> None:
    group = SlotSharingGroup.builder("g").build()
    env = environment(2).register_slot_sharing_group(group)
    assert sorted(collected(env.from_sequence(1, 3).slot_sharing_group("g").map(lambda v: v))) == [1, 2, 3]
    with pytest.raises(ConfigurationError, match="takes a SlotSharingGroup"):
        env.register_slot_sharing_group("g")  # type: ignore[arg-type]


# -- state and checkpoints -------------------------------------------------------------------------------------------


def test_a_state_backend_stands_for_options() -> None:
    assert options_of(HashMapStateBackend()) == {"state.backend.type": "hashmap"}
    assert options_of(EmbeddedRocksDBStateBackend()) == {"state.backend.type": "rocksdb"}
    rocksdb = EmbeddedRocksDBStateBackend(True)
    rocksdb.set_db_storage_paths("file:///one/", "/two")
    assert options_of(rocksdb) == {
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        "io.tmp.dirs": "/one,/two",
    }
    assert options_of(FsStateBackend("file:///c", "file:///s", 10)) == {
        "state.backend.type": "hashmap",
        "execution.checkpointing.dir": "file:///c",
        "execution.checkpointing.savepoint-dir": "file:///s",
        "execution.checkpointing.data-inline-threshold": "10",
    }
    assert options_of(RocksDBStateBackend("file:///c", True)) == {
        "state.backend.type": "rocksdb",
        "execution.checkpointing.dir": "file:///c",
        "execution.checkpointing.incremental": "true",
    }
    assert options_of(MemoryStateBackend("file:///c"))["execution.checkpointing.dir"] == "file:///c"


def test_the_state_backend_of_an_environment_is_read_from_its_options() -> None:
    env = environment()
    assert isinstance(env.get_state_backend(), HashMapStateBackend)
    env.get_configuration().set_string("state.backend.type", "rocksdb").set_string("io.tmp.dirs", "/one,/two")
    backend = env.get_state_backend()
    assert isinstance(backend, EmbeddedRocksDBStateBackend) and backend.get_db_storage_paths() == ["/one", "/two"]


def test_settings_of_rocksdb_are_kept_for_their_getters() -> None:
    backend = EmbeddedRocksDBStateBackend()
    assert (backend.get_predefined_options(), backend.get_options()) == (PredefinedOptions.DEFAULT, None)
    assert (backend.get_number_of_transfer_threads(), backend.get_db_storage_paths()) == (4, None)
    backend.set_predefined_options(PredefinedOptions.FLASH_SSD_OPTIMIZED)
    backend.set_options("a.b.Factory")
    backend.set_number_of_transfer_threads(8)
    assert backend.get_predefined_options() is PredefinedOptions.FLASH_SSD_OPTIMIZED
    assert (backend.get_options(), backend.get_number_of_transfer_threads()) == ("a.b.Factory", 8)
    with pytest.raises(ConfigurationError, match="non-local scheme s3"):
        backend.set_db_storage_paths("s3://bucket/folder")


def test_a_checkpoint_storage_stands_for_options(tmp_path) -> None:
    config = environment().get_checkpoint_config()
    assert config.get_checkpoint_storage() is None
    config.set_checkpoint_storage(FileSystemCheckpointStorage(f"file://{tmp_path}/", 2048))
    storage = config.get_checkpoint_storage()
    assert isinstance(storage, FileSystemCheckpointStorage)
    assert storage.get_checkpoint_path() == f"file://{tmp_path}"
    config.set_checkpoint_storage(JobManagerCheckpointStorage())
    assert isinstance(config.get_checkpoint_storage(), JobManagerCheckpointStorage)
    default = FileSystemCheckpointStorage("/c")
    assert (default.get_min_file_size_threshold(), default.get_write_buffer_size()) == (20480, 20480)
    for wrong in (lambda: FileSystemCheckpointStorage(), lambda: FileSystemCheckpointStorage("/c", 2 << 20)):
        with pytest.raises(ConfigurationError):
            wrong()


def test_a_job_writes_its_checkpoints_where_its_storage_says(tmp_path) -> None:
    env = environment().enable_checkpointing(10)
    config = env.get_checkpoint_config().set_checkpoint_storage(FileSystemCheckpointStorage(str(tmp_path)))
    config.set_externalized_checkpoint_cleanup(ExternalizedCheckpointCleanup.RETAIN_ON_CANCELLATION)
    assert config.get_externalized_checkpoint_cleanup() is ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION
    seen: list[bool] = []
    env.from_sequence(1, 10).map(lambda value: seen.append(any(tmp_path.iterdir()))).print()
    env.execute()
    assert all(seen) and len(seen) == 10


def test_checkpoint_settings_without_a_setting_are_flinks() -> None:
    config = environment().get_checkpoint_config()
    assert CheckpointConfig.DEFAULT_MODE is CheckpointingMode.EXACTLY_ONCE
    assert CheckpointConfig.DEFAULT_TIMEOUT == config.get_checkpoint_timeout() == 600_000
    assert config.get_alignment_timeout() == Duration.of_millis(0)
    assert config.is_fail_on_checkpointing_errors() and not config.is_force_unaligned_checkpoints()
    config.set_fail_on_checkpointing_errors(False)
    assert config.get_tolerable_checkpoint_failure_number() == 2**31 - 1


# -- the environment ---------------------------------------------------------------------------------------------------


def test_a_restart_strategy_stands_for_options() -> None:
    env = environment()
    assert env.get_restart_strategy() == RestartStrategies.fall_back_restart()
    for strategy in (
        RestartStrategies.no_restart(),
        RestartStrategies.fixed_delay_restart(3, 20),
        RestartStrategies.failure_rate_restart(2, 1000, 30),
    ):
        env.set_restart_strategy(strategy)
        assert env.get_restart_strategy() == env.get_config().get_restart_strategy() == strategy
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 20))
    assert restart_strategy(env.get_configuration()) == FixedDelay(3, 20)


def test_processing_time_has_no_watermarks_before_the_end() -> None:
    env = environment()
    env.set_stream_time_characteristic(TimeCharacteristic.ProcessingTime)
    assert env.get_config().get_auto_watermark_interval() == 0
    env.set_stream_time_characteristic(TimeCharacteristic.EventTime)
    assert env.get_config().get_auto_watermark_interval() == 200
    assert env.get_stream_time_characteristic() is TimeCharacteristic.EventTime


def test_operators_with_different_key_groups_chain_unless_told_otherwise() -> None:
    env = environment()
    assert env.is_chaining_of_operators_with_different_max_parallelism_enabled()
    env.from_sequence(1, 2).map(lambda value: value).set_max_parallelism(8).print()
    assert len(env.job_graph().chains) == 1
    env.get_configuration().set(options.CHAIN_DIFFERENT_MAX_PARALLELISM, False)
    assert len(env.job_graph().chains) == 3


def test_the_default_parallelism_is_of_the_process() -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    before = env.get_default_local_parallelism()
    try:
        env.set_default_local_parallelism(3)
        assert StreamExecutionEnvironment.get_execution_environment().get_parallelism() == 3
    finally:
        env.set_default_local_parallelism(before)


def test_settings_that_are_only_kept() -> None:
    env = environment()
    assert env.is_changelog_state_backend_enabled() is None
    assert env.enable_changelog_state_backend(True).is_changelog_state_backend_enabled()
    assert env.set_default_savepoint_directory("/s").get_default_savepoint_directory() == "/s"
    env.register_cached_file("/one", "first")
    env.register_cached_file("/two", "second", True)
    assert env.get_configuration().get_string("pipeline.cached-files", "") == (
        "name:first,path:/one;name:second,path:/two,executable:true"
    )
    config = env.get_config()
    assert config.enable_force_kryo().is_force_kryo_enabled()
    assert not config.disable_force_kryo().is_force_kryo_enabled()
    assert config.enable_force_avro().is_force_avro_enabled()
    assert config.disable_generic_types().has_generic_types_disabled()
    assert not (config.get_registered_kryo_types() or config.get_default_kryo_serializer_classes())


def test_jars_are_kept_and_said_not_to_be_loaded() -> None:
    env = environment()
    with pytest.warns(FlinkcoreWarning, match=r"pipeline.jars: file:///a.jar are not loaded"):
        env.add_jars("file:///a.jar")
    with pytest.warns(FlinkcoreWarning, match=r"pipeline.classpaths"):
        env.add_classpaths("file:///b.jar")
    assert env.get_configuration().get_string("pipeline.jars", "") == "file:///a.jar"


def test_a_programs_way_to_the_options_of_its_environment_works() -> None:
    env = environment()
    config = Configuration(j_configuration=get_j_env_configuration(env._j_stream_execution_environment))
    config.set_integer("parallelism.default", 5)
    assert env.get_parallelism() == 5
    with pytest.raises(ConfigurationError, match="j_configuration is what get_j_env_configuration gives"):
        Configuration(j_configuration=object())  # type: ignore[arg-type]


@pytest.mark.parametrize("handle", [SourceFunction, SinkFunction, CustomStateBackend, CustomCheckpointStorage])
def test_handles_of_java_objects_are_refused(handle: type) -> None:
    with pytest.raises(UnsupportedOperationError, match="without a JVM"):
        handle("org.example.Thing")
