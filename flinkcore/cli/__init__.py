# SPDX-License-Identifier: Apache-2.0
"""The command line: flinkcore run, list, savepoint, stop, cancel, explain, checkpoint, info.

Imports nothing heavy until a program runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from flinkcore import __version__

_RUN = """\
Runs a program of flinkcore, or of PyFlink unchanged: `pyflink` resolves to flinkcore while it runs. The
program sees sys.argv, sys.path and __main__ as under `python job.py`. On a terminal a status line shows how
the job does; Ctrl-\\ prints which source holds the watermark back.

Ctrl-C cancels the jobs, and their checkpoints go with them unless they are to be retained. SIGTERM ends the
process: its jobs are cancelled as cleanly, but their checkpoints stay for --resume.

exit codes: 0 the program and its jobs ended well; 1 one of them failed; 2 wrong usage; 130 Ctrl-C, 143 SIGTERM,
after a clean cancel; a program that calls sys.exit(n) keeps its n."""

_EXPLAIN = """\
Runs a program, but shows its job graphs instead of executing them: tasks and the operators chained in each,
how records travel between them, which operators run natively and which call Python for each record and why,
where watermarks are made and which operators wait for them. What the program itself prints goes to stderr."""

_JOB = """\
JOB is the id of a running job, its beginning, or the job's name; `flinkcore list` shows them. Jobs under
`flinkcore run` of the same user on this machine can be asked.

exit codes: 0 done; 1 there is no such job, or it could not do it; 2 wrong usage; 130 Ctrl-C: the job goes on with
what it was asked for"""

_LIST = """\
Shows the jobs that run under `flinkcore run` of this user on this machine."""

_SAVEPOINT = f"""\
trigger  has a running job write a savepoint; `flinkcore savepoint JOB [DIR]` is short for it
check    says what a program would make of a savepoint, before an upgrade

{_JOB}"""

_TRIGGER = f"""\
Has a running job write a savepoint, and prints its path when it is complete. The job runs on.

{_JOB}"""

_STOP = f"""\
Has a running job write a savepoint and end with it, and prints the path when it has ended. The job has then
finished: sinks have committed everything that came before the savepoint.

{_JOB}"""

_CANCEL = f"""\
Has a running job end at once, without a savepoint. Its checkpoints go with it unless they are to be retained
(execution.checkpointing.externalized-checkpoint-retention).

{_JOB}"""

_CHECKPOINT = """\
list    the checkpoints and savepoints of a directory, or of one job in it, with their states
show    the operators of a checkpoint: uids, subtasks, rows and bytes by state
verify  reads every byte and reports everything that is damaged
read    the rows of one state: keys, windows, values
diff    what is different in two checkpoints

PATH is a directory of checkpoints or savepoints, the folder of a job in it, or that of one checkpoint; a path or a
URI such as s3://bucket/checkpoints. No engine runs, and nothing is changed.

exit codes: 0 all is well; 1 something is damaged or cannot be read; 2 wrong usage. Of diff: 0 nothing is different;
1 something is; 2 it cannot be said"""

_READ = """\
Prints the rows of one state of a checkpoint or savepoint, or writes them to a file: the columns of the key, of the
window, and the values; of windows with built-in aggregates their results so far. Nothing is unpickled.

OPERATOR is a uid, a name, or the beginning of an id, and STATE the name of a state, as `flinkcore checkpoint show PATH`
lists them."""

_DIFF = """\
Prints the states that are different in two checkpoints or savepoints, and how many of their rows were added, removed
and changed; with OPERATOR and STATE these rows.

exit codes: 0 nothing is different; 1 something is; 2 it cannot be said"""

_CHECK = """\
Says before an upgrade what a program would make of a savepoint or checkpoint: which operators keep their state, which
are new, which state is left behind, and whether types still fit. The program runs, but its jobs do not; operators with
state are opened, with the open() of their functions, to see which states they ask for. The state itself is not read.

