# SPDX-License-Identifier: Apache-2.0
"""The Nexmark generator against a naive twin of its formulas, and against what the published one promises."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import math

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flinkcore._native.nexmark import EVENT_MAX, STREAMS, NexmarkGenerator

WORD = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
BASE_TIME_MS = 1_436_918_400_000

FIRST_NAMES = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"]
LAST_NAMES = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"]
CITIES = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
]
STATES = ["AZ", "CA", "ID", "OR", "WA", "WY"]

# The numbers of fc_nexmark_field: they seed the random streams, so they are part of what an event is.
FIELDS = {
    "name": 4,
    "email_address": 5,
    "credit_card": 6,
    "city": 7,
    "state": 8,
    "person_extra": 9,
    "item_name": 11,
    "description": 12,
    "initial_bid": 13,
    "reserve": 14,
    "expires": 15,
    "seller": 16,
    "category": 17,
    "auction_extra": 18,
    "auction": 19,
    "bidder": 20,
    "price": 21,
    "channel": 22,
    "url": 23,
    "bid_extra": 24,
}


# The default events 10^9 .. 10^9 + 2000 of each stream.
GOLDEN_DIGESTS = {
    "persons": "368f53697b84026b",
    "auctions": "04db8b4e4b15b388",
    "bids": "ce443aebb2b1c63d",
    "events": "23d3c2609d01042a",
}


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


class Random:
    """splitmix64 started at (seed, field, event)."""

    def __init__(self, seed, field, event):
        key = mix((seed + FIELDS[field] * GOLDEN) & WORD)
        self.state = mix((key + event * GOLDEN) & WORD)

    def word(self):
        self.state = (self.state + GOLDEN) & WORD
        return mix(self.state)

    def below(self, bound):
        return ((self.word() >> 32) * bound) >> 32

    def price(self):
        return math.floor(10 ** ((self.word() >> 11) / 2**53 * 6) * 100 + 0.5)

    def string(self, length_max, gap):
        length = 3 + self.below(length_max - 3)
        text = ""
        while len(text) < length:
            word = self.word()
            for lane in range(4):
                choice = ((word >> (16 * lane)) & 0xFFFF) * 338 >> 16
                text += gap if choice < 26 else chr(ord("a") + choice % 26)
        return text[:length].strip(" ")

    def extra(self, size, size_avg):
        if size > size_avg:
            return ""
        wanted = size_avg - size
        delta = math.floor(wanted * 0.2 + 0.5)
        length = wanted - delta + (self.below(2 * delta) if delta else 0)
        text = ""
        while len(text) < length:
            text += "".join(chr(ord("a") + (byte * 26 >> 8)) for byte in self.word().to_bytes(8, "little"))
        return text[:length]


class Twin:
    """One event at a time, as the published generator is written."""

    def __init__(
        self,
        seed=42,
        rate=10_000,
        group=1,
        persons=1,
        auctions=3,
        bids=46,
        hot_auction=2,
        hot_bidder=4,
        hot_seller=4,
        in_flight=100,
        active=1000,
    ):
        self.seed, self.rate, self.group = seed, rate, group
        self.persons, self.auctions, self.cycle = persons, auctions, persons + auctions + bids
        self.hot_auction, self.hot_bidder, self.hot_seller = hot_auction, hot_bidder, hot_seller
        self.in_flight, self.active = in_flight, active

    def event_id(self, number):
        return number // self.group * self.group + number * 953 % self.group if self.group > 1 else number

    def stream(self, event):
        offset = event % self.cycle
        return (
            "persons"
            if offset < self.persons
            else "auctions"
            if offset < self.persons + self.auctions
            else "bids"
        )

    def time_ms(self, event):
        return BASE_TIME_MS + event * 1000 // self.rate

    def last_person(self, event):
        return event // self.cycle * self.persons + min(event % self.cycle, self.persons - 1)

    def last_auction(self, event):
        epoch, offset = divmod(event, self.cycle)
        if offset < self.persons:
            return epoch * self.auctions - 1
        return epoch * self.auctions + min(offset - self.persons, self.auctions - 1)

    def choose(self, field, event, ratio, hot, others, first):
        word = Random(self.seed, field, event).state
        if (word >> 32) * ratio >> 32 > 0:
            return hot
        return first + ((word & 0xFFFFFFFF) * others >> 32)

    def some_person(self, field, event, ratio, hot):
        people = self.last_person(event) + 1
        active = min(people, self.active)
        return 1000 + self.choose(field, event, ratio, hot, active + 10, people - active)

    def some_auction(self, event):
        last = self.last_auction(event)
        oldest = max(last - self.in_flight, 0)
        return 1000 + self.choose(
            "auction", event, self.hot_auction, last // 100 * 100, last - oldest + 11, oldest
        )

    def person(self, event):
        name = Random(self.seed, "name", event)
        name = FIRST_NAMES[name.below(11)] + " " + LAST_NAMES[name.below(9)]
        email = Random(self.seed, "email_address", event)
        email = email.string(7, " ") + "@" + email.string(5, " ") + ".com"
        card = Random(self.seed, "credit_card", event)
        card = " ".join(f"{card.below(10000):04d}" for _ in range(4))
        city = CITIES[Random(self.seed, "city", event).below(10)]
        state = STATES[Random(self.seed, "state", event).below(6)]
        size = 8 + len(name) + len(email) + len(card) + len(city) + len(state)
        extra = Random(self.seed, "person_extra", event).extra(size, 200)
        return {
            "id": self.last_person(event) + 1000,
            "name": name,
            "email_address": email,
            "credit_card": card,
            "city": city,
            "state": state,
            "date_time": self.time_ms(event),
            "extra": extra,
        }

    def auction(self, event):
        name = Random(self.seed, "item_name", event).string(20, " ")
        description = Random(self.seed, "description", event).string(100, " ")
        initial = Random(self.seed, "initial_bid", event).price()
        now = self.time_ms(event)
        horizon = self.time_ms(event + self.in_flight * self.cycle // self.auctions) - now
        hot_seller = self.last_person(event) // 100 * 100
        category = Random(self.seed, "category", event).state
        return {
            "id": self.last_auction(event) + 1000,
            "item_name": name,
            "description": description,
            "initial_bid": initial,
            "reserve": initial + Random(self.seed, "reserve", event).price(),
            "date_time": now,
            "expires": now + 1 + Random(self.seed, "expires", event).below(max(2 * horizon, 1)),
            "seller": self.some_person("seller", event, self.hot_seller, hot_seller),
            "category": 10 + ((category >> 32) * 5 >> 32),
            "extra": Random(self.seed, "auction_extra", event).extra(48 + len(name) + len(description), 500),
        }

    def bid(self, event):
        word = Random(self.seed, "channel", event).state
        low = word & 0xFFFFFFFF
        number = -1 - (low * 4 >> 32) if word >> 63 else low * 10_000 >> 32
        channel = ["Google", "Facebook", "Baidu", "Apple"][-1 - number] if number < 0 else f"channel-{number}"
        hot_bidder = self.last_person(event) // 100 * 100 + 1
        return {
            "auction": self.some_auction(event),
            "bidder": self.some_person("bidder", event, self.hot_bidder, hot_bidder),
            "price": Random(self.seed, "price", event).price(),
            "channel": channel,
            "url": self.url(number),
            "date_time": self.time_ms(event),
            "extra": Random(self.seed, "bid_extra", event).extra(32, 100),
        }

    def url(self, channel):
        random = Random(self.seed, "url", channel & WORD)
        text = (
            "https://www.nexmark.com/"
            + "".join(random.string(5, "_") + "/" for _ in range(3))
            + "item.htm?query=1"
        )
        if channel < 0 or random.below(10) == 0:
            return text
        reversed_bits = int(f"{channel:032b}"[::-1], 2)
        return f"{text}&channel_id={min(reversed_bits, 2**32 - reversed_bits)}"

    def rows(self, stream, first, count):
        make = {"persons": self.person, "auctions": self.auction, "bids": self.bid}[stream]
        events = [self.event_id(number) for number in range(first, first + count)]
        return [make(event) for event in events if self.stream(event) == stream]


def rows(generator, stream, first, count):
    """The generator's rows, timestamps as milliseconds."""
    return table(generator, stream, first, count, times=pa.int64()).to_pylist()


