# SPDX-License-Identifier: Apache-2.0
"""Read: the state that a checkpoint or savepoint holds, as Arrow tables. No engine runs, and no code of the program.

    read_state("/data/chk/<job id>/chk-42", "count-words", "table/count")       # -> word, value
    list_states("/data/chk/<job id>/chk-42")                                    # -> which states there are

What Flink's State Processor API does with a SavepointReader; typed columns take the place of reader functions.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import BYTES, physical_kind
from flinkcore._native.group import GroupIndex
from flinkcore._native.window import SessionIndex
from flinkcore.checkpoint.inspect import find_one, sizes_of
from flinkcore.checkpoint.layout import Checkpoint
from flinkcore.checkpoint.manifest import OperatorState, SubtaskState
from flinkcore.checkpoint.store import Store
from flinkcore.checkpoint.stored import StoredSubtask
from flinkcore.columnar.objects import decode_key, holds_pickle
from flinkcore.columnar.row import Row
from flinkcore.errors import ConfigurationError, StateFormatError
from flinkcore.expr.described import aggregation_of_description
from flinkcore.expr.folded import FoldedFields
from flinkcore.state.accumulators import AccumulatorRows
from flinkcore.state.codec import PICKLED
from flinkcore.state.column_rows import ColumnRows
from flinkcore.state.content import content_of_description
from flinkcore.state.keys import KeyIndex
from flinkcore.state.part import MODES, PART_NUMBERS, PartState
from flinkcore.state.parts import make_part, shown_of
from flinkcore.state.rescale import PAIR_TYPES
from flinkcore.state.stored import StoredRows, agree

T = TypeVar("T")

#: What the enumerator of a source remembers is called so, as if it were a state.
ENUMERATOR = "enumerator"

#: What may be left off in front of the name of a state.
_KINDS = ("table", "columns", "rows", "operator", "timers")

_INSTANT = pa.timestamp("ms")
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=([^\]]+)\]")
#: What comes of descriptions that fit their checksums and nothing else.
_UNSOUND = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, pa.ArrowException)


def read_state(
    path: str | os.PathLike[str], uid: str, name: str, *, allow_pickle: bool = False
) -> pa.Table:
    """The rows of one state of one operator, of all its subtasks.

    path : of a checkpoint or savepoint, or a URI such as s3://bucket/savepoints/savepoint-0123456789ab
    uid : the operator's uid, or its name, or the beginning of its id
    name : of the state, as list_states has it; "count" will do for "table/count"
    allow_pickle : unpickle Python objects, which may run anything: only for a checkpoint that you trust. Without it
        they come as their bytes

    The columns say first where a row is, then what is there:

        keyed state             the key's columns; window_start, window_end of states of windows; then `value`, as a
                                list or a map where the state is one, and touched_ms where it has a time to live
        windows of aggregates   the key's columns; window_start and window_end, or pane_start and pane_end where
                                windows overlap and share panes; then the results so far, under their aliases
        timers                  the key's columns, the window's, and `timestamp`
        records of joins        window_start and window_end, or timestamp_ms; row_kind; the record's columns
        operator state          subtask, and `value`; broadcast state once. What is no table (splits, committables,
                                fields) as text of JSON

    StateFormatError : the checkpoint is damaged;  CheckpointStorageError : it is not there, or cannot be read
    ConfigurationError : it has no such operator or state, or more than one
    """
    return rows_of(find_one(path), uid, name, allow_pickle=allow_pickle).table


def list_states(path: str | os.PathLike[str]) -> pa.Table:
    """The states of a checkpoint: operator, operator_id, uid, state, kind, subtasks, rows, bytes.

    subtasks : how many hold the state;  rows : at most so many;  bytes : about what all of it takes, written
    StateFormatError, CheckpointStorageError : as read_state
    """
    found: list[tuple[Any, ...]] = []
    checkpoint = find_one(path)
    checkpoint.complete()
    for size in sizes_of(checkpoint):
        operator = size.operator
        states = [(state.name, state.kind, state.rows, state.bytes) for state in size.states]
        states += [(name, "field", _holders(operator, name), 0) for name in _field_names(operator)]
        if operator.coordinator is not None:
            states.append((ENUMERATOR, "enumerator", 1, 0))
        found += [
            (operator.name, operator.operator_id, operator.uid, name, kind, _holders(operator, name), rows, bytes)
            for name, kind, rows, bytes in states
        ]
    texts = ["operator", "operator_id", "uid", "state", "kind"]
    numbers = ["subtasks", "rows", "bytes"]
    schema = pa.schema([(name, pa.string()) for name in texts] + [(name, pa.int64()) for name in numbers])
    return pa.Table.from_pylist([dict(zip(schema.names, row)) for row in found], schema)


@dataclass(frozen=True)
class StateRows:
    """One state. places : how many of the first columns say which row a row is; 0 when nothing does."""

    table: pa.Table
    places: int


def operator_of(checkpoint: Checkpoint, wanted: str) -> OperatorState:
    """The operator of a uid, a name, or the beginning of an id. ConfigurationError: none, or more than one."""
    operators = checkpoint.complete().operators
    for matches in (
        [operator for operator in operators if operator.uid == wanted],
        [operator for operator in operators if operator.name == wanted],
        [operator for operator in operators if wanted and operator.operator_id.startswith(wanted)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            ids = ", ".join(operator.operator_id for operator in matches)
            raise ConfigurationError(
                f"'{checkpoint.location}' has {len(matches)} operators '{wanted}'; give one of their ids: {ids}"
            )
    known = ", ".join(f"'{operator.uid or operator.name}'" for operator in operators)
    raise ConfigurationError(f"'{checkpoint.location}' has no operator '{wanted}'; it has {known or 'none'}")


def state_names(operator: OperatorState) -> list[str]:
    """The names of all that an operator keeps: parts, lists and fields."""
    names: dict[str, None] = {}
    for subtask in operator.subtasks:
        names.update(dict.fromkeys([*(part.name for part in subtask.parts), *subtask.lists]))
    names.update(dict.fromkeys(_field_names(operator)))
    if operator.coordinator is not None:
        names[ENUMERATOR] = None
    return list(names)


def rows_of(checkpoint: Checkpoint, uid: str, name: str, *, allow_pickle: bool = False) -> StateRows:
    """As read_state."""
    operator = operator_of(checkpoint, uid)
    known = state_names(operator)
    if name not in known:
        longer = [f"{kind}/{name}" for kind in _KINDS if f"{kind}/{name}" in known]
        if len(longer) != 1:
            raise ConfigurationError(
                f"operator '{operator.name}' of '{checkpoint.location}' has no state '{name}'; it has "
                + (", ".join(f"'{each}'" for each in known) or "none")
            )
        name = longer[0]
    subtasks = [
        _Subtask(checkpoint.home, operator, subtask, checkpoint.location, name)
        for subtask in operator.subtasks
        if any(part.name == name for part in subtask.parts)
    ]
    agree([rows for subtask in subtasks for rows in subtask.stored_rows])
    pieces = [piece for subtask in subtasks for piece in subtask.pieces(allow_pickle)]
    if pieces:
        return _joined(pieces, allow_pickle, f"state '{name}' of operator '{operator.name}' of '{checkpoint.location}'")
    return _of_json(operator, name)


class _Column(NamedTuple):
    """A column of some rows. objects : it has canonical bytes of Python objects (flinkcore.columnar.objects)"""

    name: str
    array: pa.Array
    objects: bool = False


class _Piece(NamedTuple):
    """The rows of one part of one subtask: where they are, and what is there.

    told : whether their places tell one row from another
    """

    places: list[_Column]
    values: list[_Column]
    told: bool = True


class _Subtask:
    """The parts of one name in one subtask, and those whose ids they go by.

    StateFormatError : they cannot be read
    """

    def __init__(self, store: Store, operator: OperatorState, subtask: SubtaskState, source: str, name: str) -> None:
        self._name = name
        self._stored = StoredSubtask(store, subtask)
        self._index = subtask.index
        self._where = f"operator '{operator.name}', subtask {subtask.index} of '{source}'"
        self._shared_by_all = {  # of broadcast state one subtask says all
            part.name
            for other in operator.subtasks[: subtask.index]
            for part in other.parts
            if part.parent == "broadcast" and part.rows
        }
        self._loaded: dict[str, list[tuple[PartState, Any]]] = {name: []}
        if name not in self._shared_by_all:
            self._reading(self._load)

    @property
    def stored_rows(self) -> list[StoredRows]:
        """Those of the parts that are rows which only the program could claim."""
        return [part for _, part in self._loaded[self._name] if isinstance(part, StoredRows)]

    def pieces(self, allow_pickle: bool) -> list[_Piece]:
        """The rows of all parts."""
        loaded = self._loaded[self._name]
        shown = next((found for entry, _ in loaded if (found := shown_of(entry))), {})
        return self._reading(lambda: [self._piece(entry, part, shown, allow_pickle) for entry, part in loaded])

    def _reading(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except StateFormatError:
            raise
        except _UNSOUND as error:
            raise StateFormatError(f"{self._where}: state '{self._name}' cannot be read: {error}") from error

    def _load(self) -> None:
        entries = {entry.name: entry for entry in self._stored.entries}
        names = {self._name}
        parent = entries[self._name].parent
        while parent in entries and parent not in names:
            names.add(parent)
            parent = entries[parent].parent
        parts = {
            entry.number: make_part(entry.kind, entry.description)
            for entry in self._stored.entries
            if entry.name in names
        }
        for number, payload in self._stored.blocks(parts):
            parts[number].load(payload)
        for entry in self._stored.entries:
            if entry.number in parts:
                parts[entry.number].loaded(self._stored.epoch)
                self._loaded.setdefault(entry.name, []).append((entry, parts[entry.number]))

    # -- where rows are -----------------------------------------------------------------------------------

    def _places(self, parent: str | None, ids: np.ndarray) -> list[_Column]:
        """The columns that say what the ids of a part stand for."""
        if parent is None or parent in MODES:
            return [_Column("subtask", pa.array(np.full(len(ids), self._index), pa.int32()))]
        ((entry, part),) = self._loaded[parent]
        if isinstance(part, SessionIndex):
            _check(ids, part.slots(), "sessions")
            return [
                *self._places(entry.parent, part.group_ids(ids)),
                _Column("window_start", pa.array(part.starts(ids), _INSTANT)),
                _Column("window_end", pa.array(part.ends(ids), _INSTANT)),
            ]
        if isinstance(part, GroupIndex):
            _check(ids, part.live_ids(), "pairs")
            groups, values = part.key_columns(ids, [PAIR_TYPES[kind] for kind in part.kinds])
            return [
                *self._places(entry.parent, groups.to_numpy().astype(np.int32)),
                _Column("argument", values.to_arrow()),
            ]
        if not isinstance(part, KeyIndex):
            raise StateFormatError(f"{self._where}: state goes by the ids of '{parent}', a {part.kind} state")
        _check(ids, part.live_ids(), "keys")
        return [
            _Column(name, column.to_arrow(), type is None)
            for name, type, column in zip(part.schema.names, part.schema.types, part.stored_columns(ids))
        ]

    # -- what is there ------------------------------------------------------------------------------------

    def _piece(self, entry: PartState, part: Any, shown: dict[str, Any], allow_pickle: bool) -> _Piece:
        if isinstance(part, StoredRows):
            return self._stored_rows(entry, part, shown, allow_pickle)
        if isinstance(part, Accumulators):
            ids = part.used_ids()
            places = self._places(entry.parent, ids)
            values = _values_of_batches(entry, part, ids)
            if values is not None:
                return _Piece(places, [values])
            if entry.namespace is not None:
                places += _bounds(shown.get("bounds"), entry.namespace, len(ids))
            return _Piece(places, _results(part, ids, shown))
        if isinstance(part, ColumnRows):
            return self._column_rows(entry, part, shown, allow_pickle)
        if isinstance(part, SessionIndex):
            slots = part.slots()
            return _Piece(self._places(entry.name, slots), [_Column("fired", pa.array(part.fired(slots)))])
        return _Piece(self._places(entry.name, part.live_ids()), [])

    def _column_rows(
        self, entry: PartState, part: ColumnRows, shown: dict[str, Any], allow_pickle: bool
    ) -> _Piece:
        places = _bounds(shown["bounds"], entry.namespace, part.row_count) if "bounds" in shown else []
        values = []
        table = part.table()
        for name in table.column_names:
            kind, _, column = name.partition(".")
            array = table.column(name).combine_chunks()
            if allow_pickle and kind == "value" and part.schema.type_of(column) is None:
                array = _of_objects(PICKLED.decode(array, True))
            values.append(_Column(column or name, array))
        return _Piece(places, values, told=False)

    def _stored_rows(
        self, entry: PartState, part: StoredRows, shown: dict[str, Any], allow_pickle: bool
    ) -> _Piece:
        timers = entry.kind == "timers"
        scoped = entry.description.get("namespace") is not None
        where = [*(["timestamp_ms"] if timers else []), "group_id", *(["namespace"] if scoped else [])]
        rows = part.left(where)
        if not rows.num_columns:
            rows = _no_rows(entry, where)
        elif entry.parent in MODES:
            rows = rows.sort_by("group_id")
        columns = {name: rows.column(name).combine_chunks() for name in rows.column_names}
        places = self._places(entry.parent, columns.pop("group_id").to_numpy())
        if scoped:
            places += _namespaces(columns.pop("namespace"))
        if timers:
            return _Piece([*places, _Column("timestamp", columns["timestamp_ms"].cast(_INSTANT))], [])
        if shown and "value" in columns:
            return _Piece(places, _results_of_rows(columns["value"], shown))
        if allow_pickle and "PICKLED" in json.dumps(part.description):
            content = content_of_description(part.description)
            decoded = content.decode([columns[field.name] for field in content.fields], True)
            columns = {"value": _of_objects([content.mapped(lambda pair: pair[0], row) for row in decoded]
                                            if content.stamped else decoded)}
        values = [_Column(name, column) for name, column in columns.items()]
        return _Piece(places, values, entry.parent is not None and entry.parent not in MODES)


def _check(ids: np.ndarray, known: np.ndarray, what: str) -> None:
    if not np.isin(ids, known).all():
        raise StateFormatError(f"there are rows of {what} that are not there")


def _bounds(described: Any, namespace: Any, count: int) -> list[_Column]:
    if described is None:
        return [_Column("namespace", pa.array([json.dumps(namespace)] * count, pa.string()))]
    start_name, end_name, size_ms = described
    return [
        _Column(name, pa.array(np.full(count, ms, np.int64), _INSTANT))
        for name, ms in ((str(start_name), namespace), (str(end_name), namespace + size_ms))
    ]


def _namespaces(namespaces: pa.Array) -> list[_Column]:
    if not pa.types.is_struct(namespaces.type) or namespaces.type.num_fields != 2:
        return [_Column("namespace", namespaces)]
    return [
        _Column(name, namespaces.field(i).cast(_INSTANT)) for i, name in enumerate(("window_start", "window_end"))
    ]


def _results(part: Accumulators, ids: np.ndarray, shown: dict[str, Any]) -> list[_Column]:
    if "fold" in shown:
        fields = FoldedFields.of_description(shown["fold"])
        fields.check(part)
        return [_Column("value", fields.arrow(part, ids))]
    columns = part.results(ids)
    if "calls" in shown:
        aggregation = aggregation_of_description(shown)
        if [kernel[:3] for kernel in aggregation.kernels] != [kernel[:3] for kernel in part.aggregates]:
            raise StateFormatError("accumulators are not those of the aggregates that are said to be theirs")
        columns, names = aggregation.results(columns), list(aggregation.names)
    else:
        names = shown.get("names") or [f"{kernel[0]}_{i}" for i, kernel in enumerate(part.aggregates)]
    return [_Column(name, column.to_arrow()) for name, column in zip(names, columns, strict=True)]


def _values_of_batches(entry: PartState, part: Accumulators, ids: np.ndarray) -> _Column | None:
    """The values that a function of batches keeps (flinkcore.state.batch_state): the last of each key, of the type that
    stands where others have a namespace. None where that is not what it is, or the type is none that has a short name.
    """
    if not entry.name.startswith("columns/") or not isinstance(entry.namespace, str):
        return None
    zoned = _ZONED.fullmatch(entry.namespace)
    try:
        type = pa.timestamp(zoned[1], zoned[2]) if zoned else pa.type_for_alias(entry.namespace)
    except ValueError:
        return None
    if [kernel[:2] for kernel in part.aggregates] != [("last", physical_kind(type))]:
        return None
    column = part.results(ids)[0]
    if physical_kind(type) == BYTES:
        return _Column("value", column.to_arrow().cast(type))
    return _Column("value", column.with_type(type).to_arrow())


def _results_of_rows(values: pa.Array, shown: dict[str, Any]) -> list[_Column]:
    """The results of accumulators that are values of a table."""
    aggregation = aggregation_of_description(shown)
    if not values.type.equals(AccumulatorRows.type):
        raise StateFormatError(f"accumulators are a column of {values.type}")
    gathered = Accumulators(aggregation.kernels)
    for row, value in enumerate(AccumulatorRows(aggregation.kernels).decode(values)):
        gathered.merge(value, np.array([row], np.int32), np.zeros(1, np.int32))
    return _results(gathered, np.arange(len(values), dtype=np.int32), shown)


def _no_rows(entry: PartState, where: Sequence[str]) -> pa.Table:
    """A table without rows, of the types that a description says."""
    int64 = pa.int64()
    types: dict[str, pa.DataType] = {"timestamp_ms": int64, "group_id": pa.int32()}
    fields = [pa.field(name, types.get(name, pa.struct([("start_ms", int64), ("end_ms", int64)]))) for name in where]
    if entry.kind == "table":
        try:
            fields += content_of_description(entry.description).fields
        except StateFormatError:  # a type that only the program knows
            accumulators = shown_of(entry) is not None
            fields.append(pa.field("value", AccumulatorRows.type if accumulators else pa.binary()))
    return pa.schema(fields).empty_table()


def _joined(pieces: Sequence[_Piece], allow_pickle: bool, what: str) -> StateRows:
    """The rows of all subtasks."""
    pieces = [piece for piece in pieces if _row_count(piece)] or pieces[:1]
    first = pieces[0]
    names = _unique([column.name for column in (*first.places, *first.values)])
    columns = []
    try:
        for parts in zip(*((*piece.places, *piece.values) for piece in pieces), strict=True):
            arrays = pa.chunked_array([part.array for part in parts])
            columns.append(_keys(arrays, allow_pickle) if parts[0].objects else arrays)
        return StateRows(pa.table(columns, names), len(first.places) if first.told else 0)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise StateFormatError(f"{what}: its subtasks do not fit together: {error}") from error


def _row_count(piece: _Piece) -> int:
    return max((len(column.array) for column in (*piece.places, *piece.values)), default=0)


def _unique(names: Sequence[str]) -> list[str]:
    """A key may be called `value` or `window_start`, too: then the later column has a number."""
    found: list[str] = []
    for name in names:
        number, other = 0, name
        while other in found:
            number += 1
            other = f"{name}_{number}"
        found.append(other)
    return found


def _keys(encoded: pa.ChunkedArray, allow_pickle: bool) -> pa.Array | pa.ChunkedArray:
    """Keys that are Python objects."""
    data = encoded.to_pylist()
    if not allow_pickle and any(map(holds_pickle, data)):
        return encoded
    return _of_objects([decode_key(each, allow_pickle) for each in data])


def _of_objects(values: list[Any]) -> pa.Array:
    """Python objects as a column: of their own type where all are of one that Arrow has, else as text."""
    kinds = {type(value) for value in values if value is not None}
    try:
        if kinds in ({tuple}, {Row}) and None not in values and len({len(value) for value in values}) == 1:
            names = getattr(values[0], "_names", None) or [f"f{i}" for i in range(len(values[0]))]
            return pa.StructArray.from_arrays([_of_objects(list(field)) for field in zip(*values)], names)
        if len(kinds) <= 1:
            return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass
    return pa.array([None if value is None else repr(value) for value in values], pa.string())


def _of_json(operator: OperatorState, name: str) -> StateRows:
    """What is no table: the items of a list, or one value."""
    items: list[tuple[int, Any]] = []
    is_list = any(name in subtask.lists for subtask in operator.subtasks)
    for subtask in operator.subtasks:
        if name in subtask.lists and not (subtask.lists[name].mode == "broadcast" and items):
            items += [(subtask.index, item) for item in subtask.lists[name].items]
        elif name in subtask.fields and not is_list:
            items.append((subtask.index, subtask.fields[name]))
    if not items and name == ENUMERATOR:
        items.append((0, operator.coordinator))
    columns = {
        "subtask": pa.array([subtask for subtask, _ in items], pa.int32()),
        "value": pa.array([json.dumps(item) for _, item in items], pa.string()),
    }
    return StateRows(pa.table(columns), 0 if is_list else 1)


def _field_names(operator: OperatorState) -> list[str]:
    """The fields that its operator has; not that of the StateManager."""
    names = dict.fromkeys(name for subtask in operator.subtasks for name in subtask.fields)
    return [name for name in names if name != PART_NUMBERS]


def _holders(operator: OperatorState, name: str) -> int:
    """How many subtasks have something of a name."""
    return sum(
        any(part.name == name for part in subtask.parts) or name in subtask.lists or name in subtask.fields
        for subtask in operator.subtasks
    )
