# SPDX-License-Identifier: Apache-2.0
"""Control of running jobs from other processes of the same user: a Unix socket for each job, and how to ask there.

A connection carries one request and one answer, each a JSON object on one line:

    {"version": 1, "request": "describe"}
    {"version": 1, "request": "savepoint", "folder": "/data/savepoints", "stop": false, "drain": false}
    {"version": 1, "request": "cancel"}

    {"version": 1, "answer": {...}}
    {"version": 1, "error": "job 'bids': a savepoint needs a folder; ..."}

The answer to a savepoint comes when it is complete, that to a cancel, or to a savepoint that stops the job, when the
job has ended. Only its user can enter the folder of the sockets, so whoever connects may do what he asks for.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flinkcore.errors import ControlError, FlinkcoreError, FlinkcoreWarning, JobCancelledError

if TYPE_CHECKING:
    from flinkcore.runtime.job import JobRun

VERSION = 1
SUFFIX = ".sock"
LOCK = "lock"
REQUEST_BYTES_MAX = 16 * 1024
ANSWER_BYTES_MAX = 1024 * 1024
ERROR_CHARS_MAX = 16 * 1024
CONNECTIONS_MAX = 16            # at one job; who comes on top of them is sent away
REQUEST_S_MAX = 5.0             # for a whole request or a whole answer to pass
CANCEL_S_MAX = 30.0             # for a job to stop
LAST_ANSWERS_S_MAX = 2.0        # for answers under way when the process ends
PAUSE_S = 0.1                   # after a connection that could not be accepted

# A client that has gone must not kill a program that lets SIGPIPE through.
_SEND_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)

#: The fields of each request, with the types that they may have.
_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "describe": {},
    "savepoint": {"folder": (str, type(None)), "stop": (bool,), "drain": (bool,)},
    "cancel": {},
}


@dataclass(frozen=True)
class Description:
    """What a running job says of itself.

    started_ms : since the epoch;  checkpoint : the last one that completed, as CheckpointStats has it
    """

    job_id: str
    name: str
    status: str
    pid: int
    started_ms: int
    restarts: int
    checkpoint: dict[str, Any] | None

    @staticmethod
    def of(job: JobRun, started_ms: int) -> Description:
        stats = job.checkpoint_stats()
        return Description(job.job_id, job.name, job.status.value, os.getpid(), started_ms, job.restarts,
                           asdict(stats[-1]) if stats else None)


# -- the folder ----------------------------------------------------------------------------------------------


def folders() -> list[str]:
    """Where sockets may lie, the best place first; they need not exist.

    A shell that another user opened may lack XDG_RUNTIME_DIR or have that of another user: then it is the second.
    """
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "geteuid"):
        return []
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [os.path.join(runtime, "flinkcore")] if os.path.isabs(runtime) and _fault(runtime) is None else []
    return [*places, os.path.join(tempfile.gettempdir(), f"flinkcore-{os.geteuid()}")]


def make_folder(folder: str) -> None:
    """Makes a folder of sockets unless it is there. ControlError : it is not this user's alone"""
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    fault = _fault(folder)
    if fault is not None:
        raise ControlError(f"'{folder}' {fault}; expected a folder that only its owner, user {os.geteuid()}, can "
                           f"enter (mode 0700): remove it, or set XDG_RUNTIME_DIR")


