# SPDX-License-Identifier: Apache-2.0
"""Two streams for one function, and broadcast state (PyFlink: pyflink.datastream.data_stream has these classes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.datastream.arguments import called, output_schema
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.keyed_stream import KeyedStream
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.operators.broadcast import BroadcastProcessRows
from flinkcore.operators.co_process import CoFlatMapRows, CoMapRows, CoProcessRows, TwoInputs
from flinkcore.operators.functions import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeySelector,
)
from flinkcore.state.descriptors import MapStateDescriptor


class ConnectedStreams:
    """Two streams, of whatever types. When both have keys, records of equal keys share state and timers."""

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        if not isinstance(stream2, DataStream):
            raise ConfigurationError(f"connect takes a stream or a broadcast stream, got {called(stream2)}")
        _require_one_environment(stream1, stream2)
        self.stream1 = stream1
        self.stream2 = stream2
        keys1, keys2 = stream1._keys, stream2._keys
        self._keys = keys1 if keys2 is not None else None
        if self._keys is not None and (keys1.types, keys1.form) != (keys2.types, keys2.form):  # type: ignore[union-attr]
            raise SchemaError(
                f"connected streams need keys of one type: those of the first are {keys1}, those of the second "
                f"{keys2}; give both key_by a key_type, or cast the columns first"
            )

    def key_by(
        self,
        key_selector1: Callable[[Any], Any] | KeySelector | str,
        key_selector2: Callable[[Any], Any] | KeySelector | str,
        key_type: TypeInformation | None = None,
    ) -> ConnectedStreams:
        """The streams with keys of one type; selectors as DataStream.key_by takes them."""
        return ConnectedStreams(
            without_keys(self.stream1).key_by(key_selector1, key_type=key_type),
            without_keys(self.stream2).key_by(key_selector2, key_type=key_type),
        )

    def map(self, func: CoMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """map1 for each record of the first stream, map2 for each of the second; None is no record."""
        if not isinstance(func, CoMapFunction):
            raise ConfigurationError(f"map of connected streams takes a CoMapFunction, got {called(func)}")
        return self._step("Co-Map", CoMapRows, func, output_type)

    def flat_map(self, func: CoFlatMapFunction, output_type: TypeInformation | None = None) -> DataStream:
        """flat_map1 for each record of the first stream, flat_map2 for each of the second."""
        if not isinstance(func, CoFlatMapFunction):
            raise ConfigurationError(f"flat_map of connected streams takes a CoFlatMapFunction, got {called(func)}")
        return self._step("Co-Flat Map", CoFlatMapRows, func, output_type)

    def process(
        self, func: CoProcessFunction | KeyedCoProcessFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """process_element1 for each record of the first stream, process_element2 for each of the second; with state
        and timers when both streams have keys."""
        if not isinstance(func, (CoProcessFunction, KeyedCoProcessFunction)):
            raise ConfigurationError(
                f"process of connected streams takes a CoProcessFunction or KeyedCoProcessFunction, got {called(func)}"
            )
        if self._keys is None and isinstance(func, KeyedCoProcessFunction):
            raise ConfigurationError(
                f"process({type(func).__name__}): a KeyedCoProcessFunction needs keys on both streams; call key_by"
            )
        return self._step("Co-Process" if self._keys is None else "Keyed Co-Process", CoProcessRows, func, output_type)

    def _step(self, name: str, operator: type[TwoInputs], func: Any, output_type: TypeInformation | None) -> DataStream:
        schemas, out, keys = (self.stream1._schema, self.stream2._schema), output_schema(output_type), self._keys
        def make() -> TwoInputs:
            return operator(schemas, func, out, keys is not None, keys)

        in_batch = None if keys is None else self.stream1._in_key_order(func, make)
        return self.stream1._step(name, make, out, second=self.stream2._edges, in_batch=in_batch, worker="more")


class BroadcastStream:
    """A stream all of whose records go to all subtasks, which keep them in broadcast state; made by
    DataStream.broadcast(), to be given to connect()."""

    def __init__(self, input_stream: DataStream, broadcast_state_descriptors: Sequence[MapStateDescriptor]) -> None:
        for descriptor in broadcast_state_descriptors:
            if not isinstance(descriptor, MapStateDescriptor):
                raise ConfigurationError(f"broadcast takes MapStateDescriptors, got {called(descriptor)}")
        self.input_stream = input_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)


class BroadcastConnectedStream:
    """A stream, with keys or without, and a broadcast stream."""

    def __init__(
        self,
        non_broadcast_stream: DataStream,
        broadcast_stream: BroadcastStream,
        broadcast_state_descriptors: Sequence[MapStateDescriptor],
    ) -> None:
        _require_one_environment(non_broadcast_stream, broadcast_stream.input_stream)
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)

    def process(
        self,
        func: BroadcastProcessFunction | KeyedBroadcastProcessFunction,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """process_element for each record of the stream, which may read broadcast state; process_broadcast_element
        for each record of the broadcast stream, in every subtask, which may write it."""
        stream = self.non_broadcast_stream
        keys = stream._keys
        expected = BroadcastProcessFunction if keys is None else KeyedBroadcastProcessFunction
        if not isinstance(func, expected):
            raise ConfigurationError(
                f"process on a stream {'without' if keys is None else 'with'} keys and a broadcast stream takes a "
                f"{expected.__name__}, got {called(func)}"
            )
        schemas: tuple[Schema, Schema] = stream._schema, self.broadcast_stream.input_stream._schema
        descriptors, out = self.broadcast_state_descriptors, output_schema(output_type)

        def make() -> BroadcastProcessRows:
            return BroadcastProcessRows(schemas, func, descriptors, out, keys is not None, keys)

        return stream._step(
            "Co-Process-Broadcast" if keys is None else "Keyed-Co-Process-Broadcast",
            make,
            out,
            second=self.broadcast_stream.input_stream._edges,
            in_batch=stream._in_key_order(func, make, first_input=1),
        )


def without_keys(stream: DataStream) -> DataStream:
    return stream._original if isinstance(stream, KeyedStream) else stream


def _require_one_environment(first: DataStream, second: DataStream) -> None:
    if first._env is not second._env:
        raise ConfigurationError("connect takes streams of one StreamExecutionEnvironment")
