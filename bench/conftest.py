# SPDX-License-Identifier: Apache-2.0
"""Sizes of the benchmarks: small ones that run as tests by default, full ones with --full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest


class Size(Protocol):
    def __call__(self, *, smoke: int, full: int) -> int: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        default=False,
        help="benchmarks at full size, timed; without it they are tests",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--full"):
        config.option.benchmark_enable = True  # the project's options disable timing for ordinary test runs
        config.option.timeout = 0


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether this run makes numbers."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def size(full: bool) -> Size:
    """size(smoke=1_000, full=10_000_000) is the one that this run asks for."""

    def choose(*, smoke: int, full: int) -> int:
        return full if is_full else smoke

    is_full = full
    return choose


@pytest.fixture
def timed(benchmark, full: bool) -> Callable:
    """Time work that is too long to repeat often: 3 rounds after a warm-up when full, one call otherwise.

    timed(function, *args, rows=, bytes=) -> what the function returned; rows and bytes go into the report
    """

    def run(
        function: Callable, *args: object, rows: int, bytes: int, setup: Callable | None = None
    ) -> object:
        benchmark.extra_info.update(rows=rows, bytes=bytes)
        rounds = {"rounds": 3, "warmup_rounds": 1} if full else {"rounds": 1}
        result = benchmark.pedantic(
            function, args=args if setup is None else (), setup=setup, iterations=1, **rounds
        )
        if full:
            benchmark.extra_info["rows_per_second"] = round(rows / benchmark.stats.stats.median)
        return result

    return run
