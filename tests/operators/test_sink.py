# SPDX-License-Identifier: Apache-2.0
"""When a sink's results are prepared, made to last, and committed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore import faultpoint
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.connectors.base import Committer, Sink, SinkContext, SinkWriter
from flinkcore.connectors.fit import batch_of_values
from flinkcore.errors import ConfigurationError, ConnectorError
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.sink import SinkOperator
from flinkcore.testing.harness import CollectedOutput, ManualTimers
from flinkcore.time.clock import ManualClock

SCHEMA = Schema(["n"], [pa.int64()], "value")


class Told(Sink, SinkWriter, Committer):
    """Writes down what it is told; a committable is the tuple of the numbers written."""

    def __init__(self, commits=True):
        self.commits = commits
        self.told = []
        self.written = []
        self.fails = False

    def create_writer(self, context):
        return self

    def create_committer(self):
        return self if self.commits else None

    def write(self, value, context):
        self.written.append(value)

    def flush(self, end_of_input):
        self.told.append(("flush", end_of_input))

    def prepare_commit(self):
        written, self.written = self.written, []
        return [tuple(written)] if written else []

    def take_finished(self):
        return self.prepare_commit() if len(self.written) > 2 else []

    def persist(self, committables):
        self.told.append(("persist", *committables))

    def commit(self, committables):
        if self.fails:
            raise ConnectorError("the other end is gone")
        self.told.append(("commit", *committables))

    def remove_leftovers(self, context):
        self.told.append(("remove leftovers", context.job_id))

    def close(self):
        self.told.append(("close",))


def opened(sink, checkpointing=True, subtask_index=0):
    def make_context(context, schema):
        return SinkContext("sink", context.clock, schema, context.timers.register, checkpointing=checkpointing,
                           job_id=context.job_id)  # fmt: skip

    operator = SinkOperator(sink, SCHEMA, make_context)
    context = OperatorContext("sink", ManualClock(0), ManualTimers(), Configuration(), subtask_index=subtask_index,
                              job_id="job 7", checkpointing=checkpointing)  # fmt: skip
    operator.open(context, CollectedOutput())
    return operator


def write(operator, *numbers):
    operator.process_batch(batch_of_values(list(numbers), SCHEMA, "test"))


def told(sink):
    found, sink.told = sink.told, []
    return found


def test_results_are_committed_when_their_checkpoint_is_complete():
    sink = Told()
    operator = opened(sink)
    write(operator, 1, 2)
    operator.prepare_snapshot(1)
    assert told(sink) == [("flush", False)]
    assert operator.snapshot_committables() == [{"tuple": [1, 2]}]
    write(operator, 3)
    operator.persist(1)
    assert told(sink) == [("persist", (1, 2))]
    operator.notify_complete(1)
    assert told(sink) == [("commit", (1, 2)), ("remove leftovers", "job 7")]
    assert operator.snapshot_committables() == []
    operator.notify_complete(1)
    assert told(sink) == []


def test_checkpoints_overlap_and_each_commits_its_own():
    sink = Told()
    operator = opened(sink)
    for number in (1, 2, 3):
        write(operator, number)
        operator.prepare_snapshot(number)
    assert operator.snapshot_committables() == [{"tuple": [1]}, {"tuple": [2]}, {"tuple": [3]}]
    told(sink)
    operator.persist(2)
    operator.persist(3)
    assert told(sink) == [("persist", (1,)), ("persist", (2,)), ("persist", (3,))]
    operator.notify_complete(2)
    assert told(sink)[0] == ("commit", (1,), (2,))
    operator.notify_complete(1)  # late news
    assert told(sink) == []
    operator.notify_complete(3)
    assert told(sink) == [("commit", (3,))]


def test_what_an_aborted_checkpoint_held_goes_with_the_next():
    sink = Told()
    operator = opened(sink, subtask_index=1)
    write(operator, 1)
    operator.prepare_snapshot(1)
    operator.notify_aborted(1)
    operator.prepare_snapshot(2)
    assert operator.snapshot_committables() == [{"tuple": [1]}]
    told(sink)
    operator.persist(2)
    operator.notify_complete(2)
    assert told(sink) == [("persist", (1,)), ("commit", (1,))]  # leftovers are subtask 0's


def test_a_persist_that_failed_is_repeated_for_the_next_checkpoint():
    sink = Told()
    operator = opened(sink)
    write(operator, 1)
    operator.prepare_snapshot(1)
    persist, sink.persist = sink.persist, None
    with pytest.raises(TypeError):
        operator.persist(1)
    sink.persist = persist
    operator.notify_aborted(1)
    told(sink)
    operator.persist(2)
    assert told(sink) == [("persist", (1,))]


def test_the_last_results_wait_for_the_last_checkpoint():
    sink = Told()
    operator = opened(sink)
    write(operator, 1)
    operator.end_input()
    assert operator.pending and told(sink) == [("flush", True)]
    operator.prepare_snapshot(1)
    assert operator.snapshot_committables() == [{"tuple": [1]}] and operator.pending
    operator.notify_complete(1)
    assert not operator.pending and ("commit", (1,)) in told(sink)


def test_without_checkpoints_results_are_committed_as_they_are_finished():
    sink = Told()
    operator = opened(sink, checkpointing=False)
    write(operator, 1, 2)
    assert told(sink) == []
    write(operator, 3)
    assert told(sink) == [("persist", (1, 2, 3)), ("commit", (1, 2, 3))]
    write(operator, 4)
    operator.end_input()
    assert told(sink) == [("flush", True), ("persist", (4,)), ("commit", (4,))] and not operator.pending


def test_a_savepoint_of_a_job_without_checkpoints_holds_what_it_prepared():
    sink = Told()
    operator = opened(sink, checkpointing=False)
    write(operator, 1)
    operator.prepare_snapshot(1)
    assert operator.snapshot_committables() == [{"tuple": [1]}]
    told(sink)
    operator.notify_aborted(1)
    assert told(sink) == [("persist", (1,)), ("commit", (1,))]
    write(operator, 2)
    operator.prepare_snapshot(2)
    told(sink)
    operator.notify_complete(2)
    operator.end_input()
    assert told(sink) == [("commit", (2,)), ("remove leftovers", "job 7"), ("flush", True)]


def test_a_restored_checkpoint_is_committed_before_any_record():
    sink = Told()
    operator = opened(sink)
    operator.restore_committables([{"tuple": [1]}, {"tuple": [2]}])
    assert told(sink) == [("commit", (1,), (2,))]
    assert operator.snapshot_committables() == []


def test_a_job_without_results_waits_for_a_checkpoint_as_well_that_tells_leftovers_from_results():
    sink = Told()
    operator = opened(sink)
    operator.end_input()
    assert operator.pending
    operator.prepare_snapshot(1)
    operator.notify_complete(1)
    assert not operator.pending and told(sink)[-1][0] == "remove leftovers"


def test_a_sink_without_a_committer_has_nothing_to_wait_for():
    sink = Told(commits=False)
    operator = opened(sink)
    write(operator, 1)
    operator.prepare_snapshot(1)
    operator.end_input()
    assert operator.snapshot_committables() == [] and not operator.pending
    with pytest.raises(
        ConfigurationError, match=r"operator 'sink': the restored checkpoint holds results that Told"
    ):
        operator.restore_committables([{"tuple": [1]}])


def test_a_commit_that_fails_fails_the_job_and_is_repeated_after_the_restart():
    sink = Told()
    operator = opened(sink)
    write(operator, 1)
    operator.prepare_snapshot(1)
    stored = operator.snapshot_committables()
    sink.fails = True
    with pytest.raises(ConnectorError, match="the other end is gone"):
        operator.notify_complete(1)
    operator.close()
    sink.fails = False
    told(sink)
    opened(sink).restore_committables(stored)
    assert told(sink) == [("commit", (1,))]


def test_fault_points_stand_before_and_behind_a_commit(monkeypatch):
    sink = Told()
    operator = opened(sink)
    write(operator, 1)
    operator.prepare_snapshot(1)
    sink.told.clear()
    monkeypatch.setattr(faultpoint, "hook", lambda name: sink.told.append((name,)))
    operator.notify_complete(1)
    assert told(sink)[:3] == [("commit.begun",), ("commit", (1,)), ("commit.done",)]


class Undeclared(Told):
    """Its committables could not be read back."""

    def prepare_commit(self):
        return [SCHEMA]


def test_a_committable_that_is_no_plain_data_fails_the_snapshot():
    operator = opened(Undeclared())
    operator.prepare_snapshot(1)
    with pytest.raises(TypeError, match="Schema is no plain data"):
        operator.snapshot_committables()
