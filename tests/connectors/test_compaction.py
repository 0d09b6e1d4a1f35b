# SPDX-License-Identifier: Apache-2.0
"""Part files that are joined before they are committed, and writers that keep state between checkpoints."""

from __future__ import annotations

import pytest

from flinkcore.common import Types
from flinkcore.common.serialization import Encoder
from flinkcore.connectors.base import Sink, SinkWriter
from flinkcore.connectors.files.compaction import CompactedFile, Compaction
from flinkcore.connectors.files.parquet import ParquetWriter
from flinkcore.connectors.files.sink import FileSink as EngineFileSink
from flinkcore.connectors.files.sink import RollingPolicy as EngineRollingPolicy
from flinkcore.connectors.files.writers import CsvWriter, TextWriter
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.connectors.file_system import (
    BucketAssigner,
    FileCompactor,
    FileCompactStrategy,
    FileSink,
    OutputFileConfig,
    RollingPolicy,
    StreamingFileSink,
)
from flinkcore.errors import (
    ConfigurationError,
    JobExecutionError,
    StateFormatError,
    UnsupportedOperationError,
)
from flinkcore.testing.simulation import simulate

#: A file for each batch, so that there is something to join.
SMALL = EngineRollingPolicy(1, None, None)


def files(folder, hidden=False):
    return {
        path.name: path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (hidden or not path.name.startswith("."))
    }


def build_into(folder, compaction):
    def build(env):
        env.get_configuration().set_string("flinkcore.batch-rows", "3")
        sink = EngineFileSink(str(folder), TextWriter(), rolling=SMALL, compaction=compaction)
        env.from_sequence(0, 59).map(str, Types.STRING()).sink_to(sink)

    return build


