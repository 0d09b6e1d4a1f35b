# SPDX-License-Identifier: Apache-2.0
"""Joins of two streams: in windows, and by time (Flink's Java API: JoinedStreams, CoGroupedStreams, IntervalJoin).

PyFlink has none of them. Names and semantics are Flink's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.datastream.arguments import called, nodes_of, output_schema, require_function
from flinkcore.datastream.connected_streams import ConnectedStreams, without_keys
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.keyed_stream import KeyedStream
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.operators.base import Operator
from flinkcore.operators.co_group import CoGroupWindow
from flinkcore.operators.functions import CoGroupFunction, FlatJoinFunction, JoinFunction, ProcessJoinFunction
from flinkcore.operators.interval_join import IntervalJoin as IntervalJoinOperator
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.pairs import CalledPairs, Pairs, SelectedPairs
from flinkcore.operators.window_join import WindowJoin
from flinkcore.time import assigners
from flinkcore.time.assigners import WindowAssigner, milliseconds
from flinkcore.time.triggers import Trigger

W = TypeVar("W", bound="_WithWindow")


class _WithWindow:
    """Windows in which the records of two streams meet."""

    def __init__(self, streams: ConnectedStreams, assigner: WindowAssigner[Any, Any]) -> None:
        self._connected = streams
        self._assigner = assigner
        self._trigger: Trigger[Any, Any] | None = None
        self._evictor: Any = None
        self._lateness_ms = 0

    def trigger(self: W, trigger: Trigger[Any, Any]) -> W:
        """When windows fire, in place of the assigner's own trigger; it is given TaggedUnions."""
        self._trigger = trigger
        return self

    def evictor(self: W, evictor: Any) -> W:
        """What is taken out of a window before its function sees it; it is given TaggedUnions."""
        self._evictor = evictor
        return self

    def allowed_lateness(self: W, time: Any) -> W:
        """How long a window stays after the watermark has passed it: a Duration, or int milliseconds. Each record
        that comes meanwhile makes it fire again for its key. Records that are later are dropped and counted."""
        self._lateness_ms = milliseconds(time)
        if self._lateness_ms < 0:
            raise ConfigurationError(f"allowed lateness must not be negative, got {self._lateness_ms} ms")
        return self

    def _by_rows(self, name: str, function: Any, output_type: TypeInformation | None) -> DataStream:
        connected, assigner, out = self._connected, self._assigner, output_schema(output_type)
        schemas = _schemas(connected)
        settings: dict[str, Any] = {
            "trigger": self._trigger,
            "evictor": self._evictor,
            "allowed_lateness_ms": self._lateness_ms,
            "key_schema": connected._keys,
        }

        def make() -> Operator:
            return CoGroupWindow(schemas, assigner, function, out, **settings)

        make()  # what does not fit is said here
        return _step(connected, f"Window({type(assigner).__name__}, {name})", make)


class CoGroupedStreams:
    """Two streams whose records of equal keys meet in windows:

    a.co_group(b).where(key_of_a).equal_to(key_of_b).window(assigner).apply(function, output_type)
    """

    _takes = "co_group"

    def __init__(self, input1: DataStream, input2: DataStream) -> None:
        if not isinstance(input2, DataStream):
            raise ConfigurationError(f"{self._takes} takes a stream, got {called(input2)}")
        self._inputs = input1, input2

    def where(
        self, key_selector: Any, *more: Any, key_type: TypeInformation | None = None
    ) -> CoGroupedStreams.Where:
        """The key of the first stream's records; arguments as for DataStream.key_by."""
        keyed = without_keys(self._inputs[0]).key_by(key_selector, *more, key_type=key_type)
        return CoGroupedStreams.Where(self, keyed)

    def _with_window(self, streams: ConnectedStreams, assigner: WindowAssigner[Any, Any]) -> Any:
        return self.WithWindow(streams, assigner)

    class Where:
        """The second stream's key is to be said yet."""

        def __init__(self, streams: CoGroupedStreams, keyed: KeyedStream) -> None:
            self._streams = streams
            self._keyed = keyed

        def equal_to(
            self, key_selector: Any, *more: Any, key_type: TypeInformation | None = None
        ) -> CoGroupedStreams.EqualTo:
            """The key of the second stream's records, of the same type. SchemaError: it has another one"""
            other = without_keys(self._streams._inputs[1]).key_by(key_selector, *more, key_type=key_type)
            return CoGroupedStreams.EqualTo(self._streams, ConnectedStreams(self._keyed, other))

    class EqualTo:
        """The windows are to be said yet."""

        def __init__(self, streams: CoGroupedStreams, connected: ConnectedStreams) -> None:
            self._streams = streams
            self._connected = connected

        def window(self, assigner: WindowAssigner[Any, Any]) -> Any:
            """The windows in which records meet: a CoGroupedStreams.WithWindow or JoinedStreams.WithWindow. The
            assigner is given TaggedUnions."""
            if not isinstance(assigner, WindowAssigner):
                raise ConfigurationError(
                    f"window takes a WindowAssigner, e.g. TumblingEventTimeWindows.of(Time.seconds(10)), "
                    f"got {assigner!r}"
                )
            return self._streams._with_window(self._connected, assigner)

    class WithWindow(_WithWindow):
        """What is to happen in the windows."""

        def apply(self, function: CoGroupFunction, output_type: TypeInformation | None = None) -> DataStream:
            """A function of all records of a key and window, first those of the one stream, then those of the other;
            either may be none. It gives any number of results."""
            if not isinstance(function, CoGroupFunction):
                raise ConfigurationError(f"apply of a co_group takes a CoGroupFunction, got {called(function)}")
            return self._by_rows("CoGroup", function, output_type)


