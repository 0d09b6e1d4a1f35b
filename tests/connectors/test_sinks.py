# SPDX-License-Identifier: Apache-2.0
"""Print, blackhole, and the sink that hands Arrow batches to a reader."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.connectors.blackhole import BlackHoleSink
from flinkcore.connectors.fit import batch_of_values
from flinkcore.connectors.print import PrintSink
from flinkcore.errors import ConnectorError, JobCancelledError
from tests.connectors.commits import CommitJob, Steps, partitions

ROW = Batch.from_arrow(pa.record_batch({"a": ["x", None], "b": [1.0, 1e10]}))
TUPLE = batch_of_values(
    [("x", 1.0), ("y", 1e10)], Schema(["f0", "f1"], [pa.string(), pa.float64()], "tuple"), "test"
)
OBJECTS = batch_of_values([("x", 1), None], Schema.of_objects(), "test")


@pytest.mark.parametrize(
    "batch, lines",
    [
        (ROW, ["+I[x,1.0]", "+I[None,10000000000.0]"]),
        (TUPLE, ["(x,1.0)", "(y,1.0E10)"]),
        (OBJECTS, ["('x', 1)", "None"]),
    ],
)
@pytest.mark.parametrize(
    "identifier, subtask, parallelism, prefix",
    [
        (None, 0, 1, ""),
        ("id", 0, 1, "id> "),
        (None, 1, 2, "2> "),
        ("id", 0, 2, "id:1> "),
        ("", 0, 1, ""),
    ],
)
def test_lines_carry_pyflink_s_prefix(
    writing, capsys, batch, lines, identifier, subtask, parallelism, prefix
):
    writing.write(PrintSink(identifier), [batch], subtask_index=subtask, parallelism=parallelism)
    assert capsys.readouterr().out == "".join(f"{prefix}{line}\n" for line in lines)


def test_printing_to_standard_error(writing, capsys):
    writing.write(PrintSink("id", to_stderr=True), [TUPLE])
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines()[0] == "id> (x,1.0)"


def test_a_black_hole_takes_anything(writing):
    assert writing.write(BlackHoleSink(), [ROW, ROW]) == []


# -- Arrow collector ------------------------------------------------------------------------------------------


def test_the_reader_gets_batches_in_order_until_the_end(writing):
    sink = ArrowCollectSink(capacity=None)
    writing.write(sink, [ROW, ROW.slice(0, 1)])
    sink.finish()
    assert [batch.num_rows for batch in sink] == [2, 1]


def test_a_slow_reader_holds_the_job_back(writing):
    sink = ArrowCollectSink(capacity=2)
    written = []
    third_waits = threading.Event()

    def job():
        for i in range(5):
            if i == 2:
                third_waits.set()
            sink.put(ROW)
            written.append(i)
        sink.finish()

    thread = threading.Thread(target=job)
    thread.start()
    third_waits.wait()
    assert written == [0, 1]  # the third waits for room, which only the reader makes
    assert len(list(sink)) == 5
    thread.join()
    assert written == [0, 1, 2, 3, 4]


def test_a_reader_that_leaves_ends_the_job():
    sink = ArrowCollectSink(capacity=1)
    sink.put(ROW)
    raised = []

    def job():
        try:
            sink.put(ROW)
        except JobCancelledError as error:
            raised.append(str(error))

    thread = threading.Thread(target=job)
    thread.start()
    sink.cancel()
    thread.join()
    assert raised == ["the reader of the results was closed before the job had finished"]
    assert list(sink) == []


def test_a_job_that_fails_raises_in_the_reader_after_what_was_written():
    sink = ArrowCollectSink()
    sink.put(ROW)
    sink.fail(ValueError("boom"))
    results = iter(sink)
    assert next(results).num_rows == 2
    with pytest.raises(ValueError, match=r"boom"):
        next(results)
    with pytest.raises(JobCancelledError, match=r"the job has ended"):
        sink.put(ROW)


def checkpointed(writing, sink, **context):
    return sink.create_writer(replace(writing.context(ROW.schema, **context), checkpointing=True))


def test_with_checkpoints_results_come_when_they_are_covered_and_once(writing):
    sink = ArrowCollectSink()
    committer = sink.create_committer()
    writer = checkpointed(writing, sink)
    writer.write_batch(ROW)
    prepared = writer.prepare_commit()
    writer.write_batch(ROW.slice(0, 1))
    assert not sink.waiting
    committer.commit(prepared)
    committer.commit(prepared)  # after a failure, from the restored checkpoint
    assert len(sink.waiting) == 1 and writer.prepare_commit() and writer.prepare_commit() == []
    assert sink.decode_committable(sink.encode_committable(prepared[0])) == prepared[0]


def test_what_a_failed_attempt_prepared_in_vain_is_dropped(writing):
    sink = ArrowCollectSink()
    writer = checkpointed(writing, sink, run_id="first-attempt")
    writer.write_batch(ROW)
    writer.prepare_commit()
    writer.close()
    again = checkpointed(writing, sink, run_id="second-attempt")
    again.write_batch(ROW)
    prepared = again.prepare_commit()
    sink.remove_leftovers(again.context)
    assert list(sink.prepared) == [prepared[0].name]


def test_results_of_a_process_that_has_ended_went_with_it(writing, caplog):
    sink, other = ArrowCollectSink(), ArrowCollectSink()
    writer = checkpointed(writing, sink)
    writer.write_batch(ROW)
    other.create_committer().commit(writer.prepare_commit())
    assert not other.waiting and "collected in a process that has ended" in caplog.text


def test_a_restart_without_checkpoints_would_repeat_results(writing):
    sink = ArrowCollectSink()
    sink.create_writer(writing.context(ROW.schema))
    writer = sink.create_writer(writing.context(ROW.schema))  # nothing was handed on yet
    writer.write_batch(ROW)
    sink.create_writer(writing.context(ROW.schema, subtask_index=1))
    with pytest.raises(ConnectorError, match=r"restarted without a checkpoint, and its results would come again"):
        sink.create_writer(writing.context(ROW.schema))


def test_a_writer_that_waits_for_room_ends_with_its_job(writing):
    sink = ArrowCollectSink(capacity=1)
    stopped = threading.Event()
    writer = sink.create_writer(replace(writing.context(ROW.schema), interrupted=stopped.is_set))
    writer.write_batch(ROW)
    stopped.set()
    with pytest.raises(JobCancelledError, match=r"the job was stopped while its results waited for their reader"):
        writer.write_batch(ROW)


@pytest.mark.parametrize("seed", range(20))
def test_restarts_in_the_process_show_each_result_once(seed):
    rng = random.Random(seed)
    sink, parts = ArrowCollectSink(capacity=None), partitions(seed)
    steps = Steps(rng.sample(range(100), rng.randrange(1, 10)))
    CommitJob(lambda: sink, parts, seed, in_process=True).run(steps)
    sink.finish()
    assert sorted(row for batch in sink for row in to_rows(batch)) == sorted(chain(*parts))
    assert sink.prepared == {} and sink.runs == set()
