# SPDX-License-Identifier: Apache-2.0
"""RestartStrategies: what happens when a job fails."""

from __future__ import annotations

from datetime import timedelta

from flinkcore import options
from flinkcore.common.time import Duration
from flinkcore.config import Configuration

__all__ = ["RestartStrategies", "RestartStrategyConfiguration"]


class RestartStrategyConfiguration:
    """A restart strategy as a value."""

    def __init__(self, kind: str, *parts: object) -> None:
        self._kind = kind
        self._parts = parts

    def get_description(self) -> str:
        """The strategy in words."""
        return "Cluster level default restart strategy"

    def add_to(self, configuration: Configuration) -> None:
        """Set Flink's options for this strategy. Beyond PyFlink."""
        configuration.set(options.RESTART_STRATEGY, self._kind)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RestartStrategyConfiguration) and (self._kind, self._parts) == (
            other._kind,
            other._parts,
        )

    def __hash__(self) -> int:
        return hash((self._kind, self._parts))

    def __repr__(self) -> str:
        return f"<{self.get_description()}>"


class RestartStrategies:
    """Makes restart strategies."""

    class NoRestartStrategyConfiguration(RestartStrategyConfiguration):
        """A failure ends the job."""

        def __init__(self) -> None:
            super().__init__("none")

        def get_description(self) -> str:
            return "Restart deactivated."

    class FixedDelayRestartStrategyConfiguration(RestartStrategyConfiguration):
        """So many restarts, each after the same delay."""

        def __init__(
            self,
            restart_attempts: int | None = None,
            delay_between_attempts_interval: timedelta | int | None = None,
        ) -> None:
            self._attempts = restart_attempts or 0
            self._delay_ms = _millis("delay_between_attempts_interval", delay_between_attempts_interval)
            super().__init__("fixed-delay", self._attempts, self._delay_ms)

        def get_restart_attempts(self) -> int:
            return self._attempts

        def get_delay_between_attempts_interval(self) -> timedelta:
            return timedelta(milliseconds=self._delay_ms)

        def get_description(self) -> str:
            delay = Duration.of_millis(self._delay_ms)
            return f"Restart with fixed delay ({delay}). #{self._attempts} restart attempts."

        def add_to(self, configuration: Configuration) -> None:
            super().add_to(configuration)
            configuration.set(options.RESTART_ATTEMPTS, self._attempts)
            configuration.set(options.RESTART_DELAY, timedelta(milliseconds=self._delay_ms))

    class FailureRateRestartStrategyConfiguration(RestartStrategyConfiguration):
        """Restarts until there are too many failures within an interval."""

        def __init__(
            self,
            max_failure_rate: int | None = None,
            failure_interval: timedelta | int | None = None,
            delay_between_attempts_interval: timedelta | int | None = None,
        ) -> None:
            self._failures = max_failure_rate or 0
            self._interval_ms = _millis("failure_interval", failure_interval)
            self._delay_ms = _millis("delay_between_attempts_interval", delay_between_attempts_interval)
            super().__init__("failure-rate", self._failures, self._interval_ms, self._delay_ms)

        def get_max_failure_rate(self) -> int:
            return self._failures

        def get_failure_interval(self) -> timedelta:
            return timedelta(milliseconds=self._interval_ms)

        def get_delay_between_attempts_interval(self) -> timedelta:
            return timedelta(milliseconds=self._delay_ms)

        def get_description(self) -> str:
            interval, delay = Duration.of_millis(self._interval_ms), Duration.of_millis(self._delay_ms)
            return (
                f"Failure rate restart with maximum of {self._failures} failures within interval {interval} "
                f"and fixed delay {delay}."
            )

        def add_to(self, configuration: Configuration) -> None:
            super().add_to(configuration)
            configuration.set(options.RESTART_FAILURES_PER_INTERVAL, self._failures)
            configuration.set(options.RESTART_FAILURE_INTERVAL, timedelta(milliseconds=self._interval_ms))
            configuration.set(options.RESTART_FAILURE_DELAY, timedelta(milliseconds=self._delay_ms))

    class FallbackRestartStrategyConfiguration(RestartStrategyConfiguration):
        """What the configuration says."""

        def __init__(self) -> None:
            super().__init__("fallback")

        def add_to(self, configuration: Configuration) -> None:
            configuration.remove_config(options.RESTART_STRATEGY.key)

    @staticmethod
    def no_restart() -> RestartStrategies.NoRestartStrategyConfiguration:
        """A failure ends the job."""
        return RestartStrategies.NoRestartStrategyConfiguration()

    @staticmethod
    def fall_back_restart() -> RestartStrategies.FallbackRestartStrategyConfiguration:
        """What the configuration says."""
        return RestartStrategies.FallbackRestartStrategyConfiguration()

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: timedelta | int
    ) -> RestartStrategies.FixedDelayRestartStrategyConfiguration:
        """So many restarts, each after the same delay (milliseconds or timedelta)."""
        return RestartStrategies.FixedDelayRestartStrategyConfiguration(
            restart_attempts, delay_between_attempts
        )

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: timedelta | int, delay_interval: timedelta | int
    ) -> RestartStrategies.FailureRateRestartStrategyConfiguration:
        """Restarts until more than `failure_rate` failures within an interval (milliseconds or timedelta)."""
        return RestartStrategies.FailureRateRestartStrategyConfiguration(
            failure_rate, failure_interval, delay_interval
        )


def restart_strategy_of(configuration: Configuration) -> RestartStrategyConfiguration:
    """The strategy that a configuration has by its options; fall_back_restart() when it names none or another."""
    kind = (configuration.get(options.RESTART_STRATEGY) or "").strip().lower().replace("-", "")
    if kind in ("none", "off", "disable"):
        return RestartStrategies.no_restart()
    if kind == "fixeddelay":
        return RestartStrategies.fixed_delay_restart(
            configuration.get(options.RESTART_ATTEMPTS), configuration.get(options.RESTART_DELAY)
        )
    if kind == "failurerate":
        return RestartStrategies.failure_rate_restart(
            configuration.get(options.RESTART_FAILURES_PER_INTERVAL),
            configuration.get(options.RESTART_FAILURE_INTERVAL),
            configuration.get(options.RESTART_FAILURE_DELAY),
        )
    return RestartStrategies.fall_back_restart()


def _millis(name: str, value: timedelta | int | None) -> int:
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    if not isinstance(value, int):
        raise TypeError(
            f"{name} takes milliseconds (int) or a datetime.timedelta, not {type(value).__name__}"
        )
    return value