def table(generator, stream, first, count, times=None):
    names = list(STREAMS[stream])
    arrays = [column.to_arrow() for column in generator.columns(stream, names, first, count)]
    if times is not None:
        arrays = [array.cast(times) if pa.types.is_timestamp(array.type) else array for array in arrays]
    return pa.table(arrays, names=names)


@pytest.mark.parametrize(
    "settings, twin",
    [
        ({}, Twin()),
        ({"seed": 7, "out_of_order_group": 60, "events_per_second": 333}, Twin(seed=7, group=60, rate=333)),
        (
            {
                "person_proportion": 2,
                "auction_proportion": 5,
                "bid_proportion": 3,
                "active_people": 9,
                "in_flight_auctions": 4,
                "hot_auction_ratio": 3,
                "hot_bidder_ratio": 1,
                "hot_seller_ratio": 2,
            },
            Twin(
                persons=2,
                auctions=5,
                bids=3,
                active=9,
                in_flight=4,
                hot_auction=3,
                hot_bidder=1,
                hot_seller=2,
            ),
        ),
    ],
)
@pytest.mark.parametrize("first", [0, 1_000_003, EVENT_MAX - 2000])
@pytest.mark.parametrize("stream", ["persons", "auctions", "bids"])
def test_events_are_those_of_the_naive_twin(settings, twin, first, stream):
    made = rows(NexmarkGenerator(**settings), stream, first, 2000)
    expected = twin.rows(stream, first, 2000)
    for row in (
        *made,
        *expected,
    ):  # prices come from a power series: a large one may differ in its last digit
        for name in {"price", "initial_bid", "reserve"} & row.keys():
            row[name] = pytest.approx(row[name], abs=2)
    assert made == expected


