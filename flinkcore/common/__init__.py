# SPDX-License-Identifier: Apache-2.0
"""What streams and tables share: types, rows, time, configuration, watermarks, jobs (pyflink.common).

Importing this package imports neither NumPy nor pyarrow.
"""

from __future__ import annotations

from typing import Any

from flinkcore.common import serialization
from flinkcore.common.completable_future import CompletableFuture
from flinkcore.common.config_options import ConfigOption, ConfigOptions
from flinkcore.common.configuration import Configuration
from flinkcore.common.execution_config import ExecutionConfig
from flinkcore.common.input_dependency_constraint import InputDependencyConstraint
from flinkcore.common.job_client import JobClient
from flinkcore.common.job_execution_result import JobExecutionResult
from flinkcore.common.job_id import JobID
from flinkcore.common.job_status import JobStatus
from flinkcore.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration
from flinkcore.common.serialization import (
    ByteArraySchema,
    DeserializationSchema,
    Encoder,
    SerializationSchema,
    SimpleStringSchema,
)
from flinkcore.common.serializer import TypeSerializer
from flinkcore.common.time import Duration, Instant, Time
from flinkcore.common.typeinfo import TypeInformation, Types
from flinkcore.common.types import Row, RowKind
from flinkcore.common.watermark_strategy import AssignerWithPeriodicWatermarksWrapper, WatermarkStrategy

__all__ = [
    "AssignerWithPeriodicWatermarksWrapper",
    "ByteArraySchema",
    "CompletableFuture",
    "ConfigOption",
    "ConfigOptions",
    "Configuration",
    "DeserializationSchema",
    "Duration",
    "Encoder",
    "ExecutionConfig",
    "InputDependencyConstraint",
    "Instant",
    "JobClient",
    "JobExecutionResult",
    "JobID",
    "JobStatus",
    "RestartStrategies",
    "RestartStrategyConfiguration",
    "Row",
    "RowKind",
    "SerializationSchema",
    "SimpleStringSchema",
    "Time",
    "TypeInformation",
    "TypeSerializer",
    "Types",
    "WatermarkStrategy",
]


def __getattr__(name: str) -> Any:
    # PyFlink 1.13 has its schemas of rows here, too.
    if name.endswith(("RowSerializationSchema", "RowDeserializationSchema")):
        return getattr(serialization, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
