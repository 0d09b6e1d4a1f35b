# SPDX-License-Identifier: Apache-2.0
"""What a user can do with a state (PyFlink: pyflink.datastream.state). All of it is about the current key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
IN = TypeVar("IN")
OUT = TypeVar("OUT")


class State(ABC):
    """The base of all states."""

    @abstractmethod
    def clear(self) -> None:
        """Removes the value under the current key."""


class ValueState(State, Generic[T]):
    """One value."""

    @abstractmethod
    def value(self) -> T | None:
        """The value, None when there is none."""

    @abstractmethod
    def update(self, value: T) -> None:
        """Sets the value; None removes it."""


class BatchValueState(ABC):
    """One value per key, for many keys at a time. Beyond PyFlink.

    ids : int32[n], the number of each record's key, as the context of the batch gives it; a key may come often
    """

    @abstractmethod
    def get_many(self, ids: np.ndarray) -> pa.Array:
        """The value of each key, null where there is none."""

    @abstractmethod
    def put_many(self, ids: np.ndarray, values: Any) -> None:
        """Sets the value of each key; of a key that comes more than once, the last. Null removes the value.

        values : a pyarrow or NumPy array, or a list, that can be cast to the state's type;  SchemaError when not
        """

    @abstractmethod
    def clear_many(self, ids: np.ndarray) -> None:
        """Removes the values of some keys."""


class AppendingState(State, Generic[IN, OUT]):
    """A state that is added to."""

    @abstractmethod
    def get(self) -> OUT | None:
        """What the added values came to; None when there is nothing."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Adds one value."""


class MergingState(AppendingState[IN, OUT]):
    """An appending state whose windows can merge."""


class ReducingState(MergingState[T, T]):
    """Added values are combined by a ReduceFunction."""


class AggregatingState(MergingState[IN, OUT]):
    """Added values are combined by an AggregateFunction; get() gives its result."""


class ListState(MergingState[T, Iterable[T]]):
    """A list of values; iterable."""

    @abstractmethod
    def update(self, values: list[T]) -> None:
        """Replaces the list."""

    @abstractmethod
    def add_all(self, values: list[T]) -> None:
        """Appends all values."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.get() or ())


class MapState(State, Generic[K, V]):
    """A map; also with `[]`, `in`, `del` and iteration over its keys."""

    @abstractmethod
    def get(self, key: K) -> V | None: ...

    @abstractmethod
    def put(self, key: K, value: V) -> None: ...

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None: ...

    @abstractmethod
    def remove(self, key: K) -> None: ...

    @abstractmethod
    def contains(self, key: K) -> bool: ...

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]: ...

    @abstractmethod
    def keys(self) -> Iterable[K]: ...

    @abstractmethod
    def values(self) -> Iterable[V]: ...

    @abstractmethod
    def is_empty(self) -> bool: ...

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class ReadOnlyBroadcastState(State, Generic[K, V]):
    """A map that every subtask has in the same form."""

    @abstractmethod
    def get(self, key: K) -> V | None: ...

    @abstractmethod
    def contains(self, key: K) -> bool: ...

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]: ...

    @abstractmethod
    def keys(self) -> Iterable[K]: ...

    @abstractmethod
    def values(self) -> Iterable[V]: ...

    @abstractmethod
    def is_empty(self) -> bool: ...

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class BroadcastState(ReadOnlyBroadcastState[K, V]):
    """A broadcast map that may be written: in process_broadcast_element only."""

    @abstractmethod
    def put(self, key: K, value: V) -> None: ...

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None: ...

    @abstractmethod
    def remove(self, key: K) -> None: ...

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)


class OperatorStateStore(ABC):
    """Gives access to state that belongs to a subtask, not to a key."""

    @abstractmethod
    def get_broadcast_state(self, state_descriptor: Any) -> BroadcastState[Any, Any]:
        """A map that is the same in every subtask: whoever changes it must do so in all of them alike."""

    @abstractmethod
    def get_list_state(self, state_descriptor: Any) -> ListState[Any]:
        """A list whose items go, when the job is rescaled, each to one of the subtasks. Beyond PyFlink."""

    @abstractmethod
    def get_union_list_state(self, state_descriptor: Any) -> ListState[Any]:
        """A list that, after every restore, holds in each subtask the items of all of them. Beyond PyFlink."""


class KeyedStateStore(ABC):
    """Gives access to keyed state by descriptor."""

    @abstractmethod
    def get_state(self, state_descriptor: Any) -> ValueState[Any]: ...

    @abstractmethod
    def get_list_state(self, state_descriptor: Any) -> ListState[Any]: ...

    @abstractmethod
    def get_map_state(self, state_descriptor: Any) -> MapState[Any, Any]: ...

    @abstractmethod
    def get_reducing_state(self, state_descriptor: Any) -> ReducingState[Any]: ...

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: Any) -> AggregatingState[Any, Any]: ...