def test_of_fifty_events_one_is_a_person_three_are_auctions_and_the_rest_are_bids():
    types = table(NexmarkGenerator(), "events", 0, 50_000)["event_type"]
    counts = {row["values"]: row["counts"] for row in pc.value_counts(types).to_pylist()}
    assert counts == {0: 1_000, 1: 3_000, 2: 46_000}


def test_hot_keys_and_prices_have_the_published_shares():
    bids = table(NexmarkGenerator(), "bids", 1_000_000, 500_000)
    n = bids.num_rows
    assert n == 460_000

    def share(mask):
        return pc.sum(mask).as_py() / n

    hot_auction = pa.array([value % 100 == 0 for value in bids["auction"].to_pylist()])
    hot_bidder = pa.array([value % 100 == 1 for value in bids["bidder"].to_pylist()])
    assert share(hot_auction) == pytest.approx(1 / 2 + 1 / 2 / 100, abs=0.005)
    assert share(hot_bidder) == pytest.approx(3 / 4 + 1 / 4 / 100, abs=0.005)
    for digits in range(2, 8):
        at_least = pc.greater_equal(bids["price"], 10**digits)
        assert share(at_least) == pytest.approx((8 - digits) / 6, abs=0.005)
    assert share(pc.match_substring(bids["channel"], "channel-")) == pytest.approx(0.5, abs=0.005)
    assert pc.mean(pc.binary_length(bids["extra"])).as_py() == pytest.approx(68 - 0.5, abs=0.2)


def test_bids_name_people_and_auctions_that_exist_or_soon_will():
    generator = NexmarkGenerator(events_per_second=1000)
    events = table(generator, "events", 0, 20_000).to_pylist()
    people = auctions = 999
    for event in events:
        people = event["person_id"] or people
        auctions = event["auction_id"] or auctions
        if event["event_type"] == 2:
            assert 1000 <= event["bid_auction"] <= auctions + 10
            assert 1000 <= event["bid_bidder"] <= people + 10


def test_a_channel_has_one_url():
    bids = table(NexmarkGenerator(), "bids", 0, 200_000)
    pairs = set(zip(bids["channel"].to_pylist(), bids["url"].to_pylist()))
    assert len(pairs) == len({channel for channel, _ in pairs})


@pytest.mark.parametrize("stream", list(STREAMS))
def test_any_cut_of_the_range_gives_the_same_events(stream):
    generator = NexmarkGenerator(out_of_order_group=100)
    whole = table(generator, stream, 123, 1000)
    cuts = [123, 124, 130, 130, 500, 501, 1123]
    parts = [
        table(NexmarkGenerator(out_of_order_group=100), stream, a, b - a) for a, b in itertools.pairwise(cuts)
    ]
    assert pa.concat_tables(parts).equals(whole)


