# SPDX-License-Identifier: Apache-2.0
"""What simulated processes leave to the world outside: results, each of which a reader sees once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flinkcore import faultpoint
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.connectors.base import Committer, Sink, SinkContext, SinkWriter
from flinkcore.errors import ConnectorError


@dataclass(frozen=True)
class Piece:
    """A committable: the results of one writer between two checkpoints."""

    number: int


@dataclass
class Results:
    """Outlasts the processes that write to it, as a folder of files does. One writer's pieces are numbered in order."""

    prepared: dict[int, list[Batch]] = field(default_factory=dict)
    committed: dict[int, list[Batch]] = field(default_factory=dict)
    next_number: int = 0

    def batches(self) -> list[Batch]:
        """What a reader sees, in the order in which it was prepared."""
        return [batch for number in sorted(self.committed) for batch in self.committed[number]]

    def records(self) -> list[Any]:
        return [row for batch in self.batches() for row in to_rows(batch)]


class TransactionalSink(Sink):
    """Writes to Results exactly once (two-phase commit). One object for each process that runs the job."""

    takes_batches = True
    committable_types = (Piece,)

    def __init__(self, results: Results) -> None:
        self.results = results
        self.own: set[int] = set()  # prepared by writers of this process that are open

    def create_writer(self, context: SinkContext) -> SinkWriter:
        return _Writer(self)

    def create_committer(self) -> Committer:
        return _Committer(self.results)

    def remove_leftovers(self, context: SinkContext) -> None:
        for number in [number for number in self.results.prepared if number not in self.own]:
            del self.results.prepared[number]


class _Writer(SinkWriter):
    """What it holds goes with a crash until persist()."""

    def __init__(self, sink: TransactionalSink) -> None:
        self.sink = sink
        self.written: list[Batch] = []
        self.pieces: dict[int, list[Batch]] = {}
        self.numbers: list[int] = []

    def write_batch(self, batch: Batch) -> None:
        self.written.append(batch)

    def prepare_commit(self) -> list[Any]:
        if not self.written:
            return []
        number = self.sink.results.next_number
        self.sink.results.next_number += 1
        self.pieces[number], self.written = self.written, []
        self.numbers.append(number)
        self.sink.own.add(number)
        return [Piece(number)]

    def persist(self, committables: list[Any]) -> None:
        for piece in committables:
            batches = self.pieces.pop(piece.number, None)
            if batches is not None:
                self.sink.results.prepared[piece.number] = batches

    def close(self) -> None:
        self.sink.own.difference_update(self.numbers)


class _Committer(Committer):
    def __init__(self, results: Results) -> None:
        self.results = results

    def commit(self, committables: list[Any]) -> None:
        for piece in committables:
            if piece.number not in self.results.committed:
                batches = self.results.prepared.pop(piece.number, None)
                if batches is None:
                    raise ConnectorError(
                        f"results {piece.number}, which a checkpoint holds, were removed before they were committed"
                    )
                self.results.committed[piece.number] = batches
            faultpoint.reached("commit.moved")


__all__ = ["Piece", "Results", "TransactionalSink"]
