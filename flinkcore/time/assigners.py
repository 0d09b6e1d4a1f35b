# SPDX-License-Identifier: Apache-2.0
"""Window assigners: which windows an element belongs to (PyFlink: pyflink.datastream.window).

`columnar` assigners say their size, slide, offset or gap, from which the operators on columns work; every
assigner can also be asked element by element, which is what the operator on rows does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from operator import index
from typing import Any, Generic, TypeVar

from flinkcore.errors import ConfigurationError, DataError
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.state.serializer import TypeSerializer
from flinkcore.time import MIN_TIMESTAMP
from flinkcore.time.triggers import (
    CountTrigger,
    EventTimeTrigger,
    NeverTrigger,
    ProcessingTimeTrigger,
    PurgingTrigger,
    Trigger,
)
from flinkcore.time.windows import (
    CountWindow,
    CountWindowSerializer,
    GlobalWindow,
    GlobalWindowSerializer,
    TimeWindow,
    TimeWindowSerializer,
)

T = TypeVar("T")
W = TypeVar("W")
W2 = TypeVar("W2")

_CACHED_WINDOWS_MAX = 4096
# The longest window: with event times within 2^62 ms of the epoch its bounds stay within int64.
SPAN_MS_MAX = 2**61
# The most sliding windows that one element may lie in; with more of them a job would seem to hang.
OVERLAP_MAX = 100_000


class WindowAssigner(ABC, Generic[T, W]):
    """Assigns zero or more windows to each element."""

    class WindowAssignerContext(ABC):
        """What an assigner may ask."""

        @abstractmethod
        def get_current_processing_time(self) -> int: ...

        @abstractmethod
        def get_runtime_context(self) -> Any: ...

    @abstractmethod
    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[W]:
        """The windows of an element; `timestamp` is its event time, MIN_TIMESTAMP when it has none."""

    @abstractmethod
    def get_default_trigger(self, env: Any) -> Trigger[T, W]:
        """The trigger when the user gave none."""

    @abstractmethod
    def get_window_serializer(self) -> TypeSerializer[W]:
        """How the windows are written to checkpoints."""

    @abstractmethod
    def is_event_time(self) -> bool:
        """Whether windows are of event time: then late elements exist and the watermark cleans up."""


class MergingWindowAssigner(WindowAssigner[T, W]):
    """An assigner whose windows can merge, such as sessions."""

    class MergeCallback(ABC, Generic[W2]):
        """Takes the decisions of merge_windows."""

        @abstractmethod
        def merge(self, to_be_merged: Iterable[W2], merge_result: W2) -> None:
            """These windows are to become that one."""

    @abstractmethod
    def merge_windows(self, windows: Iterable[W], callback: MergingWindowAssigner.MergeCallback[W]) -> None:
        """Says which of the windows merge, by calling back."""


class _TimeWindows(WindowAssigner[Any, TimeWindow]):
    def get_window_serializer(self) -> TypeSerializer[TimeWindow]:
        return TimeWindowSerializer()


class _EventTime:
    def get_default_trigger(self, env: Any) -> Trigger[Any, TimeWindow]:
        return EventTimeTrigger()

    def is_event_time(self) -> bool:
        return True


class _ProcessingTime:
    def get_default_trigger(self, env: Any) -> Trigger[Any, TimeWindow]:
        return ProcessingTimeTrigger()

    def is_event_time(self) -> bool:
        return False


class _Tumbling(_TimeWindows):
    """Windows of one size, side by side. size_ms > 0, |offset_ms| < size_ms."""

    def __init__(self, size: int, offset: int) -> None:
        if size <= 0 or abs(offset) >= size:
            raise ConfigurationError(
                f"{type(self).__name__} parameters must satisfy size > 0 and abs(offset) < size, "
                f"got size {size} ms, offset {offset} ms"
            )
        _check_span(self, "size", size)
        self._size = size
        self._offset = offset
        self._windows: dict[int, list[TimeWindow]] = {}  # by start: one object per window compares fast

    @property
    def size_ms(self) -> int:
        return self._size

    @property
    def offset_ms(self) -> int:
        return self._offset

    @classmethod
    def of(cls, size: Any, offset: Any = None) -> Any:
        """Windows of `size`, shifted from the epoch by `offset`: Time, Duration or int milliseconds."""
        return cls(milliseconds(size), 0 if offset is None else milliseconds(offset))

    def window_at(self, start: int) -> TimeWindow:
        """The window that begins then."""
        return self._at(start)[0]

    def _at(self, time_ms: int) -> list[TimeWindow]:
        start = time_ms - (time_ms - self._offset) % self._size
        found = self._windows.get(start)
        if found is None:
            if len(self._windows) >= _CACHED_WINDOWS_MAX:
                self._windows.clear()
            found = self._windows[start] = [TimeWindow(start, start + self._size)]
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._size}, {self._offset})"


class TumblingEventTimeWindows(_EventTime, _Tumbling):
    """Tumbling windows by the timestamps of the elements."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        return self._at(timestamp if timestamp > MIN_TIMESTAMP else _no_timestamp(self))


