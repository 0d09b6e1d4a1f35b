# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest

from flinkcore import options
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError
from flinkcore.runtime.restart import ExponentialDelay, FailureRate, FixedDelay, NoRestart, restart_strategy


def test_a_fixed_delay_restarts_so_often_and_no_more():
    strategy = FixedDelay(attempts=2, delay_ms=50)
    assert [strategy.on_failure(now) for now in (0, 100, 200)] == [50, 50, None]


def test_a_failure_rate_gives_up_when_failures_come_too_fast():
    strategy = FailureRate(failures_max=3, interval_ms=1000, delay_ms=10)
    assert [strategy.on_failure(now) for now in (0, 800, 1600, 2400, 2500)] == [10, 10, 10, 10, None]


def test_an_exponential_delay_grows_to_its_bound_and_begins_anew_after_a_quiet_time():
    strategy = ExponentialDelay(100, 700, 2.0, 10_000, 0.0, None)
    assert [strategy.on_failure(0) for _ in range(5)] == [100, 200, 400, 700, 700]
    assert strategy.on_failure(700 + 10_000) == 100


def test_the_jitter_stays_within_its_share_and_the_bounds():
    strategy = ExponentialDelay(100, 1000, 2.0, 10_000, 0.5, None, random.Random(1))
    delays = [strategy.on_failure(0) for _ in range(40)]
    assert all(100 <= delay <= 1000 for delay in delays)
    assert 100 <= delays[1] <= 300


def test_so_many_attempts_before_a_quiet_time():
    strategy = ExponentialDelay(100, 1000, 2.0, 10_000, 0.0, attempts=2)
    assert [strategy.on_failure(0) for _ in range(3)] == [100, 200, None]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, NoRestart),
        ({"execution.checkpointing.interval": "1 s"}, ExponentialDelay),
        ({"execution.checkpointing.interval": "1 s", "restart-strategy.type": "none"}, NoRestart),
        ({"restart-strategy": "fixeddelay"}, FixedDelay),
        ({"restart-strategy.type": "failure-rate"}, FailureRate),
        ({"restart-strategy.type": "disable"}, NoRestart),
    ],
)
def test_which_strategy_a_configuration_names(settings, kind):
    assert isinstance(restart_strategy(Configuration.from_dict(settings)), kind)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ConfigurationError, match="expected none, fixed-delay, failure-rate or exponential-delay"):
        restart_strategy(Configuration().set(options.RESTART_STRATEGY, "sometimes"))
