# SPDX-License-Identifier: Apache-2.0
"""CompletableFuture: a result that may not be there yet."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future, TimeoutError
from typing import Generic, TypeVar

__all__ = ["CompletableFuture"]

T = TypeVar("T")


class CompletableFuture(Generic[T]):
    """A value that another thread will set."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    @staticmethod
    def completed(value: T) -> CompletableFuture[T]:
        """A future whose value is there. Beyond PyFlink."""
        future: Future[T] = Future()
        future.set_result(value)
        return CompletableFuture(future)

    def cancel(self) -> bool:
        """Give up waiting; True when the future is now cancelled. A job goes on: see JobClient.cancel."""
        return self._future.cancel()

    def cancelled(self) -> bool:
        return self._future.cancelled()

    def done(self) -> bool:
        """Whether there is a value, an exception or a cancellation."""
        return self._future.done()

    def result(self) -> T:
        """Wait for the value. Raises what went wrong, or CancelledError."""
        while not self._future.done():  # in turns, so that Ctrl-C is heard: see runtime.job.WAIT_S_MAX
            try:
                self._future.exception(0.2)
            except (TimeoutError, CancelledError):
                pass
        return self._future.result()

    def exception(self) -> BaseException | None:
        """What went wrong, None when nothing did so far. Does not wait."""
        if self._future.cancelled() or not self._future.done():
            return None
        return self._future.exception()

    def __str__(self) -> str:
        if not self.done():
            state = "Not completed"
        elif self.cancelled() or self.exception() is not None:
            state = "Completed exceptionally"
        else:
            state = "Completed normally"
        return f"CompletableFuture[{state}]"
