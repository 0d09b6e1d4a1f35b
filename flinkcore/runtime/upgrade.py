# SPDX-License-Identifier: Apache-2.0
"""Upgrade: what a changed program would make of a checkpoint, told without running it.

Operators are matched as a restore matches them. Which states an operator asks for, and of which types, shows only when
it opens; so operators that have state are opened, functions of the user with them, with what the checkpoint says of its
states and none of their rows. Sources and sinks are not opened.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from flinkcore.checkpoint.assignment import holds_state
from flinkcore.checkpoint.manifest import Manifest, OperatorState
from flinkcore.columnar.batch import Batch
from flinkcore.errors import FlinkcoreError, StateFormatError, StateMigrationError
from flinkcore.graph.job_graph import JobGraph, Node
from flinkcore.operators.base import Operator, OperatorContext
from flinkcore.state.evolution import AS_IS, Compatibility, Verdict
from flinkcore.state.keys import KeyIndex
from flinkcore.state.manager import StateManager
from flinkcore.state.part import PartState, RestoredState, StatePart
from flinkcore.state.parts import KEYS
from flinkcore.state.stored import StoredRows
from flinkcore.state.table import Table
from flinkcore.time.clock import SystemClock

P = TypeVar("P", bound=StatePart)


class Outcome(enum.Enum):
    """What becomes of an operator."""

    KEEPS = "keeps its state"
    STATELESS = "has no state in it"
    NEW = "is new"
    LEFT_BEHIND = "is left behind"
    REFUSED = "cannot have its state"


@dataclass(frozen=True)
class StateVerdict:
    """What becomes of one state. verdict : None where it cannot be known before the job runs; reason says why"""

    name: str
    verdict: Verdict | None
    reason: str = ""


@dataclass(frozen=True)
class OperatorVerdict:
    """What becomes of one operator, and why. refuses : the job would not start."""

    name: str
    uid: str | None
    outcome: Outcome
    refuses: bool = False
    reason: str = ""
    states: tuple[StateVerdict, ...] = ()


def check_upgrade(graph: JobGraph, manifest: Manifest, allow_unclaimed: bool = False) -> list[OperatorVerdict]:
    """The verdict on each operator of a job, and on those that only the checkpoint has.

    allow_unclaimed : state without an operator may be left behind
    """
    stored = {operator.operator_id: operator for operator in manifest.operators}
    source = f"{manifest.kind} {manifest.checkpoint_id}"
    found = [
        _verdict(node, stored.get(node.operator_id), graph, source)
        for node in graph.nodes
        if not node.transformation.hidden or node.operator_id in stored
    ]
    taken = {node.operator_id for node in graph.nodes}
    for operator in manifest.operators:
        if operator.operator_id not in taken and holds_state(operator):
            reason = "" if allow_unclaimed else "no operator takes its state; that has to be allowed with -n"
            outcome = Outcome.LEFT_BEHIND
            found.append(OperatorVerdict(operator.name, operator.uid, outcome, not allow_unclaimed, reason))
    return found


def _verdict(node: Node, old: OperatorState | None, graph: JobGraph, source: str) -> OperatorVerdict:
    uid = node.transformation.uid
    if old is None:
        return OperatorVerdict(node.name, uid, Outcome.NEW)
    verdict = OperatorVerdict(node.name, uid, Outcome.KEEPS)
    if old.max_parallelism != node.max_parallelism:
        differ = f"max parallelism was {old.max_parallelism} and is {node.max_parallelism}"
        if node.max_parallelism_set or node.parallelism > old.max_parallelism:
            reason = f"{differ}: set it to {old.max_parallelism}"
            return replace(verdict, outcome=Outcome.REFUSED, refuses=True, reason=reason)
        verdict = replace(verdict, reason=f"{differ}: the first is kept")
    lists = dict.fromkeys(name for subtask in old.subtasks for name in subtask.lists)
    states = [StateVerdict(name, Verdict.AS_IS) for name in lists]
    if any(subtask.parts for subtask in old.subtasks):
        states += _opened(node, old, graph, source)
    elif not holds_state(old) and old.coordinator is None:
        return replace(verdict, outcome=Outcome.STATELESS)
    if any(state.verdict is Verdict.INCOMPATIBLE for state in states):
        verdict = replace(verdict, outcome=Outcome.REFUSED, refuses=True)
    return replace(verdict, states=tuple(states))


def _opened(node: Node, old: OperatorState, graph: JobGraph, source: str) -> list[StateVerdict]:
    """What the operator asks for when it opens."""
    names = list(dict.fromkeys(part.name for subtask in old.subtasks for part in subtask.parts))
    if node.factory is None or node.transformation.kind == "Data Sink":
        return [StateVerdict(name, None, "not checked: sources and sinks are not opened") for name in names]
    state = _AskedState(node.name, range(old.max_parallelism), old.max_parallelism)
    context = OperatorContext(
        node.name,
        SystemClock(),
        _NoTimers(),
        graph.config,
        parallelism=node.parallelism,
        max_parallelism=old.max_parallelism,
        operator_id=node.operator_id,
        job_name=graph.name,
        state=state,
    )
    unknown = "not asked for yet: it is kept until somebody does"
    operator: Operator | None = None
    try:
        state.restore(RestoredState([_Described(old)], [old.subtasks[0].fields], {}, False, source))
        operator = node.factory()
        operator.open(context, _NoOutput())
        key_schema = getattr(operator, "key_schema", None)
        if key_schema is not None and state.unclaimed_part(KEYS) is not None:  # else the first batch asks
            state.part(KEYS, lambda: KeyIndex(key_schema))
    except Exception as error:  # also of a function of the user
        cause = error.__cause__ if isinstance(error, FlinkcoreError) and error.__cause__ is not None else error
        unknown = f"not checked: open() raised {type(cause).__name__}: {cause}"
    finally:
        with suppress(Exception):
            if operator is not None:
                operator.close()
    asked = state.asked
    found = [StateVerdict(name, asked[name].verdict, asked[name].reason) if name in asked
             else StateVerdict(name, None, unknown) for name in names]  # fmt: skip
    return found + [StateVerdict(name, None, "is new") for name in asked if name not in names]


class _AskedState(StateManager):
    """Notes what becomes of the states that an operator asks for, and gives it empty ones where they do not fit."""

    def __init__(self, operator: str, key_groups: range, max_parallelism: int) -> None:
        super().__init__(operator, key_groups, max_parallelism)
        self.asked: dict[str, Compatibility] = {}

    def part(
        self,
        name: str,
        make: Callable[[], P],
        namespace: Any = None,
        parent: str | None = KEYS,
        shown: dict[str, Any] | None = None,
    ) -> P:
        made = make()
        stored = self.unclaimed_part(name, namespace)
        known = self.asked.setdefault(name, AS_IS)
        try:
            found = AS_IS
            if isinstance(stored, StoredRows) and isinstance(made, Table):
                found = made.compatible(stored.description)
            if found.verdict is not Verdict.INCOMPATIBLE:
                made = super().part(name, lambda: made, namespace, parent, shown)
        except (StateMigrationError, StateFormatError) as error:
            found = Compatibility(Verdict.INCOMPATIBLE, str(error))
        self.asked[name] = max(known, found, key=lambda each: each.verdict.value)
        return made


class _Described:
    """The states of all subtasks as a checkpoint describes them, without their rows."""

    def __init__(self, operator: OperatorState) -> None:
        self.key_groups = range(operator.max_parallelism)
        self.epoch = max(subtask.epoch for subtask in operator.subtasks)
        known = {(part.name, str(part.namespace)): part for subtask in operator.subtasks for part in subtask.parts}
        self.entries: Sequence[PartState] = [replace(part, number=i) for i, part in enumerate(known.values())]

    def blocks(self, parts: Container[int]) -> Iterator[tuple[int, memoryview]]:
        return iter(())


class _NoTimers:
    """Nothing is woken."""

    def register(self, timestamp_ms: int) -> None:
        pass


class _NoOutput:
    """Nothing is emitted."""

    def batch(self, batch: Batch) -> None:
        pass

    def watermark(self, watermark_ms: int) -> None:
        pass

    def side(self, tag: str, batch: Batch) -> None:
        pass

    def idle(self, idle: bool) -> None:
        pass
