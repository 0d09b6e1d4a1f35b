# SPDX-License-Identifier: Apache-2.0
"""The states of functions that take batches: values of many keys at a time, as Arrow arrays.

Types that kernels know (numbers, booleans, strings, bytes, dates and times) lie in accumulators: columnar, paged,
copied on write. Values of all other types are rows of a table of Python values, as those of a ValueState.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import BYTES, Column, physical_kind
from flinkcore.columnar.arrow_types import arrow_type
from flinkcore.columnar.decode import to_pylist
from flinkcore.columnar.encode import from_pylist
from flinkcore.errors import SchemaError, StateMigrationError, UnsupportedOperationError
from flinkcore.state.codec import codec_of
from flinkcore.state.content import Content
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.state.interfaces import BatchValueState

if TYPE_CHECKING:
    from flinkcore.state.keyed import KeyedState


class _BatchValues(BatchValueState):
    """What both kinds check.

    name : of the state, for errors;  type : of the values' Arrow arrays
    """

    def __init__(self, name: str, type: pa.DataType) -> None:
        self.name = name
        self.type = type

    def put_many(self, ids: np.ndarray, values: Any) -> None:
        array = self._array(values)
        if len(array) != len(ids):
            raise SchemaError(f"state '{self.name}': {len(array)} values for {len(ids)} keys")
        if array.null_count:  # a key's last value decides; where it is null, there is none afterwards
            last = len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]
            valid = np.asarray(array.is_valid())[last]
            self.clear_many(ids[last[~valid]])
            ids, array = ids[last[valid]], array.take(pa.array(last[valid]))
        if len(ids):
            self._put(ids, array)

    def _array(self, values: Any) -> pa.Array:
        """Any arrays of values as one array of the state's type."""
        try:
            array = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
            if isinstance(array, pa.ChunkedArray):
                array = array.combine_chunks()
            return array if array.type == self.type else array.cast(self.type)
        except pa.ArrowException as error:
            raise SchemaError(f"state '{self.name}': expected values of {self.type}: {error}") from error

    def _put(self, ids: np.ndarray, values: pa.Array) -> None:
        """values : without nulls"""
        raise NotImplementedError(type(self).__name__)


class ColumnValues(_BatchValues):
    """Values in the accumulators of a LAST_VALUE per key."""

    def __init__(self, keyed: KeyedState, name: str, type: pa.DataType) -> None:
        super().__init__(name, type)
        self._keyed = keyed
        self._kind = physical_kind(type)
        part, manager = f"columns/{name}", keyed.manager
        others = [known for known in manager.namespaces(part) if known != str(type)]
        if others:
            raise StateMigrationError(
                f"operator '{manager.operator}': state '{name}' holds {others[0]}, the program has {type} there; "
                "give it another name, or the type that it had"
            )
        manager.refuse_restored(f"table/{name}", "functions of one record at a time use (get_state)")
        self._values = manager.part(part, lambda: Accumulators([("last", self._kind, 0)]), str(type))
        self._held = np.zeros(0, bool)  # by id: whether the key has a value
        self._hold(self._values.used_ids())

    def get_many(self, ids: np.ndarray) -> pa.Array:
        found = self._values.results(ids)[0].to_arrow()
        if self._kind == BYTES and pa.types.is_string(self.type):
            return found.view(self.type)
        return Column.from_arrow(found).with_type(self.type).to_arrow()

    def clear_many(self, ids: np.ndarray) -> None:
        ids = np.unique(ids)
        ids = ids[self._is_held(ids)]
        if len(ids):
            self._values.clear(ids)
            self._held[ids] = False
            for group_id in ids.tolist():
                self._keyed.let_go(group_id)

    def _put(self, ids: np.ndarray, values: pa.Array) -> None:
        self._values.update(ids, [(Column.from_arrow(values),)])
        self._hold(ids)

    def _hold(self, ids: np.ndarray) -> None:
        """The keys have values now."""
        new = np.unique(ids[~self._is_held(ids)])
        if len(new):
            if new[-1] >= len(self._held):
                self._held = np.append(self._held, np.zeros(int(new[-1]) + 1, bool))
            self._held[new] = True
            for group_id in new.tolist():
                self._keyed.hold(group_id)

    def _is_held(self, ids: np.ndarray) -> np.ndarray:
        if not len(self._held):
            return np.zeros(len(ids), bool)
        return (ids < len(self._held)) & self._held.take(ids, mode="clip")


class RowValues(_BatchValues):
    """Values in a table of Python values; the same state as a ValueState of this name and type."""

    def __init__(self, keyed: KeyedState, name: str, type: pa.DataType, info: Any) -> None:
        super().__init__(name, type)
        self._table = keyed.table(name, Content("value", codec_of(info), owned=True))

    def get_many(self, ids: np.ndarray) -> pa.Array:
        values = [self._table.get(None, group_id) for group_id in ids.tolist()]
        return from_pylist(values, self.type).to_arrow()

    def clear_many(self, ids: np.ndarray) -> None:
        for group_id in ids.tolist():
            self._table.remove(None, group_id)

    def _put(self, ids: np.ndarray, values: pa.Array) -> None:
        for group_id, value in zip(ids.tolist(), to_pylist(Column.from_arrow(values))):
            self._table.put(None, group_id, value)


def batch_state(keyed: KeyedState, descriptor: ValueStateDescriptor) -> BatchValueState:
    """The state of a descriptor, for batches.

    SchemaError : its type has no Arrow form;  UnsupportedOperationError : it has a time to live
    """
    if not isinstance(descriptor, ValueStateDescriptor):
        raise TypeError(f"get_batch_state expects a ValueStateDescriptor, got {descriptor!r}")
    if descriptor.ttl_config is not None:
        raise UnsupportedOperationError(
            f"state '{descriptor.name}': states of batches have no time to live; keep a time beside the value"
        )
    type = None if descriptor.type_info is None else arrow_type(descriptor.type_info)
    if type is None:
        raise SchemaError(
            f"state '{descriptor.name}': {descriptor.type_info} has no Arrow form, which batches need; declare "
            "e.g. Types.LONG() or Types.STRING()"
        )
    if physical_kind(type) <= BYTES:
        return ColumnValues(keyed, descriptor.name, type)
    return RowValues(keyed, descriptor.name, type, descriptor.type_info)
