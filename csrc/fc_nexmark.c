/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_nexmark.h"

#include <stdbool.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF  /* prices are the same on every processor; gcc's -std=c11 says so already */
#endif

/* Starting points and batch sizes of the published generator. */
#define FIRST_PERSON_ID 1000
#define FIRST_AUCTION_ID 1000
#define FIRST_CATEGORY_ID 10
#define CATEGORY_COUNT 5
#define ID_LEAD 10          /* ids not yet created that bids and auctions may already name */
#define HOT_BATCH 100       /* of each batch of so many ids, one is hot */
#define CHANNEL_COUNT 10000
#define STRING_LENGTH_MIN 3

#define ITEM_LENGTH 20
#define DESCRIPTION_LENGTH 100
#define BID_FIXED_BYTES 32
#define CARD_LENGTH 19
#define PERSON_BYTES_BOUND 64        /* name, email, city or state, each with room to overshoot */
#define CHANNEL_BYTES_BOUND 24
#define URL_BYTES_BOUND 96
#define TEXT_OVERSHOOT 8             /* text is written a word at a time */

static const char *const FIRST_NAMES[] = {"Peter", "Paul",  "Luke",  "John",   "Saul",  "Vicky",
                                          "Kate",  "Julie", "Sarah", "Deiter", "Walter"};
static const char *const LAST_NAMES[] = {"Shultz", "Abrams", "Spencer", "White", "Bartels",
                                         "Walton", "Smith",  "Jones",   "Noris"};
static const char *const CITIES[] = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland",
                                     "Bend",    "Redmond",     "Seattle",       "Kent",  "Cheyenne"};
static const char *const STATES[] = {"AZ", "CA", "ID", "OR", "WA", "WY"};
static const char *const HOT_CHANNELS[] = {"Google", "Facebook", "Baidu", "Apple"};

#define COUNT_OF(array) ((int64_t)(sizeof(array) / sizeof((array)[0])))

/* ---- randomness by counter: splitmix64, started anew for each (seed, field, event) ---- */

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

typedef struct {
    uint64_t state;
} fc_random;

static inline uint64_t fc_mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static inline uint64_t field_key(const fc_nexmark_config *config, int field) {
    return fc_mix(config->seed + (uint64_t)field * GOLDEN);
}

static inline fc_random random_of(uint64_t key, int64_t id) {
    return (fc_random){fc_mix(key + (uint64_t)id * GOLDEN)};
}

static inline uint64_t random_word(fc_random *random) { return fc_mix(random->state += GOLDEN); }

/* [0, bound) from 32 random bits; the bias is below bound / 2^32. */
static inline int64_t scale(uint64_t bits32, int64_t bound) {
    return (int64_t)((bits32 * (uint64_t)bound) >> 32);
}

static inline int64_t random_below(fc_random *random, int64_t bound) {
    return scale(random_word(random) >> 32, bound);
}

/* round(100 * 10^(6u)): 2^t with t = 6u log2(10), by a power series of 2^fraction that is good to 1e-11
 * and uses nothing that could differ between C libraries. */
static inline int64_t random_price(fc_random *random) {
    double t = (double)(random_word(random) >> 11) * 0x1p-53 * 19.931568569324174;
    int64_t whole = (int64_t)(t + 0.5);
    double z = (t - (double)whole) * 0.69314718055994531;
    double power = 1.0 / 362880;  /* Horner, from z^9 / 9! down to 1; quotients of constants are constants */
    power = power * z + 1.0 / 40320;
    power = power * z + 1.0 / 5040;
    power = power * z + 1.0 / 720;
    power = power * z + 1.0 / 120;
    power = power * z + 1.0 / 24;
    power = power * z + 1.0 / 6;
    power = power * z + 1.0 / 2;
    power = power * z + 1.0;
    power = power * z + 1.0;
    return (int64_t)(power * (double)((int64_t)1 << whole) * 100.0 + 0.5);
}

/* ---- ids and times ---- */

static inline int64_t cycle(const fc_nexmark_config *config) {
    return config->person_proportion + config->auction_proportion + config->bid_proportion;
}

