# SPDX-License-Identifier: Apache-2.0
"""Jobs asked from outside: who may ask, what is answered, and what the dead leave behind. The jobs are fakes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flinkcore.cli import control, jobs, main
from flinkcore.cli.control import (
    ControlServer,
    RunningJob,
    find_job,
    line_of,
    read_answer,
    read_request,
    running_jobs,
)
from flinkcore.errors import CheckpointError, ControlError, FlinkcoreWarning, JobCancelledError

CheckpointStats = make_dataclass("CheckpointStats", ["checkpoint_id", "completed_ms", "duration_ms", "written_bytes"])


class Job:
    """What the server uses of a JobRun. The test settles the futures of savepoints."""

    def __init__(self, job_id: str, name: str = "bids") -> None:
        self.job_id, self.name, self.restarts = job_id, name, 0
        self.status = SimpleNamespace(value="RUNNING")
        self.clock = SimpleNamespace(now_ms=lambda: 1_767_225_600_000)
        self.checkpoints: list[Any] = []
        self.asked: list[tuple[object, ...]] = []
        self.was_asked = threading.Event()
        self.future: Future[str] = Future()
        self.stops = True

    def checkpoint_stats(self) -> list[Any]:
        return self.checkpoints

    def savepoint(self, folder: str | None, *, stop: bool, drain: bool) -> Future[str]:
        self.asked.append((folder, stop, drain))
        self.was_asked.set()
        return self.future

    def cancel(self) -> None:
        self.asked.append(("cancel",))

    def wait(self, timeout_s: float) -> bool:
        if self.stops:
            self.status.value = "CANCELED"
            raise JobCancelledError("cancelled")
        return False


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of sockets, under a name that is short enough for them."""
    runtime = tempfile.mkdtemp(prefix="fc-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setattr(tempfile, "tempdir", os.path.join(runtime, "none"))
    yield Path(runtime, "flinkcore")
    shutil.rmtree(runtime)


@pytest.fixture
def server(folder: Path) -> Iterator[ControlServer]:
    opened = ControlServer()
    yield opened
    opened.close()


@pytest.fixture
def job(server: ControlServer) -> Job:
    started = Job("ab" * 16)
    server.job_started(started)
    return started


def send(folder: Path, job: Job, line: bytes) -> dict[str, Any]:
    """What the socket of a job answers to these bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(folder / f"{job.job_id}.sock"))
        with contextlib.suppress(BrokenPipeError):      # it is answered before it has asked
            connection.sendall(line)
        return json.loads(connection.makefile("rb").readline())


# -- requests and answers ------------------------------------------------------------------------------------


def test_a_job_describes_itself(job: Job, folder: Path) -> None:
    (found,) = running_jobs()
    assert found.description is not None
    assert (found.job_id, found.name, found.description.status) == (job.job_id, "bids", "RUNNING")
    assert (found.description.pid, found.description.started_ms) == (os.getpid(), 1_767_225_600_000)
    assert found.description.checkpoint is None
    job.checkpoints.append(CheckpointStats(7, 1, 2, 3))
    (found,) = running_jobs()
    assert found.description is not None
    assert found.description.checkpoint == {"checkpoint_id": 7, "completed_ms": 1, "duration_ms": 2, "written_bytes": 3}


def test_the_answer_to_a_savepoint_comes_when_it_is_complete(job: Job) -> None:
    found = find_job("bids")
    answers: list[dict[str, Any]] = []
    client = threading.Thread(target=lambda: answers.append(
        found.ask("savepoint", folder="/saved", stop=True, drain=False)))
    client.start()
    assert job.was_asked.wait(10) and not answers
    assert running_jobs()[0].name == "bids"             # meanwhile others are answered
    job.future.set_result("/saved/savepoint-1")
    client.join(10)
    assert answers == [{"path": "/saved/savepoint-1"}]
    assert job.asked == [("/saved", True, False)]


def test_an_answer_under_way_when_the_job_and_the_process_end_still_arrives(job: Job, server: ControlServer) -> None:
    found = find_job("bids")
    answers: list[dict[str, Any]] = []
    client = threading.Thread(target=lambda: answers.append(
        found.ask("savepoint", folder=None, stop=True, drain=True)))
    client.start()
    assert job.was_asked.wait(10)
    server.job_ended(job)
    assert running_jobs() == []
    job.future.set_result("/saved/savepoint-1")
    server.close()
    client.join(10)
    assert answers == [{"path": "/saved/savepoint-1"}]


def test_a_savepoint_that_fails_says_why(job: Job) -> None:
    job.future.set_exception(CheckpointError("job 'bids': a savepoint needs a folder"))
    with pytest.raises(ControlError, match=r"^job 'bids': a savepoint needs a folder$"):
        find_job("bids").ask("savepoint", folder=None, stop=False, drain=False)


def test_an_error_that_is_not_ours_comes_with_its_class(job: Job) -> None:
    job.future.set_exception(ZeroDivisionError("by zero"))
    with pytest.raises(ControlError, match=r"^ZeroDivisionError: by zero$"):
        find_job("bids").ask("savepoint", folder=None, stop=False, drain=False)


def test_a_cancel_is_answered_when_the_job_has_ended(job: Job) -> None:
    assert find_job("bids").ask("cancel") == {"status": "CANCELED"}
    assert job.asked == [("cancel",)]


def test_a_job_that_does_not_stop_is_said_not_to(job: Job) -> None:
    job.stops = False
    with pytest.raises(ControlError, match=f"has not after 30 s: .* end process {os.getpid()}"):
        find_job("bids").ask("cancel")


@pytest.mark.parametrize(("line", "error"), [
    (b"", "not one line of JSON"),
    (b"\n", "not one line of JSON"),
    (b"describe\n", "not one line of JSON"),
    (b"\xff\xfe\n", "not one line of JSON"),
    (b"[" * 10_000 + b"\n", "not one line of JSON"),
    (b"1" * 10_000 + b"\n", "not one line of JSON"),
    (b'{"version": 1}\n{"version": 1}\n', "not one line of JSON"),
    (b"[1]\n", r"the request is \[1\], expected a JSON object"),
    (b'{"request": "describe"}\n', "version None, expected 1"),
    (b'{"version": 2, "request": "describe"}\n', "version 2, expected 1: .* another release"),
    (b'{"version": true, "request": "describe"}\n', "version True, expected 1"),
    (b'{"version": 1}\n', "the request is None, expected one of describe, savepoint, cancel"),
    (b'{"version": 1, "request": ["cancel"]}\n', r"the request is \['cancel'\], expected one of"),
    (b'{"version": 1, "request": "_accept"}\n', "the request is '_accept', expected one of"),
    (b'{"version": 1, "request": "cancel", "now": 1}\n', r"has the fields \['now'\], expected \[\]"),
    (b'{"version": 1, "request": "savepoint"}\n', r"has the fields \[\], expected \['folder', 'stop', 'drain'\]"),
    (line_of(request="savepoint", folder=1, stop=True, drain=True), "field 'folder' .* is 1, expected str or NoneType"),
    (line_of(request="savepoint", folder="/", stop=1, drain=True), "field 'stop' .* is 1, expected bool"),
])  # fmt: skip
def test_a_request_that_is_none_is_refused(line: bytes, error: str) -> None:
    with pytest.raises(ControlError, match=error):
        read_request(line)


def test_bytes_that_are_no_request_are_answered_and_the_job_goes_on(job: Job, folder: Path) -> None:
    assert "not one line of JSON" in send(folder, job, b"{\n")["error"]
    assert "more than 16,384 bytes" in send(folder, job, b"x" * 20_000)["error"]
    assert running_jobs()[0].name == "bids"
    assert job.asked == []


@pytest.mark.parametrize("line", [b"", b"{}\n", line_of(), line_of(answer=1), b'{"version": 9, "answer": {}}\n'])
def test_an_answer_that_is_none_is_an_error(line: bytes) -> None:
    with pytest.raises(ControlError):
        read_answer(line)


def test_a_silent_client_is_sent_away_and_a_crowd_too(
    job: Job, folder: Path, server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CONNECTIONS_MAX", 1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(os.fspath(folder / f"{job.job_id}.sock"))
        assert "answers 1 others now" in send(folder, job, line_of(request="describe"))["error"]
        assert "answers 1 others now" in running_jobs()[0].fault
        server.close()                                  # does not wait for what the silent one may ask
    opened, busy = ControlServer(), Job("cd" * 16)
    monkeypatch.setattr(control, "REQUEST_S_MAX", 0.01)
    opened.job_started(busy)
    assert "TimeoutError" in send(folder, busy, b"")["error"]
    opened.close()


# -- who may ask ---------------------------------------------------------------------------------------------


def test_only_the_user_can_enter_the_folder(job: Job, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(folder)) == [f"{job.job_id}.sock", "lock"]


def test_without_a_runtime_folder_of_the_user_s_own_the_sockets_lie_in_the_temporary_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = os.path.join(tempfile.gettempdir(), f"flinkcore-{os.geteuid()}")
    assert control.folders() == [os.fspath(folder), ours]
    folder.parent.chmod(0o755)
    assert control.folders() == [ours]
    folder.parent.chmod(0o700)
    for unusable in ("", "relative", "/does/not/exist"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", unusable)
        assert control.folders() == [ours]


def test_a_job_is_found_from_a_shell_without_the_runtime_folder_s_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(folder.parent))
    opened = ControlServer(control.folders()[1])
    opened.job_started(Job("ab" * 16))
    assert [found.name for found in running_jobs()] == ["bids"]
    opened.close()


def a_folder_that_others_can_enter(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def a_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


def a_file(folder: Path) -> None:
    folder.touch(mode=0o700)


@pytest.mark.parametrize(("make", "fault"), [
    (a_folder_that_others_can_enter, r"can be entered by others \(mode 0755\)"),
    (a_link, "is not a folder"),
    (a_file, "is not a folder"),
])  # fmt: skip
def test_a_folder_that_is_not_the_user_s_alone_is_not_used(make: Any, fault: str, folder: Path) -> None:
    make(folder)
    with pytest.warns(FlinkcoreWarning, match=f"job 'bids' cannot be reached .*{fault}; expected a folder that only"):
        ControlServer().job_started(Job("ab" * 16))
    with pytest.raises(ControlError, match=fault):
        running_jobs()


def test_a_folder_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control.make_folder(os.fspath(folder))
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ControlError, match=f"belongs to user {owner}"):
        control.make_folder(os.fspath(folder))


def test_a_name_too_long_for_a_socket_is_a_warning(tmp_path: Path) -> None:
    with pytest.warns(FlinkcoreWarning, match="no socket in .*too long"):
        ControlServer(os.fspath(tmp_path / ("long" * 30))).job_started(Job("ab" * 16))


# -- which job -----------------------------------------------------------------------------------------------


def test_a_job_is_named_by_its_id_the_beginning_of_it_or_its_name(server: ControlServer) -> None:
    for started in (Job("a1" + "0" * 30, "bids"), Job("a2" + "0" * 30, "asks"), Job("b0" + "0" * 30, "asks")):
        server.job_started(started)
    assert find_job("a1" + "0" * 30).name == find_job("a1").name == "bids"
    assert find_job("bids").job_id.startswith("a1")
    with pytest.raises(ControlError, match=r"'a' may be any of 'bids' \(a10+\), 'asks' \(a20+\); give more of"):
        find_job("a")
    with pytest.raises(ControlError, match=r"'asks' may be any of 'asks' \(a20+\), 'asks' \(b00+\)"):
        find_job("asks")
    with pytest.raises(ControlError, match=r"no running job has the id or the name 'c': there are 'bids' \(a10+\), "):
        find_job("c")
    with pytest.raises(ControlError, match="no running job has the id or the name ''"):
        find_job("")


def test_no_job_at_all(folder: Path) -> None:
    with pytest.raises(ControlError, match="none runs under `flinkcore run` of this user"):
        find_job("bids")


# -- what the dead leave behind ------------------------------------------------------------------------------


def leftover(folder: Path, job_id: str) -> Path:
    """A socket as a process leaves it that was killed."""
    control.make_folder(os.fspath(folder))
    path = folder / f"{job_id}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()
    return path


def test_the_socket_of_a_dead_process_is_swept(folder: Path) -> None:
    path = leftover(folder, "ab" * 16)
    assert running_jobs() == []
    assert not path.exists()


def test_a_job_that_resumes_under_its_id_replaces_the_socket_of_its_dead_process(
    folder: Path, server: ControlServer
) -> None:
    leftover(folder, "ab" * 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server.job_started(Job("ab" * 16))
    assert find_job("ab").name == "bids"


def test_a_socket_that_is_in_use_is_not_taken_over(job: Job, server: ControlServer) -> None:
    other = ControlServer()
    with pytest.warns(FlinkcoreWarning, match="cannot be reached .*in use"):
        other.job_started(Job(job.job_id, "usurper"))
    other.close()
    assert find_job(job.job_id).name == "bids"


def test_a_job_that_ends_takes_its_socket_along(job: Job, server: ControlServer, folder: Path) -> None:
    server.job_ended(job)
    assert os.listdir(folder) == ["lock"]
    server.close()
    server.job_ended(Job("cd" * 16))                    # one whose socket could not be opened


def test_a_process_that_does_not_answer_is_shown_as_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "REQUEST_S_MAX", 0.01)
    control.make_folder(os.fspath(folder))
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(os.fspath(folder / f"{'ab' * 16}.sock"))
        stopped.listen()
        assert main(["list"]) == 0
        assert "does not answer" in capsys.readouterr().out
        assert main(["savepoint", "ab"]) == 1
        assert "its process may be stopped" in capsys.readouterr().err


def test_a_process_that_ends_before_it_answers_is_said_to_have_ended(job: Job, server: ControlServer) -> None:
    found = find_job("bids")
    server.job_ended(job)
    with pytest.raises(ControlError, match=r"job 'bids' \((ab)+\) ended before it answered"):
        found.ask("cancel")
    ours, theirs = socket.socketpair()
    ours.close()
    assert control._receive_line(theirs, 10, None) == b""
    theirs.close()


# -- the commands --------------------------------------------------------------------------------------------


def test_list_shows_jobs_and_their_last_checkpoints(
    server: ControlServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "no job runs under `flinkcore run` of this user\n"
    bids, asks = Job("a0" * 16), Job("b0" * 16, "asks\x1b[2J")
    bids.checkpoints.append(CheckpointStats(7, 1_767_225_660_000, 85, 3_400_000))
    asks.restarts, asks.status.value = 1, "RESTARTING"
    server.job_started(bids)
    server.job_started(asks)
    monkeypatch.setattr(jobs.time, "time_ns", lambda: 1_767_225_663_000_000_000)
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "JOB ID                            NAME      STATUS                 RUNNING SINCE (UTC)  LAST CHECKPOINT",
        f"{'a0' * 16}  bids      RUNNING                2026-01-01 00:00:00  "
        "7, 3 s ago, took 85 ms, wrote 3.4MB",
        f"{'b0' * 16}  asks?[2J  RESTARTING, 1 restart  2026-01-01 00:00:00  none",
    ]


def test_savepoint_prints_the_path_alone(
    job: Job, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    job.future.set_result("/saved/savepoint-1")
    assert main(["savepoint", "bids", "here"]) == 0
    told = capsys.readouterr()
    assert told.out == "/saved/savepoint-1\n"
    assert told.err == f"job 'bids' ({job.job_id}) runs on; flinkcore run -s PATH goes on from it\n"
    for arguments in (["savepoint", "bids"], ["savepoint", "trigger", "bids", "s3://bucket/saved"],
                      ["stop", "bids"], ["stop", "--drain", "-p", "/saved", "bids"]):
        assert main(arguments) == 0
    assert job.asked == [
        (os.fspath(tmp_path / "here"), False, False), (None, False, False), ("s3://bucket/saved", False, False),
        (None, True, False), ("/saved", True, True),
    ]


def test_a_job_called_as_an_action_is_asked_in_the_long_form(
    server: ControlServer, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Job("ab" * 16, "trigger")
    odd.future.set_result("/saved/savepoint-1")
    server.job_started(odd)
    assert main(["savepoint", "trigger", "trigger"]) == 0
    with pytest.raises(SystemExit) as exit:
        main(["savepoint", "trigger"])
    assert exit.value.code == 2


def test_cancel_says_how_the_job_ended(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cancel", "bids"]) == 0
    assert capsys.readouterr().err == f"job 'bids' ({job.job_id}) has ended: canceled\n"


def test_what_fails_is_said_on_stderr(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["savepoint", "asks"], ["stop", "asks"], ["cancel", "asks"]):
        assert main(arguments) == 1
        told = capsys.readouterr()
        assert told.out == "" and told.err.startswith("ControlError: no running job has the id or the name 'asks'")


def test_ctrl_c_ends_the_waiting_and_not_the_job(
    job: Job, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **fields: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunningJob, "ask", interrupted)
    assert main(["stop", "bids"]) == 130
    assert "no longer waiting; job 'bids'" in capsys.readouterr().err
