# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from flinkcore import options
from flinkcore.checkpoint.schedule import Settings, fails_job, next_trigger_ms
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError

SETTINGS = Settings(
    interval_ms=1000,
    min_pause_ms=0,
    timeout_ms=60_000,
    max_concurrent=1,
    tolerable_failures=0,
    aligned=True,
    retained=1,
    retention="NO_EXTERNALIZED_CHECKPOINTS",
)


@pytest.mark.parametrize(
    ("changes", "last_triggered", "last_ended", "pending", "expected"),
    [
        ({}, 0, None, 0, 1000),
        ({}, 5000, 5100, 0, 6000),
        ({}, 5000, 7000, 0, 7000),  # the last one took longer than the interval: at once
        ({}, 5000, None, 1, None),
        ({"max_concurrent": 2}, 5000, None, 1, 6000),
        ({"max_concurrent": 2}, 5000, None, 2, None),
        ({"min_pause_ms": 500}, 5000, 5900, 0, 6400),
        ({"min_pause_ms": 500, "max_concurrent": 5}, 5000, None, 1, None),  # a pause means one at a time
        ({"interval_ms": None}, 0, None, 0, None),
    ],
)
def test_when_the_next_checkpoint_begins(changes, last_triggered, last_ended, pending, expected):
    assert next_trigger_ms(replace(SETTINGS, **changes), last_triggered, last_ended, pending) == expected


@pytest.mark.parametrize(("tolerable", "failures", "expected"), [(0, 1, True), (2, 2, False), (2, 3, True)])
def test_so_many_failures_in_a_row_fail_the_job(tolerable, failures, expected):
    assert fails_job(replace(SETTINGS, tolerable_failures=tolerable), failures) is expected


@pytest.mark.parametrize(("mode", "expected"), [("STREAMING", 10), ("BATCH", None)])
def test_a_job_in_batch_mode_makes_no_checkpoints_whatever_their_interval(mode, expected):
    config = Configuration()
    config.set(options.RUNTIME_MODE, mode)
    config.set(options.CHECKPOINT_INTERVAL, 10)
    assert Settings.of(config).interval_ms == expected


@pytest.mark.parametrize(
    ("key", "value", "least"),
    [
        ("max-concurrent-checkpoints", "0", 1),
        ("num-retained", "-3", 1),
        ("tolerable-failed-checkpoints", "-1", 0),
        ("interval", "0", 1),
        ("timeout", "0", 1),
    ],
)
def test_values_that_mean_nothing_are_refused_before_the_job_starts(key, value, least):
    config = Configuration()
    config.set_string(f"execution.checkpointing.{key}", value)
    with pytest.raises(ConfigurationError, match=rf"{key} is {value}; expected at least {least}"):
        Settings.of(config)


def test_an_unknown_retention_is_refused_before_the_job_starts():
    config = Configuration()
    config.set_string("execution.checkpointing.externalized-checkpoint-retention", "KEEP")
    with pytest.raises(ConfigurationError, match="RETAIN_ON_CANCELLATION"):
        Settings.of(config)