exit codes: 0 the job would start from PATH; 1 it would not, or the program failed; 2 wrong usage"""


#: What `flinkcore savepoint` can do; its first argument is a job when it is none of these.
_SAVEPOINT_ACTIONS = ("trigger", "check")
_SAVEPOINT_FOLDER = "where to put the savepoint; without it, execution.checkpointing.savepoint-dir of the job"


#: What a shell says of a tool that SIGPIPE ended: the reader of its output has gone. Python raises instead.
_READER_GONE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of the `flinkcore` command. -> the exit code"""
    try:
        try:
            return _main(arguments)
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the interpreter flushes them again at its end
                stream.flush()
                continue
            with suppress(OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return _READER_GONE


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(_spelled_out(sys.argv[1:] if arguments is None else arguments))
    if options.command is None:
        parser.print_help()
        return 2
    if options.command == "info":
        from flinkcore.cli.info import info

        sys.stdout.write(info())
        return 0
    if options.command == "checkpoint":
        return _checkpoint(options)
    if options.command in ("list", "stop", "cancel") or getattr(options, "action", None) == "trigger":
        from flinkcore.cli import jobs

        if options.command == "list":
            return jobs.list_jobs()
        if options.command == "savepoint":
            return jobs.savepoint(options.job, options.folder)
        if options.command == "stop":
            return jobs.stop(options.job, options.folder, drain=options.drain)
        return jobs.cancel(options.job)
    from flinkcore.cli.program import Program

    program = Program.find(options.program, options.arguments, as_module=options.as_module)
    if isinstance(program, str):
        parser.error(program)
    if options.command == "explain":
        from flinkcore.cli.explain import explain

        return explain(program, engine_frames=options.traceback)
    if options.command == "savepoint":
        from flinkcore.cli.check import check

        return check(program, options.path, allow_non_restored=options.allow_non_restored_state,
                     engine_frames=options.traceback)
    from flinkcore.cli.run import run

    return run(program, quiet=options.quiet, engine_frames=options.traceback,
               explain_watermarks=options.explain_watermarks, settings=_settings(parser, options))


def _checkpoint(options: argparse.Namespace) -> int:
    if options.action == "read":
        from flinkcore.cli.states import read

        return read(options.path, options.operator, options.state, options.limit, options.output)
    if options.action == "diff":
        from flinkcore.cli.states import diff

        return diff(options.path, options.other, options.operator, options.state)
    from flinkcore.cli.checkpoint import checkpoint

    return checkpoint(options.action, options.path)


def _spelled_out(arguments: Sequence[str]) -> Sequence[str]:
    """`savepoint JOB` as `savepoint trigger JOB`. A job of the name of an action is asked in the long form."""
    if len(arguments) > 1 and arguments[0] == "savepoint" and arguments[1] not in _SAVEPOINT_ACTIONS \
            and not arguments[1].startswith("-"):
        return ["savepoint", "trigger", *arguments[1:]]
    return arguments


def _settings(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, str]:
    """The options of the program's environments that the command line sets, under Flink's keys."""
    settings: dict[str, str] = {}
    for text in options.define:
        key, equals, value = text.partition("=")
        if not equals or not key:
            parser.error(f"-D takes KEY=VALUE, got '{text}'")
        settings[key] = value
    if options.resume:
        settings["execution.state-recovery.path"] = "newest"
    elif options.savepoint is not None:
        settings["execution.state-recovery.path"] = options.savepoint
    if options.allow_non_restored_state:
        settings["execution.state-recovery.ignore-unclaimed-state"] = "true"
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flinkcore",
        description="Apache Flink's stateful stream processing for Python, on Arrow columns.")
    parser.add_argument("--version", action="version", version=f"flinkcore {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")

    run = _program_command(commands, "run", "run a program of flinkcore or PyFlink", _RUN)
    run.add_argument("-q", "--quiet", action="store_true", help="no status line, no summary, no hints")
    run.add_argument("--explain-watermarks", action="store_true",
                     help="say when the job idles, and at its end, what holds the watermark back")
    start = run.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true",
                       help="go on from the newest complete checkpoint of the job of the same name in the checkpoint "
                            "directory; afresh when there is none yet")
    start.add_argument("-s", "--from-savepoint", dest="savepoint", metavar="PATH",
                       help="go on from a savepoint or checkpoint")
    run.add_argument("-n", "--allow-non-restored-state", action="store_true",
                     help="leave behind state whose operator the program no longer has")
    run.add_argument("-D", dest="define", action="append", default=[], metavar="KEY=VALUE",
                     help="an option under Flink's key; what the program itself sets stands above it")
    _program_command(commands, "explain", "show the job graph of a program, execute nothing", _EXPLAIN)
    _command(commands, "list", "show the jobs that run", _LIST)
    savepoint = _command(commands, "savepoint", "have a running job write a savepoint", _SAVEPOINT)
    actions = savepoint.add_subparsers(dest="action", metavar="|".join(_SAVEPOINT_ACTIONS), required=True)
    trigger = _command(actions, "trigger", "have a running job write a savepoint", _TRIGGER)
    trigger.add_argument("job", metavar="JOB")
    trigger.add_argument("folder", metavar="DIR", nargs="?", help=_SAVEPOINT_FOLDER)
    check = _command(actions, "check", "say what a program would make of a savepoint", _CHECK,
                     usage="flinkcore savepoint check [options] (job.py | -m module) PATH [arguments ...]")
    check.add_argument("-m", dest="as_module", action="store_true",
                       help="the program is the name of a module, as in `python -m`")
    check.add_argument("-n", "--allow-non-restored-state", action="store_true",
                       help="state whose operator the program no longer has may be left behind")
    check.add_argument("--traceback", action="store_true", help="errors show the frames of the engine as well")
    check.add_argument("program", metavar="job.py", help="the program of the upgrade")
    check.add_argument("path", metavar="PATH", help="of the savepoint or checkpoint")
    check.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the program")
    stop = _command(commands, "stop", "have a running job end with a savepoint", _STOP)
    stop.add_argument("-p", "--savepoint-path", "--savepointPath", dest="folder", metavar="DIR",
                      help=_SAVEPOINT_FOLDER)
    stop.add_argument("-d", "--drain", action="store_true",
                      help="before the savepoint all event time passes, as at the end of the input: windows fire; "
                           "for a job that is not to go on")
    stop.add_argument("job", metavar="JOB")
    cancel = _command(commands, "cancel", "have a running job end at once", _CANCEL)
    cancel.add_argument("job", metavar="JOB")
    checkpoint = _command(commands, "checkpoint", "look into checkpoints and savepoints", _CHECKPOINT)
    looks = checkpoint.add_subparsers(dest="action", metavar="list|show|verify|read|diff", required=True)
    for action, help in (("list", "show the checkpoints and savepoints of a directory"),
                         ("show", "show the operators of a checkpoint"),
                         ("verify", "read every byte and report what is damaged")):
        _command(looks, action, help, _CHECKPOINT).add_argument("path", metavar="PATH")
    read = _command(looks, "read", "print the rows of one state", _READ)
    read.add_argument("path", metavar="PATH")
    read.add_argument("operator", metavar="OPERATOR")
    read.add_argument("state", metavar="STATE")
    read.add_argument("--limit", type=_row_count, metavar="N", help="at most so many rows")
    read.add_argument("--output", metavar="FILE", help="write to a file: .parquet, .csv or .arrow")
    diff = _command(looks, "diff", "print what is different in two checkpoints", _DIFF)
    diff.add_argument("path", metavar="PATH1")
    diff.add_argument("other", metavar="PATH2")
    diff.add_argument("operator", metavar="OPERATOR", nargs="?")
    diff.add_argument("state", metavar="STATE", nargs="?")
    _command(commands, "info", "show how flinkcore was built and what it runs on",
             "Shows build flags, compiler, vector unit, Python and dependencies.")
    return parser


def _row_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of rows, got '{text}'")
    return int(text)


def _command(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str,
             description: str, usage: str | None = None) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=help, description=description, usage=usage,
                               formatter_class=argparse.RawDescriptionHelpFormatter)


def _program_command(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str,
                     description: str) -> argparse.ArgumentParser:
    command = _command(commands, name, help, description,
                       usage=f"flinkcore {name} [options] (job.py | -m module) [arguments ...]")
    command.add_argument("-m", dest="as_module", action="store_true",
                         help="the program is the name of a module, as in `python -m`")
    command.add_argument("--traceback", action="store_true",
                         help="errors show the frames of the engine as well")
    command.add_argument("program", metavar="job.py", help="the program to run")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the program")
    return command
