# SPDX-License-Identifier: Apache-2.0
"""Time to live of state: the user's configuration (PyFlink: StateTtlConfig), and the decision it leads to."""

from __future__ import annotations

from typing import Any, TypeAlias

from flinkcore.state import ttl_options as option


class _CleanupStrategies:
    """When expired state is removed, beyond its next access."""

    Strategies: TypeAlias = option.Strategies
    CleanupStrategy: TypeAlias = option.CleanupStrategy
    EmptyCleanupStrategy: TypeAlias = option.EmptyCleanupStrategy
    IncrementalCleanupStrategy: TypeAlias = option.IncrementalCleanupStrategy
    RocksdbCompactFilterCleanupStrategy: TypeAlias = option.RocksdbCompactFilterCleanupStrategy
    EMPTY_STRATEGY = option.EmptyCleanupStrategy()

    def __init__(
        self, strategies: dict[option.Strategies, option.CleanupStrategy], is_cleanup_in_background: bool
    ) -> None:
        self._strategies = dict(strategies)
        self._is_cleanup_in_background = is_cleanup_in_background

    def is_cleanup_in_background(self) -> bool:
        return self._is_cleanup_in_background

    def in_full_snapshot(self) -> bool:
        return option.Strategies.FULL_STATE_SCAN_SNAPSHOT in self._strategies

    def get_incremental_cleanup_strategy(self) -> Any:
        default = option.IncrementalCleanupStrategy(5, False) if self._is_cleanup_in_background else None
        return self._strategies.get(option.Strategies.INCREMENTAL_CLEANUP, default)

    def get_rocksdb_compact_filter_cleanup_strategy(self) -> Any:
        default = option.RocksdbCompactFilterCleanupStrategy(1000) if self._is_cleanup_in_background else None
        return self._strategies.get(option.Strategies.ROCKSDB_COMPACTION_FILTER, default)


class _Builder:
    """Builds a StateTtlConfig; without further calls: prolonged by writes, expired values never returned."""

    def __init__(self, ttl: Any) -> None:
        self._ttl = ttl
        self._update_type = option.UpdateType.OnCreateAndWrite
        self._state_visibility = option.StateVisibility.NeverReturnExpired
        self._ttl_time_characteristic = option.TtlTimeCharacteristic.ProcessingTime
        self._is_cleanup_in_background = True
        self._strategies: dict[option.Strategies, option.CleanupStrategy] = {}

    def set_update_type(self, update_type: option.UpdateType) -> _Builder:
        self._update_type = update_type
        return self

    def update_ttl_on_create_and_write(self) -> _Builder:
        return self.set_update_type(option.UpdateType.OnCreateAndWrite)

    def update_ttl_on_read_and_write(self) -> _Builder:
        return self.set_update_type(option.UpdateType.OnReadAndWrite)

    def set_state_visibility(self, state_visibility: option.StateVisibility) -> _Builder:
        self._state_visibility = state_visibility
        return self

    def return_expired_if_not_cleaned_up(self) -> _Builder:
        return self.set_state_visibility(option.StateVisibility.ReturnExpiredIfNotCleanedUp)

    def never_return_expired(self) -> _Builder:
        return self.set_state_visibility(option.StateVisibility.NeverReturnExpired)

    def set_ttl_time_characteristic(self, ttl_time_characteristic: option.TtlTimeCharacteristic) -> _Builder:
        self._ttl_time_characteristic = ttl_time_characteristic
        return self

    def use_processing_time(self) -> _Builder:
        return self.set_ttl_time_characteristic(option.TtlTimeCharacteristic.ProcessingTime)

    def cleanup_full_snapshot(self) -> _Builder:
        self._strategies[option.Strategies.FULL_STATE_SCAN_SNAPSHOT] = _CleanupStrategies.EMPTY_STRATEGY
        return self

    def cleanup_incrementally(self, cleanup_size: int, run_cleanup_for_every_record: bool) -> _Builder:
        self._strategies[option.Strategies.INCREMENTAL_CLEANUP] = option.IncrementalCleanupStrategy(
            cleanup_size, run_cleanup_for_every_record
        )
        return self

    def cleanup_in_rocksdb_compact_filter(
        self, query_time_after_num_entries: int, periodic_compaction_time: Any = None
    ) -> _Builder:
        self._strategies[option.Strategies.ROCKSDB_COMPACTION_FILTER] = (
            option.RocksdbCompactFilterCleanupStrategy(query_time_after_num_entries, periodic_compaction_time)
        )
        return self

    def disable_cleanup_in_background(self) -> _Builder:
        self._is_cleanup_in_background = False
        return self

    def set_ttl(self, ttl: Any) -> _Builder:
        self._ttl = ttl
        return self

    def build(self) -> StateTtlConfig:
        return StateTtlConfig(
            self._update_type,
            self._state_visibility,
            self._ttl_time_characteristic,
            self._ttl,
            _CleanupStrategies(self._strategies, self._is_cleanup_in_background),
        )


class StateTtlConfig:
    """How long state lives after it was last written (or read).

    ttl : anything with to_milliseconds() or to_millis(): Time or Duration; > 0
    """

    UpdateType: TypeAlias = option.UpdateType
    StateVisibility: TypeAlias = option.StateVisibility
    TtlTimeCharacteristic: TypeAlias = option.TtlTimeCharacteristic
    CleanupStrategies: TypeAlias = _CleanupStrategies
    Builder: TypeAlias = _Builder

    def __init__(
        self,
        update_type: option.UpdateType,
        state_visibility: option.StateVisibility,
        ttl_time_characteristic: option.TtlTimeCharacteristic,
        ttl: Any,
        cleanup_strategies: _CleanupStrategies,
    ) -> None:
        self._update_type = update_type
        self._state_visibility = state_visibility
        self._ttl_time_characteristic = ttl_time_characteristic
        self._ttl = ttl
        self._cleanup_strategies = cleanup_strategies

    @staticmethod
    def new_builder(ttl: Any) -> _Builder:
        return _Builder(ttl)

    def get_update_type(self) -> option.UpdateType:
        return self._update_type

    def get_state_visibility(self) -> option.StateVisibility:
        return self._state_visibility

    def get_ttl(self) -> Any:
        return self._ttl

    def get_ttl_time_characteristic(self) -> option.TtlTimeCharacteristic:
        return self._ttl_time_characteristic

    def is_enabled(self) -> bool:
        return self._update_type is not option.UpdateType.Disabled

    def get_cleanup_strategies(self) -> _CleanupStrategies:
        return self._cleanup_strategies

    @property
    def ttl_ms(self) -> int:
        """The time to live in milliseconds. Beyond PyFlink."""
        ttl = self._ttl
        return int(ttl.to_milliseconds() if hasattr(ttl, "to_milliseconds") else ttl.to_millis())

    def __repr__(self) -> str:
        return (
            f"StateTtlConfig<update_type={self._update_type}, state_visibility={self._state_visibility},"
            f"ttl_time_characteristic ={self._ttl_time_characteristic},ttl={self._ttl}>"
        )
