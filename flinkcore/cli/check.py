# SPDX-License-Identifier: Apache-2.0
"""`flinkcore savepoint check`: what a program would make of a savepoint, before it is upgraded."""

from __future__ import annotations

import sys

from flinkcore.checkpoint.inspect import find_one
from flinkcore.cli.explain import NO_JOB, graphs_of, tell_failure
from flinkcore.cli.program import Program
from flinkcore.errors import FlinkcoreError
from flinkcore.runtime.upgrade import OperatorVerdict, StateVerdict, check_upgrade
from flinkcore.state.evolution import Verdict

_WORDS = {Verdict.AS_IS: "as it is", Verdict.MIGRATE: "migrated", Verdict.INCOMPATIBLE: "does not fit"}


def check(program: Program, path: str, *, allow_non_restored: bool = False, engine_frames: bool = False) -> int:
    """Prints the verdicts. -> the exit code: 0 when the job would start from the savepoint"""
    try:
        manifest = find_one(path).complete()
    except FlinkcoreError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    graphs, failure = graphs_of(program)
    refused = False
    for graph in [graph for graph in graphs if graph.name == manifest.job_name] or graphs:
        found = check_upgrade(graph, manifest, allow_non_restored)
        print(f"job '{graph.name}' and {manifest.kind} {manifest.checkpoint_id} of job '{manifest.job_name}'")
        print("\n".join(map(_text, found)))
        refuses = any(verdict.refuses for verdict in found)
        print("the job would not start from it" if refuses else "the job would start from it")
        refused = refused or refuses
    if failure is not None:
        tell_failure(failure, bool(graphs), engine_frames=engine_frames)
    elif not graphs:
        print(NO_JOB)
    return 1 if refused or not graphs else 0


def _text(verdict: OperatorVerdict) -> str:
    uid = f" (uid '{verdict.uid}')" if verdict.uid is not None else ""
    reason = f": {verdict.reason}" if verdict.reason else ""
    lines = [f"  {verdict.name}{uid} {verdict.outcome.value}{reason}", *map(_state_text, verdict.states)]
    return "\n".join(lines)


def _state_text(state: StateVerdict) -> str:
    words = [_WORDS[state.verdict]] if state.verdict is not None else []
    return f"      {state.name}: {'; '.join(filter(None, [*words, state.reason]))}"
