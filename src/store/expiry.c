#include "store/expiry.h"

/* Percent of volatile entries that may be expired, at an effort of 1. */
#define STALE_PERCENT 10
/* How much of expired_stale_percent a new figure makes up, in percent: as in Redis. */
#define STALE_WEIGHT_PERCENT 5

struct walker {
    struct store *store;
    struct expiry_pace *pace;
    int kind;
    int64_t now_ms;
    uint32_t units_max;
    expiry_function *expire;
    void *context;
    struct expiry_work work;
};

/* ---- pace ---- */

static uint32_t rate_max(const struct store *store) {
    return EXPIRY_RATE_MAX +
           EXPIRY_RATE_PER_EFFORT * (uint32_t)(store->options->active_expire_effort - 1);
}

/* Adds the tokens of the time that went by. */
static void pace_fill(struct expiry_pace *pace, int64_t now_ms, uint32_t units_max) {
    if (pace->rate < EXPIRY_RATE_MIN) {
        pace->rate = EXPIRY_RATE_MIN;
    }
    int64_t elapsed_ms = now_ms - pace->filled_ms;
    pace->filled_ms = now_ms;
    if (elapsed_ms < 0) {
        return;
    }
    elapsed_ms = elapsed_ms > units_max ? units_max : elapsed_ms;
    uint64_t tokens = pace->tokens + (uint64_t)elapsed_ms * pace->rate;
    pace->tokens = tokens > units_max ? units_max : (uint32_t)tokens;
}

static void pace_pay(struct expiry_pace *pace, uint32_t units) {
    pace->tokens = pace->tokens > units ? pace->tokens - units : 0;
}

/* Sets the rate by what was found lately. */
static void pace_adapt(struct store *store, struct expiry_pace *pace) {
    double percent = pace->seen == 0 ? 0 : (double)pace->expired * 100 / pace->seen;
    if (pace->seen != 0) {
        double *stale = &store->statistics.expired_stale_percent;
        *stale += (percent - *stale) * STALE_WEIGHT_PERCENT / 100;
    }
    int64_t accepted = STALE_PERCENT + 1 - store->options->active_expire_effort;
    if (percent > (double)accepted) {
        pace->rate = pace->rate * 2 > rate_max(store) ? rate_max(store) : pace->rate * 2;
    } else {
        pace->rate = pace->rate / 2 < EXPIRY_RATE_MIN ? EXPIRY_RATE_MIN : pace->rate / 2;
    }
    pace->seen = 0;
    pace->expired = 0;
}

/* ---- one bucket ---- */

struct bucket {
    struct walker *walker;
    int64_t earliest_ms; /* of what stays */
    struct entry *expired[EXPIRY_BUCKET_ENTRIES_MAX];
    uint32_t expired_count;
    bool is_full;
};

static void look_at(void *element, void *context) {
    struct bucket *bucket = context;
    struct entry *entry = element;
    if (!entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        return;
    }
    int64_t expiry_ms = entry_expiry(entry);
    bucket->walker->pace->seen++;
    if (expiry_ms > bucket->walker->now_ms) {
        int64_t bound_ms = store_earliest_of(expiry_ms);
        bucket->earliest_ms = bound_ms < bucket->earliest_ms ? bound_ms : bucket->earliest_ms;
    } else if (bucket->expired_count < EXPIRY_BUCKET_ENTRIES_MAX) {
        bucket->expired[bucket->expired_count++] = entry;
    } else {
        bucket->is_full = true;
    }
}

/* Goes over the bucket that the walk is at, and moves it on. Removing entries may merge buckets:
 * positions mean the same afterwards. */
static void do_bucket(struct walker *walker, uint32_t database_index, struct database *database) {
    struct expiry_walk *walk = &database->walks[walker->kind];
    uint16_t slot = (uint16_t)(walker->store->slot_first + walk->slot);
    struct bucket bucket = {.walker = walker, .earliest_ms = STORE_NO_EARLIEST};
    uint64_t next = table_scan(&database->slots[walk->slot], walk->position, look_at, &bucket);
    walk->earliest_ms =
        bucket.earliest_ms < walk->earliest_ms ? bucket.earliest_ms : walk->earliest_ms;
    for (uint32_t i = 0; i < bucket.expired_count; i++) {
        walker->store->statistics.expired_keys++;
        walker->expire(walker->context, database_index, slot, bucket.expired[i]);
    }
    walker->pace->expired += bucket.expired_count;
    walker->work.expired += bucket.expired_count;
    walker->work.units += 1 + bucket.expired_count;
    if (bucket.is_full) {
        return;
    }
    walk->position = next;
    if (next == 0) {
        struct slot_expiry *expiry = &database->expiries[walk->slot];
        expiry->earliest_ms = expiry->volatile_count == 0 ? STORE_NO_EARLIEST : walk->earliest_ms;
        walk->is_inside = false;
        walk->slot++;
    }
}

/* ---- which slot ---- */

static bool has_work_left(const struct walker *walker) {
    return walker->work.units < walker->units_max;
}

static int kind_of(const struct table *table) {
    return table->bucket_count > EXPIRY_LARGE_BUCKETS ? EXPIRY_LARGE : EXPIRY_SMALL;
}

static bool is_mine(const struct walker *walker, const struct database *database, uint32_t index) {
    return database->expiries[index].earliest_ms <= walker->now_ms &&
           kind_of(&database->slots[index]) == walker->kind;
}

static uint32_t group_end(const struct store *store, uint32_t group) {
    uint32_t end = (group + 1) * STORE_GROUP_SLOTS;
    return end < store->slot_count ? end : store->slot_count;
}

