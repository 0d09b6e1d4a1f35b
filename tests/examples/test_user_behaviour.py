# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import datetime, timezone


def test_sessions_end_after_thirty_quiet_minutes(example, source_of) -> None:
    sessions: dict[str, list[list[tuple[int, str]]]] = {}
    for user, page, time in source_of("user_behaviour.py").page_views():
        visits = sessions.setdefault(user, [])
        if visits and time - visits[-1][-1][0] <= 30 * 60_000:
            visits[-1].append((time, page))
        else:
            visits.append([(time, page)])
    expected = []
    for user, visits in sessions.items():
        for visit in visits:
            start = datetime.fromtimestamp(visit[0][0] / 1000, timezone.utc)
            pages = " > ".join(page for _, page in visit)
            minutes = (visit[-1][0] - visit[0][0]) // 60_000
            expected.append(f"{user:<4}  {start:%H:%M}  {len(visit)} pages in {minutes:>2} minutes: {pages}")
    assert sorted(example("user_behaviour.py")) == sorted(expected)
    assert len(expected) > 4
