# SPDX-License-Identifier: Apache-2.0
"""StateManager: all state of one operator in one subtask; it snapshots, restores and reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from flinkcore import faultpoint
from flinkcore._native.agg import Accumulators
from flinkcore._native.memory import MemoryShare
from flinkcore.errors import StateFormatError, StateMigrationError
from flinkcore.state.column_rows import ColumnRows
from flinkcore.state.keys import KeyIndex
from flinkcore.state.part import (
    MODES,
    PART_NUMBERS,
    FrozenState,
    ListState,
    Mode,
    PartState,
    RestoredState,
    Share,
    StatePart,
    StoredState,
)
from flinkcore.state.parts import KEYS, SHOWN, make_part, shown_of
from flinkcore.state.rescale import absorb, kept_keys
from flinkcore.state.stored import StoredRows

P = TypeVar("P", bound=StatePart)

#: Once so many parts have been numbered, they are numbered anew; segments have 32 bits for a number.
NUMBERS_MAX = 1 << 31
#: A smaller state is loaded by one thread.
BESIDE_BYTES_MIN = 4 << 20


@dataclass
class _Registered:
    number: int
    name: str
    namespace: Any
    parent: str | None
    part: Any
    claimed: bool  # by the operator of this run; what a restored state holds is not, until then
    shown: dict[str, Any] | None = None  # see StateManager.part


class StateManager:
    """The parts of an operator's state, each under a name and, where there are many, a namespace; and its fields and
    lists: a few values that are written whole. Accumulators draw on `memory`, when there is a budget.

    An operator claims its parts in open(), or later: a restored one comes with what it held. What nobody claims stays
    in all snapshots, so that state whose user comes late is not lost. `epoch` is the current one.
    """

    def __init__(
        self,
        operator: str = "operator",
        key_groups: range = range(128),
        max_parallelism: int = 128,
        memory: MemoryShare | None = None,
    ) -> None:
        self.operator = operator
        self.key_groups = key_groups
        self.max_parallelism = max_parallelism
        self.memory = memory
        self.epoch = 1
        self.source: str | None = None  # what it was restored from
        self._parts: dict[tuple[str, str], _Registered] = {}
        self._numbers = 0
        self._rewritten = 0  # no snapshot builds on one of an earlier epoch
        self._fields: dict[str, Callable[[], Any]] = {PART_NUMBERS: lambda: self._numbers}
        self._lists: dict[str, tuple[Mode, Callable[[], list[Any]]]] = {}
        self._restored_fields: list[dict[str, Any]] = []
        self._restored_lists: dict[str, list[Any]] = {}

    @property
    def has_unclaimed(self) -> bool:
        """Whether there are restored rows by key that no operator has asked for yet."""
        return any(
            not known.claimed and known.name != KEYS and known.parent not in MODES for known in self._parts.values()
        )

    # -- for operators ------------------------------------------------------------------------------------

    def part(
        self,
        name: str,
        make: Callable[[], P],
        namespace: Any = None,
        parent: str | None = KEYS,
        shown: dict[str, Any] | None = None,
    ) -> P:
        """The part of this name and namespace: the restored one, or a new one that `make` gives.

        parent : the part whose ids its rows go by, None when it goes by none, a Mode for operator state
        shown : values of JSON by which a reader without the program can show the rows; written once for all parts of a
            name, and never compared
        StateMigrationError : the restored part is of another kind, goes by others, or holds other types
        """
        key = (name, _text(namespace))
        known = self._parts.get(key)
        if known is None:
            part = self.budgeted(make())
            self._add(name, namespace, parent, part, True, shown)
            return part
        known.shown = shown
        if not known.claimed:
            known.part = self._claimed(known, parent, make())
            known.claimed = True
        return known.part

    def unclaimed_part(self, name: str, namespace: Any = None) -> Any | None:
        """The restored part of this name and namespace that nobody has asked for yet; None when there is none."""
        known = self._parts.get((name, _text(namespace)))
        return None if known is None or known.claimed else known.part

    def refuse_restored(self, name: str, way: str) -> None:
        """StateMigrationError when there is restored state of this name, which the program uses in another way now.

        way : how it was used
        """
        if any(known.name == name and not known.claimed for known in self._parts.values()):
            raise StateMigrationError(
                f"operator '{self.operator}': state '{name.partition('/')[2]}' of {self.source} is one that {way}; the "
                "program asks for it in another way now, in which it would find nothing. Ask for it as before, or give "
                "it another name to start without it"
            )

    def budgeted(self, part: P) -> P:
        """A part that is new: what it will hold is within the memory budget, if it is of a kind that can be."""
        if self.memory is not None and isinstance(part, Accumulators):
            part.draw_on(self.memory)
        return part

    def find(self, name: str) -> Any | None:
        """The restored or claimed part of this name, None when there is none; for parts that are made later."""
        known = self._parts.get((name, _text(None)))
        return None if known is None else known.part

    def namespaces(self, name: str) -> list[Any]:
        """The namespaces under which parts of this name are."""
        return [known.namespace for known in self._parts.values() if known.name == name]

    def names(self, prefix: str) -> list[str]:
        """The names that begin so, of restored and claimed parts."""
        return [known.name for known in self._parts.values() if known.name.startswith(prefix)]

    def drop(self, name: str, namespace: Any = None) -> None:
        """The part is over. KeyError when there is none."""
        del self._parts[name, _text(namespace)]

    def field(self, name: str, initial: Any, get: Callable[[], Any], merge: Callable[..., Any] = min) -> Any:
        """A value of JSON that snapshots ask for with `get`. -> the restored value, `initial` when there is none

        merge : what becomes of the values of several subtasks when the job was rescaled
        """
        self._fields[name] = get
        found = [fields[name] for fields in self._restored_fields if name in fields]
        return initial if not found else found[0] if len(found) == 1 else merge(found)

    def items(self, name: str, mode: Mode, get: Callable[[], list[Any]]) -> list[Any]:
        """A list of values of JSON that snapshots ask for with `get`. -> the restored items"""
        self._lists[name] = (mode, get)
        return self._restored_lists.get(name, [])

    # -- for the runtime ----------------------------------------------------------------------------------

    def freeze(self, since: int) -> FrozenState:
        """Ends the epoch. What changed after `since` can then be written by another thread.

        since : 0 for everything, else an epoch of a snapshot that was written, and not forgotten
        """
        if self._numbers > NUMBERS_MAX:
            self._number_anew()
        if since < self._rewritten:
            since = 0
        fields = {name: get() for name, get in self._fields.items()}
        lists = {name: ListState(mode, get()) for name, (mode, get) in self._lists.items()}
        parts: list[Any] = []
        try:
            rooted = self._rooted()
            for known in rooted:
                parts.append(known.part.freeze(since, self.epoch))
            entries = _entries(rooted)
        except BaseException:
            for part in parts:
                part.release()
            raise
        frozen = FrozenState(self.epoch, since, self.key_groups, entries, parts, fields, lists)
        self.epoch += 1
        return frozen

    def forget(self, epoch: int) -> None:
        """No later freeze will ask for a `since` below `epoch`, but 0."""
        for known in self._parts.values():
            known.part.forget(epoch)

    def restore(self, restored: RestoredState) -> None:
        """Takes over what a checkpoint holds; before the operator opens.

        StateFormatError : the stored bytes are not what they should be
        """
        assert not self._parts, "a state is restored before it is used"
        self.source = restored.source
        self._restored_fields = list(restored.fields)
        self._restored_lists = dict(restored.lists)
        if restored.rescaled:
            faultpoint.reached("rescale.begun")
        for stored in restored.stored:
            if restored.rescaled:
                self._absorb(stored)
                faultpoint.reached("rescale.absorbed")
            else:
                self._go_on(stored, {name for share in restored.shares for name in share.names})
        for share in restored.shares:
            self._append(share)

    @property
    def state_bytes(self) -> int:
        """About what a snapshot of everything takes."""
        return sum(known.part.state_bytes for known in self._parts.values())

    @property
    def resident_bytes(self) -> int:
        """Of the memory budget, what this operator holds."""
        return 0 if self.memory is None else self.memory.resident_bytes

    @property
    def spilled_bytes(self) -> int:
        """Of its pages in the file of the budget."""
        parts = [known.part for known in self._parts.values()]
        return sum(part.spilled_bytes for part in parts if isinstance(part, Accumulators))

    def entries(self) -> list[PartState]:
        """What there is now, with its sizes."""
        return _entries(self._parts.values())

    # ----------------------------------------------------------------------------------------------------

    def _add(
        self,
        name: str,
        namespace: Any,
        parent: str | None,
        part: Any,
        claimed: bool,
        shown: dict[str, Any] | None,
    ) -> None:
        part.loaded(self.epoch - 1)
        self._parts[name, _text(namespace)] = _Registered(
            self._numbers, name, namespace, parent, part, claimed, shown
        )
        self._numbers += 1

    def _add_empty(self, entry: PartState) -> None:
        part = self._make(entry)
        self._add(entry.name, entry.namespace, entry.parent, part, False, shown_of(entry))

    def _number_anew(self) -> None:
        """Gives the parts their numbers from 0 again; then no snapshot builds on one that has others."""
        for number, known in enumerate(self._parts.values()):
            known.number = number
        self._numbers = len(self._parts)
        self._rewritten = self.epoch

    def _rooted(self) -> list[_Registered]:
        """The parts but those that go by keys of which none has come yet: they are empty."""
        parts = list(self._parts.values())
        while True:
            names = {known.name for known in parts}
            kept = [known for known in parts if known.parent is None or known.parent in names.union(MODES)]
            if len(kept) == len(parts):
                return kept
            parts = kept

    def _claimed(self, known: _Registered, parent: str | None, made: P) -> P:
        """The restored part in the place of the one that the program made."""
        stored = known.part
        where = f"operator '{self.operator}': state '{known.name}' of {self.source}"
        if stored.kind != made.kind:
            raise StateMigrationError(f"{where} is a {stored.kind} state, the program has a {made.kind} state there")
        if known.parent != parent:
            raise StateMigrationError(
                f"{where} goes by '{known.parent}', the program's state of that name by '{parent}'; "
                f"give it another name to start without it"
            )
        try:
            if isinstance(stored, StoredRows):
                if made.take_over(stored):  # type: ignore[attr-defined]
                    self._rewritten = self.epoch  # what segments of earlier epochs hold is of other types
                return made
            if isinstance(made, (KeyIndex, ColumnRows)):
                stored.fit(made)
            elif isinstance(made, Accumulators):  # they may have learned since of what type a comparand is
                made.adopt(stored.describe())
            elif stored.describe() != made.describe():
                raise ValueError(f"it holds {stored.describe()}, the program has {made.describe()} there")
        except ValueError as error:
            raise StateMigrationError(
                f"{where} does not fit the program: {error}. Restore with the program that wrote it, or give the "
                f"changed step another uid and leave this state behind"
            ) from error
        return cast(P, stored)

    def _make(self, entry: PartState) -> Any:
        return self.budgeted(make_part(entry.kind, entry.description))

    def _load(
        self, stored: StoredState, entries: Sequence[PartState], epoch: int
    ) -> list[tuple[PartState, Any]]:
        """Some parts of one old subtask, with what they held.

        The keys, whose index is built anew, are loaded beside everything else: kernels release the GIL, and that is
        half of the work each.
        """
        keys = [entry for entry in entries if entry.name == KEYS]
        others = [entry for entry in entries if entry.name != KEYS]
        if not keys or not others or sum(entry.bytes for entry in entries) < BESIDE_BYTES_MIN:
            return list(self._load_in_turn(stored, entries, epoch))
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(lambda: list(self._load_in_turn(stored, keys, epoch)))
            loaded = list(self._load_in_turn(stored, others, epoch))
            return beside.result() + loaded

    def _load_in_turn(
        self, stored: StoredState, entries: Sequence[PartState], epoch: int
    ) -> Iterator[tuple[PartState, Any]]:
        parts: dict[int, Any] = {}
        by_number = {entry.number: entry for entry in entries}
        entry: PartState | None = None
        try:
            for entry in entries:
                parts[entry.number] = self._make(entry)
            for number, payload in stored.blocks(by_number):
                entry = by_number[number]
                parts[number].load(payload)
            for entry in entries:
                parts[entry.number].loaded(epoch)
                yield entry, parts.pop(entry.number)
        except ValueError as error:
            if isinstance(error, StateFormatError):
                raise
            name = "?" if entry is None else entry.name
            raise StateFormatError(
                f"operator '{self.operator}': state '{name}' of {self.source} cannot be read: {error}; "
                f"go back to an earlier checkpoint"
            ) from error

    def _go_on(self, stored: StoredState, dealt: set[str]) -> None:
        """Takes over all of the same subtask, but operator state that is dealt out anew."""
        self.epoch = stored.epoch + 1
        self._numbers = max((entry.number + 1 for entry in stored.entries), default=0)
        numbers = self.field(PART_NUMBERS, None, self._fields[PART_NUMBERS])
        if isinstance(numbers, int):
            self._numbers = max(self._numbers, numbers)
        else:  # an earlier flinkcore did not say: the next snapshot builds on no older segment
            self._rewritten = self.epoch
        for entry, part in self._load(stored, [e for e in stored.entries if e.name not in dealt], stored.epoch):
            self._parts[entry.name, _text(entry.namespace)] = _Registered(
                entry.number, entry.name, entry.namespace, entry.parent, part, False, shown_of(entry)
            )

    def _append(self, share: Share) -> None:
        """Takes over operator state: its rows go behind those that came before."""
        for entry, part in self._load(share.stored, share.entries, 0):
            if not isinstance(part, StoredRows):
                raise StateFormatError(
                    f"operator '{self.operator}': {self.source} has {part.kind} '{entry.name}' as operator state"
                )
            key = (entry.name, _text(entry.namespace))
            if key not in self._parts:
                self._add_empty(entry)
            target = self._parts[key].part
            target.append(part, share.rows[entry.number])
            target.loaded(self.epoch)  # no earlier segment holds it so, under its new number

    def _absorb(self, stored: StoredState) -> None:
        """Takes over the key groups of this subtask from an old one."""
        loaded = self._load(stored, [entry for entry in stored.entries if entry.parent not in MODES], 0)
        maps: dict[str | None, Any] = {}
        homeless = stored.key_groups.start in self.key_groups  # what goes by no key moves with the first key group
        pending = sorted(loaded, key=lambda item: item[0].name != KEYS)
        while pending:
            waiting = []
            for entry, part in pending:
                if entry.parent is not None and entry.name != KEYS and entry.parent not in maps:
                    waiting.append((entry, part))
                    continue
                carries_keys = isinstance(part, ColumnRows)
                if entry.parent is None and entry.name != KEYS and not homeless and not carries_keys:
                    continue
                key = (entry.name, _text(entry.namespace))
                if key not in self._parts:
                    self._add_empty(entry)
                target = self._parts[key].part
                ids: np.ndarray | None = None
                if carries_keys:
                    target.absorb(part, self.key_groups, self.max_parallelism)
                elif entry.name == KEYS:
                    ids = kept_keys(target, part, self.key_groups, self.max_parallelism)
                else:
                    ids = absorb(target, part, maps.get(entry.parent))
                if ids is not None:
                    maps[entry.name] = ids
            if len(waiting) == len(pending):
                names = ", ".join(entry.name for entry, _ in waiting)
                raise StateFormatError(
                    f"operator '{self.operator}': {self.source} holds state ({names}) of keys that it does not hold"
                )
            pending = waiting


def _entries(registered: Iterable[_Registered]) -> list[PartState]:
    entries = []
    names: set[str] = set()
    for known in registered:
        part = known.part
        description = part.describe()
        if known.shown is not None and known.name not in names:
            description = {**description, SHOWN: known.shown}
            names.add(known.name)
        entries.append(
            PartState(
                known.number,
                known.name,
                part.kind,
                part.row_count,
                part.state_bytes,
                description,
                known.namespace,
                known.parent,
            )
        )
    return entries


def _text(namespace: Any) -> str:
    # Panes come and go with every window: a json.dumps of their starts took a tenth of a small window's time.
    return str(namespace) if type(namespace) is int else json.dumps(namespace)
