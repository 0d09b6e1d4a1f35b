# SPDX-License-Identifier: Apache-2.0
"""Connectors of tables: what a TableDescriptor says as a source or a sink of the engine.

A connector is a function of the declaration that takes its options one by one; options that nobody took are errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from flinkcore.columnar.format import changelog_lines
from flinkcore.connectors.base import Sink, Source
from flinkcore.connectors.blackhole import BlackHoleSink
from flinkcore.connectors.print import PrintSink
from flinkcore.errors import ConfigurationError, UnsupportedOperationError
from flinkcore.table.connectors.datagen import datagen_source
from flinkcore.table.connectors.declaration import Declaration
from flinkcore.table.connectors.filesystem import filesystem_sink, filesystem_source

T = TypeVar("T")


@dataclass(frozen=True)
class Connected:
    """A source or sink. parallelism : how many subtasks its options ask for."""

    end: Source | Sink
    parallelism: int | None


def _print_sink(table: Declaration) -> Sink:
    return PrintSink(
        table.option("print-identifier", "string"),
        table.option("standard-error", "boolean", False),
        changelog_lines,
    )


def _blackhole_sink(table: Declaration) -> Sink:
    return BlackHoleSink()


_SOURCES: dict[str, Callable[[Declaration], Source]] = {
    "datagen": datagen_source,
    "filesystem": filesystem_source,
}
_SINKS: dict[str, Callable[[Declaration], Sink]] = {
    "blackhole": _blackhole_sink,
    "filesystem": filesystem_sink,
    "print": _print_sink,
}


def source_of(table: Declaration) -> Connected:
    """What a table is read with. ConfigurationError, with what there is, for an unknown connector or option."""
    source = _found(table, _SOURCES, "read", _SINKS)(table)
    return _connected(table, source, "scan.parallelism")


def sink_of(table: Declaration) -> Connected:
    """What a table is written with. ConfigurationError, with what there is, for an unknown connector or option."""
    sink = _found(table, _SINKS, "written", _SOURCES)(table)
    return _connected(table, sink, "sink.parallelism")


def _connected(table: Declaration, end: Source | Sink, parallelism_key: str) -> Connected:
    parallelism = table.option(parallelism_key, "int")
    if parallelism is not None and parallelism < 1:
        raise ConfigurationError(f"table '{table.name}': {parallelism_key} must be positive, got {parallelism}")
    table.check_options()
    return Connected(end, parallelism)


def _found(table: Declaration, connectors: Mapping[str, T], verb: str, others: Iterable[str]) -> T:
    name = table.required("connector", "string")
    if name in connectors:
        return connectors[name]
    if name in others:
        raise UnsupportedOperationError(
            f"table '{table.name}': tables of connector '{name}' cannot be {verb}; "
            f"those that can: {', '.join(sorted(connectors))}"
        )
    raise ConfigurationError(
        f"table '{table.name}': there is no connector '{name}' for tables; there are "
        f"{', '.join(sorted({*connectors, *others}))}"
    )