def _fault(folder: str) -> str | None:
    """Why a folder is not to be trusted."""
    try:
        found = os.lstat(folder)
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    if not stat.S_ISDIR(found.st_mode):
        return "is not a folder"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}"
    if found.st_mode & 0o077:
        return f"can be entered by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return None


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Nobody else makes or sweeps sockets of the folder meanwhile."""
    import fcntl

    file = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _sweep(path: str) -> None:
    """Removes a socket that nobody listens to, its process being dead. Under the lock of its folder."""
    try:
        _connect(path, 0.0).close()
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        pass                                # there is none, or it is busy


def _connect(path: str, timeout_s: float | None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


# -- lines ---------------------------------------------------------------------------------------------------


def line_of(**fields: Any) -> bytes:
    """A request or an answer as it is sent."""
    return json.dumps({"version": VERSION, **fields}).encode() + b"\n"


def read_request(line: bytes) -> tuple[str, dict[str, Any]]:
    """-> what is asked for, and its fields. ControlError : it is not a request of this version"""
    fields = _read_object(line, "request")
    request = fields.pop("request", None)
    expected = _FIELDS.get(request) if isinstance(request, str) else None
    if expected is None:
        raise ControlError(f"the request is {_shown(request)}, expected one of {', '.join(_FIELDS)}")
    if fields.keys() != expected.keys():
        raise ControlError(f"request '{request}' has the fields {_shown(sorted(fields))}, expected {list(expected)}")
    for name, types in expected.items():
        if not isinstance(fields[name], types):
            raise ControlError(f"field '{name}' of request '{request}' is {_shown(fields[name])}, expected "
                               f"{' or '.join(t.__name__ for t in types)}")
    return str(request), fields


def read_answer(line: bytes) -> dict[str, Any]:
    """-> what a job answered. ControlError : it refused, or what came is no answer of this version"""
    fields = _read_object(line, "answer")
    error, answer = fields.get("error"), fields.get("answer")
    if isinstance(error, str):
        raise ControlError(error)
    if not isinstance(answer, dict):
        raise ControlError(f"a job gave neither an answer nor an error: {_shown(fields)}")
    return answer


def _read_object(line: bytes, what: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"the {what} is not one line of JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ControlError(f"the {what} is {_shown(fields)}, expected a JSON object")
    version = fields.pop("version", None)
    if type(version) is not int or version != VERSION:
        raise ControlError(f"the {what} has version {_shown(version)}, expected {VERSION}: the job runs under another "
                           f"release of flinkcore; use the command of that release")
    return fields


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


def _receive_line(connection: socket.socket, bytes_max: int, seconds_max: float | None) -> bytes:
    """What comes until the end of a line, or until the other side has ended.

    ControlError : it is longer than bytes_max;  TimeoutError : it has not come whole within seconds_max
    """
    deadline = None if seconds_max is None else time.monotonic() + seconds_max
    received, more = bytearray(), b""
    while b"\n" not in more:
        if deadline is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            connection.settimeout(left_s)
        more = connection.recv(min(65_536, bytes_max + 1 - len(received)))
        if not more:
            break
        received += more
        if len(received) > bytes_max:
            raise ControlError(f"a line of more than {bytes_max:,} bytes")
    return bytes(received)


# -- the side of the job -------------------------------------------------------------------------------------


class ControlServer:
    """Opens a socket for each job of this process and answers what is asked there. A listener of jobs.

    Where that cannot be done a warning says so, and the job runs all the same.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._sockets: dict[JobRun, _JobSocket] = {}

    def job_started(self, job: JobRun) -> None:
        places = [self._folder] if self._folder is not None else folders()[:1]
        for folder in places:
            try:
                make_folder(folder)
                self._sockets[job] = _JobSocket(job, folder)
            except OSError as error:
                text = str(error) if isinstance(error, FlinkcoreError) else f"no socket in '{folder}': {error}"
                warnings.warn(f"job '{job.name}' cannot be reached by flinkcore list, savepoint, stop and cancel: "
                              f"{text}", FlinkcoreWarning, stacklevel=2)

    def job_ended(self, job: JobRun) -> None:
        if job in self._sockets:
            self._sockets[job].close()

    def close(self) -> None:
        """The process ends: those who still wait have what they asked for, or will not get it."""
        for opened in self._sockets.values():
            opened.close()
        deadline = time.monotonic() + LAST_ANSWERS_S_MAX
        for opened in self._sockets.values():
            opened.finish(deadline)


class _JobSocket:
    """The socket of one job. Each connection has a thread, which may wait for the job; the job waits for none."""

    def __init__(self, job: JobRun, folder: str) -> None:
        self._job = job
        self._started_ms = job.clock.now_ms()
        self._path = os.path.join(folder, job.job_id + SUFFIX)
        self._closed = threading.Event()
        self._connections: set[threading.Thread] = set()
        self._answering: set[threading.Thread] = set()      # those that have read a request
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _locked(folder):
                _sweep(self._path)
                self._listener.bind(self._path)
                self._listener.listen(CONNECTIONS_MAX)
        except BaseException:
            self._listener.close()
            raise
        threading.Thread(target=self._accept, name=f"{job.name} control", daemon=True).start()

    def close(self) -> None:
        """Takes no more requests."""
        if not self._closed.is_set():
            self._closed.set()
            with suppress(OSError):
                os.unlink(self._path)
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)   # wakes accept()

    def finish(self, deadline: float) -> None:
        """Waits for the answers under way, until `deadline` at most, and for no one who has not asked yet."""
        for thread in list(self._answering):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        with self._listener:
            while not self._closed.is_set():
                try:
                    connection, _ = self._listener.accept()
                except OSError:                             # closed, or the process has no descriptor left
                    self._closed.wait(PAUSE_S)
                    continue
                if len(self._connections) < CONNECTIONS_MAX:
                    self._begin(connection)
                else:
                    with connection:
                        text = f"job '{self._job.name}' answers {CONNECTIONS_MAX} others now; ask again later"
                        _send(connection, line_of(error=text), 0.0)

    def _begin(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(connection,), name=f"{self._job.name} control request",
                                  daemon=True)
        self._connections.add(thread)
        try:
            thread.start()
        except RuntimeError:                                # the system has no more threads
            self._connections.discard(thread)
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        thread = threading.current_thread()
        try:
            with connection:
                _send(connection, self._answer(connection), REQUEST_S_MAX)
        finally:
            self._answering.discard(thread)
            self._connections.discard(thread)

    def _answer(self, connection: socket.socket) -> bytes:
        try:
            line = _receive_line(connection, REQUEST_BYTES_MAX, REQUEST_S_MAX)
            self._answering.add(threading.current_thread())
            request, fields = read_request(line)
            return line_of(answer=getattr(self, f"_{request}")(**fields))
        except Exception as error:
            text = str(error) if isinstance(error, FlinkcoreError) else f"{type(error).__name__}: {error}"
            return line_of(error=text[:ERROR_CHARS_MAX])

    # -- requests -----------------------------------------------------------------------------------------

    def _describe(self) -> dict[str, Any]:
        return asdict(Description.of(self._job, self._started_ms))

    def _savepoint(self, folder: str | None, stop: bool, drain: bool) -> dict[str, Any]:
        return {"path": self._job.savepoint(folder, stop=stop, drain=drain).result()}

    def _cancel(self) -> dict[str, Any]:
        job = self._job
        job.cancel()
        try:
            ended = job.wait(CANCEL_S_MAX)
        except JobCancelledError:
            ended = True
        if not ended:
            raise ControlError(f"job '{job.name}' was told to stop and has not after {CANCEL_S_MAX:.0f} s: a function "
                               f"of the program blocks; end process {os.getpid()} if it does not return")
        return {"status": job.status.value}


