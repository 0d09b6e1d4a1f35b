# SPDX-License-Identifier: Apache-2.0
"""HybridSource: one source after the other as one stream, such as the history from files and then what is new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flinkcore.connectors.base import (
    Boundedness,
    Rows,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
)
from flinkcore.errors import ConfigurationError, SchemaError, StateFormatError

#: How often it is looked at whether the next source's turn has come.
SWITCH_POLL_MS = 10


@dataclass(frozen=True)
class HybridSplit(SourceSplit):
    """A split of the source at this place."""

    index: int
    split: SourceSplit

    @staticmethod
    def of(index: int, split: SourceSplit) -> HybridSplit:
        return HybridSplit(f"{index}:{split.split_id}", index, split)


@dataclass(frozen=True)
class HybridState:
    """Which source is being read, and what its enumerator remembers."""

    index: int
    state: Any


class HybridSource(Source):
    """Sources in turn: a record of one comes after all records of those before it.

    All but the last are bounded; all have one schema. A source is begun when every split of the one before has been
    read, so what is there by then is what it reads. Source: Flink, HybridSource

    ConfigurationError : a source before the last never ends, or they treat bad records differently
    SchemaError : their schemas differ
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise ConfigurationError("a hybrid source needs one source at least")
        for source in sources:
            if not isinstance(source, Source):
                raise ConfigurationError(f"a hybrid source is made of Sources, got {source!r}")
        *before, last = sources
        endless = [source for source in before if source.boundedness is not Boundedness.BOUNDED]
        if endless:
            raise ConfigurationError(
                f"{type(endless[0]).__name__} never ends, so no source comes after it; only the last may be unbounded"
            )
        for source in before:
            if source.schema != last.schema:
                raise SchemaError(
                    f"the sources of a hybrid source have one schema; {type(source).__name__} has {source.schema}, "
                    f"{type(last).__name__} has {last.schema}"
                )
            if source.bad_records != last.bad_records:
                raise ConfigurationError(
                    "the sources of a hybrid source treat bad records alike; they say "
                    f"{source.bad_records!r} and {last.bad_records!r}"
                )
        self.sources = tuple(sources)
        self.schema = last.schema
        self.boundedness = last.boundedness
        self.splits_at_once = last.splits_at_once
        self.waits = any(source.waits for source in sources)
        self.bad_records = last.bad_records
        self.not_replayable = next((s.not_replayable for s in sources if s.not_replayable), None)
        self.state_types = (HybridState, *(kind for source in sources for kind in source.state_types))

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return HybridEnumerator(self, parallelism, 0, self.sources[0].create_enumerator(parallelism))

    def restore_enumerator(self, parallelism: int, state: Any) -> SplitEnumerator:
        if not isinstance(state, HybridState) or not 0 <= state.index < len(self.sources):
            raise StateFormatError(
                f"the restored checkpoint is not one of a hybrid source of {len(self.sources)} sources: {state!r:.80}"
            )
        inner = self.sources[state.index].restore_enumerator(parallelism, state.state)
        return HybridEnumerator(self, parallelism, state.index, inner)

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, HybridSplit)
        return HybridReader(split, self.sources[split.index].create_reader(split.split, context))

    def check_restored(self, split: SourceSplit) -> None:
        assert isinstance(split, HybridSplit)
        if not 0 <= split.index < len(self.sources):
            raise StateFormatError(f"split '{split.split_id}' is of a source that the program does not have")
        self.sources[split.index].check_restored(split.split)


class HybridEnumerator(SplitEnumerator):
    """Hands out the splits of one source. The next one's turn comes when that has no more, every subtask has asked for
    one since the job began or went on, and none is being read.

    No turn comes while a checkpoint is being made: so the splits that readers have in it are all of one source.
    """

    def __init__(self, source: HybridSource, parallelism: int, index: int, inner: SplitEnumerator) -> None:
        self.source = source
        self.parallelism = parallelism
        self.index = index
        self.inner = inner
        self._polled = False
        self._due_ms: int | None = None  # when the inner enumerator is to look again
        self._asked: set[int] = set()
        self._reading: dict[str, int] = {}  # split -> subtask
        self._checkpointing = False

    @property
    def is_last(self) -> bool:
        return self.index == len(self.source.sources) - 1

    def poll(self, now_ms: int) -> int | None:
        if self._polled and not self.is_last and self._is_over():
            self.inner.close()
            self.index += 1
            self.inner = self.source.sources[self.index].create_enumerator(self.parallelism)
            self._polled = False
        if not self._polled or (self._due_ms is not None and now_ms >= self._due_ms):
            self._polled = True
            self._due_ms = self.inner.poll(now_ms)
        if self.is_last:
            return self._due_ms
        return min(now_ms + SWITCH_POLL_MS, now_ms + SWITCH_POLL_MS if self._due_ms is None else self._due_ms)

    def next_split(self, subtask_index: int) -> SourceSplit | None:
        self._asked.add(subtask_index)
        if not self.is_last and subtask_index in self._reading.values():
            return None  # bounded sources are read a split at a time
        split = self.inner.next_split(subtask_index)
        if split is None:
            return None
        taken = HybridSplit.of(self.index, split)
        self._reading[taken.split_id] = subtask_index
        return taken

    def split_restored(self, split: SourceSplit, subtask_index: int) -> None:
        self._reading[split.split_id] = subtask_index

    def split_finished(self, split: SourceSplit, subtask_index: int) -> None:
        self._reading.pop(split.split_id, None)

    def checkpoint_begun(self, begun: bool) -> None:
        self._checkpointing = begun

    def is_finished(self) -> bool:
        return self.is_last and self.inner.is_finished()

    def add_back(self, splits: Iterable[SourceSplit]) -> None:
        inner = []
        for split in splits:
            if not isinstance(split, HybridSplit) or split.index != self.index:
                raise StateFormatError(
                    f"split '{split.split_id}' is not of source {self.index} of the hybrid source"
                )
            self._reading.pop(split.split_id, None)
            inner.append(split.split)
        self.inner.add_back(inner)

    def snapshot(self) -> HybridState:
        return HybridState(self.index, self.inner.snapshot())

    def close(self) -> None:
        self.inner.close()

    def _is_over(self) -> bool:
        everybody = len(self._asked) == self.parallelism
        return self.inner.is_finished() and everybody and not self._reading and not self._checkpointing


class HybridReader(SourceReader):
    """Reads a split of one of the sources."""

    def __init__(self, split: HybridSplit, reader: SourceReader) -> None:
        self.split = split
        self.reader = reader

    def read(self, max_rows: int, timeout_ms: int) -> Rows | None:
        return self.reader.read(max_rows, timeout_ms)

    def position(self) -> SourceSplit:
        return replace(self.split, split=self.reader.position())

    def close(self) -> None:
        self.reader.close()