/* Makes the bound of a group exact for the bounds of its slots. */
static void tighten_group(const struct store *store, struct database *database, uint32_t group) {
    int64_t earliest_ms = STORE_NO_EARLIEST;
    for (uint32_t i = group * STORE_GROUP_SLOTS; i < group_end(store, group); i++) {
        int64_t slot_ms = database->expiries[i].earliest_ms;
        earliest_ms = slot_ms < earliest_ms ? slot_ms : earliest_ms;
    }
    database->group_earliest_ms[group] = earliest_ms;
}

/* Moves the walk to its next due slot inside the group it is in. False: it has none any more, and
 * the walk is at the next group. */
static bool seek_in_group(struct walker *walker, struct database *database) {
    struct expiry_walk *walk = &database->walks[walker->kind];
    uint32_t group = walk->slot / STORE_GROUP_SLOTS;
    uint32_t end = group_end(walker->store, group);
    if (database->group_earliest_ms[group] > walker->now_ms) {
        walk->slot = end;
        return false;
    }
    walker->work.units += EXPIRY_GROUP_UNITS;
    for (; walk->slot < end; walk->slot++) {
        if (is_mine(walker, database, walk->slot)) {
            return true;
        }
    }
    tighten_group(walker->store, database, group);
    return false;
}

/* At the end of a database: its bound, and the walk's next round. */
static void finish_database(const struct walker *walker, struct database *database) {
    uint32_t groups = (walker->store->slot_count + STORE_GROUP_SLOTS - 1) / STORE_GROUP_SLOTS;
    int64_t earliest_ms = STORE_NO_EARLIEST;
    for (uint32_t i = 0; i < groups; i++) {
        int64_t group_ms = database->group_earliest_ms[i];
        earliest_ms = group_ms < earliest_ms ? group_ms : earliest_ms;
    }
    database->earliest_ms = earliest_ms;
    database->walks[walker->kind] = (struct expiry_walk){.slot = 0};
}

/* Goes on in a database. False: its end is reached. *is_fruitful: a bucket was looked at. */
static bool walk_database(struct walker *walker, uint32_t database_index, bool *is_fruitful) {
    struct database *database = walker->store->databases[database_index];
    if (database == NULL || database->earliest_ms > walker->now_ms) {
        return false;
    }
    struct expiry_walk *walk = &database->walks[walker->kind];
    while (has_work_left(walker)) {
        if (walk->is_inside) {
            do_bucket(walker, database_index, database);
            *is_fruitful = true;
        } else if (walk->slot >= walker->store->slot_count) {
            finish_database(walker, database);
            return false;
        } else if (seek_in_group(walker, database)) {
            walk->is_inside = true;
            walk->position = 0;
            walk->earliest_ms = STORE_NO_EARLIEST;
        }
    }
    return true;
}

static void tighten_store(struct store *store) {
    store->expiry_earliest_ms = STORE_NO_EARLIEST;
    for (uint32_t i = 0; i < store->database_count; i++) {
        const struct database *database = store->databases[i];
        if (database != NULL && database->earliest_ms < store->expiry_earliest_ms) {
            store->expiry_earliest_ms = database->earliest_ms;
        }
    }
}

/* Goes round the databases until the units are used up, or a whole round, begun at a database's
 * start, finds nothing. */
static void walk_databases(struct walker *walker) {
    struct store *store = walker->store;
    struct expiry_pace *pace = walker->pace;
    uint32_t fruitless = 0;
    while (has_work_left(walker) && fruitless <= store->database_count) {
        bool is_fruitful = false;
        if (!walk_database(walker, pace->database, &is_fruitful)) {
            pace->database = pace->database + 1 < store->database_count ? pace->database + 1 : 0;
            fruitless = is_fruitful ? 0 : fruitless + 1;
        }
        if (pace->seen >= EXPIRY_WINDOW_ENTRIES) {
            pace_adapt(store, pace);
        }
    }
    if (fruitless > store->database_count) {
        pace_adapt(store, pace);
    } else if (pace->rate == rate_max(store)) {
        store->statistics.expired_time_cap_reached++;
    }
    tighten_store(store);
}

/* ---- the step ---- */

struct expiry_work expiry_step(struct store *store, int64_t now_ms, uint32_t units_max,
                               expiry_function *expire, void *context) {
    struct expiry_work sum = {.units = 0};
    if (!expiry_is_due(store, now_ms)) {
        return sum;
    }
    for (int kind = 0; kind < EXPIRY_WALKS; kind++) {
        struct expiry_pace *pace = &store->paces[kind];
        pace_fill(pace, now_ms, units_max);
        uint32_t batch = units_max < EXPIRY_BATCH_UNITS ? units_max : EXPIRY_BATCH_UNITS;
        if (pace->tokens < batch || sum.units >= units_max) {
            continue;
        }
        uint32_t left = units_max - sum.units;
        struct walker walker = {
            .store = store,
            .pace = pace,
            .kind = kind,
            .now_ms = now_ms,
            .units_max = left < pace->tokens ? left : pace->tokens,
            .expire = expire,
            .context = context,
        };
        walk_databases(&walker);
        pace_pay(pace, walker.work.units);
        sum.units += walker.work.units;
        sum.expired += walker.work.expired;
    }
    return sum;
}

uint32_t expiry_wait_ms(const struct store *store, uint32_t units_max) {
    uint32_t rate = EXPIRY_RATE_MIN;
    for (int kind = 0; kind < EXPIRY_WALKS; kind++) {
        rate = store->paces[kind].rate > rate ? store->paces[kind].rate : rate;
    }
    return units_max > rate ? units_max / rate : 1;
}