class TumblingProcessingTimeWindows(_ProcessingTime, _Tumbling):
    """Tumbling windows by the clock."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        return self._at(context.get_current_processing_time())


class _Sliding(_TimeWindows):
    """Windows of one size, one starting every slide. slide_ms > |offset_ms|, size_ms > 0."""

    def __init__(self, size: int, slide: int, offset: int) -> None:
        if abs(offset) >= slide or size <= 0:
            raise ConfigurationError(
                f"{type(self).__name__} parameters must satisfy abs(offset) < slide and size > 0, "
                f"got size {size} ms, slide {slide} ms, offset {offset} ms"
            )
        _check_span(self, "size", size)
        _check_span(self, "slide", slide)
        if size // slide > OVERLAP_MAX:
            raise ConfigurationError(
                f"{type(self).__name__}: a size of {size} ms and a slide of {slide} ms put each record into "
                f"{size // slide} windows; at most {OVERLAP_MAX}; choose a longer slide"
            )
        self._size = size
        self._slide = slide
        self._offset = offset
        self._windows: dict[int, TimeWindow] = {}

    @property
    def size_ms(self) -> int:
        return self._size

    @property
    def slide_ms(self) -> int:
        return self._slide

    @property
    def offset_ms(self) -> int:
        return self._offset

    @classmethod
    def of(cls, size: Any, slide: Any, offset: Any = None) -> Any:
        """Windows of `size`, one starting every `slide`: Time, Duration or int milliseconds."""
        return cls(milliseconds(size), milliseconds(slide), 0 if offset is None else milliseconds(offset))

    def _at(self, time_ms: int) -> list[TimeWindow]:
        size, cache = self._size, self._windows
        if len(cache) >= _CACHED_WINDOWS_MAX:
            cache.clear()
        last = time_ms - (time_ms - self._offset) % self._slide
        found = []
        for start in range(last, time_ms - size, -self._slide):
            window = cache.get(start)
            if window is None:
                window = cache[start] = TimeWindow(start, start + size)
            found.append(window)
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._size}, {self._slide}, {self._offset})"


class SlidingEventTimeWindows(_EventTime, _Sliding):
    """Sliding windows by the timestamps of the elements."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        return self._at(timestamp if timestamp > MIN_TIMESTAMP else _no_timestamp(self))