static inline fc_nexmark_kind kind_of(const fc_nexmark_config *config, int64_t id) {
    int64_t offset = id % cycle(config) - config->person_proportion;
    return offset < 0 ? FC_NEXMARK_PERSON : offset < config->auction_proportion ? FC_NEXMARK_AUCTION : FC_NEXMARK_BID;
}

static inline int64_t time_of(const fc_nexmark_config *config, int64_t id) {
    return config->base_time_ms + id * 1000 / config->events_per_second;
}

/* The newest person at event `id`, counted from 0; -1 when there is none yet. */
static inline int64_t last_person(const fc_nexmark_config *config, int64_t id) {
    int64_t epoch = id / cycle(config), offset = id % cycle(config);
    if (offset >= config->person_proportion) offset = config->person_proportion - 1;
    return epoch * config->person_proportion + offset;
}

static inline int64_t last_auction(const fc_nexmark_config *config, int64_t id) {
    int64_t epoch = id / cycle(config), offset = id % cycle(config) - config->person_proportion;
    if (offset < 0) {  /* a person: the last auction of the cycle before */
        epoch--;
        offset = config->auction_proportion - 1;
    } else if (offset >= config->auction_proportion) {
        offset = config->auction_proportion - 1;
    }
    return epoch * config->auction_proportion + offset;
}

static inline int64_t some_person(const fc_nexmark_config *config, int64_t id, uint64_t bits32) {
    int64_t people = last_person(config, id) + 1;
    int64_t active = people < config->active_people ? people : config->active_people;
    return people - active + scale(bits32, active + ID_LEAD);
}

static inline int64_t some_auction(const fc_nexmark_config *config, int64_t id, uint64_t bits32) {
    int64_t last = last_auction(config, id), oldest = last - config->in_flight_auctions;
    if (oldest < 0) oldest = 0;
    return oldest + scale(bits32, last - oldest + 1 + ID_LEAD);
}

/* The high half of one word decides whether the hot one is taken, the low half which other one. */
static inline int64_t bid_auction(const fc_nexmark_config *config, uint64_t key, int64_t id) {
    uint64_t word = random_of(key, id).state;
    int64_t auction = scale(word >> 32, config->hot_auction_ratio) > 0
                          ? last_auction(config, id) / HOT_BATCH * HOT_BATCH
                          : some_auction(config, id, word & UINT32_MAX);
    return auction + FIRST_AUCTION_ID;
}

static inline int64_t bid_bidder(const fc_nexmark_config *config, uint64_t key, int64_t id) {
    uint64_t word = random_of(key, id).state;
    int64_t bidder = scale(word >> 32, config->hot_bidder_ratio) > 0
                         ? last_person(config, id) / HOT_BATCH * HOT_BATCH + 1  /* 0 is the hot seller */
                         : some_person(config, id, word & UINT32_MAX);
    return bidder + FIRST_PERSON_ID;
}

static inline int64_t auction_seller(const fc_nexmark_config *config, uint64_t key, int64_t id) {
    uint64_t word = random_of(key, id).state;
    int64_t seller = scale(word >> 32, config->hot_seller_ratio) > 0
                         ? last_person(config, id) / HOT_BATCH * HOT_BATCH
                         : some_person(config, id, word & UINT32_MAX);
    return seller + FIRST_PERSON_ID;
}

static inline int64_t price_of(uint64_t key, int64_t id) {
    fc_random random = random_of(key, id);
    return random_price(&random);
}

/* An auction lasts 1 ms to twice the time in which in_flight_auctions more auctions appear. */
static inline int64_t auction_expires(const fc_nexmark_config *config, uint64_t key, int64_t id) {
    fc_random random = random_of(key, id);
    int64_t events = config->in_flight_auctions * cycle(config) / config->auction_proportion;
    int64_t span = 2 * (time_of(config, id + events) - time_of(config, id));
    if (span < 1) span = 1;
    if (span > UINT32_MAX) span = UINT32_MAX;
    return time_of(config, id) + 1 + random_below(&random, span);
}

/* ---- text; each writer returns the end, and may have written up to TEXT_OVERSHOOT bytes after it ---- */

