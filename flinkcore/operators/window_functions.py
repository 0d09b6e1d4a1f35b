# SPDX-License-Identifier: Apache-2.0
"""How the contents of a window are kept, and what its function is called with when the window fires."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flinkcore._native.values import detached, detached_list
from flinkcore.errors import ConfigurationError
from flinkcore.operators.functions import (
    AggregateFunction,
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
    as_reduce_function,
)
from flinkcore.operators.window_contexts import WindowContext
from flinkcore.state.codec import Codec
from flinkcore.state.content import Content
from flinkcore.state.keyed import KeyedState
from flinkcore.state.table import Rows, Table

#: A window function in one shape: (key, window, context, elements) -> results.
Evaluate = Callable[[Any, Any, WindowContext, list[Any]], "Iterable[Any] | None"]


#: The name in the operator's state of what windows of rows hold.
CONTENTS = "table/window-contents"


class WindowContents:
    """The elements of windows, by state window and group id: all of them.

    element : codec of an element, as the window keeps it
    """

    kind = "list"
    table: Table

    def __init__(self, element: Codec) -> None:
        self._element = element

    def bind(self, state: KeyedState, window: Codec) -> None:
        """Makes the table to keep them in; called when the operator opens. window : codec of windows"""
        content = Content(self.kind, self._element, owned=self.kind == "list")
        self.table = state.table(CONTENTS.partition("/")[2], content, window)
        self._hold = state.hold

    def add(self, window: Any, group_id: int, row: Any) -> None:
        """Adds an element to a window."""
        if self.add_to(self.table.writable(window), group_id, row):
            self._hold(group_id)

    def add_to(self, rows: Rows, group_id: int, row: Any) -> bool:
        """Adds an element to the writable rows of a window; True when it is the first of its key."""
        if rows.touched is not None and group_id not in rows.touched:
            self.table.touch(rows, group_id)
        found = rows.get(group_id)
        if found is None:
            rows[group_id] = [row]
            return True
        found.append(row)
        return False

    def elements(self, window: Any, group_id: int) -> list[Any] | None:
        """What the window function is given; None when the window is empty."""
        found = self.table.get(window, group_id)
        return None if found is None else detached_list(found)

    def taken(self, window: Any, group_id: int) -> list[Any] | None:
        """elements() of a window that is over: no copies, unless a snapshot is still to be written of them."""
        found = self.table.take(window, group_id)
        return detached_list(found) if found is not None and self.table.is_awaited else found

    def clear(self, window: Any, group_id: int) -> None:
        self.table.take(window, group_id)

    def merge(self, target: Any, sources: Iterable[Any], group_id: int) -> None:
        """The contents of `sources` become part of those of `target`."""
        merged = self.table.edit(target, group_id)
        for source in sources:
            found = self.table.take(source, group_id)
            if found is not None:
                merged = found if merged is None else self._merged(merged, found)
        if merged is not None:
            self.table.put(target, group_id, merged)

    def _merged(self, one: Any, other: Any) -> Any:
        return one + other

    def call(self, before: Any, row: Any) -> Any:
        """What the contents of a window, or None, become with one more element."""
        return [*(before or ()), row]


class _Combined(WindowContents):
    """One value per window."""

    def add_to(self, rows: Rows, group_id: int, row: Any) -> bool:
        if rows.touched is not None and group_id not in rows.touched:
            self.table.touch(rows, group_id)
        found = rows.get(group_id)
        rows[group_id] = self._combined(found, row)
        return found is None

    def _combined(self, before: Any, row: Any) -> Any:
        raise NotImplementedError

    def call(self, before: Any, row: Any) -> Any:
        return self._combined(before, row)


class ReducedContents(_Combined):
    """Elements combined by a ReduceFunction as they come."""

    kind = "reducing"

    def __init__(self, function: Any, element: Codec) -> None:
        super().__init__(element)
        self._reduce: Any = as_reduce_function(function).reduce if hasattr(function, "reduce") else function

    def _merged(self, one: Any, other: Any) -> Any:
        return self._reduce(one, other)

    def add_to(self, rows: Rows, group_id: int, row: Any) -> bool:
        if rows.touched is not None and group_id not in rows.touched:
            self.table.touch(rows, group_id)
        found = rows.get(group_id)
        if found is None:
            rows[group_id] = detached(row)  # the element may lie in other windows, too
            return True
        rows[group_id] = self._combined(found, row)
        return False

    def _combined(self, before: Any, row: Any) -> Any:
        after = self._reduce(before, row)
        if after is None and row is not None:  # a window without a value gives no result: all would be lost
            raise TypeError("reduce returned None for two values; does it lack a return?")
        return after

    def call(self, before: Any, row: Any) -> Any:
        return row if before is None else self._combined(before, row)

    def elements(self, window: Any, group_id: int) -> list[Any] | None:
        found = self.table.get(window, group_id)
        return None if found is None else [detached(found)]


class AggregatedContents(_Combined):
    """Elements added to an accumulator as they come."""

    kind = "aggregating"

    def __init__(
        self, function: AggregateFunction, accumulator: Codec, convert: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__(accumulator)
        self._function = function
        self._convert = convert

    def _combined(self, before: Any, row: Any) -> Any:
        function = self._function
        if before is None:
            before = function.create_accumulator()
        after = function.add(row, before)
        if (
            after is None and before is not None
        ):  # a window without an accumulator gives no result, as in Flink
            raise TypeError(f"add returned None for the accumulator {before!r}; does it lack a return?")
        return after if self._convert is None else self._convert(after)

    def _merged(self, one: Any, other: Any) -> Any:
        after = self._function.merge(one, other)
        return after if self._convert is None else self._convert(after)

    def elements(self, window: Any, group_id: int) -> list[Any] | None:
        found = self.table.get(window, group_id)
        return None if found is None else [detached(self._function.get_result(found))]


def evaluator(function: Any) -> Evaluate:
    """A window function of any kind in one shape; None passes the elements on."""
    if function is None:
        return lambda key, window, context, elements: elements
    if isinstance(function, WindowFunction):
        return lambda key, window, context, elements: function.apply(key, window, elements)
    if isinstance(function, AllWindowFunction):
        return lambda key, window, context, elements: function.apply(window, elements)
    if isinstance(function, ProcessWindowFunction):
        return lambda key, window, context, elements: function.process(key, context, elements)
    if isinstance(function, ProcessAllWindowFunction):
        return lambda key, window, context, elements: function.process(context, elements)
    raise ConfigurationError(
        "expected a WindowFunction, AllWindowFunction, ProcessWindowFunction or "
        f"ProcessAllWindowFunction, got {function!r}"
    )