class SlidingProcessingTimeWindows(_ProcessingTime, _Sliding):
    """Sliding windows by the clock."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        return self._at(context.get_current_processing_time())


class SessionWindowTimeGapExtractor(ABC):
    """Says, for each element, how long its session stays open."""

    @abstractmethod
    def extract(self, element: Any) -> int:
        """The gap in milliseconds, > 0."""


class _Session(MergingWindowAssigner[Any, TimeWindow], _TimeWindows):
    def merge_windows(self, windows: Iterable[TimeWindow], callback: Any) -> None:
        TimeWindow.merge_windows(windows, callback)


class _StaticSession(_Session):
    def __init__(self, session_gap: int) -> None:
        if session_gap <= 0:
            raise ConfigurationError(
                f"{type(self).__name__} parameters must satisfy 0 < size, got {session_gap} ms"
            )
        _check_span(self, "gap", session_gap)
        self._session_gap = session_gap

    @property
    def gap_ms(self) -> int:
        return self._session_gap

    @classmethod
    def with_gap(cls, size: Any) -> Any:
        """Sessions that end after `size` without an element: Time, Duration or int milliseconds."""
        return cls(milliseconds(size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._session_gap})"


class _DynamicSession(_Session):
    def __init__(self, session_window_time_gap_extractor: Any) -> None:
        extractor = session_window_time_gap_extractor
        self._extract = extractor.extract if hasattr(extractor, "extract") else extractor
        if not callable(self._extract):
            raise ConfigurationError(
                f"{type(self).__name__} needs a SessionWindowTimeGapExtractor, got {extractor!r}"
            )

    @classmethod
    def with_dynamic_gap(cls, extractor: SessionWindowTimeGapExtractor) -> Any:
        """Sessions that end after the gap of their elements, which the extractor says."""
        return cls(extractor)

    def _window(self, element: Any, time_ms: int) -> list[TimeWindow]:
        gap_ms = self.gap_of(element)
        return [TimeWindow(time_ms, time_ms + gap_ms)]

    def gap_of(self, element: Any) -> int:
        """The gap of an element in milliseconds; DataError when it is none."""
        gap_ms = self._extract(element)
        try:
            gap_ms = index(gap_ms)
        except TypeError:
            raise DataError(
                f"Dynamic session time gap must be int milliseconds, got {gap_ms!r} for {element!r}"
            ) from None
        if not 0 < gap_ms <= SPAN_MS_MAX:
            raise DataError(
                f"Dynamic session time gap must satisfy 0 < gap <= {SPAN_MS_MAX}, got {gap_ms} for {element!r}"
            )
        return gap_ms

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class DynamicEventTimeSessionWindows(_EventTime, _DynamicSession):
    """Sessions by the timestamps of the elements, with a gap per element."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        return self._window(element, timestamp if timestamp > MIN_TIMESTAMP else _no_timestamp(self))


