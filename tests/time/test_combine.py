# SPDX-License-Identifier: Apache-2.0
"""One watermark out of many channels or splits."""

from __future__ import annotations

import random

import pytest

from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.combine import ChannelWatermarks, SplitWatermarks


def test_the_slowest_active_channel_decides():
    channels = ChannelWatermarks(2)
    assert channels.on_watermark(0, 10) is None
    assert channels.on_watermark(1, 5) == 5
    assert channels.on_watermark(1, 20) == 10
    assert channels.holding_back() == [0]
    assert channels.on_watermark(0, 9) is None, "a channel that goes back is not believed"


def test_an_idle_channel_does_not_hold_the_others_back():
    channels = ChannelWatermarks(2)
    channels.on_watermark(0, 10)
    assert channels.on_idle(1, True) == (10, None)
    assert channels.on_watermark(0, 30) == 30


def test_a_channel_that_wakes_up_behind_holds_nothing_until_it_has_caught_up():
    channels = ChannelWatermarks(2)
    channels.on_idle(1, True)
    channels.on_watermark(0, 30)
    assert channels.on_idle(1, False) == (None, None)
    assert channels.on_watermark(1, 10) is None
    assert channels.on_watermark(0, 40) == 40
    assert channels.on_watermark(1, 40) is None
    assert channels.on_watermark(0, 50) is None, "caught up: now it counts"
    assert channels.on_watermark(1, 45) == 45


def test_when_the_last_channel_that_held_time_turns_idle_the_highest_watermark_comes_out():
    channels = ChannelWatermarks(2)
    channels.on_watermark(0, 10)
    channels.on_watermark(1, 5)
    assert channels.on_idle(0, True) == (None, None)
    assert channels.on_idle(1, True) == (10, True)
    assert channels.on_idle(1, True) == (None, None)
    assert channels.on_idle(0, False) == (None, False)


def test_a_channel_that_did_not_hold_time_flushes_nothing():
    channels = ChannelWatermarks(3)
    for channel, watermark in ((0, 10), (1, 5), (2, 30)):
        channels.on_watermark(channel, watermark)
    assert channels.on_idle(1, True) == (10, None)
    assert channels.on_idle(0, True) == (30, None)
    assert channels.on_idle(2, True) == (None, True)
    assert channels.watermark_ms == 30


def test_a_watermark_wakes_an_idle_channel():
    channels = ChannelWatermarks(1)
    channels.on_watermark(0, 1)
    channels.on_idle(0, True)
    assert channels.on_watermark(0, MAX_WATERMARK) == MAX_WATERMARK
    assert channels.idle is False


@pytest.mark.parametrize("seed", range(50))
def test_the_watermark_of_channels_never_goes_back(seed):
    rng = random.Random(seed)
    channels = ChannelWatermarks(3)
    last = MIN_TIMESTAMP
    for _ in range(200):
        channel = rng.randrange(3)
        if rng.random() < 0.7:
            watermark = channels.on_watermark(channel, rng.randrange(1000))
        else:
            watermark, _ = channels.on_idle(channel, rng.random() < 0.5)
        if watermark is not None:
            assert watermark > last
            last = watermark
    assert channels.watermark_ms == last


def test_the_slowest_split_decides_and_splits_come_and_go():
    splits = SplitWatermarks()
    splits.add("a")
    assert splits.on_watermark("a", 10) == 10
    splits.add("b")
    assert splits.on_watermark("a", 20) is None
    assert splits.holding_back() == ["b"]
    assert splits.on_watermark("b", 5) is None, "a new split may lag; event time does not go back"
    assert splits.on_watermark("b", 15) == 15
    assert splits.remove("b") == 20
    assert splits.remove("a") is None and splits.watermark_ms == 20


def test_idle_splits_do_not_count_and_all_idle_flushes_nothing():
    splits = SplitWatermarks()
    splits.add("a")
    splits.add("b")
    splits.on_watermark("a", 30)
    assert splits.on_idle("b") == 30
    assert splits.idle is False
    assert splits.on_idle("a") is None and splits.idle is True
    assert splits.on_watermark("b", 31) == 31 and splits.idle is False


def test_a_finished_channel_does_not_pull_time_to_its_end_past_an_idle_one():
    channels = ChannelWatermarks(3)
    channels.on_watermark(0, 10)
    channels.on_watermark(1, 5)
    channels.on_watermark(2, 7)
    channels.on_idle(1, True)
    assert channels.on_finished(2) == (10, None), "it counts no longer"
    assert channels.on_finished(0) == (None, True), "only an idle channel is left, so the task is idle"
    assert channels.on_idle(1, False) == (None, False)
    assert channels.on_watermark(1, 20) == 20
    assert channels.on_finished(1) == (MAX_WATERMARK, None)


def test_a_finished_channel_does_not_pull_time_past_one_that_is_behind():
    channels = ChannelWatermarks(2)
    channels.on_idle(1, True)
    channels.on_watermark(0, 30)
    channels.on_idle(1, False)
    assert channels.on_watermark(1, 10) is None
    assert channels.on_finished(0) == (None, None)
    assert channels.on_watermark(1, 29) is None
    assert channels.on_watermark(1, 31) == 31
    assert channels.on_finished(1) == (MAX_WATERMARK, None)


def test_the_last_watermark_comes_when_all_channels_have_finished_idle_or_not():
    channels = ChannelWatermarks(2)
    assert channels.on_idle(0, True) == (None, None)
    assert channels.on_idle(1, True) == (None, True)
    assert channels.on_finished(0) == (None, None)
    assert channels.on_finished(1) == (MAX_WATERMARK, None) and not channels.idle


def test_restored_splits_hold_back_a_reader_only_as_far_as_they_did():
    splits = SplitWatermarks()
    splits.add("a", 10)
    splits.add("b", 7)
    assert splits.restore(20) == 20, "splits that ended had taken it further"
    assert splits.on_watermark("b", 15) is None
    assert splits.on_watermark("a", 30) is None and splits.on_watermark("b", 25) == 25
    assert splits.snapshot() == 25


def test_a_reader_that_got_the_splits_of_others_is_where_they_are():
    splits = SplitWatermarks()
    splits.add("a", 10)
    splits.add("b", 12)
    assert splits.restore(5) == 10
    assert SplitWatermarks().restore(None) is None and SplitWatermarks().snapshot() is None
