# SPDX-License-Identifier: Apache-2.0
"""How often and when an asynchronous call is tried again (pyflink.datastream.async_retry_strategies).

Attempts are counted from 1. A strategy lets attempt n be followed by another where can_retry(n) is true and a
predicate asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from flinkcore.datastream.functions import AsyncRetryPredicate, AsyncRetryStrategy
from flinkcore.errors import ConfigurationError

OUT = TypeVar("OUT")
Predicate = Callable[[Any], bool] | None

__all__ = [
    "NO_RETRY_STRATEGY",
    "ExponentialBackoffDelayRetryStrategy",
    "FixedDelayRetryStrategy",
    "NoRetryStrategy",
    "RetryPredicate",
]


class RetryPredicate(AsyncRetryPredicate, Generic[OUT]):
    """Two functions, of the list of results and of the exception; None never asks for another attempt."""

    def __init__(self, result_predicate: Predicate, exception_predicate: Predicate) -> None:
        self._result_predicate = result_predicate
        self._exception_predicate = exception_predicate

    def result_predicate(self) -> Predicate:
        return self._result_predicate

    def exception_predicate(self) -> Predicate:
        return self._exception_predicate


class NoRetryStrategy(AsyncRetryStrategy, Generic[OUT]):
    """One attempt."""

    def can_retry(self, current_attempts: int) -> bool:
        return False

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return -1

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return RetryPredicate(None, None)


class FixedDelayRetryStrategy(AsyncRetryStrategy, Generic[OUT]):
    """Up to `max_attempts` further attempts, each so many milliseconds after the last.

    ConfigurationError : a number is not positive
    """

    def __init__(
        self,
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: Predicate,
        exception_predicate: Predicate,
    ) -> None:
        _require_positive(max_attempts=max_attempts, backoff_time_millis=backoff_time_millis)
        self._max_attempts = max_attempts
        self._backoff_time_millis = backoff_time_millis
        self._predicate: RetryPredicate = RetryPredicate(result_predicate, exception_predicate)

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return self._backoff_time_millis

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return self._predicate


class ExponentialBackoffDelayRetryStrategy(AsyncRetryStrategy, Generic[OUT]):
    """Up to `max_attempts` further attempts, the first after `initial_delay` milliseconds, each later one after
    `multiplier` times the last delay, `max_retry_delay` at most.

    The delay depends on the attempt alone. (Flink keeps the last delay in the strategy, where records share it.)
    ConfigurationError : a number is not positive
    """

    def __init__(
        self,
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: Predicate,
        exception_predicate: Predicate,
    ) -> None:
        _require_positive(
            max_attempts=max_attempts,
            initial_delay=initial_delay,
            max_retry_delay=max_retry_delay,
            multiplier=multiplier,
        )
        self._max_attempts = max_attempts
        self._initial_delay = initial_delay
        self._max_retry_delay = max_retry_delay
        self._multiplier = multiplier
        self._predicate: RetryPredicate = RetryPredicate(result_predicate, exception_predicate)

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        delay = self._initial_delay
        for _ in range(current_attempts - 1):
            delay = int(min(delay * self._multiplier, self._max_retry_delay))
        return delay

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return self._predicate


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ConfigurationError(f"{name} should be greater than zero, got {number!r}")


NO_RETRY_STRATEGY: AsyncRetryStrategy = NoRetryStrategy()
