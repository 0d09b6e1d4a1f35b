# SPDX-License-Identifier: Apache-2.0
"""Whether state that a snapshot holds can be read under the type that a program declares now, and how.

    stored                declared          verdict
    the same              the same          AS_IS
    BYTE SHORT INT        a wider one of    MIGRATE        as Avro promotes int to long
      LONG                  these
    BYTE SHORT            FLOAT             MIGRATE        as Avro promotes int to float, where it is exact
    BYTE SHORT INT        DOUBLE            MIGRATE        likewise; LONG is not, above 2**53
    FLOAT                 DOUBLE            MIGRATE        as Avro
    CHAR                  STRING            MIGRATE
    ROW                   ROW               MIGRATE        by name: new fields are null, fields gone are dropped
                                                           (Flink's rules for POJOs), others by this table;
                                                           INCOMPATIBLE when no name is left
    TUPLE LIST MAP        the same          the worst verdict of their parts; a tuple keeps its length, and a
                                            map's key its type (Flink: "migration for MapState currently only
                                            allows value schema evolutions")
    with a time to live   without           MIGRATE        values stay for ever (Flink 2.2)
    without               with              MIGRATE        values live on from the restore (Flink 2.2)
    all else                                INCOMPATIBLE   also narrower types, another kind of state, a pickle
                                                           for a type, other namespaces

Flink's own rows, tuples and basic types do not evolve at all; its POJO and Avro types do, and Python has neither.
Source: Flink, PojoSerializerSnapshot, TtlAwareSerializer, RocksDBKeyedStateBackend.migrateStateValues; Avro
specification, schema resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pyarrow as pa

from flinkcore.columnar.row import make_row
from flinkcore.errors import StateFormatError
from flinkcore.state.codec import Description
from flinkcore.state.content import Content, content_of_description


class Verdict(Enum):
    """What becomes of stored state."""

    AS_IS = 0
    MIGRATE = 1
    INCOMPATIBLE = 2


@dataclass(frozen=True)
class Compatibility:
    """A verdict on stored state.

    reason : what changed, in words; why it does not fit, when it does not
    change : makes a stored value, never None, one of the declared type; None when values stay as they are
    """

    verdict: Verdict
    reason: str = ""
    change: Callable[[Any], Any] | None = None


AS_IS = Compatibility(Verdict.AS_IS)

_WIDER = {
    "BYTE": ("SHORT", "INT", "LONG", "FLOAT", "DOUBLE"),
    "SHORT": ("INT", "LONG", "FLOAT", "DOUBLE"),
    "INT": ("LONG", "DOUBLE"),
    "FLOAT": ("DOUBLE",),
    "CHAR": ("STRING",),
}
_REALS = ("FLOAT", "DOUBLE")


def compatibility(stored: Description, declared: Description) -> Compatibility:
    """The verdict on a state: descriptions as Table.describe() gives them.

    StateFormatError : what is stored is no such description
    """
    try:
        return _compatibility(stored, declared)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StateFormatError(f"{str(stored)[:80]} describes no state: {error!r}") from error


def _compatibility(stored: Description, declared: Description) -> Compatibility:
    for part, what in (("kind", "state"), ("namespace", "namespaces"), ("key", "keys of the map")):
        if stored.get(part) != declared.get(part):
            return _incompatible(f"{what}: {_text(stored.get(part))} became {_text(declared.get(part))}")
    values = type_compatibility(stored["value"], declared["value"])
    if values.verdict is Verdict.INCOMPATIBLE or stored["ttl"] == declared["ttl"]:
        return values
    change = "a time to live was added" if declared["ttl"] else "the time to live was removed"
    return Compatibility(Verdict.MIGRATE, "; ".join(filter(None, [values.reason, change])), values.change)


def type_compatibility(stored: Description, declared: Description) -> Compatibility:
    """The verdict on a type: descriptions as Codec.describe() gives them."""
    if stored == declared:
        return AS_IS
    before, now = stored["type"], declared["type"]
    if now in _WIDER.get(before, ()):
        change = float if now in _REALS and before not in _REALS else None
        return Compatibility(Verdict.MIGRATE, f"{before} became {now}", change)
    if before != now or before not in _CONTAINERS:
        return _incompatible(f"{_text(stored)} became {_text(declared)}")
    return _CONTAINERS[before](stored, declared)


def _rows(stored: Description, declared: Description) -> Compatibility:
    old, new = dict(stored["fields"]), dict(declared["fields"])
    kept = [name for name in new if name in old]
    if old and new and not kept:
        return _incompatible(f"the row has none of its fields {', '.join(old)} any more")
    fields = {name: type_compatibility(old[name], new[name]) for name in kept}
    reasons = [f"field '{name}': {found.reason}" for name, found in fields.items() if found.reason]
    if any(found.verdict is Verdict.INCOMPATIBLE for found in fields.values()):
        return _incompatible("; ".join(reasons))
    reasons += [f"field '{name}' was added" for name in new if name not in old]
    reasons += [f"field '{name}' was removed" for name in old if name not in new]
    if not reasons and list(old) != list(new):
        reasons.append("the fields have another order")
    positions = {name: position for position, name in enumerate(old)}
    sources = [(positions[name], fields[name].change) if name in old else None for name in new]
    names = list(new)

    def change(row: Any) -> Any:
        values = row._values
        changed = [None if source is None else _changed(source[1], values[source[0]]) for source in sources]
        return make_row(names, changed, row.get_row_kind())

    return Compatibility(Verdict.MIGRATE, "; ".join(reasons), change)


def _tuples(stored: Description, declared: Description) -> Compatibility:
    old, new = stored["fields"], declared["fields"]
    if len(old) != len(new):
        return _incompatible(f"a tuple of {len(old)} fields became one of {len(new)}")
    parts = [type_compatibility(before[1], now[1]) for before, now in zip(old, new)]

    def change(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_changed(part.change, value) for part, value in zip(parts, values))

    return _all(parts, [f"field {i}" for i in range(len(parts))], change)


def _lists(stored: Description, declared: Description) -> Compatibility:
    part = type_compatibility(stored["element"], declared["element"])
    return _all([part], ["elements"], lambda values: [_changed(part.change, value) for value in values])


def _maps(stored: Description, declared: Description) -> Compatibility:
    if stored["key"] != declared["key"]:
        return _incompatible(f"keys of a map: {_text(stored['key'])} became {_text(declared['key'])}")
    part = type_compatibility(stored["value"], declared["value"])
    return _all(
        [part],
        ["values of a map"],
        lambda entries: {key: _changed(part.change, value) for key, value in entries.items()},
    )


_CONTAINERS: dict[str, Callable[[Description, Description], Compatibility]] = {
    "ROW": _rows,
    "TUPLE": _tuples,
    "LIST": _lists,
    "MAP": _maps,
}


def _all(parts: list[Compatibility], names: list[str], change: Callable[[Any], Any]) -> Compatibility:
    """The worst verdict of the parts."""
    verdict = max((part.verdict for part in parts), key=lambda verdict: verdict.value)
    reason = "; ".join(f"{name}: {part.reason}" for name, part in zip(names, parts) if part.reason)
    changes = any(part.change is not None for part in parts)
    return Compatibility(verdict, reason, change if changes else None)


def _changed(change: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if change is None or value is None else change(value)


def _incompatible(reason: str) -> Compatibility:
    return Compatibility(Verdict.INCOMPATIBLE, reason)


def _text(description: Any) -> str:
    """A description as one says it: ROW(name STRING, n LONG)."""
    if not isinstance(description, dict):
        return "none" if description is None else str(description)
    kind = str(description.get("type"))
    if "fields" in description:
        return f"{kind}({', '.join(f'{name} {_text(field)}' for name, field in description['fields'])})"
    parts = [_text(description[part]) for part in ("key", "value", "element") if part in description]
    return f"{kind}({', '.join(parts)})" if parts else str(description.get("serializer", kind))


def joint(one: Description, other: Description) -> Description | None:
    """A description under which rows of both can be kept with all that they hold; None when there is none.

    Subtasks of one operator differ when the last program changed a type and not all of them have asked for the state.
    Where one of them has no time to live, both have none: it begins anew when the program asks.
    StateFormatError : what is stored is no such description
    """
    try:
        if any(one.get(part) != other.get(part) for part in ("name", "kind", "namespace", "key")) or "value" not in one:
            return None  # timers have no values
        value = _joint_type(one["value"], other["value"])
        return None if value is None else {**one, "value": value, "ttl": one["ttl"] and other["ttl"]}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StateFormatError(f"{str(one)[:80]} or {str(other)[:80]} describes no state: {error!r}") from error


def _joint_type(one: Description, other: Description) -> Description | None:
    if one == other or one["type"] in _WIDER.get(other["type"], ()):
        return one
    if other["type"] in _WIDER.get(one["type"], ()):
        return other
    if one["type"] != other["type"] or one["type"] not in _CONTAINERS:
        return None
    joined = dict(one)
    if one["type"] == "ROW":
        fields = [*one["fields"], *(field for field in other["fields"] if field[0] not in dict(one["fields"]))]
        theirs = dict(other["fields"])
        joined["fields"] = [[name, _joint_type(type, theirs.get(name, type))] for name, type in fields]
        return None if any(type is None for _, type in joined["fields"]) else joined
    if one["type"] == "TUPLE":
        if len(one["fields"]) != len(other["fields"]):
            return None
        types = [_joint_type(a[1], b[1]) for a, b in zip(one["fields"], other["fields"])]
        joined["fields"] = [[field[0], type] for field, type in zip(one["fields"], types)]
        return None if None in types else joined
    if one.get("key") != other.get("key"):
        return None
    part = "element" if one["type"] == "LIST" else "value"
    joined[part] = _joint_type(one[part], other[part])
    return None if joined[part] is None else joined


def migrated(batch: pa.RecordBatch, stored: Description, declared: Description) -> pa.RecordBatch:
    """Rows of a block under another description, which is joint() of theirs and others.

    StateFormatError : they cannot be read, as pickles cannot without the program, or are not as described
    """
    before, now = content_of_description(stored), content_of_description(declared)
    places = [field for field in batch.schema if field.name not in before.names]
    if not batch.schema.equals(pa.schema([*places, *before.fields])):
        raise StateFormatError(f"a block of state '{stored['name']}' has other columns than its description says")
    if stored["value"] == declared["value"]:
        values = [batch.column(name) for name in now.names]
    else:
        reading = Reading(stored, now, compatibility(stored, declared), f"state '{stored['name']}'")
        values = now.encode(reading.rows([batch.column(name) for name in before.names], 0, allow_pickle=False))
    schema = pa.schema([*places, *now.fields], batch.schema.metadata)
    return pa.RecordBatch.from_arrays([*(batch.column(field.name) for field in places), *values], schema=schema)


class Reading:
    """How the columns of a snapshot become rows of a table.

    stored : description of the table that wrote them;  declared : content of the table that reads them
    StateFormatError: they are INCOMPATIBLE; the text says why
    """

    def __init__(self, stored: Description, declared: Content, found: Compatibility, what: str) -> None:
        if found.verdict is Verdict.INCOMPATIBLE:
            raise StateFormatError(
                f"{what} cannot be restored: {found.reason}; give the state another name to start without it"
            )
        self.content = declared if found is AS_IS else content_of_description(stored)
        self._declared = declared
        self._change = found.change

    def rows(self, columns: list[pa.Array], now_ms: int, allow_pickle: bool) -> list[Any]:
        """now_ms : the last touch of values that had no time to live and now have one"""
        found = self.content.decode(columns, allow_pickle)
        change, stamped = self._change, self.content.stamped
        stamps = self._declared.stamped

        def changed(value: Any) -> Any:
            touched_ms = now_ms
            if stamped:
                value, touched_ms = value
            value = _changed(change, value)
            return (value, touched_ms) if stamps else value

        if change is None and stamped == stamps:
            return found
        return [self.content.mapped(changed, row) for row in found]