@pytest.mark.parametrize("compaction", [
    Compaction(checkpoints=1),
    Compaction(checkpoints=3),
    Compaction(size_bytes=40),
    Compaction(checkpoints=2, joins=False),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(12))
def test_crashes_and_rescales_lose_and_repeat_no_line(tmp_path, seed, compaction):
    simulate(
        build_into(tmp_path, compaction), seed, crashes=2, parallelism=(1, 2, 3), storage_faults=0.02,
        checkpoint_interval_ms=10,
    )  # fmt: skip
    found = files(tmp_path, hidden=True)
    assert all(name.startswith("compacted-part-") for name in found)
    assert sorted(line for text in found.values() for line in text.split()) == sorted(map(str, range(60)))


def test_without_checkpoints_all_of_a_bucket_is_one_file(tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    build_into(tmp_path, Compaction(checkpoints=1, delimiter=b"--\n"))(env)
    env.execute()
    (text,) = files(tmp_path, hidden=True).values()
    parts = text.split("--\n")
    assert len(parts) > 1 and "".join(parts).split() == list(map(str, range(60)))


def test_files_are_joined_once_they_are_large_enough(tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    build_into(tmp_path, Compaction(size_bytes=30))(env)
    env.execute()
    sizes = [len(text) for text in files(tmp_path).values()]
    assert len(sizes) > 1 and sum(size >= 30 for size in sizes) >= len(sizes) - 1  # the last one is what was left


def test_compaction_as_pyflink_programs_ask_for_it(tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    strategy = FileCompactStrategy.builder().enable_compaction_on_checkpoint(3).set_size_threshold(1024)
    sink = (
        FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder())
        .with_bucket_check_interval(1000)
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())
        .with_output_file_config(OutputFileConfig.builder().with_part_prefix("pre").with_part_suffix("suf").build())
        .enable_compact(strategy.set_num_compact_threads(2).build(), FileCompactor.concat_file_compactor(b"\n"))
        .build()
    )
    assert sink.compaction == Compaction(checkpoints=3, size_bytes=1024, delimiter=b"\n")
    env.from_collection(["a", "b"], Types.STRING()).sink_to(sink)
    env.execute()
    ((name, text),) = files(tmp_path).items()
    assert name.startswith("compacted-pre-") and name.endswith("suf") and text == "a\nb\n"


def test_what_cannot_be_joined_is_refused():
    for format in (ParquetWriter(), CsvWriter(header=True)):
        with pytest.raises(ConfigurationError, match="cannot be joined byte by byte"):
            EngineFileSink("out", format, compaction=Compaction(checkpoints=1))
    with pytest.raises(ConfigurationError, match="cannot stand between files compressed with gzip"):
        EngineFileSink("out", TextWriter(), compression="gzip", compaction=Compaction(1, delimiter=b"-"))
    with pytest.raises(ConfigurationError, match="needs to know when"):
        FileCompactStrategy.builder().build()
    with pytest.raises(UnsupportedOperationError, match="without a JVM"):
        FileCompactor.identical_file_compactor().get_java_object()


def test_a_damaged_committable_removes_no_other_file(tmp_path):
    (tmp_path / "precious").write_text("keep me")
    damaged = CompactedFile((str(tmp_path / "precious"),), "", str(tmp_path / "compacted-part-0"), b"")
    with pytest.raises(StateFormatError, match="is no unfinished part"):
        EngineFileSink(str(tmp_path), TextWriter()).create_committer().commit([
            CompactedFile(damaged.inputs, "elsewhere", damaged.path, b"")
        ])
    with pytest.raises(StateFormatError, match="precious' is no unfinished part"):
        damaged.remove_inputs(EngineFileSink(str(tmp_path), TextWriter()).filesystem)
    assert files(tmp_path) == {"precious": "keep me"}


# -- StreamingFileSink ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Deprecated in 1.15")
def test_the_older_sink_leaves_its_files_hidden_where_there_are_no_checkpoints(tmp_path, caplog):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    sink = StreamingFileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build()
    env.from_collection(["a"], Types.STRING()).sink_to(sink)
    env.execute()
    assert files(tmp_path) == {} and list(files(tmp_path, hidden=True).values()) == ["a\n"]
    assert "stay hidden" in caplog.text


@pytest.mark.filterwarnings("ignore:Deprecated in 1.15")
@pytest.mark.parametrize("seed", range(5))
def test_with_checkpoints_the_older_sink_commits_each_line_once(tmp_path, seed):
    def build(env):
        sink = StreamingFileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder())
        env.from_sequence(0, 59).map(str, Types.STRING()).sink_to(
            sink.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build()
        )

    simulate(build, seed, crashes=2, parallelism=(1, 2), checkpoint_interval_ms=10)
    lines = [line for text in files(tmp_path).values() for line in text.split()]
    assert sorted(lines) == sorted(map(str, range(60)))


# -- state of writers ----------------------------------------------------------------------------------------


class Sums(Sink):
    """Writes the sum of three numbers at a time; what is left over waits in its state."""

    def __init__(self, written):
        self.written = written

    def create_writer(self, context):
        return SumWriter(self.written, [])

    def restore_writer(self, context, recovered_state):
        return SumWriter(self.written, recovered_state)


class SumWriter(SinkWriter):
    def __init__(self, written, waiting):
        self.written, self.waiting = written, list(waiting)

    def write(self, value, context):
        self.waiting.append(value)
        if len(self.waiting) == 3:
            self.written.append(sum(self.waiting))
            self.waiting.clear()

    def snapshot_state(self, checkpoint_id):
        return self.waiting

    def flush(self, end_of_input):
        if end_of_input:
            self.written.append(sum(self.waiting))


class SumsWithoutState(Sums):
    restore_writer = Sink.restore_writer


@pytest.mark.parametrize("seed", range(10))
def test_what_a_writer_keeps_is_part_of_checkpoints(seed):
    runs = []

    def build(env):
        runs.append([])
        env.from_sequence(1, 10).sink_to(Sums(runs[-1]))

    simulate(build, seed, crashes=2, checkpoint_interval_ms=5)
    assert runs[-1][-1] == 10  # ten numbers leave one over, wherever the crashes were


def test_state_for_a_sink_that_keeps_none_is_refused():
    runs = []

    def build(env):
        runs.append(None)
        env.from_sequence(1, 1000).sink_to(Sums([]) if len(runs) == 1 else SumsWithoutState([]))

    with pytest.raises(JobExecutionError, match="SumsWithoutState has no restore_writer"):
        for seed in range(50):  # until one crashes while a number waits in a checkpoint
            runs.clear()
            simulate(build, seed, crashes=1, checkpoint_interval_ms=1)
