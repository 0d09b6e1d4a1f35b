# SPDX-License-Identifier: Apache-2.0
"""What the tests of the DataStream API are made with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

from flinkcore.common import WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner
from flinkcore.datastream import DataStream, KeyedStream, StreamExecutionEnvironment


def environment(parallelism: int = 1) -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(parallelism)


def collected(stream: DataStream) -> list[Any]:
    """All records of a stream."""
    with stream.execute_and_collect() as results:
        return list(results)


def table_of(stream: DataStream) -> dict[str, list[Any]]:
    """All columns of a stream."""
    return stream.execute_and_collect_arrow().read_all().to_pydict()


def printed(env: StreamExecutionEnvironment) -> list[str]:
    """The lines that a job prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        env.execute()
    return text.getvalue().splitlines()


def objects(values: Any = (1, 2, 3)) -> DataStream:
    """A stream of Python objects."""
    return environment().from_collection(list(values))


def numbers(**columns: Any) -> DataStream:
    """A stream of columns; without any, a: 1, 2, 3."""
    return environment().from_arrow(columns or {"a": [1, 2, 3]})


def keyed(values: Any = (1, 2, 3)) -> KeyedStream:
    """A stream of Python objects that have one key."""
    return objects(values).key_by(lambda value: 0)


class _Assigner(TimestampAssigner):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def extract_timestamp(self, value: Any, record_timestamp: int) -> Any:
        return self.function(value)


def by(function: Callable[[Any], Any]) -> WatermarkStrategy:
    """Ascending timestamps that a function of the record gives."""
    return WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(_Assigner(function))