static inline uint8_t *put(uint8_t *out, const char *text) {
    size_t length = strlen(text);
    memcpy(out, text, length);
    return out + length;
}

static inline uint8_t *put_number(uint8_t *out, uint32_t value) {
    uint8_t digits[10];
    int n = 0;
    do {
        digits[n++] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n) *out++ = digits[--n];
    return out;
}

/* 3 .. length_max - 1 characters, one in 13 of them `gap`, without the gaps at the ends when it is a space. */
static uint8_t *put_string(uint8_t *out, fc_random *random, int64_t length_max, char gap) {
    int64_t length = STRING_LENGTH_MIN + random_below(random, length_max - STRING_LENGTH_MIN);
    uint8_t *start = out;
    for (int64_t i = 0; i < length; i += 4) {
        uint64_t word = random_word(random);
        for (int j = 0; j < 4; j++, word >>= 16) {
            uint32_t choice = (uint32_t)((word & 0xFFFF) * (13 * 26) >> 16);
            out[i + j] = (uint8_t)(choice < 26 ? (uint32_t)gap : 'a' + choice % 26);
        }
    }
    uint8_t *end = start + length;
    if (gap != ' ') return end;
    while (end > start && end[-1] == ' ') end--;
    int64_t leading = 0;
    while (start + leading < end && start[leading] == ' ') leading++;
    if (leading) memmove(start, start + leading, (size_t)(end - start - leading));
    return end - leading;
}

/* `length` letters, eight to a word: byte * 26 / 256 in four lanes at a time. */
static inline uint8_t *put_letters(uint8_t *out, fc_random *random, int64_t length) {
    const uint64_t lanes = UINT64_C(0x00FF00FF00FF00FF);
    for (int64_t i = 0; i < length; i += 8) {
        uint64_t word = random_word(random);
        uint64_t even = ((word & lanes) * 26 >> 8) & lanes;
        uint64_t odd = ((word >> 8 & lanes) * 26) & ~lanes;
        uint64_t letters = (even | odd) + UINT64_C(0x6161616161616161);
        for (int j = 0; j < 8; j++) out[i + j] = (uint8_t)(letters >> (8 * j));  /* one store on x86 */
    }
    return out + length;
}

/* How much `extra` fills an event of `bytes` up to an average of `bytes_avg`, give or take a fifth. */
static inline int64_t extra_length(fc_random *random, int64_t bytes, int64_t bytes_avg) {
    if (bytes > bytes_avg) return 0;
    int64_t wanted = bytes_avg - bytes;
    int64_t delta = (2 * wanted + 5) / 10;  /* round(0.2 * wanted) */
    return wanted - delta + (delta ? random_below(random, 2 * delta) : 0);
}

static inline const char *pick(const char *const *texts, int64_t count, fc_random random) {
    return texts[random_below(&random, count)];
}

static uint8_t *put_name(uint8_t *out, fc_random random) {
    out = put(out, FIRST_NAMES[random_below(&random, COUNT_OF(FIRST_NAMES))]);
    *out++ = ' ';
    return put(out, LAST_NAMES[random_below(&random, COUNT_OF(LAST_NAMES))]);
}

static uint8_t *put_email(uint8_t *out, fc_random random) {
    out = put_string(out, &random, 7, ' ');
    *out++ = '@';
    out = put_string(out, &random, 5, ' ');
    return put(out, ".com");
}

static uint8_t *put_card(uint8_t *out, fc_random random) {
    for (int group = 0; group < 4; group++) {
        uint32_t digits = (uint32_t)random_below(&random, 10000);
        if (group) *out++ = ' ';
        for (uint32_t unit = 1000; unit; unit /= 10) *out++ = (uint8_t)('0' + digits / unit % 10);
    }
    return out;
}

