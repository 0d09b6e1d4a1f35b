# SPDX-License-Identifier: Apache-2.0
"""Why a window has not fired: the words for each cause."""

from __future__ import annotations

from flinkcore.cli.watch import WatermarkReport, holding_back
from flinkcore.time.watermarks import WatermarkFacts

DAY = 86_400_000


def facts(last_ms: int | None, watermark_ms: int | None, idle_since_ms: int | None = None) -> WatermarkFacts:
    return WatermarkFacts(rows=int(last_ms is not None), last_timestamp_ms=last_ms, watermark_ms=watermark_ms,
                          idle_since_ms=idle_since_ms)


def test_the_slowest_split_is_named_with_its_last_timestamp_and_its_distance() -> None:
    report = WatermarkReport(now_ms=0, waiting={"window (1/1)": "2 windows, the first ends at 7000"}, facts={
        "bids (1/1) split a": facts(90_000, 84_999),
        "bids (1/1) split b": facts(7_000, 1_999),
    })
    assert report.text().splitlines() == [
        "  window (1/1) waits: 2 windows, the first ends at 7000",
        "  bids (1/1) split b: holds the watermark back, last timestamp 7000 ms, watermark 1999 ms, "
        "5.001 s behind it, 1 min 23 s behind the furthest",
        "  bids (1/1) split a: last timestamp 90000 ms, watermark 84999 ms, 5.001 s behind it",
    ]


def test_a_split_without_records_holds_everything_back() -> None:
    assert holding_back({"a": facts(5, 4), "b": facts(None, None)}) == ["b"]
    report = WatermarkReport(0, {"a": facts(5, 4), "b": facts(None, None)}, {})
    assert "b: holds the watermark back, no record yet, so no watermark" in report.text()


def test_an_idle_split_is_not_waited_for() -> None:
    standing = {"a": facts(5, 4), "b": facts(1, 0, idle_since_ms=2_000)}
    assert holding_back(standing) == ["a"]
    assert "idle for 3 s and not waited for" in WatermarkReport(5_000, standing, {}).text()


def test_windows_without_any_watermark_are_told_what_is_missing() -> None:
    text = WatermarkReport(0, {}, {"window (1/1)": "1 window"}).text()
    assert "no watermark is made anywhere: call assign_timestamps_and_watermarks" in text


def test_when_all_are_idle_nobody_holds_back() -> None:
    assert holding_back({"a": facts(1, 0, idle_since_ms=0)}) == []
    assert WatermarkReport(0, {}, {}).text() == ""
