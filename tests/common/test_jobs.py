# SPDX-License-Identifier: Apache-2.0
"""Time amounts, jobs, restart strategies, execution settings and schemas of the common API."""

from __future__ import annotations

import concurrent.futures
import copy
import pickle
from datetime import timedelta

import pytest

from flinkcore import options
from flinkcore.common import (
    CompletableFuture,
    Configuration,
    Duration,
    ExecutionConfig,
    Instant,
    JobClient,
    JobExecutionResult,
    JobID,
    JobStatus,
    RestartStrategies,
    SimpleStringSchema,
    Time,
)
from flinkcore.common.serialization import ByteArraySchema, RowFieldExtractorSchema
from flinkcore.common.serializer import VoidNamespaceSerializer
from flinkcore.common.types import Row
from flinkcore.errors import CheckpointError, JobExecutionError
from flinkcore.runtime import job as runtime


@pytest.mark.parametrize(("duration", "text"), [
    (Duration.of_millis(0), "PT0S"), (Duration.of_days(2), "PT48H"), (Duration.of_minutes(1), "PT1M"),
    (Duration.of_millis(29_646_345), "PT8H14M6.345S"), (Duration.of_nanos(-1), "PT-0.000000001S"),
    (Duration.of_hours(-1), "PT-1H"),
])  # fmt: skip
def test_durations_print_as_javas(duration, text):
    assert str(duration) == text


def test_amounts_of_time_compare_by_length():
    assert Duration.of_seconds(60) == Duration.of_minutes(1) < Duration.of_hours(1)
    assert Duration.of_nanos(1_999_999).to_millis() == 1
    assert Time.seconds(60) == Time.minutes(1) == Time(60_000) and str(Time.days(1)) == "86400000 ms"
    assert Time.hours(1).to_milliseconds() == 3_600_000 and Time.seconds(1) != Duration.of_seconds(1)
    assert len({Duration.of_seconds(1), Duration.of_millis(1000), Time.milliseconds(1000)}) == 2
    for wrong in (lambda: Duration.of_seconds(1.5), lambda: Time.seconds("1")):
        with pytest.raises(TypeError):
            wrong()
    assert copy.copy(Duration.of_days(1)) == pickle.loads(pickle.dumps(Duration.of_days(1)))


def test_instants():
    instant = Instant.of_epoch_milli(-1)
    assert (instant.seconds, instant.nanos, instant.to_epoch_milli()) == (-1, 999_000_000, -1)
    assert str(Instant(1, 2)) == "Instant<1, 2>"
    assert Instant(0, 5) < Instant(1, 0) and Instant(1, 0) <= Instant(1, 0)
    assert Instant.of_epoch_milli(1500).to_datetime().isoformat() == "1970-01-01T00:00:01.500000+00:00"


class Run:
    """A job run as the executor shows it."""

    def __init__(self, failure=None):
        self.job_id, self.failure, self.ended, self.callbacks = "ab" * 16, failure, False, []
        self.status = JobStatus.RUNNING
        self.savepoints = []

    def savepoint(self, folder=None, *, stop=False, drain=False):
        self.savepoints.append((folder, stop, drain))
        self.saved = concurrent.futures.Future()
        return self.saved

    def elapsed_ns(self):
        return 1_500_000_000

    def cancel(self):
        self.end(JobStatus.CANCELED)

    def wait(self, timeout_s=None):
        if self.failure is not None:
            raise self.failure
        return self.ended

    def when_ended(self, callback):
        callback(self) if self.ended else self.callbacks.append(callback)

    def end(self, status=JobStatus.FINISHED):
        self.status, self.ended = status, True
        for callback in self.callbacks:
            callback(self)


def test_a_client_follows_its_job():
    run = Run()
    client = JobClient.of_run(run)
    outcome = client.get_job_execution_result()
    assert client.get_job_status().result() is JobStatus.RUNNING
    assert (
        not outcome.done()
        and outcome.exception() is None
        and str(outcome) == "CompletableFuture[Not completed]"
    )
    run.end()
    result = outcome.result()
    assert result.get_job_id() == client.get_job_id() == JobID("ab" * 16)
    assert result.get_net_runtime() == 1500 and result.get_accumulator_result("a") is None
    assert "has finished.\nJob Runtime: 1500 ms" in str(result)
    assert str(outcome) == "CompletableFuture[Completed normally]"
    assert client.get_accumulators().result() == {}


def test_a_client_sees_a_failure_and_can_cancel():
    failing = Run(JobExecutionError("boom"))
    outcome = JobClient.of_run(failing).get_job_execution_result()
    failing.end(JobStatus.FAILED)
    with pytest.raises(JobExecutionError, match="boom"):
        outcome.result()
    assert isinstance(outcome.exception(), JobExecutionError)
    assert str(outcome) == "CompletableFuture[Completed exceptionally]"
    run = Run()
    assert JobClient.of_run(run).cancel().done() and run.status is JobStatus.CANCELED


def test_a_client_asks_for_savepoints():
    run = Run()
    client = JobClient.of_run(run)
    path = client.trigger_savepoint("/saved")
    assert not path.done()
    run.saved.set_result("/saved/savepoint-1")
    assert path.result() == "/saved/savepoint-1"
    failing = client.stop_with_savepoint(True)
    run.saved.set_exception(CheckpointError("no folder"))
    assert isinstance(failing.exception(), CheckpointError)
    with pytest.raises(CheckpointError, match="no folder"):
        failing.result()
    given_up = client.stop_with_savepoint(False, savepoint_directory="/saved")
    assert given_up.cancel()
    run.saved.set_result("/saved/savepoint-2")  # and the coordinator hears of no error
    with pytest.raises(concurrent.futures.CancelledError):
        given_up.result()
    assert run.savepoints == [("/saved", False, False), (None, True, True), ("/saved", True, False)]


