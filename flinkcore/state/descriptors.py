# SPDX-License-Identifier: Apache-2.0
"""What a user says about a state: name, kind, type and time to live (PyFlink: pyflink.datastream.state)."""

from __future__ import annotations

from typing import Any

from flinkcore.state.functions import AggregateFunction, ReduceFunction, as_reduce_function
from flinkcore.state.ttl import StateTtlConfig


class StateDescriptor:
    """Names a keyed state. Two descriptors of one name in one operator must agree in kind.

    type_info : the type of the values; None or PICKLED_BYTE_ARRAY for any Python object
    """

    kind: str

    def __init__(self, name: str, type_info: Any) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a state needs a name, not {name!r}")
        self.name = name
        self.type_info = type_info
        self._ttl_config: StateTtlConfig | None = None

    def get_name(self) -> str:
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """State not written (or read, if so configured) for that long expires."""
        self._ttl_config = ttl_config

    @property
    def ttl_config(self) -> StateTtlConfig | None:
        """The time to live, None when state does not expire. Beyond PyFlink."""
        config = self._ttl_config
        return config if config is not None and config.is_enabled() else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class ValueStateDescriptor(StateDescriptor):
    """One value per key."""

    kind = "value"

    def __init__(self, name: str, value_type_info: Any) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor):
    """A list per key; type_info is that of an element."""

    kind = "list"

    def __init__(self, name: str, elem_type_info: Any) -> None:
        super().__init__(name, elem_type_info)


class MapStateDescriptor(StateDescriptor):
    """A map per key; type_info is that of a value, key_type_info that of a map's key."""

    kind = "map"

    def __init__(self, name: str, key_type_info: Any, value_type_info: Any) -> None:
        super().__init__(name, value_type_info)
        self.key_type_info = key_type_info


class ReducingStateDescriptor(StateDescriptor):
    """One value per key, combined with each added value by a ReduceFunction or a callable of two."""

    kind = "reducing"

    def __init__(self, name: str, reduce_function: Any, type_info: Any) -> None:
        super().__init__(name, type_info)
        self._reduce_function = as_reduce_function(reduce_function)

    def get_reduce_function(self) -> ReduceFunction:
        return self._reduce_function


class AggregatingStateDescriptor(StateDescriptor):
    """One accumulator per key; type_info is that of the accumulator."""

    kind = "aggregating"

    def __init__(self, name: str, agg_function: AggregateFunction, state_type_info: Any) -> None:
        super().__init__(name, state_type_info)
        if not isinstance(agg_function, AggregateFunction):
            raise TypeError(
                f"The input must be a flinkcore.datastream.functions.AggregateFunction, not {agg_function!r}"
            )
        self._agg_function = agg_function

    def get_agg_function(self) -> AggregateFunction:
        return self._agg_function
