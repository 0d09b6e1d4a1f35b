# SPDX-License-Identifier: Apache-2.0
"""DataStream and its sinks (PyFlink: pyflink.datastream.data_stream, where its other streams can be had, too)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
import pyarrow as pa

from flinkcore.columnar.arrow_types import schema_of, type_info_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.faults import BadRecords
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.common.execution_config import ExecutionConfig
from flinkcore.common.watermark_strategy import WatermarkStrategy
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.connectors.base import Sink, SinkContext
from flinkcore.connectors.print import PrintSink
from flinkcore.datastream.arguments import (
    called,
    nodes_of,
    output_schema,
    require_function,
    require_parallelism,
    require_strategy,
    require_text,
)
from flinkcore.datastream.collect import ArrowResults, CloseableIterator
from flinkcore.errors import ConfigurationError, SchemaError, UserFunctionError
from flinkcore.expr.aggregate import AggregatePlan
from flinkcore.expr.nodes import Alias, Expr, FieldReference, output_name
from flinkcore.graph.transformation import Edge, Partitioner, Partitioning, Transformation
from flinkcore.operators.base import Operator, OperatorContext
from flinkcore.operators.batch_order import InKeyOrder
from flinkcore.operators.batches import Filter, MapBatches, PickColumns, Project
from flinkcore.operators.functions import (
    FilterFunction,
    FlatMapFunction,
    Function,
    KeySelector,
    MapFunction,
    ProcessFunction,
    function_name,
    own_copy,
)
from flinkcore.operators.functions import Partitioner as FunctionPartitioner
from flinkcore.operators.key import KeyByColumns, KeyByFunction
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.process import (
    FilterRows,
    FlatMapRows,
    MapRows,
    ProcessRows,
    RowOperator,
    TranslatedRows,
)
from flinkcore.operators.sink import SinkOperator
from flinkcore.operators.timestamps import AssignTimestamps
from flinkcore.state.descriptors import MapStateDescriptor
from flinkcore.table.expression import Expression
from flinkcore.time.assigners import WindowAssigner

if TYPE_CHECKING:
    from flinkcore.datastream.cached_data_stream import CachedDataStream
    from flinkcore.datastream.connected_streams import (
        BroadcastConnectedStream,
        BroadcastStream,
        ConnectedStreams,
    )
    from flinkcore.datastream.joined_streams import CoGroupedStreams, JoinedStreams
    from flinkcore.datastream.keyed_stream import KeyedStream
    from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment
    from flinkcore.datastream.windowed_stream import AllWindowedStream

S = TypeVar("S", bound="_Settings")


class _Settings:
    """What can be said of the last step of a stream or of a sink."""

    _transformation: Transformation

    @property
    def _stateful(self) -> Transformation:
        """The step that does the work, where another completes its results."""
        return self._transformation.completes or self._transformation

    def name(self: S, name: str) -> S:
        """Names the step, in plans, metrics and messages."""
        require_text("name", name)
        self._transformation.name = name
        return self

    def uid(self: S, uid: str) -> S:
        """A name that state is found under after the program has changed; one per job."""
        require_text("uid", uid)
        self._stateful.uid = uid
        return self

    def set_uid_hash(self: S, uid_hash: str) -> S:
        """Takes over the state of the operator that a plan shows under this hash."""
        require_text("uid hash", uid_hash)
        if not (len(uid_hash) == 32 and all(letter in "0123456789abcdef" for letter in uid_hash)):
            raise ConfigurationError(f"a uid hash is 32 hexadecimal digits, got {uid_hash!r}")
        self._stateful.uid = uid_hash
        return self

    def set_parallelism(self: S, parallelism: int) -> S:
        """Subtasks of the step."""
        require_parallelism("parallelism", parallelism)
        limit = self._transformation.parallelism_max
        if limit is not None and parallelism > limit:
            raise ConfigurationError(
                f"operator '{self._transformation.name}' can have {limit} subtask, not {parallelism}; "
                f"it sees all records"
            )
        self._transformation.parallelism = self._stateful.parallelism = parallelism
        return self

    def set_description(self: S, description: str) -> S:
        """A longer text for plans."""
        self._transformation.description = description
        return self

    def disable_chaining(self: S) -> S:
        """The step gets tasks of its own."""
        self._transformation.chaining = "never"
        return self

    def slot_sharing_group(self: S, slot_sharing_group: Any) -> S:
        """Accepted as in PyFlink; one process has no slots to share."""
        return self


class DataStream(_Settings):
    """A stream of records.

    Records are rows of named columns, tuples, bare values, or any Python objects; functions of the user see them
    so, expressions see the columns. Columnar methods (select, with_columns, map_batches, filter by an expression,
    key_by by column names, execute_and_collect_arrow) are beyond PyFlink.
    """

    def __init__(self, env: StreamExecutionEnvironment, edges: tuple[Edge, ...], schema: Schema) -> None:
        self._env = env
        self._edges = edges  # the steps that make the records, and how they travel to the next step
        self._schema = schema

    @property
    def _transformation(self) -> Transformation:  # type: ignore[override]
        return self._edges[0].source

    @property
    def schema(self) -> Schema:
        """Names and types of the columns. Beyond PyFlink."""
        return self._schema

    # -- settings -----------------------------------------------------------------------------------------

    def get_name(self) -> str:
        return self._transformation.name

    def get_type(self) -> TypeInformation:
        """Type information of the records."""
        return type_info_of(self._schema)

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        return self._env

    def get_execution_config(self) -> ExecutionConfig:
        return self._env.get_config()

    def set_max_parallelism(self, max_parallelism: int) -> DataStream:
        """Key groups of the step: the most subtasks that it can ever be scaled to."""
        require_parallelism("max parallelism", max_parallelism)
        self._transformation.max_parallelism = self._stateful.max_parallelism = max_parallelism
        return self

    def force_non_parallel(self) -> DataStream:
        """The step has one subtask, now and always."""
        for step in (self._transformation, self._stateful):
            step.parallelism = step.parallelism_max = 1
        return self

    def start_new_chain(self) -> DataStream:
        """The step begins a task; what follows may still share it."""
        self._stateful.chaining = "head"
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> DataStream:
        """Accepted as in PyFlink: a record never waits for its batch to fill, so there is nothing to bound."""
        return self

    def cache(self) -> CachedDataStream:
        """This stream, kept in memory by the first job in batch mode that computes it, for later jobs to read."""
        from flinkcore.datastream.cached_data_stream import CachedDataStream

        return CachedDataStream(self)

    # -- row functions ------------------------------------------------------------------------------------

    def map(
        self, func: Callable[[Any], Any] | Function, output_type: TypeInformation | None = None
    ) -> DataStream:
        """One record for each record. Without `output_type`, results are Python objects."""
        require_function("map", func, MapFunction)
        return self._row_step("Map", MapRows, func, output_type)

    def flat_map(
        self, func: Callable[[Any], Iterable[Any]] | Function, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Any number of records for each record: what the function returns or yields."""
        require_function("flat_map", func, FlatMapFunction)
        return self._row_step("FlatMap", FlatMapRows, func, output_type)

    def filter(self, func: Any) -> DataStream:
        """Keeps the records for which a function, or an expression over the columns (beyond PyFlink), is true."""
        schema = self._schema
        if isinstance(func, Expression):
            (condition,) = nodes_of([func], "filter")
            Filter(schema, condition)  # a condition that cannot be is said here
            return self._step("Filter", lambda: Filter(schema, condition), schema)
        require_function("filter", func, FilterFunction)
        keys = self._keys

        def make() -> RowOperator:
            return FilterRows(schema, func, keys is not None, keys)

        return self._step("Filter", make, schema, in_batch=self._in_key_order(func, make), worker=self._worker)

    def process(self, func: ProcessFunction, output_type: TypeInformation | None = None) -> DataStream:
        """Any number of records for each record, with access to time and side outputs."""
        if not isinstance(func, ProcessFunction):
            raise ConfigurationError(f"process takes a ProcessFunction, got {called(func)}")
        return self._row_step("PROCESS", ProcessRows, func, output_type)

    def project(self, *field_indexes: int) -> DataStream:
        """Fields of a stream of typed tuples, in this order."""
        schema = self._schema
        if schema.form != "tuple":
            raise SchemaError(f"Only Tuple DataStreams can be projected; this is a stream of {schema}")
        wrong = [i for i in field_indexes if not isinstance(i, int) or not 0 <= i < len(schema)]
        if wrong or not field_indexes:
            raise SchemaError(f"project takes positions from 0 to {len(schema) - 1}, got {field_indexes}")
        names = [f"f{i}" for i in range(len(field_indexes))]
        out = Schema(names, [schema.types[i] for i in field_indexes], "tuple")
        return self._step("Projection", lambda: PickColumns(schema, field_indexes, out), out)

    def _row_step(
        self, name: str, operator: Any, func: Any, output_type: TypeInformation | None
    ) -> DataStream:
        schema, out = self._schema, output_schema(output_type)
        keys = self._keys

        def make() -> RowOperator:
            return operator(schema, func, out, keys is not None, keys)

        first = make()
        if isinstance(first, TranslatedRows):
            out = first.known_schema()
        return self._step(name, make, out, in_batch=self._in_key_order(func, make), worker=self._worker)

    def _in_key_order(
        self, func: Any, factory: Callable[[], RowOperator], first_input: int | None = None
    ) -> Callable[[], Operator] | None:
        """What runs a function in batch mode: in the order of that mode when it may have keyed state, or has an input
        that comes first. None: as in streaming mode."""
        if first_input is None and (self._keys is None or not isinstance(func, Function)):
            return None
        return lambda: InKeyOrder(factory(), first_input)

    # -- columns (beyond PyFlink) ---------------------------------------------------------------------------

    def select(self, *expressions: Any) -> DataStream:
        """Columns: names or expressions. Unnamed expressions are _c0, _c1, ..., as in the Table API."""
        if not expressions:
            raise SchemaError("select takes one expression or column name at least")
        schema, nodes = self._schema, nodes_of(expressions, "select")
        first = Project(schema, nodes)
        return self._step("Select", lambda: Project(schema, nodes), first.output_schema())

    def with_columns(self, *expressions: Any) -> DataStream:
        """All columns, and these: an expression named like a column takes its place."""
        schema, added = self._schema, nodes_of(expressions, "with_columns")
        by_name: dict[str, Expr] = {name: FieldReference(name) for name in schema.arrow.names}
        for node in added:
            name = output_name(node)
            if name is None:
                raise SchemaError(f"with_columns needs a name for each column; give {node} an alias")
            by_name[name] = node
        nodes, names = list(by_name.values()), list(by_name)
        return self._step(
            "WithColumns",
            lambda: Project(schema, nodes, names),
            Project(schema, nodes, names).output_schema(),
        )

    def map_batches(self, func: Callable[[pa.RecordBatch], Any], output_schema: Any = None) -> DataStream:
        """A function from one pyarrow RecordBatch to another, to a Table, to several, or to None.

        Batches have any number of rows; what the function computes must not depend on where they are cut.
        output_schema : pyarrow.Schema or type information of what it returns; by default the schema of the input
            is kept when the function gives it back for an empty batch, else it is what that call returned
        Records keep their event time when as many come out as went in; others have none.
        """
        schema = self._schema
        schema.arrow  # noqa: B018  Python objects have no columns: says so
        out = batches_schema(func, schema, output_schema)
        return self._step("MapBatches", lambda: MapBatches(schema, func, out, function_name(func)), out)

    # -- keys, time, windows ------------------------------------------------------------------------------

    def key_by(
        self,
        key_selector: Callable[[Any], Any] | KeySelector | str | Expression,
        *more: Any,
        key_type: TypeInformation | None = None,
        on_null: str | OutputTag = "fail",
    ) -> KeyedStream:
        """Records of one key go to one subtask, and share state there.

        key_selector : a function or KeySelector, or (beyond PyFlink) a column name; `more` are further names
        key_type : type of what the function returns; without one, any Python object
        on_null : for column names, what happens to records whose key is null: "fail", "drop" (and count), the id
            of a side output, or "group", which makes null a key as SQL does
        """
        if more and isinstance(more[0], TypeInformation):  # PyFlink: key_by(key_selector, key_type)
            key_type, *more = more  # type: ignore[assignment]
        schema = self._schema
        key_columns: tuple[int, ...] | None = None
        if all(isinstance(selector, (str, Expression)) for selector in (key_selector, *more)):
            if on_null != "group":
                BadRecords(on_null)  # a policy that does not exist is said here
            names = [_column_name(selector) for selector in (key_selector, *more)]
            key_schema = Schema(
                names, [schema.type_of(name) for name in names], "value" if len(names) == 1 else "tuple"
            )
            edges = self._keyed_edges(lambda: KeyByColumns(schema, names, on_null))
            key_columns = tuple(map(schema.index_of, names))
        else:
            if more:
                raise ConfigurationError(
                    f"key_by takes one function, or names of columns; got {(key_selector, *more)!r}"
                )
            selector = key_selector
            require_function("key_by", selector, KeySelector)
            typed = None if key_type is None or schema_of(key_type).form == "object" else schema_of(key_type)
            key_schema = _named_key(typed) if typed is not None else Schema(("key",), (None,), "object")
            name = function_name(selector)

            def assign() -> Operator:
                own = own_copy(selector)
                return KeyByFunction(schema, getattr(own, "get_key", own), typed, name)

            edges = self._keyed_edges(assign)
        from flinkcore.datastream.keyed_stream import KeyedStream

        return KeyedStream(self._env, edges, schema, key_schema, self, key_columns)

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        """Gives records their event time, and the stream its watermarks."""
        require_strategy("assign_timestamps_and_watermarks", watermark_strategy)
        schema, spec = self._schema, watermark_strategy.spec
        AssignTimestamps(spec, schema)  # a missing or wrong column is said here
        return self._step("Timestamps/Watermarks", lambda: AssignTimestamps(spec, schema), schema)

    def window_all(self, window_assigner: WindowAssigner[Any, Any]) -> AllWindowedStream:
        """Windows over all records, in one subtask."""
        from flinkcore.datastream.windowed_stream import AllWindowedStream

        return AllWindowedStream(self, window_assigner)

    # -- several streams ----------------------------------------------------------------------------------

    def union(self, *streams: DataStream) -> DataStream:
        """All records of this stream and of others of the same schema."""
        for stream in streams:
            if not isinstance(stream, DataStream):
                raise ConfigurationError(f"union takes streams, got {called(stream)}")
            if stream._schema != self._schema:
                raise SchemaError(
                    f"union needs streams of one schema: this one is {self._schema}, "
                    f"another is {stream._schema}; select or map them to the same first"
                )
        edges = tuple(edge for stream in (self, *streams) for edge in stream._edges)
        return DataStream(self._env, edges, self._schema)

    @overload
    def connect(self, ds: DataStream) -> ConnectedStreams: ...
    @overload
    def connect(self, ds: BroadcastStream) -> BroadcastConnectedStream: ...
    def connect(self, ds: DataStream | BroadcastStream) -> ConnectedStreams | BroadcastConnectedStream:
        """This stream and another, of whatever type, for one function that sees the records of both."""
        from flinkcore.datastream.connected_streams import (
            BroadcastConnectedStream,
            BroadcastStream,
            ConnectedStreams,
        )

        if isinstance(ds, BroadcastStream):
            return BroadcastConnectedStream(self, ds, ds.broadcast_state_descriptors)
        return ConnectedStreams(self, ds)

    def join(self, other_stream: DataStream) -> JoinedStreams:
        """Pairs of records with those of another stream, of equal keys, in windows (Flink: DataStream.join). Beyond
        PyFlink.

            a.join(b).where("id").equal_to("seller").window(TumblingEventTimeWindows.of(...)).apply(function, type)
        """
        from flinkcore.datastream.joined_streams import JoinedStreams

        return JoinedStreams(self, other_stream)

    def co_group(self, other_stream: DataStream) -> CoGroupedStreams:
        """The records of this stream and another, of equal keys, in windows: for a function that is given those of
        both (Flink: DataStream.coGroup). Beyond PyFlink."""
        from flinkcore.datastream.joined_streams import CoGroupedStreams

        return CoGroupedStreams(self, other_stream)

    def get_side_output(self, output_tag: OutputTag | str) -> DataStream:
        """The records that the last step sent to a side output."""
        tag = output_tag.tag_id if isinstance(output_tag, OutputTag) else output_tag
        step = self._stateful
        maker = step.factory() if step.factory is not None else step.source
        declared = maker.side_schema(tag) if maker is not None else None
        if declared is None:
            declared = output_tag.schema if isinstance(output_tag, OutputTag) else Schema.of_objects()
        return DataStream(self._env, (Edge(step, side=tag, schema=declared),), declared)

    # -- partitioning -------------------------------------------------------------------------------------

    def rebalance(self) -> DataStream:
        """Batches to all subtasks of the next step in turn."""
        return self._repartitioned(Partitioning.REBALANCE)

    def rescale(self) -> DataStream:
        """Batches to a local group of subtasks of the next step in turn."""
        return self._repartitioned(Partitioning.RESCALE)

    def shuffle(self) -> DataStream:
        """Records to random subtasks of the next step."""
        return self._repartitioned(Partitioning.SHUFFLE)

    def forward(self) -> DataStream:
        """Records to the same subtask of the next step, which must have as many as this one."""
        return self._repartitioned(Partitioning.FORWARD)

    def global_(self) -> DataStream:
        """All records to the first subtask of the next step (Flink: DataStream.global; beyond PyFlink)."""
        return self._repartitioned(Partitioning.GLOBAL)

    @overload
    def broadcast(self) -> DataStream: ...
    @overload
    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> BroadcastStream: ...
    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> DataStream | BroadcastStream:
        """All records to all subtasks of the next step. With descriptors, what connect() takes as the side that may
        write these broadcast states."""
        stream = self._repartitioned(Partitioning.BROADCAST)
        if broadcast_state_descriptor is None:
            return stream
        from flinkcore.datastream.connected_streams import BroadcastStream

        return BroadcastStream(stream, [broadcast_state_descriptor, *other_broadcast_state_descriptors])

    def partition_custom(self, partitioner: Any, key_selector: Any) -> DataStream:
        """Each record to the subtask that partitioner(key, subtask count) says."""
        require_function("partition_custom", partitioner, FunctionPartitioner)
        require_function("partition_custom", key_selector, KeySelector)
        choose = getattr(partitioner, "partition", partitioner)
        get_key = getattr(key_selector, "get_key", key_selector)

        def targets(batch: Batch, count: int) -> np.ndarray:
            found = np.empty(batch.num_rows, np.int64)
            for i, row in enumerate(to_rows(batch)):
                try:
                    found[i] = index(choose(get_key(row), count))
                except Exception as error:
                    raise UserFunctionError(
                        "partition_custom", function_name(partitioner), error, row, i
                    ) from error
            return found

        return self._repartitioned(Partitioning.CUSTOM, targets)

    def _repartitioned(
        self, partitioning: Partitioning, partitioner: Partitioner | None = None
    ) -> DataStream:
        strict = partitioning is Partitioning.FORWARD
        edges = tuple(
            replace(edge, partitioning=partitioning, partitioner=partitioner, strict=strict)
            for edge in self._edges
        )
        return DataStream(self._env, edges, self._schema)

    # -- sinks --------------------------------------------------------------------------------------------

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Writes each record to standard output, as PyFlink writes it."""
        return self.sink_to(PrintSink(sink_identifier)).name("Print to Std. Out")

    def sink_to(self, sink: Any) -> DataStreamSink:
        """Writes to a sink: one of flinkcore.datastream.connectors, or any flinkcore.connectors Sink."""
        sink = getattr(sink, "get_sink", lambda: sink)()
        if not isinstance(sink, Sink):
            raise ConfigurationError(
                f"sink_to takes a Sink, got {type(sink).__name__}; implement "
                f"flinkcore.connectors.base.Sink, or use one of flinkcore.datastream.connectors"
            )
        transformer = getattr(sink, "get_transformer", lambda: None)()  # PyFlink: SupportsPreprocessing
        if transformer is not None:
            return transformer.apply(self)._sink_to(sink)
        return self._sink_to(sink)

    def _sink_to(self, sink: Sink) -> DataStreamSink:
        schema = self._schema
        stream = self._step(
            "Sink", lambda: SinkOperator(sink, schema, _sink_context), schema, kind="Data Sink"
        )
        return DataStreamSink(stream)

    def add_sink(self, sink_func: Any) -> DataStreamSink:
        """A sink, as sink_to takes it. PyFlink's SinkFunction is a class of Java, which cannot run here."""
        return self.sink_to(sink_func)

    def execute_and_collect(self, job_execution_name: str | None = None, limit: int | None = None) -> Any:
        """Runs the job and gives its records: an iterator to be closed, or a list when `limit` is given."""
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ConfigurationError(f"Limit must be greater than 0, got {limit!r}")
        results = self._collect(job_execution_name)
        if limit is None:
            return results
        with results:
            return [value for value, _ in zip(results, range(limit))]

    def execute_and_collect_arrow(self, job_execution_name: str | None = None) -> ArrowResults:
        """Runs the job and gives its columns: a reader with __arrow_c_stream__; .read_all() is a pyarrow.Table.
        Beyond PyFlink."""
        self._schema.arrow  # noqa: B018  Python objects have no columns: says so
        sink, job = self._collected(job_execution_name)
        return ArrowResults(sink, job, self._schema)

    def _collect(self, job_execution_name: str | None) -> CloseableIterator:
        sink, job = self._collected(job_execution_name)
        return CloseableIterator(sink, job)

    def _collected(self, job_execution_name: str | None) -> tuple[ArrowCollectSink, Any]:
        sink = ArrowCollectSink()
        self._collect_into(sink)
        job = self._env.launch(job_execution_name)
        job.when_ended(lambda run: sink.finish() if run.failure is None else sink.fail(run.failure))
        return sink, job

    def _collect_into(self, sink: ArrowCollectSink) -> DataStream:
        """The step that gives the records to the program."""
        stream = self.sink_to(sink).name("Collect")._stream
        stream._transformation.keeps_order = True
        return stream

    # -- building -----------------------------------------------------------------------------------------

    @property
    def _keys(self) -> Schema | None:
        """The key's columns when this is a keyed stream."""
        return None

    @property
    def _worker(self) -> Literal["function", "more"]:
        """What a function of a record is in a plan."""
        return "function" if self._keys is None else "more"

    def _step(
        self,
        name: str,
        factory: Callable[[], Operator],
        schema: Schema,
        *,
        kind: str = "Operator",
        hidden: bool = False,
        parallelism_max: int | None = None,
        second: tuple[Edge, ...] = (),
        in_batch: Callable[[], Operator] | None = None,
        worker: Literal["function", "more"] | None = None,
    ) -> DataStream:
        """The stream that a new step makes of this one, and of a second input when it has one.

        in_batch : makes the operator in batch mode, where that is another one
        worker : see Transformation
        """
        transformation = Transformation(
            id=self._env.next_id(),
            name=name,
            kind=kind,
            schema=schema,
            inputs=(*self._edges, *(replace(edge, input_index=1) for edge in second)),
            factory=factory,
            batch_factory=in_batch,
            hidden=hidden,
            worker=worker,
            parallelism_max=parallelism_max,
        )
        self._env.add(transformation)
        return DataStream(self._env, (Edge(transformation),), schema)

    def _keyed_edges(self, factory: Callable[[], Operator]) -> tuple[Edge, ...]:
        """Hash edges after a step for each input that assigns keys, in as many subtasks as the input has.

        So records of one key keep their order up to the subtask of their key, as in PyFlink.
        """
        inputs = [DataStream(self._env, (edge,), self._schema) for edge in self._edges]
        steps = [stream._step("KeyBy", factory, self._schema, hidden=True) for stream in inputs]
        return tuple(Edge(step._transformation, Partitioning.HASH) for step in steps)

    def _project_results(self, split: AggregatePlan, kept: Sequence[str]) -> DataStream:
        """What a select list computes from aggregates, after the columns `kept`."""
        nodes = [*(FieldReference(name) for name in kept), *split.outputs]
        names = [*kept, *split.names]
        schema, worker = self._schema, self._transformation
        stream = self._step(
            "Select",
            lambda: Project(schema, nodes, names),
            Project(schema, nodes, names).output_schema(),
            parallelism_max=worker.parallelism_max,
        )
        # Between subtasks of different number the changes of a key would lose their order.
        stream._transformation.completes = worker
        return stream