def test_a_client_sees_that_its_job_restarts():
    run = Run()
    run.status = runtime.JobStatus.RESTARTING
    assert JobClient.of_run(run).get_job_status().result() is JobStatus.RESTARTING


def test_giving_up_a_future_leaves_the_job_alone():
    run = Run()
    outcome = JobClient.of_run(run).get_job_execution_result()
    assert outcome.cancel() and outcome.cancelled()
    run.end()
    with pytest.raises(concurrent.futures.CancelledError):
        outcome.result()
    assert outcome.exception() is None
    assert CompletableFuture.completed(3).result() == 3


def test_terminal_states():
    terminal = {status for status in JobStatus if status.is_terminal_state()}
    assert terminal == {JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED, JobStatus.SUSPENDED}
    assert {status for status in JobStatus if status.is_globally_terminal_state()} == terminal - {
        JobStatus.SUSPENDED
    }
    assert [status.value for status in JobStatus] == list(range(10))
    assert JobExecutionResult(JobID("x"), 1, {"n": 2}).get_all_accumulator_results() == {"n": 2}


def test_restart_strategies_are_values_that_set_options():
    fixed = RestartStrategies.fixed_delay_restart(3, 5000)
    assert (
        fixed
        == RestartStrategies.fixed_delay_restart(3, timedelta(seconds=5))
        != RestartStrategies.no_restart()
    )
    assert fixed.get_restart_attempts() == 3
    assert fixed.get_delay_between_attempts_interval() == timedelta(seconds=5)
    assert fixed.get_description() == "Restart with fixed delay (PT5S). #3 restart attempts."
    conf = Configuration()
    fixed.add_to(conf)
    assert (conf.get(options.RESTART_STRATEGY), conf.get(options.RESTART_DELAY)) == ("fixed-delay", 5000)
    rate = RestartStrategies.failure_rate_restart(2, 60_000, timedelta(seconds=1))
    rate.add_to(conf)
    assert (rate.get_max_failure_rate(), rate.get_failure_interval()) == (2, timedelta(minutes=1))
    assert (
        conf.get(options.RESTART_FAILURE_DELAY) == 1000 and "maximum of 2 failures" in rate.get_description()
    )
    RestartStrategies.fall_back_restart().add_to(conf)
    assert not conf.contains(options.RESTART_STRATEGY)
    with pytest.raises(TypeError, match=r"milliseconds \(int\) or a datetime.timedelta, not str"):
        RestartStrategies.fixed_delay_restart(3, "5 s")


def test_execution_settings_live_in_the_configuration():
    conf = Configuration()
    config = ExecutionConfig(conf)
    assert config.get_parallelism() == ExecutionConfig.PARALLELISM_DEFAULT
    assert config.set_parallelism(8).get_parallelism() == 8 == conf.get(options.PARALLELISM)
    config.set_parallelism(ExecutionConfig.PARALLELISM_UNKNOWN)
    assert config.get_parallelism() == 8
    assert config.set_parallelism(ExecutionConfig.PARALLELISM_DEFAULT).get_parallelism() == -1
    assert config.get_auto_watermark_interval() == 200
    assert config.set_auto_watermark_interval(1000).get_auto_watermark_interval() == 1000
    assert (
        config.get_task_cancellation_interval() == 30_000
        and config.get_task_cancellation_timeout() == 180_000
    )
    assert config.set_max_parallelism(12).get_max_parallelism() == 12
    assert config.set_global_job_parameters({"hello": 1}).get_global_job_parameters() == {"hello": "1"}
    for wrong in (
        lambda: config.set_parallelism(0),
        lambda: config.set_max_parallelism(32769),
        lambda: config.set_auto_watermark_interval(-1),
        lambda: config.set_task_cancellation_timeout(-1),
    ):
        with pytest.raises(ValueError):
            wrong()


@pytest.mark.parametrize(("on", "off", "is_on", "default"), [
    ("enable_closure_cleaner", "disable_closure_cleaner", "is_closure_cleaner_enabled", True),
    ("enable_object_reuse", "disable_object_reuse", "is_object_reuse_enabled", False),
    ("enable_auto_generated_uids", "disable_auto_generated_uids", "has_auto_generated_uids_enabled", True),
])  # fmt: skip
def test_switches(on, off, is_on, default):
    config = ExecutionConfig()
    assert getattr(config, is_on)() is default
    assert getattr(getattr(config, off)(), is_on)() is False
    assert getattr(getattr(config, on)(), is_on)() is True
    other = ExecutionConfig()
    assert config != other
    getattr(other, on)()
    assert config == other and hash(config) == hash(other)


def test_schemas_between_values_and_bytes():
    schema = SimpleStringSchema()
    assert schema.deserialize(schema.serialize("grün")) == "grün"
    assert SimpleStringSchema("latin-1").serialize("ü") == b"\xfc"
    assert schema.deserialize(b"\xfc") == "\ufffd"
    with pytest.raises(LookupError):
        SimpleStringSchema("no such charset")
    assert ByteArraySchema().serialize(bytearray(b"x")) == b"x" == ByteArraySchema().deserialize(b"x")
    field = RowFieldExtractorSchema(1)
    assert (
        field.serialize(Row(1, b"k")) == b"k"
        and field.serialize(None) == field.serialize(Row(1, None)) == b""
    )
    with pytest.raises(ValueError, match="expected bytes"):
        field.serialize(Row(1, "k"))
    with pytest.raises(ValueError, match="Field index must be non-negative"):
        RowFieldExtractorSchema(-1)
    assert VoidNamespaceSerializer() == VoidNamespaceSerializer()
