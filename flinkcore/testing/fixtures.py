# SPDX-License-Identifier: Apache-2.0
"""pytest fixtures, for a conftest.py that says

    pytest_plugins = ["flinkcore.testing.fixtures"]

    manual_clock     a ManualClock at 0
    new_harness      makes harnesses, which are closed when the test ends
    simulation       simulate() with the seed of this run of the test; the test runs once for each seed
    simulation_seed  that seed

    pytest --simulation-seeds 500      so many seeds, from 0; default 10
    pytest --simulation-seed 17        this seed alone
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from flinkcore.testing.harness import Harness, harness
from flinkcore.testing.simulation import simulate
from flinkcore.time.clock import ManualClock

SEEDS = 10


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("flinkcore")
    group.addoption("--simulation-seeds", type=int, default=SEEDS, help="how many seeds a simulated job runs with")
    group.addoption("--simulation-seed", type=int, default=None, help="the one seed that simulated jobs run with")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "simulation_seed" in metafunc.fixturenames:
        seed = metafunc.config.getoption("--simulation-seed")
        seeds = range(metafunc.config.getoption("--simulation-seeds")) if seed is None else [seed]
        metafunc.parametrize("simulation_seed", seeds)


@pytest.fixture
def manual_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def new_harness() -> Iterator[Callable[..., Harness]]:
    made: list[Harness] = []

    def make(*arguments: Any, **options: Any) -> Harness:
        made.append(harness(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.operator.close()


@pytest.fixture
def simulation(simulation_seed: int) -> Callable[..., Any]:
    return partial(simulate, seed=simulation_seed)


__all__ = ["manual_clock", "new_harness", "simulation"]
