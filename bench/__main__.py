# SPDX-License-Identifier: Apache-2.0
"""python -m bench: all that is measured here, under one command line. README.md in this folder says how to read it."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from pathlib import Path
from types import ModuleType

from bench import compare, results

# command -> (its module, what it does). A module has add_arguments(parser) and run(options) -> list[Section]; those of
# PLAIN, which measure nothing that could be saved, have main(options) -> exit code instead.
MEASURES = {
    "limits": (
        "bench.limits.command",
        "what the machine can do: memory, bare group-by, windows, strings, filter",
    ),
    "kernels": ("bench.suites", "units of csrc, in batches of 131,072 rows as operators see them"),
    "operators": ("bench.suites", "one operator with its state, without a runtime around it"),
    "state": ("bench.suites", "snapshots, restore and spilling"),
    "jobs": ("bench.suites", "whole jobs of flinkcore, from an Arrow table to results"),
    "peers": (
        "bench.peers.command",
        "whole jobs on flinkcore and its peers side by side, each answer checked",
    ),
    "nexmark": ("bench.nexmark.command", "Nexmark queries on flinkcore's generator, also beside PyFlink"),
    "programs": ("bench.programs.command", "PyFlink's example programs, scaled, on flinkcore, PyFlink and Bytewax"),
    "memory": ("bench.service.memory", "memory per key of keyed state, against twice its bare size"),
    "latency": ("bench.service.latency", "from source to sink: one record at a time, and at a steady rate"),
    "start": ("bench.service.start", "the whole process of `flinkcore run` of a small job"),
    "all": ("bench.everything", "every command above, with its defaults: takes hours"),
}
PLAIN = {
    "profile": (
        "bench.profile.command",
        "where the time of a job goes: by operator, by thread and the GIL, by function",
    ),
    "compare": (
        "bench.compare",
        "two saved runs side by side; exit code 1 when a line got worse beyond the noise",
    ),
    "report": ("bench.report", "saved runs as a page of Markdown: docs/benchmarks.md"),
}


def parser_of(arguments: list[str]) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser, and the module of the command that was named: only that one is imported."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures flinkcore, and what it is held against."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    module = None
    for name, (where, text) in {**MEASURES, **PLAIN}.items():
        command = commands.add_parser(name, help=text, description=text)
        if arguments[:1] != [name]:
            continue
        module = importlib.import_module(where)
        module.add_arguments(command)
        if name in MEASURES:
            command.add_argument(
                "--json", type=Path, metavar="FILE", help="also write what was measured there"
            )
            command.add_argument(
                "--against", type=Path, metavar="FILE", help="and compare with a run saved there"
            )
    return parser, module


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser, module = parser_of(arguments)
    options = parser.parse_args(arguments)
    assert module is not None  # a command is required, and its name comes first
    try:
        if options.command in PLAIN:
            return int(module.main(options))
        earlier = results.load(options.against) if options.against else None
        made = results.started()
        print(described(made))
        made.sections = module.run(options)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        print(f"bench {options.command}: {error}", file=sys.stderr)
        return 2
    if options.command != "all":  # which has shown them on the way, each with a command of its own
        for section in made.sections:
            section.command = asked(arguments)
            results.show(section)
    if options.json:
        results.save(made, options.json)
    if earlier is not None:
        print(f"\nagainst {options.against}: {earlier.date}, commit {earlier.commit or 'unknown'}")
        compare.show_changes(*compare.compare(earlier, made))
    return 1 if any(line.problem for section in made.sections for line in section.lines) else 0


def asked(arguments: list[str]) -> str:
    """The arguments as one would type them, without where to write and what to compare with."""
    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument in ("--json", "--against"):
            next(rest)
        elif not argument.startswith(("--json=", "--against=")):
            kept.append(argument)
    return shlex.join(kept)


def described(run: results.Run) -> str:
    where = run.machine
    text = (
        f"{where['processor']}, {where['cores']} cores, Python {where['python']}, commit {run.commit or 'unknown'}, "
        f"load {where['load']:.2f}"
    )
    return text + "\nthe machine is busy: these are no numbers to keep" * (where["load"] > 0.5)


if __name__ == "__main__":
    raise SystemExit(main())
