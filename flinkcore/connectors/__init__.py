# SPDX-License-Identifier: Apache-2.0
"""Sources and sinks: the public interface (base) and one module or folder for each connector."""

from flinkcore.connectors.base import (
    AssignedSplits,
    Boundedness,
    Committer,
    RangeSplit,
    Sink,
    SinkContext,
    SinkWriter,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
    WriteContext,
)

__all__ = [
    "AssignedSplits",
    "Boundedness",
    "Committer",
    "RangeSplit",
    "Sink",
    "SinkContext",
    "SinkWriter",
    "Source",
    "SourceContext",
    "SourceReader",
    "SourceSplit",
    "SplitEnumerator",
    "SplitQueue",
    "WriteContext",
]
