# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

FIVE_MINUTES = timedelta(minutes=5)


def test_each_hour_s_best_are_those_of_the_naive_ranking(example, source_of) -> None:
    events = source_of("item_popularity.py").some_events(2_000)
    hours: dict[datetime, Counter[str]] = {}
    for item, event, at in zip(events["item"], events["event"], events["time"].tolist()):
        end = at - (at - datetime(2026, 1, 1)) % FIVE_MINUTES + FIVE_MINUTES
        for i in range(12):
            hours.setdefault(end + i * FIVE_MINUTES, Counter())[item] += 10 if event == "purchase" else 1
    expected = []
    for end, scores in sorted(hours.items()):
        best = sorted(scores.items(), key=lambda score: (-score[1], score[0]))[:3]
        expected.append(f"{end:%H:%M}  " + ", ".join(f"{item} {score}" for item, score in best))
    assert example("item_popularity.py", "2000") == expected
