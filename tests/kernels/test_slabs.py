# SPDX-License-Identifier: Apache-2.0
"""Arrays in slabs are arrays like others, wherever they are made, resized and freed."""

import gc
import random
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from flinkcore._native.slabs import slab_bytes, use_slabs

SLAB = 2 << 20


def in_slabs(run: Callable[[], Any]) -> Any:
    """What `run` gives in a thread whose arrays lie in slabs."""
    found: list[Any] = []

    def body() -> None:
        try:
            if not use_slabs():
                pytest.skip("this system has no address range for slabs")
            found.append(run())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def used() -> int:
    gc.collect()
    return slab_bytes()[0]


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_arrays_of_any_size_hold_what_is_written_and_do_not_overlap() -> None:
    def run() -> None:
        choose = random.Random(7)
        kept: dict[int, np.ndarray] = {}
        for number in range(4000):
            size = choose.choice(
                [1, 100, 2_000, 2_049, 8_192, 60_000, 65_536, 65_537, 131_072, 140_000, 400_000]
            )
            if len(kept) > 60 or (choose.random() < 0.45 and kept):
                old = choose.choice(list(kept))
                assert (kept.pop(old) == old).all()
            kept[number] = choose.choice([np.full(size, number), np.zeros(size, np.int64) + number])
        spans = sorted((address(array), address(array) + array.nbytes) for array in kept.values())
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all((array == number).all() for number, array in kept.items())
        assert all(address(array) % 16 == 0 for array in kept.values())

    in_slabs(run)


def test_zeros_are_zeros_in_memory_that_was_used_before() -> None:
    def run() -> None:
        np.full(100_000, -1)
        assert not np.zeros(100_000, np.int64).any()
        np.full(1_000_000, -1)
        assert not np.zeros(1_000_000, np.int64).any()

    in_slabs(run)


@pytest.mark.parametrize(
    "sizes", [(10, 5_000), (5_000, 10), (5_000, 5_010), (5_000, 600_000), (600_000, 3_000), (0, 9_000)]
)
def test_a_resized_array_keeps_its_values(sizes: tuple[int, int]) -> None:
    def run() -> None:
        array = np.arange(sizes[0])
        array.resize(sizes[1], refcheck=False)
        shared = min(sizes)
        np.testing.assert_array_equal(array[:shared], np.arange(shared))
        assert len(array) == sizes[1]

    in_slabs(run)


def test_what_is_freed_is_used_again() -> None:
    def run() -> tuple[int, int]:
        first = np.empty(65_536)
        place = address(first)
        del first
        second = np.empty(65_536)
        return place, address(second)

    first, second = in_slabs(run)
    assert first == second


def test_an_array_may_die_in_another_thread() -> None:
    before = used()
    arrays = in_slabs(lambda: [np.full(70_000, number) for number in range(50)])
    assert used() > before
    assert all((array == number).all() for number, array in enumerate(arrays))
    del arrays
    assert used() == before


def test_what_is_kept_in_memory_is_bounded() -> None:
    arrays = in_slabs(lambda: [np.empty(SLAB, np.uint8) for _ in range(200)])
    del arrays
    gc.collect()
    assert slab_bytes()[1] <= 256 << 20


def test_other_threads_have_their_arrays_where_they_always_had_them() -> None:
    in_slabs(lambda: None)
    before = used()
    array = np.empty(1_000_000)
    assert used() == before
    assert len(array) == 1_000_000


def test_threads_take_and_give_at_once() -> None:
    def run(number: int) -> None:
        for _ in range(300):
            arrays = [np.full(size, number, np.int32) for size in (5_000, 9_000, 70_000)]
            assert all((array == number).all() for array in arrays)

    before = used()
    threads = [threading.Thread(target=lambda n=n: in_slabs(lambda: run(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used() == before
