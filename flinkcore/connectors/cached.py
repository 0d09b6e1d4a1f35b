# SPDX-License-Identifier: Apache-2.0
"""The batches that an earlier job kept, as a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import (
    AssignedSplits,
    RangeSplit,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
)
from flinkcore.connectors.collection import BatchReader


class CachedSource(Source):
    """The rows of each subtask of the job that kept them, in their order, for the subtask of the same index.

    parts : batches by subtask, with their timestamps and row kinds
    """

    waits = False

    def __init__(self, schema: Schema, parts: Mapping[int, Sequence[Batch]]) -> None:
        self.schema = schema
        self.parts = [Batch.concat(batches) if batches else Batch.empty(schema) for _, batches in sorted(parts.items())]

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        splits = (RangeSplit(f"part-{i}", 0, part.num_rows) for i, part in enumerate(self.parts))
        return AssignedSplits(splits, parallelism)

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        return BatchReader(self.parts[int(split.split_id.removeprefix("part-"))], split)
