# SPDX-License-Identifier: Apache-2.0
"""The collector passes over what was there before a job, and finds it again after the last."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.runtime import garbage
from flinkcore.runtime.garbage import older_objects_left_alone


@pytest.fixture(autouse=True)
def nothing_frozen():
    assert gc.get_freeze_count() == 0
    yield
    gc.enable()
    gc.unfreeze()


def test_older_objects_are_frozen_until_the_last_job_has_ended():
    with older_objects_left_alone():
        count = gc.get_freeze_count()
        assert count > 0
        with older_objects_left_alone():
            assert gc.get_freeze_count() == count
        assert gc.get_freeze_count() == count
    assert gc.get_freeze_count() == 0


def test_they_are_found_again_after_a_failure():
    with pytest.raises(ValueError), older_objects_left_alone():
        raise ValueError
    assert gc.get_freeze_count() == 0


def test_a_program_that_freezes_by_itself_is_let_be():
    gc.freeze()
    count = gc.get_freeze_count()
    with older_objects_left_alone():
        assert abs(gc.get_freeze_count() - count) < 100
    assert gc.get_freeze_count() > 0


def test_jobs_that_have_run_for_long_are_collected_before_the_next(monkeypatch):
    class Circle:
        def __init__(self) -> None:
            self.itself = self

    gc.disable()  # nobody else is to find it
    with older_objects_left_alone():
        left = weakref.ref(Circle())
    monkeypatch.setattr(garbage, "COLLECT_AFTER_S", 1e9)
    with older_objects_left_alone():
        assert left() is not None  # frozen in its circle
    monkeypatch.setattr(garbage, "COLLECT_AFTER_S", 0.0)
    with older_objects_left_alone():
        assert left() is None


def test_a_job_leaves_nothing_frozen():
    seen = []
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.from_collection([1]).map(lambda value: seen.append(gc.get_freeze_count())).print()
    env.execute("freezes")
    assert seen[0] > 0
    for thread in threading.enumerate():
        if thread.name == "freezes supervisor":
            thread.join(10)
    assert gc.get_freeze_count() == 0
