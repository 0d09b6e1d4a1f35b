# SPDX-License-Identifier: Apache-2.0
"""All damage is detected, and no forgery does more than fail (tests/checkpoint/mutations.py)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.checkpoint.mutations import MUTATIONS, check, forge


def test_all_damage_is_detected() -> None:
    assert set(map(check, range(400))) == {mutation.__name__ for mutation in MUTATIONS}


def test_no_forgery_does_more_than_fail() -> None:
    assert set(map(forge, range(400))) == {"manifest refused", "segment refused", "read"}


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_ten_thousand_mutations() -> None:
    assert Counter(map(check, range(10_000))).total() == 10_000
    assert Counter(map(forge, range(10_000))).total() == 10_000