static uint8_t *put_person_extra(uint8_t *out, const fc_nexmark_config *config, int64_t id) {
    uint8_t text[2 * PERSON_BYTES_BOUND];
    fc_random random = random_of(field_key(config, FC_NEXMARK_PERSON_EXTRA), id);
    int64_t bytes = 8 + CARD_LENGTH;
    bytes += put_name(text, random_of(field_key(config, FC_NEXMARK_PERSON_NAME), id)) - text;
    bytes += put_email(text, random_of(field_key(config, FC_NEXMARK_PERSON_EMAIL), id)) - text;
    bytes += (int64_t)strlen(pick(CITIES, COUNT_OF(CITIES), random_of(field_key(config, FC_NEXMARK_PERSON_CITY), id)));
    bytes += 2;  /* the state */
    return put_letters(out, &random, extra_length(&random, bytes, config->person_bytes_avg));
}

static uint8_t *put_auction_string(uint8_t *out, fc_random random, int64_t length_max) {
    return put_string(out, &random, length_max, ' ');
}

static uint8_t *put_auction_extra(uint8_t *out, const fc_nexmark_config *config, int64_t id) {
    uint8_t text[DESCRIPTION_LENGTH + TEXT_OVERSHOOT];
    fc_random random = random_of(field_key(config, FC_NEXMARK_AUCTION_EXTRA), id);
    int64_t bytes = 6 * 8;
    bytes += put_auction_string(text, random_of(field_key(config, FC_NEXMARK_AUCTION_ITEM), id), ITEM_LENGTH) - text;
    bytes += put_auction_string(text, random_of(field_key(config, FC_NEXMARK_AUCTION_DESCRIPTION), id),
                                DESCRIPTION_LENGTH) - text;
    return put_letters(out, &random, extra_length(&random, bytes, config->auction_bytes_avg));
}

/* Half of the bids come through one of four hot channels (-1 .. -4), the others through one of 10,000. */
static inline int64_t channel_of(uint64_t channel_key, int64_t id) {
    uint64_t word = random_of(channel_key, id).state;
    return word >> 63 ? -1 - scale(word & UINT32_MAX, COUNT_OF(HOT_CHANNELS)) : scale(word & UINT32_MAX, CHANNEL_COUNT);
}

static inline uint8_t *put_channel(uint8_t *out, int64_t channel) {
    if (channel < 0) return put(out, HOT_CHANNELS[-1 - channel]);
    return put_number(put(out, "channel-"), (uint32_t)channel);
}

/* A channel has one url, made of the seed and its number; nine in ten also name the channel. */
static uint8_t *put_url(uint8_t *out, uint64_t url_key, int64_t channel) {
    fc_random random = random_of(url_key, channel);
    out = put(out, "https://www.nexmark.com/");
    for (int part = 0; part < 3; part++) {
        out = put_string(out, &random, 5, '_');
        *out++ = '/';
    }
    out = put(out, "item.htm?query=1");
    if (channel < 0 || random_below(&random, 10) == 0) return out;
    uint32_t reversed = 0;  /* |Integer.reverse(channel)|; channels have 14 bits */
    for (int bit = 0; bit < 14; bit++) reversed |= (uint32_t)(channel >> bit & 1) << (31 - bit);
    if (reversed >> 31) reversed = 0 - reversed;
    return put_number(put(out, "&channel_id="), reversed);
}

static inline uint8_t *put_bid_extra(uint8_t *out, const fc_nexmark_config *config, uint64_t key, int64_t id) {
    fc_random random = random_of(key, id);
    return put_letters(out, &random, extra_length(&random, BID_FIXED_BYTES, config->bid_bytes_avg));
}

/* ---- the kernels ---- */

static fc_nexmark_kind kind_of_field(fc_nexmark_field field) {
    if (field <= FC_NEXMARK_DATE_TIME) return FC_NEXMARK_ANY;
    if (field <= FC_NEXMARK_PERSON_EXTRA) return FC_NEXMARK_PERSON;
    return field <= FC_NEXMARK_AUCTION_EXTRA ? FC_NEXMARK_AUCTION : FC_NEXMARK_BID;
}

static bool is_within(int64_t value, int64_t least, int64_t most) { return value >= least && value <= most; }

