# SPDX-License-Identifier: Apache-2.0
"""CoGroupWindow: the records of two streams with equal keys in one window, as Flink has them: a union of both, in
which each record says where it comes from, in windows of any kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import StateFormatError
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.functions import CoGroupFunction, FlatJoinFunction, WindowFunction, function_name
from flinkcore.operators.pairs import ROWS
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.codec import Codec, Description, codec_of_schema
from flinkcore.time.assigners import WindowAssigner


class TaggedUnion(NamedTuple):
    """A record of one of two streams, as assigners, triggers and evictors of a co-group or join see it (Flink:
    TaggedUnion)."""

    value: Any
    first: bool

    def is_one(self) -> bool:
        """Whether it is a record of the first stream."""
        return self.first

    def is_two(self) -> bool:
        return not self.first

    def get_one(self) -> Any:
        """The record of the first stream, None when it is one of the second."""
        return self.value if self.first else None

    def get_two(self) -> Any:
        return None if self.first else self.value


class TaggedUnions(Codec):
    """Records of two streams as columns of snapshots."""

    def __init__(self, one: Codec, two: Codec) -> None:
        self._codecs = (one, two)
        self.immutable = one.immutable and two.immutable
        self.type = pa.struct([("first", pa.bool_()), ("one", one.type), ("two", two.type)])

    def describe(self) -> Description:
        one, two = self._codecs
        return {"type": "TAGGED_UNION", "one": one.describe(), "two": two.describe()}

    def encode(self, values: list[Any]) -> pa.Array:
        sides = ([value.get_one() for value in values], [value.get_two() for value in values])
        columns = [codec.encode(side) for codec, side in zip(self._codecs, sides)]
        tags = pa.array([value.first for value in values], pa.bool_())
        return pa.StructArray.from_arrays([tags, *columns], fields=list(self.type))

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        tags = array.field(0)
        if array.null_count or tags.null_count:
            raise StateFormatError("a record of two streams does not say of which it is")
        first = np.asarray(tags)
        found: list[Any] = [None] * len(array)
        for place, codec, mask in ((1, self._codecs[0], first), (2, self._codecs[1], ~first)):
            rows = np.flatnonzero(mask)
            values = codec.decode(array.field(place).take(pa.array(rows)), allow_pickle)
            for row, value in zip(rows.tolist(), values):
                found[row] = TaggedUnion(value, place == 1)
        return found


class CoGroupWindow(RowWindow):
    """Windows of a RowWindow over the records of two streams.

    schemas : of the two streams
    function : a CoGroupFunction; or a JoinFunction, a FlatJoinFunction or a callable, for each pair
    settings : trigger, evictor, allowed_lateness_ms, key_schema, as for RowWindow
    """

    def __init__(
        self,
        schemas: tuple[Schema, Schema],
        assigner: WindowAssigner[Any, Any],
        function: Any,
        schema_out: Schema,
        **settings: Any,
    ) -> None:
        wrapped = _CoGroup(function) if isinstance(function, CoGroupFunction) else _EachPair(function)
        super().__init__(schemas[0], assigner, schema_out, window_function=wrapped, **settings)
        self.schemas = schemas
        self.function_name = function_name(function)

    def open(self, context: OperatorContext, out: Output) -> None:
        for name in ROWS:
            context.state.refuse_restored(name, "joins on columns use (without a trigger or an evictor)")
        super().open(context, out)

    def _elements(self, batch: Batch, input_index: int) -> list[Any]:
        first = input_index == 0
        return [TaggedUnion(row, first) for row in to_rows(batch)]

    def _element_codec(self) -> Codec:
        return TaggedUnions(*map(codec_of_schema, self.schemas))

    def describe(self) -> OperatorDescription:
        found = super().describe()
        return OperatorDescription(False, found.detail, f"{self.function_name} is called with rows")


class _OfTwo(WindowFunction[Any, Any, Any, Any]):
    """A function of the records of both streams."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def open(self, runtime_context: Any) -> None:
        if hasattr(self.function, "open"):
            self.function.open(runtime_context)

    def close(self) -> None:
        if hasattr(self.function, "close"):
            self.function.close()

    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Any:
        first: list[Any] = []
        second: list[Any] = []
        for element in inputs:
            (first if element.first else second).append(element.value)
        return self.call(first, second)

    def call(self, first: list[Any], second: list[Any]) -> Any:
        raise NotImplementedError(type(self).__name__)


class _CoGroup(_OfTwo):
    def call(self, first: list[Any], second: list[Any]) -> Any:
        return self.function.co_group(first, second)


class _EachPair(_OfTwo):
    """Flink: JoinedStreams.JoinCoGroupFunction and FlatJoinCoGroupFunction."""

    def call(self, first: list[Any], second: list[Any]) -> Any:
        join = getattr(self.function, "join", self.function)
        flat = isinstance(self.function, FlatJoinFunction)
        for one in first:
            for other in second:
                if flat:
                    yield from join(one, other) or ()
                else:
                    yield join(one, other)
