# SPDX-License-Identifier: Apache-2.0
"""`flinkcore run`: a program runs, its jobs are watched, and what is worth saying goes to stderr."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from types import FrameType
from typing import TextIO

from flinkcore.cli.control import ControlServer
from flinkcore.cli.program import Program, failure_text
from flinkcore.cli.screen import Screen
from flinkcore.cli.watch import Progress, WatermarkReport, summary
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.errors import FlinkcoreWarning, JobCancelledError
from flinkcore.runtime import job as jobs
from flinkcore.runtime.job import JobRun

OK, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143
REFRESH_S = 0.25
IDLE_S = 3.0                    # without a record for this long, a job that holds open windows says why
CANCEL_S = 10.0

NOTHING_EXECUTED = ("hint: the program executed nothing: end a table with .execute().print(), "
                    "a stream with .print() or .sink_to(...) and env.execute()\n")


def run(program: Program, *, quiet: bool = False, engine_frames: bool = False,
        explain_watermarks: bool = False, settings: Mapping[str, str] | None = None) -> int:
    """Runs the program and waits for the jobs that it leaves running. -> the exit code

    settings : options of the program's environments, by Flink's keys
    """
    if settings:
        from flinkcore.datastream.stream_execution_environment import defaults

        for key, value in settings.items():
            defaults.set_string(key, value)
    live = not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    watch = _Watch(idle_reports=not quiet and (live or explain_watermarks))
    stderr = sys.stderr
    with ExitStack() as stack:
        if live:
            watch.screen = stack.enter_context(Screen(stderr))
        stack.enter_context(watch)
        stack.enter_context(warnings.catch_warnings())
        warnings.showwarning = _warn
        code, text = _outcome(program, watch, engine_frames)
    _flush_stdout()
    if text:
        stderr.write(text)
    if not quiet:
        for job in watch.jobs:
            stderr.write(summary(job))
            report = watch.reports.get(job)
            if report is not None and (report.waiting or explain_watermarks):
                stderr.write((report.text() or "  nothing waits for a watermark") + "\n")
        if code == OK and not watch.jobs and _built_something():
            stderr.write(NOTHING_EXECUTED)
    return code


def _warn(message: Warning | str, category: type[Warning], filename: str, lineno: int,
          file: TextIO | None = None, line: str | None = None) -> None:
    """Our own warnings in one line; others as Python prints them."""
    if issubclass(category, FlinkcoreWarning):
        sys.stderr.write(f"warning: {message}\n")
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _outcome(program: Program, watch: _Watch, engine_frames: bool) -> tuple[int, str]:
    """Runs the program to its end and its jobs to theirs. -> (exit code, what to say on stderr)"""
    try:
        program.run()
        for job in watch.jobs:
            if not job.end_told:             # a program that was told of a failure, and went on, knows what it does
                _wait(job)
        return OK, ""
    except KeyboardInterrupt:
        watch.cancel_all()
        return INTERRUPTED, ""
    except _Terminated:
        watch.cancel_all(keep_checkpoints=True)
        return TERMINATED, ""
    except JobCancelledError as error:       # from outside, or by the program itself
        watch.cancel_all(keep_checkpoints=True)
        return FAILED, f"{error}\n"
    except SystemExit as exit:
        if exit.code is None or isinstance(exit.code, int):
            return exit.code or OK, ""
        return FAILED, f"{exit.code}\n"
    except BaseException as error:
        watch.cancel_all(keep_checkpoints=True)
        if isinstance(_root(error), BrokenPipeError):
            return FAILED, ""                # whoever read our output has gone; nobody is there to be told
        return FAILED, failure_text(error, engine_frames=engine_frames)


def _wait(job: JobRun) -> None:
    """Waits for a job that the program left running; one whose results nobody will read is stopped."""
    unread = [sink for runner in job.runners()
              if isinstance(sink := getattr(runner.operator, "sink", None), ArrowCollectSink)]
    if unread and job.is_running:
        job.cancel()
        for sink in unread:
            sink.cancel()
    try:
        job.wait()
    except JobCancelledError:
        pass                                 # the program's own wish


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes again at its end; let it write to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _built_something() -> bool:
    """Whether the program made an environment, as one does to build a table or a stream."""
    module = sys.modules.get("flinkcore.datastream.stream_execution_environment")
    return module is not None and module.StreamExecutionEnvironment.made > 0


class _Terminated(SystemExit):
    """The process was asked to end. Its jobs were not: what they have done so far is kept."""


class _Watch:
    """Listens to the jobs of this process, refreshes the status line, and answers signals and other processes."""

    def __init__(self, idle_reports: bool) -> None:
        self.screen: Screen | None = None
        self.jobs: list[JobRun] = []
        self.reports: dict[JobRun, WatermarkReport] = {}    # as things stood when the job ended
        self._idle_reports = idle_reports
        self._progress: Progress | None = None
        self._told_idle: set[JobRun] = set()
        self._control = ControlServer()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="status line", daemon=True)
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Watch:
        jobs.listeners += [self, self._control]
        self._before = {
            signal.SIGINT: signal.signal(signal.SIGINT, self._interrupted),
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._terminated),
        }
        if hasattr(signal, "SIGQUIT"):
            self._before[signal.SIGQUIT] = signal.signal(signal.SIGQUIT, self._asked)
        if self.screen is not None or self._idle_reports:
            self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        jobs.listeners.remove(self)
        jobs.listeners.remove(self._control)
        self._control.close()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    # -- a listener of jobs -------------------------------------------------------------------------------

    def job_started(self, job: JobRun) -> None:
        self.jobs.append(job)
        self._progress = Progress(job)

    def job_ended(self, job: JobRun) -> None:
        self.reports.setdefault(job, WatermarkReport.of(job))

    # -- signals ------------------------------------------------------------------------------------------

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)        # a second Ctrl-C does not wait
        for job in self.jobs:
            if job.is_running:
                self.reports[job] = WatermarkReport.of(job)
        raise KeyboardInterrupt

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)       # a second one does not wait
        for job in self.jobs:
            job.keeps_checkpoints = True                    # also when the program cancels it on its way out
        raise _Terminated(TERMINATED)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        for job in self.jobs:
            if job.is_running:
                self._say(f"watermarks of job '{job.name}'", WatermarkReport.of(job))

    def cancel_all(self, *, keep_checkpoints: bool = False) -> None:
        """Stops what still runs, and waits for it to have stopped."""
        running = [job for job in self.jobs if job.is_running]
        for job in running:
            job.cancel(keep_checkpoints=keep_checkpoints)
        for job in running:
            try:
                job.wait(CANCEL_S)
            except Exception:
                pass                          # how it ends is no news: the first failure is told

    # -- the status line ----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        while not self._stop.wait(REFRESH_S):
            progress = self._progress
            if progress is None or not progress.job.is_running:
                if self.screen is not None:
                    self.screen.erase()
                continue
            line = progress.line()
            if self.screen is not None:
                self.screen.draw(line)
            if self._idle_reports:
                self._tell_idle(progress)

    def _tell_idle(self, progress: Progress) -> None:
        """Says once per spell of idleness why windows wait."""
        job = progress.job
        if progress.idle_s() < IDLE_S:
            self._told_idle.discard(job)
        elif job not in self._told_idle:
            self._told_idle.add(job)
            report = WatermarkReport.of(job)
            if report.waiting:
                self._say(f"job '{job.name}': no record for {progress.idle_s():.0f} s; windows wait", report)

    def _say(self, title: str, report: WatermarkReport) -> None:
        if self.screen is not None:
            self.screen.erase()
        text = report.text() or "  nothing makes watermarks, and nothing waits for one"
        sys.stderr.write(f"{title}\n{text}\n")
