# SPDX-License-Identifier: Apache-2.0
"""`flinkcore list`, `savepoint trigger`, `stop` and `cancel`: running jobs, seen and asked from another process."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from flinkcore.cli.control import RunningJob, find_job, running_jobs
from flinkcore.cli.text import count, duration, instant, size, table
from flinkcore.errors import FlinkcoreError

OK, FAILED, INTERRUPTED = 0, 1, 130


def list_jobs() -> int:
    """Shows the running jobs. -> the exit code"""
    return _told(_list)


def savepoint(wanted: str, folder: str | None) -> int:
    """Has a job write a savepoint, and prints its path. -> the exit code"""
    return _told(lambda: _save(find_job(wanted), folder, stop=False, drain=False))


def stop(wanted: str, folder: str | None, *, drain: bool) -> int:
    """Has a job end with a savepoint, and prints its path. -> the exit code"""
    return _told(lambda: _save(find_job(wanted), folder, stop=True, drain=drain))


def cancel(wanted: str) -> int:
    """Has a job end at once. -> the exit code"""
    return _told(lambda: _cancel(find_job(wanted)))


def _told(command: Callable[[], int]) -> int:
    try:
        return command()
    except FlinkcoreError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _list() -> int:
    jobs = running_jobs()
    if not jobs:
        print("no job runs under `flinkcore run` of this user")
        return OK
    rows = [("JOB ID", "NAME", "STATUS", "RUNNING SINCE (UTC)", "LAST CHECKPOINT")]
    now_ms = time.time_ns() // 1_000_000
    for job in jobs:
        about = job.description
        if about is None:
            rows.append((job.job_id, "", "does not answer", "", ""))
        else:
            status = about.status + (f", {count(about.restarts, 'restart')}" if about.restarts else "")
            rows.append((job.job_id, _printable(about.name), status, instant(about.started_ms)[:-4],
                         _last(about.checkpoint, now_ms)))
    print(table(rows))
    for job in jobs:
        if job.description is None:
            sys.stderr.write(f"job {job.job_id} {job.fault}\n")
    return OK


def _last(checkpoint: dict[str, Any] | None, now_ms: int) -> str:
    if checkpoint is None:
        return "none"
    return (f"{checkpoint['checkpoint_id']}, {duration(max(0, now_ms - checkpoint['completed_ms']))} ago, took "
            f"{duration(checkpoint['duration_ms'])}, wrote {size(checkpoint['written_bytes'])}")


def _save(job: RunningJob, folder: str | None, *, stop: bool, drain: bool) -> int:
    path = _ask(job, "savepoint", folder=_absolute(folder), stop=stop, drain=drain)["path"]
    print(path)
    ended = "has ended with this savepoint" if stop else "runs on"
    sys.stderr.write(f"job {job} {ended}; flinkcore run -s PATH goes on from it\n")
    return OK


def _cancel(job: RunningJob) -> int:
    status = _ask(job, "cancel")["status"]
    sys.stderr.write(f"job {job} has ended: {status.lower()}\n")
    return OK if status == "CANCELED" else FAILED


def _ask(job: RunningJob, request: str, **fields: Any) -> dict[str, Any]:
    try:
        return job.ask(request, **fields)
    except KeyboardInterrupt:
        sys.stderr.write(f"no longer waiting; job {job} goes on with what it was asked for\n")
        raise


def _absolute(folder: str | None) -> str | None:
    """A path as the process of the job, which may be in another folder, understands it; a URI as it is."""
    if folder is None or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", folder):
        return folder
    return os.path.abspath(os.path.expanduser(folder))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