fc_status fc_nexmark_check(const fc_nexmark_config *config) {
    const int64_t most = INT32_MAX, bytes_most = 1000000;
    bool valid = is_within(config->person_proportion, 0, most) && is_within(config->auction_proportion, 0, most) &&
                 is_within(config->bid_proportion, 0, most) && is_within(cycle(config), 1, most) &&
                 is_within(config->events_per_second, 1, most) && is_within(config->out_of_order_group, 1, most) &&
                 is_within(config->hot_auction_ratio, 1, most) && is_within(config->hot_bidder_ratio, 1, most) &&
                 is_within(config->hot_seller_ratio, 1, most) && is_within(config->in_flight_auctions, 1, 1 << 20) &&
                 is_within(config->active_people, 1, most - ID_LEAD) &&
                 is_within(config->person_bytes_avg, 0, bytes_most) &&
                 is_within(config->auction_bytes_avg, 0, bytes_most) &&
                 is_within(config->bid_bytes_avg, 0, bytes_most) &&
                 is_within(config->base_time_ms, -((int64_t)1 << 52), (int64_t)1 << 52);
    return valid ? FC_OK : FC_ERR_INVALID;
}

fc_status fc_nexmark_ids(const fc_nexmark_config *config, fc_nexmark_kind kind, int64_t first, int64_t count,
                         int64_t *ids, int64_t *n) {
    if (first < 0 || count < 0 || first > FC_NEXMARK_EVENT_MAX - count) return FC_ERR_INVALID;
    int64_t group = config->out_of_order_group, found = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t number = first + i;
        /* 953 as published; coprime to every group that is not a multiple of it */
        int64_t id = group == 1 ? number : number / group * group + number % group * 953 % group;
        ids[found] = id;
        found += kind == FC_NEXMARK_ANY || kind_of(config, id) == kind;
    }
    *n = found;
    return FC_OK;
}

/* One loop per field, so that the field is chosen once per column. */
#define EACH_VALUE(expression)                                                         \
    for (int64_t i = 0; i < n; i++) {                                                  \
        int64_t id = ids[i];                                                           \
        values[i] = kind == FC_NEXMARK_ANY || kind_of(config, id) == kind ? (expression) : 0; \
    }                                                                                  \
    return FC_OK

fc_status fc_nexmark_i64(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                         int64_t n, int64_t *values) {
    const fc_nexmark_kind kind = kind_of_field(field);
    const uint64_t key = field_key(config, field), initial_key = field_key(config, FC_NEXMARK_AUCTION_INITIAL);
    switch (field) {
    case FC_NEXMARK_EVENT_TYPE: EACH_VALUE((int64_t)kind_of(config, id));
    case FC_NEXMARK_DATE_TIME: EACH_VALUE(time_of(config, id));
    case FC_NEXMARK_PERSON_ID: EACH_VALUE(last_person(config, id) + FIRST_PERSON_ID);
    case FC_NEXMARK_AUCTION_ID: EACH_VALUE(last_auction(config, id) + FIRST_AUCTION_ID);
    case FC_NEXMARK_AUCTION_INITIAL: EACH_VALUE(price_of(key, id));
    case FC_NEXMARK_AUCTION_RESERVE: EACH_VALUE(price_of(initial_key, id) + price_of(key, id));
    case FC_NEXMARK_AUCTION_EXPIRES: EACH_VALUE(auction_expires(config, key, id));
    case FC_NEXMARK_AUCTION_SELLER: EACH_VALUE(auction_seller(config, key, id));
    case FC_NEXMARK_AUCTION_CATEGORY:
        EACH_VALUE(FIRST_CATEGORY_ID + scale(random_of(key, id).state >> 32, CATEGORY_COUNT));
    case FC_NEXMARK_BID_AUCTION: EACH_VALUE(bid_auction(config, key, id));
    case FC_NEXMARK_BID_BIDDER: EACH_VALUE(bid_bidder(config, key, id));
    case FC_NEXMARK_BID_PRICE: EACH_VALUE(price_of(key, id));
    default: return FC_ERR_TYPE;
    }
}

static int64_t extra_length_max(int64_t bytes_avg) { return bytes_avg + bytes_avg / 5 + 1; }

