# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import defaultdict


def test_windows_are_those_of_the_naive_count(example, source_of) -> None:
    bids = source_of("bids.py").some_bids(2_000)
    windows = defaultdict(list)
    for auction, price, at in zip(*(bids[name].tolist() for name in ("auction", "price", "date_time"))):
        if price > 100:
            windows[at.replace(second=at.second // 10 * 10, microsecond=0), auction].append(price)
    header, *lines = example("bids.py", "2000")
    assert header.split() == ["window", "auction", "bids", "total", "top"]
    found = [line.replace(",", "").split() for line in lines]
    assert [(window[:8], *map(int, rest)) for window, *rest in found] == [
        (f"{start:%H:%M:%S}", auction, len(prices), sum(prices), max(prices))
        for (start, auction), prices in sorted(windows.items())]


def test_no_bids_are_no_windows(example) -> None:
    assert len(example("bids.py", "0")) == 1
