# SPDX-License-Identifier: Apache-2.0
"""WindowedStream and AllWindowedStream: what becomes of the records of a window.

Aggregates given as expressions run on columns: tumbling and sliding windows as panes, sessions, counts. Functions
of the user, triggers and evictors run on rows, by Flink's own rules for single elements, and explain() says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.datastream.arguments import output_schema
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.keyed_stream import KeyedStream
from flinkcore.errors import ConfigurationError
from flinkcore.expr.aggregate import AggregateCall, result_name
from flinkcore.operators.batch_order import InTimeOrder
from flinkcore.operators.count_window import CountWindows
from flinkcore.operators.fold_session import FoldSession
from flinkcore.operators.fold_window import FoldWindow
from flinkcore.operators.functions import AggregateFunction
from flinkcore.operators.key import KeyByNothing
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.pane_window import PaneWindow
from flinkcore.operators.row_aggregate import expression_windows, has_time_bounds
from flinkcore.operators.row_window import RowWindow
from flinkcore.operators.session_window import SessionWindow
from flinkcore.operators.windowed import WINDOW_END, WINDOW_START, WindowedAggregate
from flinkcore.table.expression import Expression
from flinkcore.time import assigners
from flinkcore.time.assigners import WindowAssigner, milliseconds
from flinkcore.time.triggers import Trigger

if TYPE_CHECKING:
    from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment


class WindowedStream:
    """Records of a key grouped into windows (PyFlink: WindowedStream)."""

    _all = False

    def __init__(self, keyed_stream: KeyedStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        if not isinstance(window_assigner, WindowAssigner):
            raise ConfigurationError(
                f"window takes a WindowAssigner, e.g. TumblingEventTimeWindows.of(Time.seconds(10)), "
                f"got {window_assigner!r}"
            )
        self._stream = keyed_stream
        self._assigner = window_assigner
        self._trigger: Trigger[Any, Any] | None = None
        self._evictor: Any = None
        self._lateness_ms = 0
        self._late_tag: OutputTag | None = None

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        return self._stream.get_execution_environment()

    def get_input_type(self) -> TypeInformation:
        return self._stream.get_type()

    # -- settings -----------------------------------------------------------------------------------------

    def trigger(self, trigger: Trigger[Any, Any]) -> WindowedStream:
        """When windows fire, in place of the assigner's own trigger."""
        self._trigger = trigger
        return self

    def evictor(self, evictor: Any) -> WindowedStream:
        """What is taken out of a window before its function sees it (Flink has it in Java; beyond PyFlink)."""
        self._evictor = evictor
        return self

    def allowed_lateness(self, time_ms: Any) -> WindowedStream:
        """How long a window stays after the watermark has passed it; int milliseconds, or (beyond PyFlink) a
        Duration. Each record that comes meanwhile makes it fire again."""
        self._lateness_ms = milliseconds(time_ms)
        if self._lateness_ms < 0:
            raise ConfigurationError(f"allowed lateness must not be negative, got {self._lateness_ms} ms")
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> WindowedStream:
        """Where records go that are too late; without it they are dropped and counted."""
        self._late_tag = output_tag
        return self

    # -- functions of the user ----------------------------------------------------------------------------

    def reduce(
        self, reduce_function: Any, window_function: Any = None, output_type: TypeInformation | None = None
    ) -> DataStream:
        """The records of a window combined pairwise, as they come; then given to `window_function` if there is one."""
        schema = self._stream.schema if window_function is None and output_type is None else output_schema(output_type)
        return self._row_step("Reduce", schema, reduce=reduce_function, window_function=window_function)

    def aggregate(
        self,
        *aggregates: Any,
        window_function: Any = None,
        accumulator_type: TypeInformation | None = None,
        output_type: TypeInformation | None = None,
        **named: Any,
    ) -> DataStream:
        """One result per key and window.

        aggregates : an AggregateFunction, followed as in PyFlink by window_function, accumulator_type and
            output_type; or (beyond PyFlink) expressions, e.g. col("price").sum.alias("total"), on columns
        -> for expressions, columns: the key's, window_start, window_end (not for counts), then one per aggregate
        """
        if "aggregate_function" in named:
            aggregates = (named.pop("aggregate_function"), *aggregates)
        if named:
            raise TypeError(f"aggregate() got an unexpected argument '{next(iter(named))}'")
        if aggregates and isinstance(aggregates[0], AggregateFunction):
            function, *rest = aggregates
            for value in rest:
                if window_function is None and not isinstance(value, TypeInformation) and value is not None:
                    window_function = value
            types = [value for value in rest if isinstance(value, TypeInformation)]
            if len(types) > 1:
                accumulator_type, output_type = types[:2]
            elif types and len(rest) == 2:
                accumulator_type = types[0]
            elif types:
                output_type = types[0]
            return self._row_step(
                "Aggregate",
                output_schema(output_type),
                aggregate=function,
                window_function=window_function,
                accumulator_type=accumulator_type,
            )
        if not aggregates or not all(isinstance(each, (Expression, str)) for each in aggregates):
            raise ConfigurationError(
                f"aggregate takes an AggregateFunction or expressions, e.g. "
                f"col('price').sum.alias('total'), got {aggregates!r}"
            )
        return self._aggregate_columns(aggregates)

    def apply(self, window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """A function of (key, window, records of the window) that gives any number of results."""
        return self._row_step("Apply", output_schema(output_type), window_function=window_function)

    def process(self, process_window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """A ProcessWindowFunction: the records of a window with its context and state."""
        return self._row_step("Process", output_schema(output_type), window_function=process_window_function)

    def _row_step(self, name: str, schema_out: Schema, **functions: Any) -> DataStream:
        stream, assigner = self._stream, self._assigner
        settings: dict[str, Any] = {
            "trigger": self._trigger,
            "evictor": self._evictor,
            "allowed_lateness_ms": self._lateness_ms,
            "late_tag": self._late_tag,
            "key_schema": stream._key_schema,
            **functions,
        }
        schema = stream.schema
        folding = (make for make in (FoldWindow, FoldSession) if make.takes(assigner, **settings))
        make: Any = next(folding, RowWindow)
        make(schema, assigner, schema_out, **settings)  # what does not fit is said here
        return stream._step(
            f"Window({type(assigner).__name__}, {name})",
            lambda: make(schema, assigner, schema_out, **settings),
            schema_out,
            parallelism_max=1 if self._all else None,
            in_batch=lambda: InTimeOrder(make(schema, assigner, schema_out, **settings)),
        )

    # -- columns ------------------------------------------------------------------------------------------

    def _aggregate_columns(self, expressions: Sequence[Any]) -> DataStream:
        stream = self._stream
        split, names = stream._plan(expressions)
        keys, calls = stream._key_schema, split.calls
        inner = names if split.trivial else [result_name(i) for i in range(len(calls))]
        make = self._columnar(calls, inner)
        if make is None:
            has_bounds = has_time_bounds(self._assigner)
            functions, schema_out = expression_windows(stream.schema, keys, calls, inner, has_bounds)
            result = self._row_step("Aggregate", schema_out, **functions)
        else:
            first = make()
            has_bounds = first.has_bounds
            name, limit = f"Window({first.window_text()})", 1 if self._all else None
            result = stream._step(name, make, first.output_schema(), parallelism_max=limit)
        kept = [*keys.names, *([WINDOW_START, WINDOW_END] if has_bounds else [])]
        return result if split.trivial else result._project_results(split, kept)

    def _columnar(
        self, calls: Sequence[AggregateCall], names: Sequence[str]
    ) -> Callable[[], WindowedAggregate] | None:
        """The columnar operator for the assigner; None for what only rows can do."""
        assigner, schema, keys = self._assigner, self._stream.schema, self._stream._key_schema
        late_tag = None if self._late_tag is None else self._late_tag.tag_id
        if self._evictor is not None or not self._has_default_trigger():
            return None
        common: dict[str, Any] = {
            "lateness_ms": self._lateness_ms,
            "late_tag": late_tag,
            "processing_time": not assigner.is_event_time(),
        }
        if isinstance(assigner, assigners._Tumbling):
            return lambda: PaneWindow(
                schema, keys, calls, names, assigner.size_ms, None, assigner.offset_ms, **common
            )
        if isinstance(assigner, assigners._Sliding):
            return lambda: PaneWindow(
                schema, keys, calls, names, assigner.size_ms, assigner.slide_ms, assigner.offset_ms, **common
            )
        if isinstance(assigner, assigners._StaticSession):
            return lambda: SessionWindow(schema, keys, calls, names, assigner.gap_ms, None, **common)
        if isinstance(assigner, assigners._DynamicSession):
            return lambda: SessionWindow(schema, keys, calls, names, None, assigner.gap_of, **common)
        if isinstance(assigner, assigners.CountTumblingWindowAssigner):
            return lambda: CountWindows(schema, keys, calls, names, assigner.window_size)
        return None

    def _has_default_trigger(self) -> bool:
        if self._trigger is None:
            return True
        default = self._assigner.get_default_trigger(None)
        return type(self._trigger) is type(default) and vars(self._trigger) == vars(default)


class AllWindowedStream(WindowedStream):
    """All records grouped into windows, in one subtask (PyFlink: AllWindowedStream)."""

    _all = True

    def __init__(self, data_stream: DataStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        schema = data_stream.schema
        edges = data_stream._keyed_edges(lambda: KeyByNothing(schema))
        env = data_stream.get_execution_environment()
        super().__init__(KeyedStream(env, edges, schema, Schema((), ()), data_stream), window_assigner)
