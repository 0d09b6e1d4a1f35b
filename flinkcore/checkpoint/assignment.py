# SPDX-License-Identifier: Apache-2.0
"""What of a checkpoint goes to which subtask of the job that is restored from it. Pure.

Operators are matched by their ids, which come from uids where there are uids. With the same parallelism subtask i goes
on from subtask i; with another one, keyed state moves by key groups and operator state is dealt out anew: what is split
in runs of one length, in the order of the old subtasks; what is broadcast from one old subtask that has it. The union
of all goes to each subtask with any parallelism.
Source: Flink, StateAssignmentOperation, RoundRobinOperatorStateRepartitioner, Checkpoints.loadAndValidateCheckpoint
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flinkcore.checkpoint.manifest import Manifest, OperatorState, SubtaskState
from flinkcore.errors import StateMigrationError
from flinkcore.state.part import MODES, PartState, RestoredState, Share, StoredState


@dataclass(frozen=True)
class Wanted:
    """An operator of the job that is to be restored.

    max_parallelism_set : the program said it; else the checkpoint's is taken
    """

    operator_id: str
    name: str
    parallelism: int
    max_parallelism: int
    max_parallelism_set: bool


@dataclass(frozen=True)
class Restoration:
    """What a job goes on from; keys are (operator id, subtask).

    over : whose input had ended;  enumerators : state of the enumerators of sources, by operator id
    max_parallelism : by operator id, where the checkpoint decides
    """

    states: dict[tuple[str, int], RestoredState] = field(default_factory=dict)
    over: frozenset[tuple[str, int]] = frozenset()
    enumerators: dict[str, Any] = field(default_factory=dict)
    max_parallelism: dict[str, int] = field(default_factory=dict)
    rescaled: bool = False


def unclaimed(manifest: Manifest, wanted: Sequence[Wanted]) -> list[OperatorState]:
    """The operators that hold state which no operator of the job takes."""
    known = {operator.operator_id for operator in wanted}
    return [state for state in manifest.operators if state.operator_id not in known and holds_state(state)]


def holds_state(operator: OperatorState) -> bool:
    """Whether anything would be lost without this operator's state."""
    return any(
        any(part.rows for part in subtask.parts) or any(state.items for state in subtask.lists.values())
        for subtask in operator.subtasks
    )


def assign(
    manifest: Manifest,
    wanted: Sequence[Wanted],
    source: str,
    open_state: Callable[[SubtaskState], StoredState],
    allow_unclaimed: bool = False,
) -> Restoration:
    """Deals a checkpoint out to the subtasks of a job.

    source : what it is, for errors;  open_state : how the blocks of an old subtask are read, later
    StateMigrationError : state would be left behind and that is not allowed, or a max parallelism differs
    """
    lost = unclaimed(manifest, wanted)
    if lost and not allow_unclaimed:
        names = ", ".join(f"'{state.name}'" + (f" (uid '{state.uid}')" if state.uid else "") for state in lost)
        raise StateMigrationError(
            f"{source} holds state of {names}, which no operator of the program takes. Give the operators the uids "
            f"that they had, or leave that state behind with -n (--allow-non-restored-state)"
        )
    stored = {state.operator_id: state for state in manifest.operators}
    states: dict[tuple[str, int], RestoredState] = {}
    over: set[tuple[str, int]] = set()
    enumerators: dict[str, Any] = {}
    max_parallelism: dict[str, int] = {}
    rescaled = False
    for operator in wanted:
        old = stored.get(operator.operator_id)
        if old is None:
            continue
        if old.max_parallelism != operator.max_parallelism:
            if operator.max_parallelism_set or operator.parallelism > old.max_parallelism:
                raise StateMigrationError(
                    f"operator '{operator.name}': {source} was written with max parallelism {old.max_parallelism}, "
                    f"the program has {operator.max_parallelism} (parallelism {operator.parallelism}). It cannot "
                    f"change, as keys would belong to other subtasks: set it to {old.max_parallelism}"
                )
            max_parallelism[operator.operator_id] = old.max_parallelism
        if old.coordinator is not None:
            enumerators[operator.operator_id] = old.coordinator
        if all(subtask.finished for subtask in old.subtasks):
            over.update((operator.operator_id, index) for index in range(operator.parallelism))
        elif old.parallelism == operator.parallelism:
            over.update((operator.operator_id, s.index) for s in old.subtasks if s.finished)
        rescaled = rescaled or old.parallelism != operator.parallelism
        for index in range(operator.parallelism):
            states[operator.operator_id, index] = _state_of(operator, old, index, source, open_state)
    return Restoration(states, frozenset(over), enumerators, max_parallelism, rescaled)


