# SPDX-License-Identifier: Apache-2.0
"""User behaviour: the visits of each user, as sessions that end after thirty quiet minutes.

    flinkcore run examples/user_behaviour.py

For each visit: how many pages, where it began and ended, and how long it took.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

import numpy as np

from flinkcore.common import Duration, Row, Time, Types, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.functions import ProcessWindowFunction
from flinkcore.datastream.window import EventTimeSessionWindows

PAGES = ["home", "search", "shoes", "hats", "basket", "checkout"]
FIRST_VISIT = datetime(2026, 1, 1, 9, tzinfo=timezone.utc)
GAP = Time.minutes(30)


def page_views() -> list[tuple[str, str, int]]:
    """(user, page, time in ms) of a morning's visits, in the order of their time."""
    random = np.random.default_rng(seed=3)
    views = []
    for user in ("ann", "bob", "cleo", "dan"):
        time = FIRST_VISIT + timedelta(minutes=int(random.integers(0, 20)))
        for _visit in range(int(random.integers(1, 4))):
            for _page in range(int(random.integers(1, 7))):
                views.append((user, str(random.choice(PAGES)), int(time.timestamp() * 1000)))
                time += timedelta(seconds=int(random.integers(5, 600)))
            time += timedelta(minutes=int(random.integers(31, 90)))
    return sorted(views, key=lambda view: view[2])


class Visit(ProcessWindowFunction):
    """One line for each session."""

    def process(self, user: str, context: ProcessWindowFunction.Context,
                views: Iterable[Row]) -> Iterable[str]:
        path = sorted(views, key=lambda view: view["time"])
        minutes = (path[-1]["time"] - path[0]["time"]) // 60_000
        start = datetime.fromtimestamp(context.window().start / 1000, timezone.utc)
        pages = " > ".join(view["page"] for view in path)
        yield f"{user:<4}  {start:%H:%M}  {len(path)} pages in {minutes:>2} minutes: {pages}"


def main() -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    view_type = Types.ROW_NAMED(["user", "page", "time"], [Types.STRING(), Types.STRING(), Types.LONG()])
    (env.from_collection(page_views(), view_type)
        .assign_timestamps_and_watermarks(
            WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_minutes(1)).with_timestamp_column("time"))
        .key_by(lambda view: view["user"], Types.STRING())
        .window(EventTimeSessionWindows.with_gap(GAP))
        .process(Visit(), Types.STRING())
        .print())
    env.execute("user behaviour")


if __name__ == "__main__":
    main()