class JoinedStreams(CoGroupedStreams):
    """Two streams whose records of equal keys make pairs in windows:

    a.join(b).where(key_of_a).equal_to(key_of_b).window(assigner).apply(function, output_type)
    """

    _takes = "join"

    class WithWindow(_WithWindow):
        """What is to become of the pairs.

        In tumbling and sliding windows that fire when they end, pairs are found on columns; all others are windows of
        rows, as explain() says.
        """

        def apply(
            self,
            function: JoinFunction | FlatJoinFunction | Callable[[Any, Any], Any],
            output_type: TypeInformation | None = None,
        ) -> DataStream:
            """A function of the two records of each pair. A JoinFunction or a callable gives one record, a
            FlatJoinFunction any number. It has no state of the key."""
            if not isinstance(function, FlatJoinFunction):
                require_function("apply of a join", function, JoinFunction)
            if not self._fits_columns():
                return self._by_rows("Join", function, output_type)
            schemas, out = _schemas(self._connected), output_schema(output_type)
            return self._on_columns(lambda: CalledPairs(schemas, function, out))

        def select(self, *expressions: Any) -> DataStream:
            """Columns of each pair: names or expressions over the columns of both streams, window_start and
            window_end. Beyond Flink's DataStream API.

            SchemaError : both streams have a column of one name;  ConfigurationError : the windows are none that
                columns can do
            """
            if not self._fits_columns():
                raise ConfigurationError(
                    "select is for tumbling and sliding windows without a trigger or an evictor; use apply"
                )
            return self._on_columns(_selected(self._connected, expressions, windowed=True))

        def _fits_columns(self) -> bool:
            has_own_trigger = self._trigger is not None or self._evictor is not None
            return isinstance(self._assigner, (assigners._Tumbling, assigners._Sliding)) and not has_own_trigger

        def _on_columns(self, pairs: Callable[[], Pairs]) -> DataStream:
            connected, assigner = self._connected, self._assigner
            assert isinstance(assigner, (assigners._Tumbling, assigners._Sliding))
            slide_ms = assigner.slide_ms if isinstance(assigner, assigners._Sliding) else None
            keys, columns = _keys(connected)

            def make() -> Operator:
                return WindowJoin(
                    pairs(),
                    keys,
                    columns,
                    assigner.size_ms,
                    slide_ms,
                    assigner.offset_ms,
                    self._lateness_ms,
                    not assigner.is_event_time(),
                )

            return _step(connected, f"Window({type(assigner).__name__}, Join)", make)