class DataStreamSink(_Settings):
    """The end of a stream."""

    def __init__(self, stream: DataStream) -> None:
        self._stream = stream

    @property
    def _transformation(self) -> Transformation:  # type: ignore[override]
        return self._stream._transformation


# -- what the methods above share ----------------------------------------------------------------------------


def _column_name(selector: Any) -> str:
    if isinstance(selector, str):
        return selector
    node = selector.node
    if isinstance(node, (FieldReference, Alias)) and isinstance(getattr(node, "arg", node), FieldReference):
        return node.name
    raise ConfigurationError(f"key_by takes columns, not {node}; compute it with with_columns first")


def _named_key(schema: Schema) -> Schema:
    """A key type's columns under names that a result can carry: a bare value is called key."""
    return Schema(("key",), schema.types, "value") if schema.form == "value" else schema


def batches_schema(func: Callable[[pa.RecordBatch], Any], schema: Schema, declared: Any) -> Schema:
    """What a map_batches function returns: as declared, or as it returns for a batch without rows."""
    if isinstance(declared, pa.Schema):
        return Schema.from_arrow(declared)
    if isinstance(declared, TypeInformation):
        return schema_of(declared)
    if isinstance(declared, Schema):
        return declared
    if declared is not None:
        raise ConfigurationError(f"output_schema is a pyarrow.Schema or type information, got {declared!r}")
    try:
        result = func(Batch.empty(schema).to_arrow())
    except Exception as error:
        raise ConfigurationError(
            f"map_batches({function_name(func)}) raised {type(error).__name__} for a batch without rows "
            f"({error}); pass output_schema=pyarrow.schema([...]) to say what it returns"
        ) from error
    if inspect.isgenerator(result):
        result = next(result, None)
    if isinstance(result, dict):
        result = pa.RecordBatch.from_pydict(result)
    if not isinstance(result, (pa.RecordBatch, pa.Table)):
        raise ConfigurationError(
            f"map_batches({function_name(func)}) returned {type(result).__name__} for a batch without rows; "
            f"pass output_schema=pyarrow.schema([...]) to say what it returns"
        )
    return Schema.from_arrow(result.schema)


def _sink_context(context: OperatorContext, schema: Schema) -> SinkContext:
    return SinkContext(
        name=context.name,
        clock=context.clock,
        schema=schema,
        register_timer=context.timers.register,
        config=context.config,
        metrics=context.metrics,
        subtask_index=context.subtask_index,
        parallelism=context.parallelism,
        job_id=context.job_id,
        operator_id=context.operator_id,
        checkpointing=context.checkpointing,
        interrupted=context.interrupted,
    )


def __getattr__(name: str) -> Any:
    # Where PyFlink has them; they are made of the classes above.
    if name == "CachedDataStream":
        from flinkcore.datastream.cached_data_stream import CachedDataStream

        return CachedDataStream
    if name == "KeyedStream":
        from flinkcore.datastream.keyed_stream import KeyedStream

        return KeyedStream
    if name in ("WindowedStream", "AllWindowedStream"):
        from flinkcore.datastream import windowed_stream

        return getattr(windowed_stream, name)
    if name in ("ConnectedStreams", "BroadcastStream", "BroadcastConnectedStream"):
        from flinkcore.datastream import connected_streams

        return getattr(connected_streams, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
