# SPDX-License-Identifier: Apache-2.0
"""Table environments: where tables begin, and where they become streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.arrow import ArrowCollectSink, ArrowSource
from flinkcore.connectors.collection import CollectionSource
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError, SchemaError, UnsupportedOperationError
from flinkcore.expr.nodes import Call, Expr, FieldReference, output_name, without_alias
from flinkcore.operators.batches import Project
from flinkcore.operators.event_time import RowtimeColumn
from flinkcore.table.connectors import source_of
from flinkcore.table.connectors.declaration import Declaration
from flinkcore.table.declared import declaration, with_computed
from flinkcore.table.environment_settings import EnvironmentSettings
from flinkcore.table.inference import infer_schema, is_scalar
from flinkcore.table.named_tables import CATALOG, DATABASE, NamedTable, NamedTables, identifier, table_name
from flinkcore.table.plan import Planner
from flinkcore.table.schema import Schema as TableColumns
from flinkcore.table.statement_set import StatementSet
from flinkcore.table.table import Relation, Table, nodes_of
from flinkcore.table.table_config import TableConfig
from flinkcore.table.table_descriptor import TableDescriptor
from flinkcore.table.table_result import TableResult
from flinkcore.table.table_schema import Column, ResolvedSchema
from flinkcore.table.types import DataType, DataTypes, RowField, RowType

if TYPE_CHECKING:
    import pandas as pd

    from flinkcore.runtime.job import JobRun

__all__ = ["StreamTableEnvironment", "TableEnvironment"]

_NAMELESS = (tuple, list)


class TableEnvironment:
    """Makes tables and runs them."""

    def __init__(self, env: StreamExecutionEnvironment, is_streaming: bool) -> None:
        self._env = env
        self._planner = Planner(env)
        self._config = TableConfig(env.get_configuration())
        self._tables = NamedTables()
        self.is_streaming = is_streaming

    @staticmethod
    def create(environment_settings: EnvironmentSettings | Any) -> TableEnvironment:
        """An environment of its own for tables.

        environment_settings : EnvironmentSettings, or a Configuration
        """
        settings = environment_settings
        if not isinstance(settings, EnvironmentSettings):
            settings = EnvironmentSettings.new_instance().with_configuration(settings).build()
        env = StreamExecutionEnvironment(settings.get_configuration())
        return TableEnvironment(env, settings.is_streaming_mode())

    def get_config(self) -> TableConfig:
        return self._config

    # -- tables begin ---------------------------------------------------------------------------------------

    def from_elements(
        self,
        elements: Sequence[Any],
        schema: DataType | Sequence[str] | None = None,
        verify_schema: bool = True,
    ) -> Table:
        """A table of Python rows: tuples, lists, dicts, Rows or objects; also (beyond PyFlink) of bare
        values, as one column f0.

        schema : DataTypes.ROW([...]), or names; without names columns are _1, _2, ..., also known as f0, f1,
            ...
        """
        rows = list(elements)
        other_names: tuple[tuple[str, str], ...] = ()
        scalars = bool(rows) and all(map(is_scalar, rows)) and any(row is not None for row in rows)
        if scalars:
            rows = [(row,) for row in rows]
            if schema is None:
                schema, other_names = ["f0"], (("_1", "f0"),)
            elif isinstance(schema, DataType) and not isinstance(schema, RowType):
                schema, other_names = DataTypes.ROW([RowField("f0", schema)]), (("_1", "f0"),)
        if isinstance(schema, RowType):
            row_type = schema
        elif schema is None or (
            isinstance(schema, (list, tuple)) and all(isinstance(n, str) for n in schema)
        ):
            row_type = infer_schema(rows, schema)
            if schema is None and type(rows[0]) in _NAMELESS:
                other_names = tuple((f"f{i}", name) for i, name in enumerate(row_type.names))
        else:
            raise TypeError(f"schema should be DataTypes.ROW(...), or a list of names, got {schema!r}")
        columns = tuple(Column(field.name, field.data_type) for field in row_type)
        table_schema = Schema(row_type.names, [column.arrow for column in columns])
        data = from_rows([_by_type(row) for row in rows], table_schema, what="from_elements")
        return self._table_of_batch(Batch(table_schema, data, len(rows)), columns, other_names)

    def from_pandas(
        self, pdf: pd.DataFrame, schema: DataType | Sequence[str] | None = None, splits_num: int = 1
    ) -> Table:
        """A table of a pandas DataFrame, without its index.

        schema : DataTypes.ROW([...]), to which columns are cast in order, or names of the columns
        splits_num : accepted as in PyFlink; the frame is cut as subtasks need it
        """
        import pyarrow as pa

        data = pa.Table.from_pandas(pdf, preserve_index=False)
        if isinstance(schema, RowType):
            data = data.rename_columns(schema.names).cast(schema.to_arrow_schema())
        elif schema is not None:
            data = data.rename_columns(list(schema))  # type: ignore[arg-type]
        return self.from_arrow(data)

    def from_arrow(self, data: Any) -> Table:
        """A table of anything that speaks Arrow, without a copy. Beyond PyFlink.

        data : has __arrow_c_stream__ or __arrow_c_array__ (pyarrow, Polars, pandas, DuckDB), or is a dict of
            NumPy arrays
        """
        return self._table_of_source(ArrowSource(data), "Arrow Source")

    def _table_of_batch(
        self, batch: Batch, columns: tuple[Column, ...], other_names: tuple[tuple[str, str], ...] = ()
    ) -> Table:
        source = CollectionSource.of_batches([batch])
        return self._table_of_source(source, "Values", columns, other_names)

    def _table_of_source(
        self,
        source: Any,
        name: str,
        columns: tuple[Column, ...] | None = None,
        other_names: tuple[tuple[str, str], ...] = (),
        parallelism: int | None = None,
    ) -> Table:
        from flinkcore.graph.transformation import Edge, Transformation

        transformation = Transformation(
            id=self._env.next_id(),
            name=name,
            kind="Data Source",
            schema=source.schema,
            source=source,
            parallelism=parallelism,
            parallelism_max=source.parallelism_max,
        )
        stream = DataStream(self._planner, (Edge(transformation),), source.schema)  # type: ignore[arg-type]
        return Table(
            Relation(stream, columns or ResolvedSchema.of(source.schema).columns, False, other_names), self
        )

    # -- tables by name -------------------------------------------------------------------------------------

    def create_temporary_table(
        self, path: str, descriptor: TableDescriptor, ignore_if_exists: bool | None = False
    ) -> None:
        """Gives the table of a descriptor a name. It hides a table of that name that is not temporary."""
        self._tables.add(path, NamedTable(descriptor, temporary=True), bool(ignore_if_exists))

    def create_table(
        self, path: str, descriptor: TableDescriptor, ignore_if_exists: bool | None = False
    ) -> None:
        """Gives the table of a descriptor a name, for as long as the environment lives."""
        self._tables.add(path, NamedTable(descriptor, temporary=False), bool(ignore_if_exists))

    def create_temporary_view(
        self, view_path: str, table_or_data_stream: Table | DataStream, *fields_or_schema: Any
    ) -> None:
        """Gives a table a name; or a stream, as from_data_stream makes a table of it."""
        table = table_or_data_stream
        if isinstance(table, DataStream):
            if not isinstance(self, StreamTableEnvironment):
                raise ConfigurationError("a view of a stream belongs to a StreamTableEnvironment")
            table = self.from_data_stream(table, *fields_or_schema)
        self._tables.add(view_path, NamedTable(table, temporary=True))

    def create_view(self, view_path: str, table: Table, ignore_if_exists: bool | None = False) -> None:
        """Gives a table a name, for as long as the environment lives."""
        self._tables.add(view_path, NamedTable(table, temporary=False), bool(ignore_if_exists))

    def drop_temporary_table(self, table_path: str) -> bool:
        """Forgets a temporary table; whether there was one."""
        return self._tables.drop(table_path, view=False, temporary=True)

    def drop_table(self, table_path: str, ignore_if_not_exists: bool | None = True) -> bool:
        """Forgets a table; whether there was one."""
        return self._dropped(table_path, False, ignore_if_not_exists)

    def drop_temporary_view(self, view_path: str) -> bool:
        """Forgets a temporary view; whether there was one."""
        return self._tables.drop(view_path, view=True, temporary=True)

    def drop_view(self, view_path: str, ignore_if_not_exists: bool | None = True) -> bool:
        """Forgets a view; whether there was one."""
        return self._dropped(view_path, True, ignore_if_not_exists)

    def _dropped(self, path: str, view: bool, ignore_if_not_exists: bool | None) -> bool:
        dropped = self._tables.drop(path, view=view, temporary=False)
        if not dropped and not ignore_if_not_exists:
            raise ConfigurationError(f"there is no {'view' if view else 'table'} '{path}' to drop")
        return dropped

    def list_tables(self) -> list[str]:
        """The names of all tables and views."""
        return self._tables.names()

    def list_views(self) -> list[str]:
        """The names of all views."""
        return self._tables.names(view=True)

    def list_temporary_tables(self) -> list[str]:
        """The names of the temporary tables and views."""
        return self._tables.names(temporary=True)

    def list_temporary_views(self) -> list[str]:
        """The names of the temporary views."""
        return self._tables.names(view=True, temporary=True)

    def get_current_catalog(self) -> str:
        return CATALOG

    def get_current_database(self) -> str:
        return DATABASE

    def from_path(self, path: str) -> Table:
        """The table or view of a name."""
        meaning = self._tables.find(path).meaning
        return meaning if isinstance(meaning, Table) else self._read(table_name(path), meaning)

    def from_descriptor(self, descriptor: TableDescriptor) -> Table:
        """The table of a descriptor, without a name."""
        return self._read("Unnamed", descriptor)

    def _read(self, name: str, descriptor: TableDescriptor) -> Table:
        declared = declaration(name, descriptor)
        if not declared.columns:
            raise SchemaError(f"table '{name}' has no columns to be read; give its descriptor a schema")
        connected = source_of(declared)
        columns = tuple(Column(column, type) for column, type in declared.columns.items())
        table = self._table_of_source(connected.end, name, columns, parallelism=connected.parallelism)
        return with_computed(table, descriptor.get_schema() or TableColumns())

    # -- tables end -----------------------------------------------------------------------------------------

    def create_statement_set(self) -> StatementSet:
        """Collects inserts that run as one job."""
        return StatementSet(self)

    def _sink_table(self, path_or_descriptor: str | TableDescriptor) -> Declaration:
        if isinstance(path_or_descriptor, TableDescriptor):
            return declaration("Unnamed", path_or_descriptor)
        meaning = self._tables.find(path_or_descriptor).meaning
        if isinstance(meaning, Table):
            raise UnsupportedOperationError(f"'{path_or_descriptor}' is a view, into which nothing can be written")
        return declaration(table_name(path_or_descriptor), meaning)

    def _execute_inserts(self, inserts: Sequence[tuple[str, DataStream]]) -> TableResult:
        """Runs inserts, by the names of their targets, as one job. Its result, when the job has ended, is a row with -1
        for each of them: how many rows were written is not known, as in Flink."""
        job = self._planner.launch([stream for _, stream in inserts], None)
        names = _distinct([identifier(name) for name, _ in inserts])
        resolved = ResolvedSchema(tuple(Column(name, DataTypes.BIGINT()) for name in names))
        schema = Schema(names, [column.arrow for column in resolved.columns])
        sink = ArrowCollectSink()

        def ended(run: JobRun) -> None:
            if run.failure is not None:
                sink.fail(run.failure)
            elif not sink.cancelled:
                sink.put(Batch(schema, from_rows([(-1,) * len(names)], schema, what="inserts"), 1))
                sink.finish()

        job.when_ended(ended)
        return TableResult(sink, job, resolved, with_kinds=False)

    def execute_table(self, table: Table, job_name: str | None = None) -> TableResult:
        """Runs the job of one table. Table.execute() calls this."""
        sink = ArrowCollectSink()
        stream = table._relation.stream._collect_into(sink)
        job = self._planner.launch([stream], job_name)
        job.when_ended(lambda run: sink.finish() if run.failure is None else sink.fail(run.failure))
        return TableResult(sink, job, table.get_resolved_schema(), self.is_streaming)


class StreamTableEnvironment(TableEnvironment):
    """Makes tables and runs them, beside the streams of a StreamExecutionEnvironment."""

    @staticmethod
    def create(*args: Any, **kwargs: Any) -> StreamTableEnvironment:
        """create(stream_execution_environment=None, environment_settings=None); arguments are told apart by
        their types, since their order changed in PyFlink 1.15. Each is optional; a TableConfig may come
        too."""
        env: StreamExecutionEnvironment | None = None
        settings: EnvironmentSettings | None = None
        config: TableConfig | None = None
        unknown = set(kwargs) - {"stream_execution_environment", "environment_settings", "table_config"}
        if unknown:
            raise TypeError(f"create() got an unexpected argument '{min(unknown)}'")
        for value in (*args, *kwargs.values()):
            if isinstance(value, StreamExecutionEnvironment):
                env = value
            elif isinstance(value, EnvironmentSettings):
                settings = value
            elif isinstance(value, TableConfig):
                config = value
            elif value is not None:
                raise ConfigurationError(
                    "create() takes a StreamExecutionEnvironment, EnvironmentSettings and a TableConfig, "
                    f"got {type(value).__name__}"
                )
        env = env or StreamExecutionEnvironment.get_execution_environment()
        if settings is not None:
            env.configure(settings.get_configuration())
        if config is not None:
            env.configure(config.get_configuration())
        return StreamTableEnvironment(env, env.get_configuration().get(options.RUNTIME_MODE) != "BATCH")

    # -- streams to tables ----------------------------------------------------------------------------------

    def from_data_stream(self, data_stream: DataStream, *fields_or_schema: Any) -> Table:
        """A table of the records of a stream.

        fields_or_schema : columns by name or expression, in order; the last may be a time attribute:
            col("ts").rowtime takes the records' event time, in the place of a column of that name or as a new
            one, col("pt").proctime is the time at which a row is handled
        """
        stream = self._columns_of(data_stream)
        columns = ResolvedSchema.of(stream.schema).columns
        nodes = nodes_of(fields_or_schema, "from_data_stream") if fields_or_schema else []
        if not nodes:
            return Table(Relation(stream, columns), self)
        return Table(self._selected(stream, columns, nodes), self)

    def _columns_of(self, data_stream: DataStream) -> DataStream:
        stream = self._planner.stream(data_stream)
        if stream.schema.form == "object":
            stream.schema.arrow  # noqa: B018  raises with the remedy
        if stream.schema.form == "row":
            return stream
        # A bare value is a row of one column f0, a tuple one of f0, f1, ...
        schema, names = stream.schema, [f"f{i}" for i in range(len(stream.schema))]
        nodes = [FieldReference(name) for name in schema.names]
        return stream._step("Calc", lambda: Project(schema, nodes, names), Schema(names, schema.types))

    def _selected(self, stream: DataStream, columns: Sequence[Column], nodes: Sequence[Expr]) -> Relation:
        """The columns asked for: by name, or by position when none of the names is a column's."""
        plain = [node for node in nodes if not _is_time(node)]
        names = {column.name for column in columns}
        by_position = all(isinstance(node, FieldReference) and node.name not in names for node in plain)
        if by_position and len(plain) > len(columns):
            raise SchemaError(
                f"the stream has {len(columns)} columns ({', '.join(c.name for c in columns)}), "
                f"the table asks for {len(plain)}"
            )
        schema = stream.schema
        given = iter(columns)
        inner: list[Expr] = []
        out: list[Column] = []
        rowtime: int | None = None
        for i, node in enumerate(nodes):
            name = output_name(node)
            if _is_time(node):
                call = without_alias(node)
                assert isinstance(call, Call)
                name = name or output_name(call.args[0]) or call.name
                out.append(
                    Column(
                        name,
                        DataTypes.TIMESTAMP(3) if call.name == "rowtime" else DataTypes.TIMESTAMP_LTZ(3),
                        call.name.upper(),
                    )
                )
                inner.append(Call("localTimestamp") if call.name == "rowtime" else Call("currentTimestamp"))
                rowtime = i if call.name == "rowtime" else rowtime
                if by_position and output_name(call.args[0]) in names:
                    next(given, None)
                continue
            source = (
                next(given)
                if by_position
                else next((c for c in columns if c.name == output_name(without_alias(node))), None)
            )
            if source is None:
                raise SchemaError(
                    f"Cannot resolve field [{node}], input field list:[{', '.join(c.name for c in columns)}]."
                )
            out.append(source.renamed(str(name)))
            inner.append(FieldReference(source.name))
        out_names = [column.name for column in out]

        def make() -> RowtimeColumn:
            return RowtimeColumn(schema, inner, out_names, rowtime)

        return Relation(stream._step("TableFromStream", make, make().output_schema()), tuple(out))

    # -- tables to streams ----------------------------------------------------------------------------------

    def to_data_stream(self, table: Table) -> DataStream:
        """The rows of a table as a stream. SchemaError when rows of the table change: see
        to_changelog_stream."""
        if table._relation.updating:
            raise SchemaError(
                "Table sink doesn't support consuming update changes: rows of this table change; use "
                "to_changelog_stream"
            )
        return self._planner.release(table._relation.stream)

    def to_changelog_stream(
        self, table: Table, target_schema: Any = None, changelog_mode: Any = None
    ) -> DataStream:
        """The changes of a table as a stream of Rows with row kinds."""
        return self._planner.release(table._relation.stream)

    def to_append_stream(self, table: Table, type_info: Any) -> DataStream:
        """The rows of a table to which rows are only added."""
        return self.to_data_stream(table)

    def execute(self, job_name: str) -> Any:
        """Runs what streams were made of tables (PyFlink up to 1.13)."""
        return self._env.execute(job_name)


def _is_time(node: Expr) -> bool:
    inner = without_alias(node)
    return isinstance(inner, Call) and inner.name in ("rowtime", "proctime") and len(inner.args) == 1


def _by_type(row: Any) -> Any:
    """What from_rows reads by name, by name: namedtuples stay tuples."""
    return tuple(row) if hasattr(row, "_fields") and isinstance(row, tuple) else row


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with _1, _2, ... behind those that stand more than once (Flink: deduplicateSinkIdentifierNames)."""
    counts: dict[str, int] = {}
    result = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        result.append(f"{name}_{counts[name]}" if names.count(name) > 1 else name)
    return result
