# SPDX-License-Identifier: Apache-2.0
"""Each pipeline is killed at each fault point, and in seeded places, and nothing is lost or comes twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.recovery.kills import Children, Scenario, expected_lines, play, scenarios
from tests.recovery.pipelines import PIPELINES

AT_ONCE = 2
STATELESS = ("generated", "file_to_file")
SEEDED = 14


@pytest.mark.timeout(600)
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_killed_job_goes_on_as_if_nothing_had_happened(pipeline: str, tmp_path: Path) -> None:
    expected = expected_lines(pipeline, tmp_path / "expected")
    children = Children()
    seeds = (Scenario.of_seed(seed) for seed in range(10_000))
    planned = [*scenarios(pipeline, 1), *[s for s in seeds if s.pipeline == pipeline][:SEEDED]]

    def killed(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        return play(planned[number], children, folder, expected)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        # A pipeline without state writes no segments, and so is not killed there.
        assert sum(pool.map(killed, range(len(planned)))) >= (24 if pipeline in STATELESS else 34)