def _state_of(
    operator: Wanted, old: OperatorState, index: int, source: str, open_state: Callable[[SubtaskState], StoredState]
) -> RestoredState:
    lists = _dealt(old, operator.parallelism, index)
    shares = _shares(old, operator.parallelism, index, open_state)
    if old.parallelism == operator.parallelism:
        same = old.subtasks[index]
        return RestoredState([open_state(same)], [same.fields], lists, False, source, shares)
    groups = key_group_range(old.max_parallelism, operator.parallelism, index)
    overlapping = [
        open_state(subtask)
        for subtask in old.subtasks
        if max(groups.start, subtask.key_groups[0]) < min(groups.stop, subtask.key_groups[1])
    ]
    fields = [subtask.fields for subtask in old.subtasks if not subtask.finished]
    return RestoredState(overlapping, fields, lists, True, source, shares)


def _dealt(old: OperatorState, parallelism: int, index: int) -> dict[str, list[Any]]:
    """The items of all old subtasks' lists that go to one new subtask."""
    lists: dict[str, list[Any]] = {}
    for name in {name for subtask in old.subtasks for name in subtask.lists}:
        found = [subtask.lists[name] for subtask in old.subtasks if name in subtask.lists]
        if found[0].mode != "union" and old.parallelism == parallelism:
            own = old.subtasks[index].lists.get(name)
            lists[name] = [] if own is None else list(own.items)
        elif found[0].mode == "broadcast":
            lists[name] = list(found[0].items)
        else:
            items = [item for state in found for item in state.items]
            lists[name] = items if found[0].mode == "union" else items[index::parallelism]
    return lists


def _shares(
    old: OperatorState, parallelism: int, index: int, open_state: Callable[[SubtaskState], StoredState]
) -> list[Share]:
    """What one new subtask takes of the parts of all old ones that hold operator state, by old subtask."""
    holders: dict[str, list[tuple[SubtaskState, PartState]]] = {}
    for subtask in old.subtasks:
        for part in subtask.parts:
            if part.parent in MODES and part.rows:
                holders.setdefault(part.name, []).append((subtask, part))
    taken: dict[int, dict[int, range]] = {}
    for found in holders.values():
        mode = found[0][1].parent
        if old.parallelism == parallelism and (mode != "union" or [s.index for s, _ in found] == [index]):
            continue  # it goes on from what it has
        total, before = sum(part.rows for _, part in found), 0
        for position, (subtask, part) in enumerate(found):
            start, end = 0, part.rows
            if mode == "split":
                start = max(start, total * index // parallelism - before)
                end = min(end, total * (index + 1) // parallelism - before)
            if start < end and (mode != "broadcast" or position == index % len(found)):
                taken.setdefault(subtask.index, {})[part.number] = range(start, end)
            before += part.rows
    return [Share(open_state(old.subtasks[i]), taken[i]) for i in sorted(taken)]


def operator_id_of(text: str) -> str:
    """An operator's id of what stands for it."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def operator_id_of_uid(uid: str) -> str:
    return operator_id_of(f"uid:{uid}")


def key_group_range(max_parallelism: int, parallelism: int, subtask_index: int) -> range:
    """The key groups of a subtask: those g with g * parallelism // max_parallelism == subtask_index.

    Source: Flink, KeyGroupRangeAssignment.computeKeyGroupRangeForOperatorIndex
    """
    start = (subtask_index * max_parallelism + parallelism - 1) // parallelism
    end = ((subtask_index + 1) * max_parallelism + parallelism - 1) // parallelism
    return range(start, end)
