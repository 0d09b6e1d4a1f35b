# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from flinkcore._native.column cimport fc_status


cdef extern from "fc_nexmark.h":
    const int64_t FC_NEXMARK_EVENT_MAX

    ctypedef struct fc_nexmark_config:
        uint64_t seed
        int64_t base_time_ms
        int64_t events_per_second
        int64_t out_of_order_group
        int64_t person_proportion
        int64_t auction_proportion
        int64_t bid_proportion
        int64_t hot_auction_ratio
        int64_t hot_bidder_ratio
        int64_t hot_seller_ratio
        int64_t in_flight_auctions
        int64_t active_people
        int64_t person_bytes_avg
        int64_t auction_bytes_avg
        int64_t bid_bytes_avg

    ctypedef enum fc_nexmark_kind:
        FC_NEXMARK_PERSON
        FC_NEXMARK_AUCTION
        FC_NEXMARK_BID
        FC_NEXMARK_ANY

    ctypedef enum fc_nexmark_field:
        FC_NEXMARK_EVENT_TYPE
        FC_NEXMARK_DATE_TIME
        FC_NEXMARK_PERSON_ID
        FC_NEXMARK_PERSON_NAME
        FC_NEXMARK_PERSON_EMAIL
        FC_NEXMARK_PERSON_CARD
        FC_NEXMARK_PERSON_CITY
        FC_NEXMARK_PERSON_STATE
        FC_NEXMARK_PERSON_EXTRA
        FC_NEXMARK_AUCTION_ID
        FC_NEXMARK_AUCTION_ITEM
        FC_NEXMARK_AUCTION_DESCRIPTION
        FC_NEXMARK_AUCTION_INITIAL
        FC_NEXMARK_AUCTION_RESERVE
        FC_NEXMARK_AUCTION_EXPIRES
        FC_NEXMARK_AUCTION_SELLER
        FC_NEXMARK_AUCTION_CATEGORY
        FC_NEXMARK_AUCTION_EXTRA
        FC_NEXMARK_BID_AUCTION
        FC_NEXMARK_BID_BIDDER
        FC_NEXMARK_BID_PRICE
        FC_NEXMARK_BID_CHANNEL
        FC_NEXMARK_BID_URL
        FC_NEXMARK_BID_EXTRA

    fc_status fc_nexmark_check(const fc_nexmark_config *config) nogil
    fc_status fc_nexmark_ids(const fc_nexmark_config *config, fc_nexmark_kind kind, int64_t first,
                             int64_t count, int64_t *ids, int64_t *n) nogil
    fc_status fc_nexmark_i64(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                             int64_t n, int64_t *values) nogil
    int64_t fc_nexmark_bytes_bound(const fc_nexmark_config *config, fc_nexmark_field field, int64_t n) nogil
    fc_status fc_nexmark_bytes(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                               int64_t n, int32_t *offsets, uint8_t *data) nogil
    int64_t fc_nexmark_validity(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                                int64_t n, uint8_t *bits) nogil
