# SPDX-License-Identifier: Apache-2.0
"""Connectors with PyFlink's names (pyflink.datastream.connectors)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flinkcore.datastream.connectors.base import DeliveryGuarantee, Sink, Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]

#: What PyFlink had here up to 1.15, by the module that has it now.
_OLDER = {
    "file_system": (
        "BucketAssigner",
        "FileEnumeratorProvider",
        "FileSink",
        "FileSource",
        "FileSourceBuilder",
        "FileSplitAssignerProvider",
        "OutputFileConfig",
        "RollingPolicy",
        "StreamFormat",
        "StreamingFileSink",
    ),
    "jdbc": ("JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"),
    "kafka": (
        "FlinkKafkaConsumer",
        "FlinkKafkaConsumerBase",
        "FlinkKafkaProducer",
        "FlinkKafkaProducerBase",
        "Semantic",
    ),
    "number_seq": ("NumberSequenceSource",),
}


def __getattr__(name: str) -> Any:
    for module, names in _OLDER.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
