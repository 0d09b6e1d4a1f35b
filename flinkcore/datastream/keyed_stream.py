# SPDX-License-Identifier: Apache-2.0
"""KeyedStream: a stream whose records have keys (PyFlink: pyflink.datastream.data_stream.KeyedStream)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa

from flinkcore import options
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.common.watermark_strategy import WatermarkStrategy
from flinkcore.datastream.arguments import (
    called,
    nodes_of,
    output_schema,
    require_function,
)
from flinkcore.datastream.data_stream import DataStream, DataStreamSink, batches_schema
from flinkcore.datastream.not_an_operator import NotAnOperator
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.expr.aggregate import AggregatePlan, plan, result_name
from flinkcore.graph.transformation import Edge, Partitioner, Partitioning
from flinkcore.operators.batch_order import InTimeOrder
from flinkcore.operators.functions import (
    KeyedBatchFunction,
    KeyedProcessFunction,
    KeySelector,
    ReduceFunction,
)
from flinkcore.operators.group_aggregate import Emit, GroupAggregate
from flinkcore.operators.key import KeyedPairs
from flinkcore.operators.keyed_batches import KeyedMapBatches
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.process import KeyedProcessRows, RowOperator
from flinkcore.operators.row_reduce import RowAccumulate, RowReduce
from flinkcore.table.expression import Expression
from flinkcore.time.assigners import CountSlidingWindowAssigner, CountTumblingWindowAssigner, WindowAssigner

if TYPE_CHECKING:
    from flinkcore.datastream.joined_streams import CoGroupedStreams, IntervalJoin, JoinedStreams
    from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment
    from flinkcore.datastream.windowed_stream import AllWindowedStream, WindowedStream


class KeyedStream(NotAnOperator, DataStream):
    """A stream whose records have keys: state, timers and windows are per key."""

    class AccumulateType(Enum):
        """What sum, min, max, min_by and max_by keep of the records of a key."""

        MIN = 1
        MAX = 2
        MIN_BY = 3
        MAX_BY = 4
        SUM = 5

    def __init__(
        self,
        env: StreamExecutionEnvironment,
        edges: tuple[Edge, ...],
        schema: Schema,
        key_schema: Schema,
        original: DataStream,
        key_columns: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(env, edges, schema)
        self._key_schema = key_schema
        self._original = original
        self._key_columns = key_columns  # which columns of the records are the key; None: a function makes it

    @property
    def _keys(self) -> Schema | None:
        return self._key_schema

    def key_by(
        self,
        key_selector: Callable[[Any], Any] | KeySelector | str | Expression,
        *more: Any,
        key_type: TypeInformation | None = None,
        on_null: str | OutputTag = "fail",
    ) -> KeyedStream:
        return self._original.key_by(key_selector, *more, key_type=key_type, on_null=on_null)

    def process(self, func: KeyedProcessFunction, output_type: TypeInformation | None = None) -> DataStream:  # type: ignore[override]
        """Any number of records for each record and each timer, with the state and the timers of its key."""
        if not isinstance(func, KeyedProcessFunction):
            raise ConfigurationError(
                f"process on a keyed stream takes a KeyedProcessFunction, got {called(func)}"
            )
        schema, keys, out = self._schema, self._key_schema, output_schema(output_type)

        def make() -> RowOperator:
            return KeyedProcessRows(schema, func, out, keys)

        return self._step("KEYED PROCESS", make, out, in_batch=self._in_key_order(func, make), worker="more")

    def map_batches(
        self, func: KeyedBatchFunction | Callable[[pa.RecordBatch], Any], output_schema: Any = None
    ) -> DataStream:
        """A function of record batches; a KeyedBatchFunction has states of many keys at a time. Beyond PyFlink.

        output_schema : pyarrow.Schema or type information of what it returns; for a KeyedBatchFunction by default
            the schema of the input
        Records keep their event time when as many come out as went in; others have none.
        """
        if not isinstance(func, KeyedBatchFunction):
            return self._original.map_batches(func, output_schema)
        schema, keys = self._schema, self._key_schema
        schema.arrow  # noqa: B018  Python objects have no columns: says so
        out = schema if output_schema is None else batches_schema(func.map_batch, schema, output_schema)  # type: ignore[arg-type]
        return self._step("KeyedMapBatches", lambda: KeyedMapBatches(schema, func, out, keys), out)

    # -- running aggregates -------------------------------------------------------------------------------

    def reduce(self, func: Any) -> DataStream:
        """Each record combined with all before it of its key: one result per record, of the stream's own type."""
        require_function("reduce", func, ReduceFunction)
        schema, keys = self._schema, self._key_schema

        def make(final_only: bool = False) -> RowReduce:
            return RowReduce(schema, func, None, final_only, keys)

        return self._step("Reduce", make, schema, in_batch=lambda: InTimeOrder(make(final_only=True)), worker="more")

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """The running sum of a field; other fields keep their first value."""
        return self._accumulate("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """The running minimum of a field; other fields keep their first value."""
        return self._accumulate("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """The running maximum of a field; other fields keep their first value."""
        return self._accumulate("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The record with the smallest value of a field so far, the first one on ties."""
        return self._accumulate("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The record with the largest value of a field so far, the first one on ties."""
        return self._accumulate("max_by", position_to_max_by)

    def _accumulate(self, op: str, position: int | str) -> DataStream:
        schema, keys = self._schema, self._key_schema
        RowAccumulate(schema, op, position)  # a field that does not exist is said here

        def make(final_only: bool = False) -> RowAccumulate:
            return RowAccumulate(schema, op, position, None, final_only, keys)

        name = op.title().replace("_", "")
        return self._step(name, make, schema, in_batch=lambda: InTimeOrder(make(final_only=True)), worker="more")

    def aggregate(self, *expressions: Any, emit: Emit | None = None) -> DataStream:
        """Running aggregates on columns, as a changelog. Beyond PyFlink.

        expressions : aggregates, e.g. col("price").sum.alias("total")
        emit : "record": +I for a key's first record, -U and +U for each that changes its results, as Flink does;
            "batch": one change per key and batch, as Flink's mini-batch does; "final": one +I per key at the end of
            a bounded input. By default as table.exec.mini-batch.enabled and the runtime mode say.
        -> columns: the key's, then one per aggregate
        """
        split, names = self._plan(expressions)
        schema, keys, calls = self._schema, self._key_schema, split.calls
        emission = emit or self._emission()
        inner = [result_name(i) for i in range(len(calls))] if not split.trivial else names
        first = GroupAggregate(schema, keys, calls, inner, emission)
        stream = self._step(
            "GroupAggregate",
            lambda: GroupAggregate(schema, keys, calls, inner, emission),
            first.output_schema(),
        )
        return stream if split.trivial else stream._project_results(split, keys.names)

    def count(self, name: str = "count") -> DataStream:
        """Running count of records per key, as a changelog of the key and `name`. Beyond PyFlink."""
        from flinkcore.table.expressions import lit

        return self.aggregate(lit(1).count.alias(name))

    def _emission(self) -> Emit:
        """In batch mode a running aggregation gives one last record for each key."""
        if self._env.get_configuration().get(options.RUNTIME_MODE) == "BATCH":
            return "final"
        return "batch" if self._env.get_configuration().get(options.MINI_BATCH) else "record"

    def _plan(self, expressions: Sequence[Any]) -> tuple[AggregatePlan, list[str]]:
        """The aggregates of a select list, and the names of its results."""
        if not expressions:
            raise ConfigurationError('aggregate needs expressions, e.g. aggregate(lit(1).count.alias("n"))')
        split = plan(nodes_of(expressions, "aggregate"), self._schema, self._key_schema.names)
        clash = [name for name in split.names if name in self._key_schema.names]
        if clash:
            raise SchemaError(f"the result '{clash[0]}' has the name of a key column; give it another alias")
        return split, list(split.names)

    def window(self, window_assigner: WindowAssigner[Any, Any]) -> WindowedStream:
        """Windows per key."""
        from flinkcore.datastream.windowed_stream import WindowedStream

        return WindowedStream(self, window_assigner)

    def count_window(self, size: int, slide: int = 0) -> WindowedStream:
        """Windows of `size` records per key, one every `slide` records."""
        return self.window(
            CountTumblingWindowAssigner.of(size) if slide == 0 else CountSlidingWindowAssigner.of(size, slide)
        )

    # -- joins --------------------------------------------------------------------------------------------

    def interval_join(self, other_stream: KeyedStream) -> IntervalJoin:
        """Pairs with the records of another keyed stream that are close in time (Flink: KeyedStream.intervalJoin).
        Beyond PyFlink."""
        from flinkcore.datastream.joined_streams import IntervalJoin

        return IntervalJoin(self, other_stream)

    # -- results ------------------------------------------------------------------------------------------

    def execute_and_collect(self, job_execution_name: str | None = None, limit: int | None = None) -> Any:
        """Runs the job and gives Row(key, record) for each record, as PyFlink does for a stream with keys."""
        schema, keys = self._schema, self._key_schema
        pairs = self._step(
            "KeyedPairs", lambda: KeyedPairs(schema, keys), KeyedPairs(schema, keys).schema_out
        )
        return pairs.execute_and_collect(job_execution_name, limit)

    def sink_to(self, sink: Any) -> DataStreamSink:
        return self._original.sink_to(sink)

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        return self._original.assign_timestamps_and_watermarks(watermark_strategy)

    def union(self, *streams: DataStream) -> DataStream:
        return self._original.union(*streams)

    def join(self, other_stream: DataStream) -> JoinedStreams:
        return self._original.join(other_stream)

    def co_group(self, other_stream: DataStream) -> CoGroupedStreams:
        return self._original.co_group(other_stream)

    def select(self, *expressions: Any) -> DataStream:
        return self._original.select(*expressions)

    def with_columns(self, *expressions: Any) -> DataStream:
        return self._original.with_columns(*expressions)

    def project(self, *field_indexes: int) -> DataStream:
        return self._original.project(*field_indexes)

    def window_all(self, window_assigner: WindowAssigner[Any, Any]) -> AllWindowedStream:
        return self._original.window_all(window_assigner)

    def partition_custom(self, partitioner: Any, key_selector: Any) -> DataStream:
        return self._original.partition_custom(partitioner, key_selector)

    def _refuse(self, what: str) -> NoReturn:
        # As in PyFlink: a keyed stream's partitioning is its key, and key_by is no operator to be configured.
        raise ConfigurationError(
            f"{what} cannot be called on a KeyedStream: key_by is no operator of its own; "
            f"call it on the stream before key_by or on the result of the keyed operation"
        )

    def cache(self) -> Any:
        return self._refuse("cache")

    def set_description(self, description: str) -> Any:
        return self._refuse("set_description")

    def get_side_output(self, output_tag: OutputTag | str) -> DataStream:
        """The records whose key was null, when key_by was told to send them there. Beyond PyFlink."""
        steps = [DataStream(self._env, (edge,), self._schema) for edge in self._edges]
        first, *rest = [DataStream.get_side_output(step, output_tag) for step in steps]
        return first.union(*rest)

    def _repartitioned(self, partitioning: Partitioning, partitioner: Partitioner | None = None) -> Any:
        return self._refuse(partitioning.name.lower())