class DynamicProcessingTimeSessionWindows(_ProcessingTime, _DynamicSession):
    """Sessions by the clock, with a gap per element."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        return self._window(element, context.get_current_processing_time())


class EventTimeSessionWindows(_EventTime, _StaticSession):
    """Sessions by the timestamps of the elements."""

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicEventTimeSessionWindows:
        return DynamicEventTimeSessionWindows(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        start = timestamp if timestamp > MIN_TIMESTAMP else _no_timestamp(self)
        return [TimeWindow(start, start + self._session_gap)]


class ProcessingTimeSessionWindows(_ProcessingTime, _StaticSession):
    """Sessions by the clock."""

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicProcessingTimeSessionWindows:
        return DynamicProcessingTimeSessionWindows(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        start = context.get_current_processing_time()
        return [TimeWindow(start, start + self._session_gap)]


class GlobalWindows(WindowAssigner[Any, GlobalWindow]):
    """Everything in one window, which never fires by itself: use it with a trigger."""

    _WINDOWS = (GlobalWindow.get(),)

    @staticmethod
    def create() -> GlobalWindows:
        return GlobalWindows()

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[GlobalWindow]:
        return self._WINDOWS

    def get_default_trigger(self, env: Any) -> Trigger[Any, GlobalWindow]:
        return NeverTrigger()

    def get_window_serializer(self) -> TypeSerializer[GlobalWindow]:
        return GlobalWindowSerializer()

    def is_event_time(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "GlobalWindows()"


class _Counting(WindowAssigner[Any, CountWindow]):
    """Windows over counts of elements of a key. Each is complete when it fires, so it is purged then."""

    def __init__(self, window_size: int, state_name: str) -> None:
        _check_count(self, "window size", window_size)
        self._window_size = window_size
        self._count_descriptor = ValueStateDescriptor(state_name, None)

    @property
    def window_size(self) -> int:
        return self._window_size

    def _position(self, context: Any) -> int:
        """How many elements of the key came before this one."""
        state = context.get_runtime_context().get_state(self._count_descriptor)
        count = state.value() or 0
        state.update(count + 1)
        return count

    def get_default_trigger(self, env: Any) -> Trigger[Any, CountWindow]:
        return PurgingTrigger(CountTrigger(self._window_size))

    def get_window_serializer(self) -> TypeSerializer[CountWindow]:
        return CountWindowSerializer()

    def is_event_time(self) -> bool:
        return False


class CountTumblingWindowAssigner(_Counting):
    """Windows of a number of elements, side by side."""

    def __init__(self, window_size: int) -> None:
        super().__init__(window_size, "tumble-count-assigner")

    @staticmethod
    def of(window_size: int) -> CountTumblingWindowAssigner:
        return CountTumblingWindowAssigner(window_size)

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[CountWindow]:
        return [CountWindow(self._position(context) // self._window_size)]

    def __repr__(self) -> str:
        return f"CountTumblingWindowAssigner({self._window_size})"


class CountSlidingWindowAssigner(_Counting):
    """Windows of a number of elements, one starting every `window_slide` elements."""

    def __init__(self, window_size: int, window_slide: int) -> None:
        super().__init__(window_size, "slide-count-assigner")
        _check_count(self, "slide", window_slide)
        self._window_slide = window_slide

    @property
    def window_slide(self) -> int:
        return self._window_slide

    @staticmethod
    def of(window_size: int, window_slide: int) -> CountSlidingWindowAssigner:
        return CountSlidingWindowAssigner(window_size, window_slide)

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[CountWindow]:
        position = self._position(context)
        last = position // self._window_slide
        # Windows that began before the first element, with negative numbers, do not exist; Flink's rule.
        first = max(0, (position - self._window_size) // self._window_slide + 1)
        return [CountWindow(i) for i in range(last, first - 1, -1)]

    def __repr__(self) -> str:
        return f"CountSlidingWindowAssigner({self._window_size}, {self._window_slide})"


def _check_span(assigner: Any, what: str, span_ms: int) -> None:
    if span_ms > SPAN_MS_MAX:
        raise ConfigurationError(
            f"{type(assigner).__name__}: the {what} is at most {SPAN_MS_MAX} ms (73 million years), "
            f"got {span_ms} ms"
        )


def _check_count(assigner: Any, what: str, count: Any) -> None:
    if not isinstance(count, int) or not 0 < count <= SPAN_MS_MAX:
        raise ConfigurationError(
            f"{type(assigner).__name__}: the {what} must be positive and at most {SPAN_MS_MAX}, got {count!r}"
        )


def milliseconds(duration: Any) -> int:
    """Milliseconds of a Time, a Duration, a timedelta or a number of milliseconds."""
    for name in ("to_milliseconds", "to_millis"):
        if hasattr(duration, name):
            return int(getattr(duration, name)())
    if isinstance(duration, int) and not isinstance(duration, bool):
        return duration
    if hasattr(duration, "total_seconds"):
        return round(duration.total_seconds() * 1000)
    raise TypeError(f"expected Time, Duration or int milliseconds, got {duration!r}")


def _no_timestamp(assigner: Any) -> int:
    raise DataError(
        f"{assigner!r}: a record has no timestamp, so it belongs to no event-time window; did you forget "
        "to call 'data_stream.assign_timestamps_and_watermarks(...)'? Or use processing-time windows"
    )
