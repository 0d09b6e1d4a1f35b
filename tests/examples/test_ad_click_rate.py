# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter


def test_rates_are_those_of_the_naive_count(example, source_of) -> None:
    events = source_of("ad_click_rate.py").some_events(3_000)
    counts: Counter[tuple[str, str, str]] = Counter()
    for campaign, event, at in zip(events["campaign"], events["event"], events["time"].tolist()):
        counts[f"{at:%H:%M}", campaign, event] += 1
    _, *lines = example("ad_click_rate.py", "3000")
    assert len(lines) == 9
    for line in lines:
        minute, campaign, impressions, clicks, rate = line.replace(",", "").split()
        assert int(impressions) == counts[minute, campaign, "impression"]
        assert int(clicks) == counts[minute, campaign, "click"]
        assert rate == f"{int(clicks) / int(impressions):.2%}"
