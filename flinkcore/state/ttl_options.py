# SPDX-License-Identifier: Apache-2.0
"""The choices of a state's time to live: what prolongs it, what is visible, how it is cleaned up."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Any


class UpdateType(Enum):
    """What prolongs a value's life."""

    Disabled = 0
    OnCreateAndWrite = 1
    OnReadAndWrite = 2


class StateVisibility(Enum):
    """Whether a value that expired, but is still there, may be read once more."""

    ReturnExpiredIfNotCleanedUp = 0
    NeverReturnExpired = 1


class TtlTimeCharacteristic(Enum):
    """The time that counts; Flink has only this one."""

    ProcessingTime = 0


class CleanupStrategy:
    """The base of the strategies below."""


class EmptyCleanupStrategy(CleanupStrategy):
    """A strategy without parameters."""


class IncrementalCleanupStrategy(CleanupStrategy):
    """Look at `cleanup_size` keys at each access of the state and remove what expired."""

    def __init__(self, cleanup_size: int, run_cleanup_for_every_record: bool) -> None:
        self._cleanup_size = cleanup_size
        self._run_cleanup_for_every_record = run_cleanup_for_every_record

    def get_cleanup_size(self) -> int:
        return self._cleanup_size

    def run_cleanup_for_every_record(self) -> bool:
        return self._run_cleanup_for_every_record


class RocksdbCompactFilterCleanupStrategy(CleanupStrategy):
    """Accepted for programs written for RocksDB; there is no compaction here, so it cleans nothing."""

    def __init__(self, query_time_after_num_entries: int, periodic_compaction_time: Any = None) -> None:
        self._query_time_after_num_entries = query_time_after_num_entries
        self._periodic_compaction_time = periodic_compaction_time or timedelta(days=30)

    def get_query_time_after_num_entries(self) -> int:
        return self._query_time_after_num_entries

    def get_periodic_compaction_time(self) -> Any:
        return self._periodic_compaction_time


class Strategies(Enum):
    """The kinds of cleanup that a user can ask for."""

    FULL_STATE_SCAN_SNAPSHOT = 0
    INCREMENTAL_CLEANUP = 1
    ROCKSDB_COMPACTION_FILTER = 2
