/* SPDX-License-Identifier: Apache-2.0
 *
 * Nexmark events: an online auction's persons, auctions and bids, for benchmarks and examples.
 *
 * The parameters and the shape of every field are those of the published generator (Tucker, Tufte,
 * Papadimos, Maier, "NEXMark", 2002, as restated by Apache Beam's sdks/java/testing/nexmark and by
 * github.com/nexmark/nexmark, from which the defaults come): of 50 events 1 is a person, 3 are auctions
 * and 46 are bids; half of the bids go to one hot auction, three quarters come from one hot bidder,
 * three quarters of the auctions from one hot seller; prices are 100 * 10^(6u).
 *
 * Every field is a pure function of (seed, field, event id): no state runs from one event to the next.
 * Any cut of the event range yields the same events, and a column that nobody asks for costs nothing.
 * What differs from the published code, and why:
 *   - its randomness is one java.util.Random per process, so its events cannot be repeated; ours can;
 *   - timestamps are exact integer arithmetic instead of a double delay;
 *   - FIRST_PERSON_ID is added to a bidder once (one published version adds it twice, so that most
 *     bidders do not exist);
 *   - letters are a to z (the published nextExactString also yields characters before 'a', because
 *     Java's % keeps the sign). */
#ifndef FC_NEXMARK_H
#define FC_NEXMARK_H

#include "fc_status.h"
#include <stdint.h>

typedef struct {
    uint64_t seed;
    int64_t base_time_ms;          /* event time of event 0, milliseconds since the epoch */
    int64_t events_per_second;     /* event-time rate: event i happens i * 1000 / rate ms after event 0 */
    int64_t out_of_order_group;    /* events per shuffled group; 1 keeps event time in order */
    int64_t person_proportion;     /* of every (person + auction + bid) events: so many persons, */
    int64_t auction_proportion;    /* then so many auctions, */
    int64_t bid_proportion;        /* then so many bids */
    int64_t hot_auction_ratio;     /* 1 - 1/ratio of the bids go to the hot auction */
    int64_t hot_bidder_ratio;      /* 1 - 1/ratio of the bids come from the hot bidder */
    int64_t hot_seller_ratio;      /* 1 - 1/ratio of the auctions come from the hot seller */
    int64_t in_flight_auctions;    /* auctions open at a time */
    int64_t active_people;         /* persons who bid and sell at a time */
    int64_t person_bytes_avg;      /* sizes that the `extra` fields fill up to */
    int64_t auction_bytes_avg;
    int64_t bid_bytes_avg;
} fc_nexmark_config;

/* The published values of event_type. FC_NEXMARK_ANY stands for all three. */
typedef enum {
    FC_NEXMARK_PERSON = 0,
    FC_NEXMARK_AUCTION = 1,
    FC_NEXMARK_BID = 2,
    FC_NEXMARK_ANY = 3
} fc_nexmark_kind;

/* Numbers seed the fields' random streams: append, never renumber. */
typedef enum {
    FC_NEXMARK_EVENT_TYPE = 1,         /* i64, of any event */
    FC_NEXMARK_DATE_TIME = 2,          /* i64 ms, of any event */
    FC_NEXMARK_PERSON_ID = 3,          /* i64 */
    FC_NEXMARK_PERSON_NAME = 4,        /* bytes, and so on */
    FC_NEXMARK_PERSON_EMAIL = 5,
    FC_NEXMARK_PERSON_CARD = 6,
    FC_NEXMARK_PERSON_CITY = 7,
    FC_NEXMARK_PERSON_STATE = 8,
    FC_NEXMARK_PERSON_EXTRA = 9,
    FC_NEXMARK_AUCTION_ID = 10,        /* i64 */
    FC_NEXMARK_AUCTION_ITEM = 11,      /* bytes */
    FC_NEXMARK_AUCTION_DESCRIPTION = 12,
    FC_NEXMARK_AUCTION_INITIAL = 13,   /* i64 */
    FC_NEXMARK_AUCTION_RESERVE = 14,   /* i64 */
    FC_NEXMARK_AUCTION_EXPIRES = 15,   /* i64 ms */
    FC_NEXMARK_AUCTION_SELLER = 16,    /* i64 */
    FC_NEXMARK_AUCTION_CATEGORY = 17,  /* i64 */
    FC_NEXMARK_AUCTION_EXTRA = 18,     /* bytes */
    FC_NEXMARK_BID_AUCTION = 19,       /* i64 */
    FC_NEXMARK_BID_BIDDER = 20,        /* i64 */
    FC_NEXMARK_BID_PRICE = 21,         /* i64 */
    FC_NEXMARK_BID_CHANNEL = 22,       /* bytes */
    FC_NEXMARK_BID_URL = 23,           /* bytes */
    FC_NEXMARK_BID_EXTRA = 24          /* bytes */
} fc_nexmark_field;

#define FC_NEXMARK_EVENT_MAX ((int64_t)1 << 50)  /* event numbers are below it: no product overflows */

/* FC_ERR_INVALID unless rates, proportions, ratios and sizes are in 1 .. 2^31 - 1 (proportions may be 0
 * except in total, sizes may be 0 and are at most 10^6) and base_time_ms is within 2^52 of the epoch. */
fc_status fc_nexmark_check(const fc_nexmark_config *config);

/* The ids of the events of `kind` among the event numbers [first, first + count), in order of event
 * number. `ids` has room for `count`; *n is how many were written. The id of an event number is the
 * number itself, shuffled within its out-of-order group. 0 <= first, first + count <= FC_NEXMARK_EVENT_MAX. */
fc_status fc_nexmark_ids(const fc_nexmark_config *config, fc_nexmark_kind kind, int64_t first, int64_t count,
                         int64_t *ids, int64_t *n);

/* An int64 field of each event; 0 for an event of another kind. FC_ERR_TYPE for a bytes field. */
fc_status fc_nexmark_i64(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                         int64_t n, int64_t *values);

/* The most bytes that `data` needs for n values of a bytes field, or -1: not a bytes field, or more than
 * int32 offsets can number. */
int64_t fc_nexmark_bytes_bound(const fc_nexmark_config *config, fc_nexmark_field field, int64_t n);

/* A bytes field (ASCII) of each event; empty for an event of another kind. `offsets` has room for n + 1,
 * `data` for fc_nexmark_bytes_bound. */
fc_status fc_nexmark_bytes(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                           int64_t n, int32_t *offsets, uint8_t *data);

/* Set bit i of the zeroed bitmap where ids[i] is an event of the field's kind; return how many are set. */
int64_t fc_nexmark_validity(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                            int64_t n, uint8_t *bits);

#endif
