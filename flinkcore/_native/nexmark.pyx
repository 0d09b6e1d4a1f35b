# SPDX-License-Identifier: Apache-2.0
"""Nexmark events as columns: persons, auctions and bids of any range of event numbers."""

import numpy as np
import pyarrow as pa

from flinkcore._native.column cimport FC_OK, FC_I64, FC_BYTES, Column, column_of

EVENT_MAX = FC_NEXMARK_EVENT_MAX

_DATE_TIME = pa.timestamp("ms")

_PERSON = {
    "id": (FC_NEXMARK_PERSON_ID, pa.int64()),
    "name": (FC_NEXMARK_PERSON_NAME, pa.string()),
    "email_address": (FC_NEXMARK_PERSON_EMAIL, pa.string()),
    "credit_card": (FC_NEXMARK_PERSON_CARD, pa.string()),
    "city": (FC_NEXMARK_PERSON_CITY, pa.string()),
    "state": (FC_NEXMARK_PERSON_STATE, pa.string()),
    "date_time": (FC_NEXMARK_DATE_TIME, _DATE_TIME),
    "extra": (FC_NEXMARK_PERSON_EXTRA, pa.string()),
}
_AUCTION = {
    "id": (FC_NEXMARK_AUCTION_ID, pa.int64()),
    "item_name": (FC_NEXMARK_AUCTION_ITEM, pa.string()),
    "description": (FC_NEXMARK_AUCTION_DESCRIPTION, pa.string()),
    "initial_bid": (FC_NEXMARK_AUCTION_INITIAL, pa.int64()),
    "reserve": (FC_NEXMARK_AUCTION_RESERVE, pa.int64()),
    "date_time": (FC_NEXMARK_DATE_TIME, _DATE_TIME),
    "expires": (FC_NEXMARK_AUCTION_EXPIRES, _DATE_TIME),
    "seller": (FC_NEXMARK_AUCTION_SELLER, pa.int64()),
    "category": (FC_NEXMARK_AUCTION_CATEGORY, pa.int64()),
    "extra": (FC_NEXMARK_AUCTION_EXTRA, pa.string()),
}
_BID = {
    "auction": (FC_NEXMARK_BID_AUCTION, pa.int64()),
    "bidder": (FC_NEXMARK_BID_BIDDER, pa.int64()),
    "price": (FC_NEXMARK_BID_PRICE, pa.int64()),
    "channel": (FC_NEXMARK_BID_CHANNEL, pa.string()),
    "url": (FC_NEXMARK_BID_URL, pa.string()),
    "date_time": (FC_NEXMARK_DATE_TIME, _DATE_TIME),
    "extra": (FC_NEXMARK_BID_EXTRA, pa.string()),
}


def _all_events():
    """event_type and date_time of every event, then each kind's own fields under its name: null elsewhere."""
    fields = {"event_type": (FC_NEXMARK_EVENT_TYPE, pa.int32()), "date_time": (FC_NEXMARK_DATE_TIME, _DATE_TIME)}
    for kind, group in (("person", _PERSON), ("auction", _AUCTION), ("bid", _BID)):
        fields.update((f"{kind}_{name}", field) for name, field in group.items() if name != "date_time")
    return fields


# stream -> (kind of event, name -> (field of the kernel, logical type))
_STREAMS = {
    "persons": (FC_NEXMARK_PERSON, _PERSON),
    "auctions": (FC_NEXMARK_AUCTION, _AUCTION),
    "bids": (FC_NEXMARK_BID, _BID),
    "events": (FC_NEXMARK_ANY, _all_events()),
}

STREAMS = {stream: {name: type for name, (_, type) in fields.items()} for stream, (_, fields) in _STREAMS.items()}