@pytest.mark.parametrize("stream", list(STREAMS))
def test_a_projection_gives_the_columns_that_the_whole_stream_has(stream):
    generator = NexmarkGenerator()
    whole = table(generator, stream, 50, 500)
    for name in STREAMS[stream]:
        (column,) = generator.columns(stream, [name], 50, 500)
        assert column.to_arrow().equals(whole[name].combine_chunks())
        assert column.type == STREAMS[stream][name]
        column.to_arrow().validate(full=True)


def test_the_combined_stream_holds_the_three_others_and_nulls_elsewhere():
    generator = NexmarkGenerator()
    combined = table(generator, "events", 0, 5000)
    for code, (prefix, stream) in enumerate(
        [("person", "persons"), ("auction", "auctions"), ("bid", "bids")]
    ):
        mine = combined.filter(pc.equal(combined["event_type"], code))
        others = combined.filter(pc.not_equal(combined["event_type"], code))
        alone = table(generator, stream, 0, 5000)
        for name in STREAMS[stream]:
            combined_name = name if name == "date_time" else f"{prefix}_{name}"
            assert mine[combined_name].to_pylist() == alone[name].to_pylist()
            if name != "date_time":
                assert others[combined_name].null_count == others.num_rows


def test_event_time_follows_the_rate_and_stays_within_an_out_of_order_group():
    times = [row["date_time"] for row in rows(NexmarkGenerator(events_per_second=300), "events", 0, 3000)]
    assert times == [BASE_TIME_MS + i * 1000 // 300 for i in range(3000)]
    shuffled = [
        row["date_time"]
        for row in rows(NexmarkGenerator(events_per_second=300, out_of_order_group=50), "events", 0, 3000)
    ]
    assert shuffled != times
    assert all(sorted(shuffled[i : i + 50]) == times[i : i + 50] for i in range(0, 3000, 50))


def test_the_default_events_are_these():
    generator = NexmarkGenerator()
    bid = table(generator, "bids", 0, 10).to_pylist()[0]
    assert bid == {
        "auction": 1006,
        "bidder": 1001,
        "price": 49_370_897,
        "channel": "Apple",
        "url": "https://www.nexmark.com/txga/zcl/djgb/item.htm?query=1",
        "date_time": datetime.datetime(2015, 7, 15),
        "extra": "zrnkyvylaepnmeelkcuxqsudkdrxmbofkbosrjqtahiiggrqgefdvlgowea",
    }
    digests = {}
    for stream in STREAMS:
        text = repr(rows(generator, stream, 10**9, 2000))
        digests[stream] = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert digests == GOLDEN_DIGESTS, "the default events changed: earlier numbers no longer compare"


def test_an_empty_range_has_columns_without_rows():
    for stream in STREAMS:
        assert table(NexmarkGenerator(), stream, 77, 0).num_rows == 0
    assert table(NexmarkGenerator(), "persons", 1, 40).num_rows == 0


@pytest.mark.parametrize(
    "setting, value",
    [
        ("events_per_second", 0),
        ("out_of_order_group", 0),
        ("hot_auction_ratio", 0),
        ("bid_bytes_avg", -1),
        ("person_proportion", -1),
        ("active_people", 2**31),
        ("base_time_ms", 2**60),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, value):
    with pytest.raises(ValueError, match=f"'{setting}': {value}"):
        NexmarkGenerator(**{setting: value})


def test_numbers_streams_and_columns_that_do_not_exist_are_refused():
    generator = NexmarkGenerator()
    with pytest.raises(ValueError, match="outside the generator's"):
        generator.columns("bids", ["price"], -1, 10)
    with pytest.raises(ValueError, match="outside the generator's"):
        generator.columns("bids", ["price"], EVENT_MAX - 5, 10)
    with pytest.raises(
        ValueError, match="bids have no column 'prize'; the columns are auction, bidder, price"
    ):
        generator.columns("bids", ["prize"], 0, 10)
    with pytest.raises(ValueError, match="one of the streams persons, auctions, bids, events, got 'bid'"):
        generator.columns("bid", [], 0, 10)
