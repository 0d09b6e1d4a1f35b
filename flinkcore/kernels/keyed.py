# SPDX-License-Identifier: Apache-2.0
"""Aggregates by key over batches with named columns, with snapshots."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flinkcore.errors import StateFormatError
from flinkcore.kernels.aggregates import Accumulators
from flinkcore.kernels.columns import (
    BatchLike,
    OneCaller,
    SchemaLike,
    batches_of,
    field_of,
    schema_of,
)
from flinkcore.kernels.groups import GroupIndex
from flinkcore.kernels.snapshot import ACCUMULATORS, KEYS, Bytes, Description, frames, read_frames

#: Result name -> the op alone ("count_star"), or (op, column) or (op, column, comparand column).
Aggregates: TypeAlias = Mapping[str, "str | tuple[str, ...]"]


def group_by(
    data: BatchLike | Iterable[BatchLike],
    keys: str | Sequence[str],
    aggregates: Aggregates,
    *,
    schema: SchemaLike | None = None,
) -> pa.Table:
    """The aggregates of each key of a table or of a stream of batches: a row per key, in order of first appearance.

    data : a RecordBatch, a Table, a RecordBatchReader, a mapping of names to columns, what has __arrow_c_stream__ or
        __arrow_c_array__ (a Polars or pandas DataFrame), or an iterable of any of these
    keys : names of columns; a null is a key
    aggregates : result name -> (op, column), for min_by and max_by (op, column, comparand column), for count_star the
        op alone; flinkcore.kernels.Aggregate has the ops
    schema : of the batches; needed only when an iterable may have none

    TypeError : what is no data, a type that a key or an op does not take, a batch of other types;  ValueError : a
    column that there is not, an iterable without a batch and no schema
    Threads : any number at once; the GIL is released in the kernels.

    >>> group_by({"k": ["a", "b", "a"], "v": [1, 2, 3]}, "k", {"total": ("sum", "v"), "n": "count_star"}).to_pylist()
    [{'k': 'a', 'total': 4, 'n': 2}, {'k': 'b', 'total': 2, 'n': 1}]
    """
    state = None if schema is None else KeyedAggregates(schema, keys, aggregates)
    for batch in batches_of(data):
        if state is None:
            state = KeyedAggregates(batch.schema, keys, aggregates)
        state.update(batch)
    if state is None:
        raise ValueError("group_by: no batch came, and no schema; give schema= when an iterable may be empty")
    return state.to_table()


class KeyedAggregates:
    """The running aggregates of every key: a GroupIndex and Accumulators over named columns, with snapshots.

    A snapshot is frozen in microseconds to a few milliseconds. Another thread exports it while updates go on, which
    copy a page of 16 KB before they first change it. An export is everything, or what changed since an earlier one.

    For one thread at a time; a second one gets a RuntimeError. Snapshots are exported and released by any thread.

    >>> import pyarrow as pa
    >>> state = KeyedAggregates(pa.schema({"k": pa.string(), "v": pa.int64()}), "k", {"total": ("sum", "v")})
    >>> state.update({"k": ["a", "b"], "v": [1, 2]})
    >>> whole = b"".join(state.freeze().export())
    >>> state.update({"k": ["a", "c"], "v": [10, 20]})
    >>> KeyedAggregates.restore(whole).to_table().to_pylist()
    [{'k': 'a', 'total': 1}, {'k': 'b', 'total': 2}]
    >>> changes = b"".join(state.freeze(since=1).export())
    >>> KeyedAggregates.restore(whole, changes).to_table().to_pylist()
    [{'k': 'a', 'total': 11}, {'k': 'b', 'total': 2}, {'k': 'c', 'total': 20}]
    """

    def __init__(
        self,
        schema: SchemaLike,
        keys: str | Sequence[str],
        aggregates: Aggregates,
        *,
        retractable: bool = False,
    ) -> None:
        """No key yet.

        schema : has at least the columns that are read; an Arrow schema, or what has __arrow_c_schema__
        keys, aggregates : as for group_by;  retractable : as for Accumulators
        TypeError, ValueError : a column that there is not, a type that a key or an op does not take
        """
        schema = schema_of(schema)
        self._keys = (keys,) if isinstance(keys, str) else tuple(keys)
        self._calls = {
            name: (call,) if isinstance(call, str) else tuple(call) for name, call in aggregates.items()
        }
        self._columns = [column for call in self._calls.values() for column in call[1:]]
        names = list(dict.fromkeys([*self._keys, *self._columns]))
        self.schema: pa.Schema = pa.schema([field_of(schema, name, "column") for name in names])
        if twice := [name for name in self._calls if name in self._keys]:
            raise ValueError(f"the result {twice[0]!r} has the name of a key; give it another")
        if not self._keys:
            raise ValueError(
                "expected at least one key column; group by a constant column for one result over all"
            )
        #: The ids of the keys, and their rows of accumulators: to look up, to read. What changes one must change both.
        self.groups = GroupIndex(*(self._type(name) for name in self._keys))
        self.accumulators = Accumulators(
            *((call[0], *(self._type(name) for name in call[1:])) for call in self._calls.values()),
            retractable=retractable,
        )
        self._epoch = 0
        self._released: deque[_Frozen] = deque()
        self._alone = OneCaller("a KeyedAggregates")

    def _type(self, name: str) -> pa.DataType:
        return self.schema.field(name).type

    def __repr__(self) -> str:
        return f"KeyedAggregates(by {', '.join(self._keys)}: {', '.join(self._calls)}; {len(self)} keys)"

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self.groups)

    @property
    def epoch(self) -> int:
        """That of the last freeze, 0 before the first."""
        return self._epoch

    def update(self, data: BatchLike | Iterable[BatchLike]) -> None:
        """Add the records of a batch, or of each of some.

        data : as for group_by. A batch is added whole, or not at all when its columns are at fault
        TypeError, ValueError : as for group_by
        """
        for batch in batches_of(data):
            self._add(batch, retract=False)

    def retract(self, data: BatchLike | Iterable[BatchLike]) -> None:
        """Take the records of a batch back, or of each of some. Their keys stay, also when no record is left.

        UnsupportedOperationError unless made with retractable=True;  TypeError, ValueError : as for group_by
        """
        for batch in batches_of(data):
            self._add(batch, retract=True)

    def _add(self, batch: pa.RecordBatch, retract: bool) -> None:
        with self._alone:
            self._collect()
            columns = {name: self._column(batch, name) for name in self.schema.names}
            # What is at fault is found before a key is interned.
            arguments = self.accumulators.arguments([columns[name] for name in self._columns])
            change = self.accumulators.native_retract() if retract else self.accumulators.native.update
            keys = self.groups.key_columns([columns[name] for name in self._keys])
            change(self.groups.native.intern(keys), arguments)

    @staticmethod
    def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
        field_of(batch.schema, name, "column")
        return batch.column(name)

    def merge(self, other: KeyedAggregates) -> None:
        """Add what another has, e.g. one that another thread has filled; it stays as it is.

        What self held counts as the earlier half. TypeError : of other keys or aggregates
        """
        if other is self:
            raise ValueError("merge: the other is this one")
        if other.groups.types != self.groups.types or not other.accumulators.is_like(self.accumulators):
            raise TypeError(f"{other!r} and {self!r} have different keys or aggregates")
        with self._alone, other._alone:
            self._collect()
            ids = other.groups.ids()
            self.accumulators.merge(other.accumulators, self.groups.intern(*other.groups.keys(ids)), ids)

    def release(self, ids: npt.ArrayLike) -> None:
        """Take keys out, with their aggregates. ids : of `groups`. ValueError, and nothing done : as for GroupIndex"""
        with self._alone:
            self._collect()
            self.groups.release(ids)
            self.accumulators.clear(ids)

    def to_table(self, ids: npt.ArrayLike | None = None) -> pa.Table:
        """The key columns and the results, a row per key.

        ids : of `groups`, which rows and in which order; by default all, in the order of their ids
        ValueError : an id has no key;  OverflowError : more than 2^31 - 1 bytes of strings in a column; ask for fewer
        """
        with self._alone:
            if ids is None:
                ids = self.groups.ids()
            arrays = [*self.groups.keys(ids), *self.accumulators.results(ids)]
        return pa.Table.from_arrays(arrays, names=[*self._keys, *self._calls])

    # -- snapshots -------------------------------------------------------------------------------------------

    def freeze(self, since: int = 0) -> Snapshot:
        """The state as it is now, for another thread to export.

        since : 0 for everything; or the epoch of an earlier snapshot whose export is kept, for what changed after it
        ValueError : since is not the epoch of an earlier snapshot
        """
        with self._alone:
            self._collect()
            if not 0 <= since <= self._epoch:
                raise ValueError(
                    f"freeze: since is {since}, expected 0 for everything or the epoch of an earlier "
                    f"snapshot, 1 to {self._epoch}"
                )
            self._epoch += 1
            groups = self.groups.native.freeze(since, self._epoch)
            try:
                accumulators = self.accumulators.native.freeze(since, self._epoch)
            except BaseException:
                groups.release()
                raise
            description = Description(
                self.schema, self._keys, self._calls, self.accumulators.retractable, since, self._epoch
            )
            return Snapshot(description, _Frozen(groups, accumulators), self._released)

    def forget(self, epoch: int) -> None:
        """No later freeze has a `since` below `epoch`, but 0: what was kept for it may go."""
        with self._alone:
            self._collect()
            self.groups.native.forget(epoch)
            self.accumulators.native.forget(epoch)

    @classmethod
    def restore(
        cls, export: Bytes | Iterable[Bytes], *increments: Bytes | Iterable[Bytes]
    ) -> KeyedAggregates:
        """What was exported, with the same ids.

        export : of a snapshot of everything, as one piece or as several cut anywhere
        increments : of what changed since, in their order, each beginning where the one before ended
        Later freezes may have the last epoch, that of the result, as their `since`.
        StateFormatError : damaged or cut short, out of order, or of something else
        """
        state: KeyedAggregates | None = None
        told: Description | None = None
        for part in (export, *increments):
            blocks = read_frames(part)
            description = Description.of_bytes(next(blocks)[1])
            if (
                description.since != (0 if told is None else told.epoch)
                or description.epoch <= description.since
            ):
                raise StateFormatError(
                    f"an export of what changed in epochs {description.since + 1} to {description.epoch} cannot follow "
                    + (
                        "nothing; begin with one of everything"
                        if told is None
                        else f"the end of epoch {told.epoch}"
                    )
                )
            if state is None or told is None:
                try:
                    state = cls(
                        description.schema,
                        description.keys,
                        description.aggregates,
                        retractable=description.retractable,
                    )
                except (TypeError, ValueError) as error:
                    raise StateFormatError(
                        f"the first frame describes no keyed aggregates: {error}"
                    ) from error
            elif (told.schema, told.keys, told.aggregates) != (
                description.schema,
                description.keys,
                description.aggregates,
            ):
                raise StateFormatError(
                    f"the export that ends in epoch {description.epoch} is of other keys or aggregates"
                )
            told = description
            try:
                for kind, payload in blocks:
                    (state.groups if kind == KEYS else state.accumulators).native.load(payload)
            except StateFormatError:
                raise
            except ValueError as error:
                raise StateFormatError(f"the export that ends in epoch {told.epoch}: {error}") from error
        assert state is not None and told is not None
        try:
            state.groups.native.loaded(told.epoch)
            state.accumulators.native.loaded(told.epoch)
        except ValueError as error:
            raise StateFormatError(f"the exports up to epoch {told.epoch}: {error}") from error
        if not np.isin(state.accumulators.ids(), state.groups.ids(), assume_unique=True).all():
            raise StateFormatError(f"the exports up to epoch {told.epoch} have accumulators without a key")
        state._epoch = told.epoch
        return state

    def _collect(self) -> None:
        """Give back what released snapshots held."""
        while self._released:
            frozen = self._released.popleft()
            frozen.groups.release()
            frozen.accumulators.release()


class _FrozenPart(Protocol):
    def blocks(self) -> Iterator[bytes]: ...
    def release(self) -> None: ...


class _Frozen:
    """Both halves, as they were."""

    def __init__(self, groups: _FrozenPart, accumulators: _FrozenPart) -> None:
        self.groups = groups
        self.accumulators = accumulators


class Snapshot:
    """Keyed aggregates as they were at a freeze, to be exported once. For any thread, one at a time.

    What it holds is kept until it was exported, or released, or nobody has it any more; `with` releases at the end.
    """

    def __init__(self, description: Description, frozen: _Frozen, released: deque[_Frozen]) -> None:
        self._description = description
        self._frozen: _Frozen | None = frozen
        self._released = released
        self._is_exporting = False
        self._is_released = False
        self._lock = threading.Lock()

    @property
    def epoch(self) -> int:
        """Names it: the `since` of a later freeze."""
        return self._description.epoch

    @property
    def since(self) -> int:
        """What changed after the end of that epoch is in it; 0: everything."""
        return self._description.since

    def __repr__(self) -> str:
        return f"Snapshot(epoch {self.epoch}, {f'since {self.since}' if self.since else 'everything'})"

    def export(self) -> Iterator[bytes]:
        """The snapshot in pieces of about 1 MB, made as they are asked for, for KeyedAggregates.restore. Once.

        Works while another thread updates the aggregates, and releases the GIL in its kernels. At the end, also when
        it is not read to the end, the snapshot is released.
        RuntimeError : exported or released before, or released meanwhile
        """
        with self._lock:
            if self._frozen is None or self._is_exporting or self._is_released:
                raise RuntimeError(f"{self!r} was exported or released before; freeze again")
            self._is_exporting = True
            frozen = self._frozen
        try:
            for frame in frames(self._description, self._blocks(frozen)):
                if self._is_released:
                    raise RuntimeError(
                        f"{self!r} was released while it was exported; the export is not whole"
                    )
                yield frame
        finally:
            with self._lock:
                self._is_exporting = False
                self._is_released = True
                self._give_back()

    @staticmethod
    def _blocks(frozen: _Frozen) -> Iterator[tuple[int, bytes]]:
        for block in frozen.groups.blocks():
            yield KEYS, block
        for block in frozen.accumulators.blocks():
            yield ACCUMULATORS, block

    def release(self) -> None:
        """Nothing is needed any more. By any thread; an export that goes on in another one fails at its next piece."""
        with self._lock:
            self._is_released = True
            if not self._is_exporting:
                self._give_back()

    def _give_back(self) -> None:
        """To the thread that uses the aggregates, which does the rest at its next call."""
        frozen, self._frozen = self._frozen, None
        if frozen is not None:
            self._released.append(frozen)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()