def _send(connection: socket.socket, line: bytes, seconds_max: float) -> None:
    """Sends to whoever may have gone, or may not read."""
    with suppress(OSError):
        connection.settimeout(seconds_max)
        connection.sendall(line, _SEND_FLAGS)


# -- the side of the client ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunningJob:
    """A job found by its socket. description : None when it did not answer, and `fault` says why"""

    path: str
    job_id: str
    description: Description | None
    fault: str = ""

    @property
    def name(self) -> str:
        return "" if self.description is None else self.description.name

    def __str__(self) -> str:
        return f"'{self.name}' ({self.job_id})" if self.description is not None else self.job_id

    def ask(self, request: str, **fields: Any) -> dict[str, Any]:
        """-> the answer, when there is one. ControlError : the job refused, or ended first"""
        if self.description is None:
            raise ControlError(f"job {self.job_id} {self.fault}")
        try:
            return _ask(self.path, None, request, **fields)
        except (ConnectionError, FileNotFoundError):
            raise ControlError(f"job {self} ended before it answered; see what its process said") from None


def running_jobs() -> list[RunningJob]:
    """The jobs of this user that run on this machine. What dead processes left is removed.

    ControlError : the folder in which a job would now open its socket is not to be trusted
    """
    places = folders()
    if places and os.path.lexists(places[0]):
        make_folder(places[0])
    paths = [os.path.join(folder, name) for folder in places if _fault(folder) is None
             for name in sorted(os.listdir(folder)) if name.endswith(SUFFIX)]
    return [job for job in map(_look, paths) if job is not None]


def find_job(wanted: str) -> RunningJob:
    """The running job with this id, the beginning of it, or this name. ControlError : none, or more than one"""
    jobs = running_jobs()
    matches = [job for job in jobs if job.job_id == wanted]
    if not matches:
        matches = [job for job in jobs if wanted and (job.job_id.startswith(wanted) or job.name == wanted)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ControlError(f"'{wanted}' may be any of {', '.join(map(str, matches))}; give more of the job id")
    others = f"there are {', '.join(map(str, jobs))}" if jobs else "none runs under `flinkcore run` of this user"
    raise ControlError(f"no running job has the id or the name '{wanted}': {others}")


def _look(path: str) -> RunningJob | None:
    """The job behind a socket, None when there is none any more."""
    job_id = os.path.basename(path).removesuffix(SUFFIX)
    try:
        return RunningJob(path, job_id, Description(**_ask(path, REQUEST_S_MAX, "describe")))
    except ConnectionRefusedError:
        with _locked(os.path.dirname(path)):
            _sweep(path)
        return None
    except (ConnectionError, FileNotFoundError):    # it ended just now
        return None
    except ControlError as error:
        return RunningJob(path, job_id, None, f"cannot be asked: {error}")
    except (OSError, TypeError) as error:
        return RunningJob(path, job_id, None, f"does not answer; its process may be stopped ({error})")


def _ask(path: str, seconds_max: float | None, request: str, **fields: Any) -> dict[str, Any]:
    with _connect(path, REQUEST_S_MAX) as connection:
        with suppress(BrokenPipeError):     # sent away before it could ask: the answer says why
            connection.sendall(line_of(request=request, **fields), _SEND_FLAGS)
        connection.settimeout(None)
        line = _receive_line(connection, ANSWER_BYTES_MAX, seconds_max)
    if not line:
        raise ConnectionResetError("the connection ended without an answer")
    return read_answer(line)
