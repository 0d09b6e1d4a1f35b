# SPDX-License-Identifier: Apache-2.0
"""`flinkcore checkpoint list|show|verify`: what lies in a checkpoint directory, and whether it is whole."""

from __future__ import annotations

import sys
from collections.abc import Callable

from flinkcore.checkpoint import inspect
from flinkcore.checkpoint.layout import Checkpoint
from flinkcore.checkpoint.manifest import Manifest
from flinkcore.cli.text import count, instant, table
from flinkcore.errors import FlinkcoreError


def checkpoint(action: str, path: str) -> int:
    """-> the exit code: 1 when something is damaged, missing, or cannot be read"""
    actions: dict[str, Callable[[str], int]] = {"list": _list, "show": _show, "verify": _verify}
    try:
        return actions[action](path)
    except FlinkcoreError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


def _list(path: str) -> int:
    rows = [("CHECKPOINT", "JOB", "CREATED", "BYTES", "STATE")]
    broken: list[Checkpoint] = []
    for found in inspect.find(path):
        manifest = found.manifest
        if manifest is None:
            rows.append((found.location, "", "", "", "damaged" if found.damaged else "incomplete"))
        else:
            rows.append((found.location, manifest.job_name, instant(manifest.created_ms), f"{manifest.bytes:,}",
                         "damaged" if found.damaged else "complete"))
        if found.damaged:
            broken.append(found)
    print(table(rows))
    for found in broken:
        print(f"\n{found.fault}")
    return 1 if broken else 0


def _show(path: str) -> int:
    faulty = False
    for found in inspect.find(path):
        print(f"{found.location}")
        if found.fault is not None:
            print(f"  {found.fault}")
            faulty = faulty or found.damaged
        if found.manifest is not None:
            _show_manifest(found, found.manifest)
        print()
    return 1 if faulty else 0


def _show_manifest(found: Checkpoint, manifest: Manifest) -> None:
    print(f"  {manifest.kind} {manifest.checkpoint_id} of job '{manifest.job_name}' ({manifest.job_id}), "
          f"{instant(manifest.created_ms)}, by flinkcore {manifest.flinkcore_version}, format "
          f"{manifest.format_version}, {count(manifest.bytes, 'byte')}")
    for size in inspect.sizes_of(found):
        operator = size.operator
        uid = f"uid '{operator.uid}'" if operator.uid is not None else f"no uid, id {operator.operator_id}"
        finished = sum(subtask.finished for subtask in operator.subtasks)
        facts = [uid, f"{count(operator.parallelism, 'subtask')} of at most {operator.max_parallelism:,}"]
        if finished:
            facts.append(f"{finished:,} finished")
        if size.segments_max:
            facts.append(f"{count(size.rows, 'row')}, {count(size.bytes, 'byte')} in chains of up to "
                         f"{count(size.segments_max, 'segment')}")
        print(f"\n  {operator.name}: {'; '.join(facts)}")
        if size.states:
            rows = [("STATE", "KIND", "ROWS", "BYTES")]
            rows += [(state.name, state.kind, f"{state.rows:,}", f"{state.bytes:,}") for state in size.states]
            print(table(rows, indent="    "))


def _verify(path: str) -> int:
    faulty = False
    checkpoints = inspect.find(path)
    for found in checkpoints:
        faults = list(inspect.faults_of(found))
        if not faults and found.manifest is not None:
            print(f"{found.location}: whole, {count(len(list(found.manifest.segments())), 'segment')}, "
                  f"{count(found.manifest.bytes, 'byte')}")
        elif found.begun and len(checkpoints) > 1:
            print(f"{found.location}: incomplete: {faults[0]}")
        else:
            faulty = True
            print(f"{found.location}: {count(len(faults), 'fault')}")
            for fault in faults:
                print(f"  {fault}")
    return 1 if faulty else 0
