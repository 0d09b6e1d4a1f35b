# SPDX-License-Identifier: Apache-2.0
"""Connectors that programs may name and configure, and that cannot run here: they say so when they meet a stream.

Their modules have PyFlink's classes with PyFlink's signatures. What a program says is taken down as it says it:

    KafkaSource.builder().set_group_id("g").build().settings == {"set_group_id": {"group_id": "g"}}
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TypeVar

from flinkcore.connectors.base import (
    Sink,
    SinkContext,
    SinkWriter,
    Source,
    SourceContext,
    SourceReader,
    SplitEnumerator,
)
from flinkcore.errors import UnsupportedOperationError

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound="Settings")


class Settings:
    """What a program has said, in `settings`: by the name of the method, its arguments by their names."""

    settings: dict[str, dict[str, Any]]

    def __init__(self) -> None:
        self.settings = {}

    @classmethod
    def _of(cls: type[C], *said: Settings, **settings: dict[str, Any]) -> C:
        """One that has been told all that others were, and further settings."""
        made = cls.__new__(cls)
        made.settings = {}
        for other in said:
            made.settings.update(other.settings)
        made.settings.update(settings)
        return made

    def _value(self, setter: str, default: Any = None) -> Any:
        """The argument of a setter that has one."""
        return next(iter(self.settings[setter].values())) if setter in self.settings else default

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.settings)})"


def setting(method: F) -> F:
    """A method that takes down its arguments and returns its object; what it does beyond that is written in it."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def say(self: Settings, *args: Any, **kwargs: Any) -> Settings:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()
        self.settings[method.__name__] = dict(arguments)
        method(self, *args, **kwargs)
        return self

    return say  # type: ignore[return-value]


class Unavailable(Settings):
    """A connector that cannot run here.

    connector : what it connects to;  instead : what a program can do
    """

    connector: ClassVar[str]
    instead: ClassVar[str]

    def refuse(self) -> NoReturn:
        """UnsupportedOperationError: what is missing, and what to use."""
        raise UnsupportedOperationError(
            f"{type(self).__name__} cannot run: flinkcore has no connector to {self.connector} yet. {self.instead}"
        )


OWN_SOURCE = (
    "Read with a Source of your own over a client library (docs/writing-connectors.md has one that reads the "
    "partitions of a log), or bring the records in as files (FileSource)"
)
OWN_SINK = (
    "Write with a Sink of your own over a client library (docs/writing-connectors.md has one with exactly-once "
    "results), or write files (FileSink)"
)


class UnavailableSource(Unavailable, Source):
    """A source that cannot run here."""

    instead = OWN_SOURCE

    def get_source(self) -> Source:
        self.refuse()

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        self.refuse()

    def create_reader(self, split: Any, context: SourceContext) -> SourceReader:
        self.refuse()


class UnavailableSink(Unavailable, Sink):
    """A sink that cannot run here."""

    instead = OWN_SINK

    def get_sink(self) -> Sink:
        self.refuse()

    def create_writer(self, context: SinkContext) -> SinkWriter:
        self.refuse()
