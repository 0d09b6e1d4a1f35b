# SPDX-License-Identifier: Apache-2.0
"""Sizes and timing of the benchmarks: small and untimed as ordinary tests, full and timed with --full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pytest

RATES = pytest.StashKey[list[tuple[str, float, float]]]()
NOTES = pytest.StashKey[list[tuple[str, str]]]()


class Size(Protocol):
    def __call__(self, *, smoke: int, full: int) -> int: ...


class Timed(Protocol):
    def __call__(
        self,
        run: Callable[..., Any],
        *args: Any,
        rows: int,
        bytes: int,
        limit: str | None = "read",
        threads: int = 1,
    ) -> Any: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="benchmarks at full size and timed, not as tests")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--full"):
        config.option.benchmark_enable = True  # the project's options disable timing for ordinary test runs
        config.option.timeout = 0
    if config.option.benchmark_enable:
        config.option.benchmark_columns = ["min", "median", "max", "rounds"]
    config.stash[RATES] = []
    config.stash[NOTES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[RATES]:
        terminalreporter.section("rates at the median")
        for name, rows_per_second, bytes_per_second in config.stash[RATES]:
            rates = f"{rows_per_second / 1e6:>10.2f} M rows/s {bytes_per_second / 1e9:>8.2f} GB/s"
            terminalreporter.write_line(f"{rates}  {name}")
    if config.stash[NOTES]:
        terminalreporter.section("notes")
        for name, text in config.stash[NOTES]:
            terminalreporter.write_line(f"{name}: {text}")


@pytest.fixture
def is_full(request: pytest.FixtureRequest) -> bool:
    """Whether this run makes numbers."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def size(is_full: bool) -> Size:
    """size(smoke=1_000, full=10_000_000) is the one that this run asks for."""

    def choose(*, smoke: int, full: int) -> int:
        return full if is_full else smoke

    return choose


@pytest.fixture
def timed(benchmark: Any, request: pytest.FixtureRequest) -> Timed:
    """timed(run, *args, rows=, bytes=) -> run(*args), three times after a warm-up when it makes numbers.

    The report gets rows and bytes, and a list of rates at the median. `limit` names the bare kernel that bounds it
    (bench.limits.kernels.work): by default the reading of its bytes; None when there is none.
    """

    def time(
        run: Callable[..., Any],
        *args: Any,
        rows: int,
        bytes: int,
        limit: str | None = "read",
        threads: int = 1,
    ) -> Any:
        benchmark.extra_info.update(rows=rows, bytes=bytes, limit=limit, threads=threads)
        if not request.config.option.benchmark_enable:
            return benchmark.pedantic(run, args)
        result = benchmark.pedantic(run, args, rounds=3, warmup_rounds=1)
        seconds = benchmark.stats.stats.median
        request.config.stash[RATES].append((request.node.name, rows / seconds, bytes / seconds))
        return result

    return time


@pytest.fixture
def note(is_full: bool, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """note("p99 31 us") adds a line to the report of a run that makes numbers."""

    def keep(text: str) -> None:
        if is_full:
            request.config.stash[NOTES].append((request.node.name, text))

    return keep
