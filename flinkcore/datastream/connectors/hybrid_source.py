# SPDX-License-Identifier: Apache-2.0
"""Sources one after the other (pyflink.datastream.connectors.hybrid_source)."""

from __future__ import annotations

from typing import Any

from flinkcore.connectors import hybrid
from flinkcore.connectors.base import Source

__all__ = ["HybridSource", "HybridSourceBuilder"]


class HybridSource(hybrid.HybridSource):
    """One source after the other as one stream: HybridSource.builder(first).add_source(second).build()."""

    @staticmethod
    def builder(first_source: Source) -> HybridSourceBuilder:
        return HybridSourceBuilder(first_source)


class HybridSourceBuilder:
    """Collects a HybridSource."""

    def __init__(self, first_source: Any) -> None:
        self._sources: list[Any] = []
        self.add_source(first_source)

    def add_source(self, source: Source) -> HybridSourceBuilder:
        """A source that is read when those before it have ended."""
        self._sources.append(getattr(source, "get_source", lambda: source)())
        return self

    def build(self) -> HybridSource:
        return HybridSource(self._sources)