class IntervalJoin:
    """Two keyed streams whose records of equal keys and close times make pairs:

    a.key_by(key_of_a).interval_join(b.key_by(key_of_b)).between(lower, upper).process(function, output_type)
    """

    def __init__(self, stream_one: KeyedStream, stream_two: KeyedStream) -> None:
        if not isinstance(stream_two, KeyedStream):
            raise ConfigurationError(f"interval_join takes a keyed stream, got {called(stream_two)}; call key_by")
        self._connected = ConnectedStreams(stream_one, stream_two)

    def between(self, lower_bound: Any, upper_bound: Any) -> IntervalJoined:
        """Pairs with left.timestamp + lower_bound <= right.timestamp <= left.timestamp + upper_bound.

        lower_bound, upper_bound : Durations, or int milliseconds; they may be negative
        """
        return IntervalJoined(self._connected, milliseconds(lower_bound), milliseconds(upper_bound))


class IntervalJoined:
    """What is to become of the pairs of an interval join, and which bounds do not count."""

    def __init__(self, streams: ConnectedStreams, lower_ms: int, upper_ms: int) -> None:
        if lower_ms > upper_ms:
            raise ConfigurationError(
                f"between takes a lower bound <= an upper bound, got {lower_ms} ms and {upper_ms} ms"
            )
        self._connected = streams
        self._bounds = lower_ms, upper_ms
        self._exclusive = [False, False]
        self._late_tags: list[OutputTag | None] = [None, None]

    def lower_bound_exclusive(self) -> IntervalJoined:
        """Times at the lower bound are no pair."""
        self._exclusive[0] = True
        return self

    def upper_bound_exclusive(self) -> IntervalJoined:
        """Times at the upper bound are no pair."""
        self._exclusive[1] = True
        return self

    def side_output_left_late_data(self, output_tag: OutputTag) -> IntervalJoined:
        """Where late records of the first stream go; without it they are dropped and counted."""
        self._late_tags[0] = output_tag
        return self

    def side_output_right_late_data(self, output_tag: OutputTag) -> IntervalJoined:
        """Where late records of the second stream go; without it they are dropped and counted."""
        self._late_tags[1] = output_tag
        return self

    def process(
        self, process_join_function: ProcessJoinFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """A function of the records of each pair, and their times. It has no state of the key."""
        if not isinstance(process_join_function, ProcessJoinFunction):
            raise ConfigurationError(
                f"process of an interval join takes a ProcessJoinFunction, got {called(process_join_function)}"
            )
        schemas, out = _schemas(self._connected), output_schema(output_type)
        return self._pairs(lambda: CalledPairs(schemas, process_join_function, out))

    def select(self, *expressions: Any) -> DataStream:
        """Columns of each pair: names or expressions over the columns of both streams. Beyond Flink's DataStream API.

        SchemaError : both streams have a column of one name
        """
        return self._pairs(_selected(self._connected, expressions, windowed=False))

    def _pairs(self, pairs: Callable[[], Pairs]) -> DataStream:
        connected = self._connected
        lower_ms, upper_ms = self._bounds[0] + self._exclusive[0], self._bounds[1] - self._exclusive[1]
        if lower_ms > upper_ms:
            raise ConfigurationError(
                f"an interval join from {self._bounds[0]} to {self._bounds[1]} ms, exclusive, has no pairs"
            )
        keys, columns = _keys(connected)
        tags = self._late_tags[0], self._late_tags[1]

        def make() -> Operator:
            return IntervalJoinOperator(pairs(), keys, columns, lower_ms, upper_ms, tags)

        return _step(connected, "Interval Join", make)


def _selected(streams: ConnectedStreams, expressions: tuple[Any, ...], windowed: bool) -> Callable[[], Pairs]:
    if not expressions:
        raise SchemaError("select takes one expression or column name at least")
    nodes, schemas = nodes_of(expressions, "select"), _schemas(streams)
    for schema in schemas:
        schema.arrow  # noqa: B018  Python objects have no columns: says so
    return lambda: SelectedPairs(schemas, nodes, None, windowed)


def _schemas(streams: ConnectedStreams) -> tuple[Any, Any]:
    return streams.stream1._schema, streams.stream2._schema


def _keys(streams: ConnectedStreams) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The keys' schemas, and which columns they are."""
    one, two = streams.stream1, streams.stream2
    assert isinstance(one, KeyedStream) and isinstance(two, KeyedStream)
    return (one._key_schema, two._key_schema), (one._key_columns, two._key_columns)


def _step(streams: ConnectedStreams, name: str, make: Callable[[], Operator]) -> DataStream:
    return streams.stream1._step(name, make, make().output_schema(), second=streams.stream2._edges)