int64_t fc_nexmark_bytes_bound(const fc_nexmark_config *config, fc_nexmark_field field, int64_t n) {
    int64_t each;
    switch (field) {
    case FC_NEXMARK_PERSON_NAME:
    case FC_NEXMARK_PERSON_EMAIL:
    case FC_NEXMARK_PERSON_CARD:
    case FC_NEXMARK_PERSON_CITY:
    case FC_NEXMARK_PERSON_STATE: each = PERSON_BYTES_BOUND; break;
    case FC_NEXMARK_AUCTION_ITEM: each = ITEM_LENGTH; break;
    case FC_NEXMARK_AUCTION_DESCRIPTION: each = DESCRIPTION_LENGTH; break;
    case FC_NEXMARK_PERSON_EXTRA: each = extra_length_max(config->person_bytes_avg); break;
    case FC_NEXMARK_AUCTION_EXTRA: each = extra_length_max(config->auction_bytes_avg); break;
    case FC_NEXMARK_BID_EXTRA: each = extra_length_max(config->bid_bytes_avg); break;
    case FC_NEXMARK_BID_CHANNEL: each = CHANNEL_BYTES_BOUND; break;
    case FC_NEXMARK_BID_URL: each = URL_BYTES_BOUND; break;
    default: return -1;
    }
    return n > (INT32_MAX - TEXT_OVERSHOOT) / each ? -1 : n * each + TEXT_OVERSHOOT;
}

#define EACH_TEXT(expression)                                  \
    for (int64_t i = 0; i < n; i++) {                          \
        int64_t id = ids[i];                                   \
        if (kind_of(config, id) == kind) end = (expression);   \
        offsets[i + 1] = (int32_t)(end - data);                \
    }                                                          \
    return FC_OK

fc_status fc_nexmark_bytes(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                           int64_t n, int32_t *offsets, uint8_t *data) {
    const fc_nexmark_kind kind = kind_of_field(field);
    const uint64_t key = field_key(config, field), channel_key = field_key(config, FC_NEXMARK_BID_CHANNEL);
    uint8_t *end = data;
    offsets[0] = 0;
    switch (field) {
    case FC_NEXMARK_PERSON_NAME: EACH_TEXT(put_name(end, random_of(key, id)));
    case FC_NEXMARK_PERSON_EMAIL: EACH_TEXT(put_email(end, random_of(key, id)));
    case FC_NEXMARK_PERSON_CARD: EACH_TEXT(put_card(end, random_of(key, id)));
    case FC_NEXMARK_PERSON_CITY: EACH_TEXT(put(end, pick(CITIES, COUNT_OF(CITIES), random_of(key, id))));
    case FC_NEXMARK_PERSON_STATE: EACH_TEXT(put(end, pick(STATES, COUNT_OF(STATES), random_of(key, id))));
    case FC_NEXMARK_PERSON_EXTRA: EACH_TEXT(put_person_extra(end, config, id));
    case FC_NEXMARK_AUCTION_ITEM: EACH_TEXT(put_auction_string(end, random_of(key, id), ITEM_LENGTH));
    case FC_NEXMARK_AUCTION_DESCRIPTION: EACH_TEXT(put_auction_string(end, random_of(key, id), DESCRIPTION_LENGTH));
    case FC_NEXMARK_AUCTION_EXTRA: EACH_TEXT(put_auction_extra(end, config, id));
    case FC_NEXMARK_BID_CHANNEL: EACH_TEXT(put_channel(end, channel_of(key, id)));
    case FC_NEXMARK_BID_URL: EACH_TEXT(put_url(end, key, channel_of(channel_key, id)));
    case FC_NEXMARK_BID_EXTRA: EACH_TEXT(put_bid_extra(end, config, key, id));
    default: return FC_ERR_TYPE;
    }
}

int64_t fc_nexmark_validity(const fc_nexmark_config *config, fc_nexmark_field field, const int64_t *ids,
                            int64_t n, uint8_t *bits) {
    const fc_nexmark_kind kind = kind_of_field(field);
    int64_t valid = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t is_kind = kind == FC_NEXMARK_ANY || kind_of(config, ids[i]) == kind;
        bits[i >> 3] |= (uint8_t)(is_kind << (i & 7));
        valid += is_kind;
    }
    return valid;
}
