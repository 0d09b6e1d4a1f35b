# SPDX-License-Identifier: Apache-2.0
"""python -m bench all: every command that measures, one after the other, each with its defaults."""

from __future__ import annotations

import argparse
import importlib

from bench import results
from bench.results import Line, Section

COMMANDS = {
    "limits": "bench.limits.command",
    "kernels": "bench.suites",
    "operators": "bench.suites",
    "state": "bench.suites",
    "nexmark": "bench.nexmark.command",
    "memory": "bench.service.memory",
    "latency": "bench.service.latency",
    "start": "bench.service.start",
    "peers": "bench.peers.command",
    "programs": "bench.programs.command",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS), metavar="COMMAND"
    )
    parser.add_argument("--skip", nargs="+", choices=list(COMMANDS), default=[], metavar="COMMAND")


def run(options: argparse.Namespace) -> list[Section]:
    """What went wrong is a line of its own, and the rest goes on. With --json all is saved after each command."""
    made = results.started()
    for name, where in COMMANDS.items():
        if name not in options.only or name in options.skip:
            continue
        print(f"== {name}", flush=True)
        module = importlib.import_module(where)
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        defaults = parser.parse_args([])
        defaults.command = name
        try:
            found = module.run(defaults)
        except (RuntimeError, ValueError, MemoryError) as error:
            found = [Section(name, name, [Line(name, "", [], problem=f"failed: {error}")])]
        for section in found:
            results.show(section)
        made.sections += found
        if options.json:
            results.save(made, options.json)
    return made.sections
