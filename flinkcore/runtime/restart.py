# SPDX-License-Identifier: Apache-2.0
"""Restart strategies: whether a job that failed starts again, and when. Pure: facts in, a delay or None out."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from flinkcore import options
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError


class RestartStrategy(Protocol):
    """Remembers the failures of one job."""

    def on_failure(self, now_ms: int) -> int | None:
        """The job failed. -> milliseconds until it starts again, None when it does not"""


class NoRestart:
    """A failure ends the job."""

    def on_failure(self, now_ms: int) -> int | None:
        return None


@dataclass
class FixedDelay:
    """So many restarts in all, each after the same delay. Flink: FixedDelayRestartBackoffTimeStrategy"""

    attempts: int
    delay_ms: int
    failures: int = 0

    def on_failure(self, now_ms: int) -> int | None:
        self.failures += 1
        return self.delay_ms if self.failures <= self.attempts else None


@dataclass
class FailureRate:
    """Restarts unless so many failures, this one included, came within an interval.
    Flink: FailureRateRestartBackoffTimeStrategy"""

    failures_max: int
    interval_ms: int
    delay_ms: int
    times_ms: deque[int] = field(default_factory=deque)

    def on_failure(self, now_ms: int) -> int | None:
        if len(self.times_ms) >= self.failures_max:
            self.times_ms.popleft()
        self.times_ms.append(now_ms)
        too_many = len(self.times_ms) >= self.failures_max and now_ms - self.times_ms[0] <= self.interval_ms
        return None if too_many else self.delay_ms


@dataclass
class ExponentialDelay:
    """A delay that grows with each failure up to a bound, and begins anew after a quiet time.

    attempts : restarts before the next quiet time, None for no bound
    jitter : the delay varies by up to this share of it, so that jobs that failed together do not return together
    Flink: ExponentialDelayRestartBackoffTimeStrategy
    """

    initial_ms: int
    max_ms: int
    multiplier: float
    quiet_ms: int
    jitter: float
    attempts: int | None
    random: random.Random = field(default_factory=random.Random)
    restarted_ms: int | None = None
    failures: int = 0

    def on_failure(self, now_ms: int) -> int | None:
        if self.restarted_ms is not None and now_ms - self.restarted_ms >= self.quiet_ms:
            self.failures = 0
        delay = min(self.initial_ms * self.multiplier ** min(self.failures, 64), float(self.max_ms))
        delay += self.random.uniform(-delay * self.jitter, delay * self.jitter)
        delay_ms = max(self.initial_ms, min(round(delay), self.max_ms))
        self.restarted_ms = now_ms + delay_ms
        self.failures += 1
        return None if self.attempts is not None and self.failures > self.attempts else delay_ms


_NAMES = {
    "none": "none", "off": "none", "disable": "none",
    "fixeddelay": "fixed-delay", "fixed-delay": "fixed-delay",
    "failurerate": "failure-rate", "failure-rate": "failure-rate",
    "exponentialdelay": "exponential-delay", "exponential-delay": "exponential-delay",
}  # fmt: skip


def restart_strategy(config: Configuration) -> RestartStrategy:
    """The strategy that a configuration names.

    Without one, a job with checkpoints restarts with an exponential delay and others do not restart (Flink 2:
    RestartBackoffTimeStrategyFactoryLoader). ConfigurationError: a name that none has
    """
    name = config.get(options.RESTART_STRATEGY)
    if name is None:
        name = "none" if config.get(options.CHECKPOINT_INTERVAL) is None else "exponential-delay"
    kind = _NAMES.get(name.strip().lower())
    if kind == "none":
        return NoRestart()
    if kind == "fixed-delay":
        return FixedDelay(config.get(options.RESTART_ATTEMPTS), config.get(options.RESTART_DELAY))
    if kind == "failure-rate":
        return FailureRate(
            config.get(options.RESTART_FAILURES_PER_INTERVAL),
            config.get(options.RESTART_FAILURE_INTERVAL),
            config.get(options.RESTART_FAILURE_DELAY),
        )
    if kind == "exponential-delay":
        return ExponentialDelay(
            config.get(options.RESTART_BACKOFF_INITIAL),
            config.get(options.RESTART_BACKOFF_MAX),
            config.get(options.RESTART_BACKOFF_MULTIPLIER),
            config.get(options.RESTART_BACKOFF_RESET),
            config.get(options.RESTART_BACKOFF_JITTER),
            config.get(options.RESTART_BACKOFF_ATTEMPTS),
        )
    raise ConfigurationError(
        f"{options.RESTART_STRATEGY.key}: expected none, fixed-delay, failure-rate or exponential-delay, got '{name}'"
    )