cdef class NexmarkGenerator:
    """Columns of Nexmark events; a pure function of its configuration and the event numbers.

    The arguments are the members of fc_nexmark_config (csrc/fc_nexmark.h says what each one means).
    ValueError : a rate, proportion, ratio or size is outside its range
    """

    cdef fc_nexmark_config config

    def __init__(self, *, uint64_t seed=42, int64_t base_time_ms=1_436_918_400_000, int64_t events_per_second=10_000,
                 int64_t out_of_order_group=1, int64_t person_proportion=1, int64_t auction_proportion=3,
                 int64_t bid_proportion=46, int64_t hot_auction_ratio=2, int64_t hot_bidder_ratio=4,
                 int64_t hot_seller_ratio=4, int64_t in_flight_auctions=100, int64_t active_people=1000,
                 int64_t person_bytes_avg=200, int64_t auction_bytes_avg=500, int64_t bid_bytes_avg=100):
        self.config = fc_nexmark_config(
            seed=seed, base_time_ms=base_time_ms, events_per_second=events_per_second,
            out_of_order_group=out_of_order_group, person_proportion=person_proportion,
            auction_proportion=auction_proportion, bid_proportion=bid_proportion,
            hot_auction_ratio=hot_auction_ratio, hot_bidder_ratio=hot_bidder_ratio,
            hot_seller_ratio=hot_seller_ratio, in_flight_auctions=in_flight_auctions,
            active_people=active_people, person_bytes_avg=person_bytes_avg,
            auction_bytes_avg=auction_bytes_avg, bid_bytes_avg=bid_bytes_avg)
        if fc_nexmark_check(&self.config) != FC_OK:
            raise ValueError(
                "Nexmark generator: expected rates, ratios and the sum of the proportions in 1 .. 2^31 - 1 and "
                f"sizes in 0 .. 1,000,000, got {self.config}")

    def proportion(self, str stream):
        """(a, b): of every b events in order of their ids, a belong to the stream."""
        config = self.config
        parts = {"persons": config.person_proportion, "auctions": config.auction_proportion, "bids": config.bid_proportion}
        cycle = sum(parts.values())
        return parts.get(stream, cycle), cycle

    def columns(self, str stream, names, int64_t first, int64_t count):
        """The named columns of those events of a stream whose numbers are in [first, first + count).

        stream : "persons", "auctions", "bids", or "events" (all three, each kind's columns null for the others)
        names : some of STREAMS[stream], in the order wanted
        -> one Column for each name, all of one length: `count` for "events", fewer for the others
        ValueError : no such stream or column, or numbers outside [0, EVENT_MAX]
        OverflowError : more than 2^31 bytes in one column; ask for fewer events at once
        """
        if stream not in _STREAMS:
            raise ValueError(f"expected one of the streams {', '.join(_STREAMS)}, got {stream!r}")
        kind, fields = _STREAMS[stream]
        unknown = [name for name in names if name not in fields]
        if unknown:
            raise ValueError(f"Nexmark {stream} have no column {unknown[0]!r}; the columns are {', '.join(fields)}")
        cdef int64_t[::1] ids = np.empty(max(count, 0), np.int64)
        cdef int64_t *base = &ids[0] if count > 0 else NULL
        cdef int64_t n = 0
        cdef fc_nexmark_kind wanted = <fc_nexmark_kind><int>kind
        cdef bint nullable = wanted == FC_NEXMARK_ANY
        cdef fc_status status
        with nogil:
            status = fc_nexmark_ids(&self.config, wanted, first, count, base, &n)
        if status != FC_OK:
            raise ValueError(f"events [{first}, {first + count}) are outside the generator's [0, {EVENT_MAX})")
        columns = []
        for name in names:
            field, type = fields[name]
            columns.append(self.column(<fc_nexmark_field><int>field, type, base, n, nullable))
        return columns

    cdef Column column(self, fc_nexmark_field field, object type, const int64_t *ids, int64_t n, bint nullable):
        if pa.types.is_string(type):
            return self.bytes_column(field, type, ids, n, nullable)
        values = np.empty(n, np.int64)
        cdef int64_t[::1] out = values
        cdef int64_t *address = &out[0] if n else NULL
        with nogil:
            fc_nexmark_i64(&self.config, field, ids, n, address)
        return self.with_nulls(FC_I64, address, NULL, values, field, type, ids, n, nullable)

    cdef Column bytes_column(self, fc_nexmark_field field, object type, const int64_t *ids, int64_t n, bint nullable):
        cdef int64_t bound = fc_nexmark_bytes_bound(&self.config, field, n)
        if bound < 0:
            raise OverflowError(f"{n} events may hold more than 2^31 bytes in one column; ask for fewer at once")
        offsets = np.empty(n + 1, np.int32)
        data = np.empty(bound, np.uint8)
        cdef int32_t[::1] out_offsets = offsets
        cdef uint8_t[::1] out = data
        with nogil:
            fc_nexmark_bytes(&self.config, field, ids, n, &out_offsets[0], &out[0])
        return self.with_nulls(FC_BYTES, &out[0], &out_offsets[0], (data, offsets), field, type, ids, n, nullable)

    cdef Column with_nulls(self, int kind, const void *values, const int32_t *offsets, object owner,
                           fc_nexmark_field field, object type, const int64_t *ids, int64_t n, bint nullable):
        cdef uint8_t[::1] bits
        cdef int64_t valid
        if not nullable or n == 0:
            return column_of(kind, n, values, offsets, NULL, 0, owner, type)
        validity = np.zeros((n + 7) // 8, np.uint8)
        bits = validity
        with nogil:
            valid = fc_nexmark_validity(&self.config, field, ids, n, &bits[0])
        return column_of(kind, n, values, offsets, &bits[0], n - valid, (owner, validity), type)
