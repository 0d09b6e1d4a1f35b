# SPDX-License-Identifier: Apache-2.0
"""Sources one after the other: their order, through crashes and rescales, and what cannot be one behind another."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.common import Types, WatermarkStrategy
from flinkcore.connectors.base import Boundedness
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.source import FileSource, text_source
from flinkcore.connectors.hybrid import HybridSource as EngineHybridSource
from flinkcore.connectors.hybrid import HybridState
from flinkcore.connectors.sequence import NumberSequenceSource
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.connectors.file_system import FileSource as PyFlinkFileSource
from flinkcore.datastream.connectors.file_system import StreamFormat
from flinkcore.datastream.connectors.hybrid_source import HybridSource
from flinkcore.errors import ConfigurationError, SchemaError, StateFormatError
from flinkcore.testing.simulation import simulate

NONE = WatermarkStrategy.no_watermarks()


def three_files(folder):
    for name, start in (("a", 0), ("b", 20), ("c", 40)):
        (folder / name).mkdir()
        for part in range(2):
            first = start + 10 * part
            text = "".join(f"{n:02}\n" for n in range(first, first + 10))
            (folder / name / f"{part}.txt").write_text(text)
    return [text_source(str(folder / name)) for name in "abc"]


@pytest.mark.parametrize("seed", range(10))
def test_all_of_one_source_comes_before_the_next(tmp_path, seed):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)
    first, second, third = three_files(tmp_path)
    source = HybridSource.builder(first).add_source(second).add_source(third).build()
    assert source.boundedness is Boundedness.BOUNDED
    found = list(map(int, simulate(env.from_source(source, NONE, "hybrid"), seed)))
    assert sorted(found) == list(range(60))
    assert [n // 20 for n in found] == [0] * 20 + [1] * 20 + [2] * 20


@pytest.mark.parametrize("seed", range(60))
def test_no_crash_and_no_rescale_loses_repeats_or_mixes_sources(tmp_path, seed):
    sources = three_files(tmp_path)

    def build(env):
        env.get_configuration().set_string("flinkcore.batch-rows", "3")
        return env.from_source(EngineHybridSource(sources), NONE, "hybrid").map(int, Types.LONG())

    found = simulate(build, seed, crashes=3, parallelism=(1, 2, 3), checkpoint_interval_ms=7)
    assert sorted(found) == list(range(60))


class Order(EngineHybridSource):
    """Takes down which source each split that is opened is of."""

    opened: list

    def create_reader(self, split, context):
        self.opened.append(split.index)
        return super().create_reader(split, context)


@pytest.mark.parametrize("seed", range(60))
def test_after_a_crash_no_process_goes_back_behind_a_later_source(tmp_path, seed):
    sources, processes = three_files(tmp_path), []

    def build(env):
        env.get_configuration().set_string("flinkcore.batch-rows", "3")
        source = Order(sources)
        source.opened = []
        processes.append(source.opened)
        return env.from_source(source, NONE, "hybrid")

    simulate(build, seed, crashes=3, parallelism=(1, 2, 3), checkpoint_interval_ms=7)
    for opened in processes:
        assert opened == sorted(opened)


def test_the_last_source_may_watch_for_more(tmp_path):
    first, *_ = three_files(tmp_path)
    watched = FileSource(str(tmp_path / "b"), first.format, monitor_interval_ms=10)
    source = HybridSource.builder(first).add_source(watched).build()
    assert source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)
    with env.from_source(source, NONE, "hybrid").execute_and_collect() as rows:
        found = [int(row) for _, row in zip(range(40), rows)]
        (tmp_path / "b" / "late.txt").write_text("99\n")
        assert int(next(rows)) == 99
    assert sorted(found) == list(range(40)) and max(found[:20]) < 20


def test_what_cannot_be_one_behind_another_is_refused(tmp_path):
    first, second, _ = three_files(tmp_path)
    watched = FileSource(str(tmp_path / "b"), first.format, monitor_interval_ms=10)
    with pytest.raises(ConfigurationError, match="FileSource never ends"):
        EngineHybridSource([watched, first])
    with pytest.raises(SchemaError, match="NumberSequenceSource has"):
        EngineHybridSource([NumberSequenceSource(1, 2), first])
    second.bad_records = "drop"
    with pytest.raises(ConfigurationError, match="treat bad records alike"):
        EngineHybridSource([first, second])
    with pytest.raises(ConfigurationError, match="one source at least"):
        EngineHybridSource([])
    with pytest.raises(ConfigurationError, match="made of Sources, got 3"):
        EngineHybridSource([3])
    with pytest.raises(StateFormatError, match="not one of a hybrid source of 1"):
        EngineHybridSource([first]).restore_enumerator(1, HybridState(1, None))


def test_sources_of_different_kinds_are_one_stream(tmp_path):
    (tmp_path / "in.csv").write_text("n\n1\n2\n")
    (tmp_path / "in.json").write_text('{"n": 3}\n')
    schema = pa.schema([("n", pa.int64())])
    source = EngineHybridSource([
        FileSource(str(tmp_path / "in.csv"), Csv(), schema), FileSource(str(tmp_path / "in.json"), JsonLines(), schema)
    ])  # fmt: skip
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    assert [row.n for row in env.from_source(source, NONE, "hybrid").execute_and_collect()] == [1, 2, 3]


def test_pyflink_file_sources_are_taken(tmp_path):
    three_files(tmp_path)
    files = [
        PyFlinkFileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path / name)).build()
        for name in "ab"
    ]
    source = HybridSource.builder(files[0]).add_source(files[1]).build()
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    assert list(map(int, env.from_source(source, NONE, "hybrid").execute_and_collect())) == list(range(40))


def test_the_next_source_waits_until_every_subtask_has_asked_and_nothing_is_read_or_snapshotted(tmp_path):
    source = EngineHybridSource(three_files(tmp_path))
    enumerator = source.create_enumerator(2)
    enumerator.poll(0)
    first = enumerator.next_split(0)
    assert enumerator.next_split(0) is None  # one at a time
    enumerator.split_finished(first, 0)
    second = enumerator.next_split(0)
    enumerator.split_finished(second, 0)
    assert enumerator.next_split(0) is None
    enumerator.poll(10)
    assert enumerator.index == 0  # subtask 1 may still go on with a split of a restored checkpoint
    restored = first
    enumerator.split_restored(restored, 1)
    assert enumerator.next_split(1) is None
    enumerator.poll(20)
    assert enumerator.index == 0
    enumerator.split_finished(restored, 1)
    enumerator.checkpoint_begun(True)
    enumerator.poll(30)
    assert enumerator.index == 0
    enumerator.checkpoint_begun(False)
    enumerator.poll(40)
    assert enumerator.index == 1 and enumerator.next_split(1).index == 1
