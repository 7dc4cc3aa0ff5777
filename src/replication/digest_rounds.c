#include "replication/digest_rounds.h"

#include "base/memory.h"
#include "base/option.h"
#include "base/random.h"
#include "store/digest_keys.h"

/* Bytes of a key that a verdict shows. */
#define KEY_SHOWN_BYTES_MAX ((size_t)64)

/* A digest with rows of its own. */
struct kept {
    struct message_digest digest;
    struct buffer rows;
};

struct early {
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
    struct kept kept;
};

/* A digest that was asked for, under its seed. */
struct place {
    bool is_used;
    bool has_own;
    bool asks;
    uint64_t seed;
    int64_t asked_ms; /* 0: not by this node's round */
    uint32_t reports;
    struct kept own;
    struct early *early; /* reports that came before the own one; NULL: none did */
    uint32_t early_count;
};

struct digest_rounds {
    struct digest_rounds_plan plan;
    struct random random;
    uint32_t next_slot; /* of the round */
    int64_t round_ms;   /* when it began; 0: none is under way */
    int64_t period_ms;

    struct slot_set suspects;
    uint32_t suspects_count;
    uint32_t suspect_next; /* slot from which the next one is looked for */
    int64_t suspect_ms;    /* when the last one was asked for */

    struct place places[DIGEST_ROUNDS_OPEN_MAX];
    uint64_t places_count; /* that were ever used */
    struct digest_figures figures;
};

struct digest_rounds *digest_rounds_new(const struct digest_rounds_plan *plan) {
    struct digest_rounds *rounds = memory_alloc_zeroed(sizeof(*rounds));
    rounds->plan = *plan;
    random_seed(&rounds->random, plan->seed);
    return rounds;
}

/* ---- places ---- */

static void keep(struct kept *kept, const struct message_digest *digest) {
    kept->digest = *digest;
    buffer_append_span(&kept->rows, digest->rows);
    kept->digest.rows = buffer_span(&kept->rows);
}

static void early_free(struct place *place) {
    for (uint32_t i = 0; i < place->early_count; i++) {
        buffer_free(&place->early[i].kept.rows);
    }
    memory_free(place->early);
    place->early = NULL;
    place->early_count = 0;
}

static void place_free(struct place *place) {
    buffer_free(&place->own.rows);
    early_free(place);
    *place = (struct place){.is_used = false};
}

void digest_rounds_free(struct digest_rounds *rounds) {
    if (rounds == NULL) {
        return;
    }
    for (size_t i = 0; i < DIGEST_ROUNDS_OPEN_MAX; i++) {
        place_free(&rounds->places[i]);
    }
    memory_free(rounds);
}

static bool has_rows(const struct place *place) {
    return place->own.rows.length > 0 ||
           (place->early_count > 0 && place->early[0].kept.rows.length > 0);
}

/* The n-th of the newest places: 0 is the last one that was used. */
static struct place *place_newest(struct digest_rounds *rounds, uint64_t n) {
    return &rounds->places[(rounds->places_count - 1 - n) % DIGEST_ROUNDS_OPEN_MAX];
}

static uint64_t places_open(const struct digest_rounds *rounds) {
    return rounds->places_count < DIGEST_ROUNDS_OPEN_MAX ? rounds->places_count
                                                         : DIGEST_ROUNDS_OPEN_MAX;
}

/* Keys take memory: of those with some, the older ones are forgotten. */
static void places_forget(struct digest_rounds *rounds) {
    uint32_t count = 0;
    for (uint64_t i = 0; i < places_open(rounds); i++) {
        struct place *place = place_newest(rounds, i);
        count += has_rows(place);
        if (count > DIGEST_ROUNDS_KEYS_MAX) {
            place_free(place);
            count--;
        }
    }
}

/* The place of this seed; a new one if there is none. */
static struct place *place_of(struct digest_rounds *rounds, uint64_t seed) {
    for (uint64_t i = 0; i < places_open(rounds); i++) {
        struct place *place = place_newest(rounds, i);
        if (place->is_used && place->seed == seed) {
            return place;
        }
    }
    struct place *place = &rounds->places[rounds->places_count++ % DIGEST_ROUNDS_OPEN_MAX];
    place_free(place);
    place->is_used = true;
    place->seed = seed;
    return place;
}

/* ---- what is asked for ---- */

static void suspect_remove(struct digest_rounds *rounds, uint16_t slot) {
    if (slot_set_has(&rounds->suspects, slot)) {
        slot_set_remove(&rounds->suspects, slot);
        rounds->suspects_count--;
    }
}

static void suspect_add(struct digest_rounds *rounds, uint16_t slot) {
    if (!slot_set_has(&rounds->suspects, slot)) {
        slot_set_add(&rounds->suspects, slot);
        rounds->suspects_count++;
    }
}

static bool suspect_next(struct digest_rounds *rounds, int64_t now_ms, uint16_t *slot) {
    if (rounds->suspects_count == 0 ||
        (rounds->suspect_ms != 0 && now_ms - rounds->suspect_ms < DIGEST_SUSPECT_MS)) {
        return false;
    }
    while (!slot_set_has(&rounds->suspects, (uint16_t)rounds->suspect_next)) {
        rounds->suspect_next = (rounds->suspect_next + 1) % SLOTS;
    }
    *slot = (uint16_t)rounds->suspect_next;
    rounds->suspect_next = (rounds->suspect_next + 1) % SLOTS;
    rounds->suspect_ms = now_ms;
    return true;
}

/* What was asked for some time ago still lacks reports. */
static bool awaits_reports(struct digest_rounds *rounds, const struct digest_pace *pace,
                           int64_t now_ms) {
    if (rounds->places_count < DIGEST_ROUNDS_AWAITED_MAX) {
        return false;
    }
    const struct place *place = place_newest(rounds, DIGEST_ROUNDS_AWAITED_MAX - 1);
    return place->asked_ms != 0 && place->reports < pace->replicas &&
           now_ms - place->asked_ms < DIGEST_ROUNDS_PATIENCE_MS;
}

/* Slots are spread evenly over the period. */
static bool round_next(struct digest_rounds *rounds, const struct digest_pace *pace, int64_t now_ms,
                       uint16_t *slot) {
    int64_t period_ms = pace->period_ms;
    if (period_ms <= 0) {
        rounds->round_ms = 0;
        rounds->next_slot = 0;
        return false;
    }
    if (rounds->next_slot == SLOTS) {
        rounds->next_slot = 0;
        rounds->round_ms = now_ms;
        rounds->figures.rounds++;
    }
    if (rounds->round_ms == 0 || rounds->period_ms != period_ms) {
        /* The round goes on at another speed. */
        rounds->period_ms = period_ms;
        rounds->round_ms = now_ms - (int64_t)((double)period_ms * rounds->next_slot / SLOTS);
    }
    double part = (double)(now_ms - rounds->round_ms) / (double)period_ms;
    if (part * SLOTS < (double)rounds->next_slot + 1 || awaits_reports(rounds, pace, now_ms)) {
        return false;
    }
    *slot = (uint16_t)rounds->next_slot++;
    return true;
}

bool digest_rounds_next(struct digest_rounds *rounds, const struct digest_pace *pace,
                        int64_t now_ms, struct digest_request *request) {
    request->has_keys = suspect_next(rounds, now_ms, &request->slot);
    if (!request->has_keys && !round_next(rounds, pace, now_ms, &request->slot)) {
        return false;
    }
    request->seed = random_next(&rounds->random);
    place_of(rounds, request->seed)->asked_ms = now_ms;
    rounds->figures.asked++;
    return true;
}

void digest_rounds_put_off(struct digest_rounds *rounds, const struct digest_request *request) {
    struct place *place = place_newest(rounds, 0);
    ASSERT(place->is_used && place->seed == request->seed);
    place_free(place);
    rounds->places_count--;
    rounds->figures.asked--;
    if (!request->has_keys) {
        rounds->next_slot = request->slot;
    }
}

/* ---- what is found ---- */

struct naming {
    struct buffer text;
    uint64_t count;
};

static void name_key(void *context, const struct digest_key *key,
                     enum digest_keys_difference difference) {
    struct naming *naming = context;
    if (naming->count++ >= DIGEST_ROUNDS_NAMED_MAX) {
        return;
    }
    buffer_append_string(&naming->text, naming->count > 1 ? ", " : "");
    size_t shown = key->key.length < KEY_SHOWN_BYTES_MAX ? key->key.length : KEY_SHOWN_BYTES_MAX;
    option_quote(span_of(key->key.bytes, shown), &naming->text);
    if (shown < key->key.length) {
        buffer_append_string(&naming->text, "...");
    }
    buffer_format(&naming->text, " of database %u", key->database);
    if (difference != DIGEST_KEY_DIFFERS) {
        buffer_append_string(&naming->text, difference == DIGEST_KEY_ONLY_FIRST
                                                ? " (not on the replica)"
                                                : " (only on the replica)");
    }
}

static void judge(struct digest_rounds *rounds, const unsigned char *node_id,
                  const struct message_digest *own, const struct message_digest *theirs) {
    const unsigned char unknown = MESSAGE_DIGEST_INCOMPLETE;
    struct naming naming = {.text = BUFFER_EMPTY};
    bool is_known = (own->flags & theirs->flags & MESSAGE_DIGEST_KEYS) != 0 &&
                    ((own->flags | theirs->flags) & unknown) == 0 &&
                    digest_keys_compare(own->rows, theirs->rows, name_key, &naming);
    struct digest_verdict verdict = {
        .node_id = node_id,
        .slot = own->slot,
        .keys = is_known ? naming.count : 0,
        .keys_are_known = is_known,
        .keys_named = is_known ? buffer_span(&naming.text) : span_of("", 0),
    };
    rounds->figures.differences++;
    rounds->figures.keys += verdict.keys;
    rounds->plan.differs(rounds->plan.context, &verdict);
    buffer_free(&naming.text);
}

static void compare(struct digest_rounds *rounds, const struct place *place,
                    const unsigned char *node_id, const struct message_digest *theirs) {
    const struct message_digest *own = &place->own.digest;
    if (((own->flags | theirs->flags) & MESSAGE_DIGEST_SKIPPED) != 0 || own->slot != theirs->slot) {
        rounds->figures.skipped++;
        return;
    }
    rounds->figures.compared++;
    bool has_keys = (own->flags & MESSAGE_DIGEST_KEYS) != 0;
    if (has_keys) {
        suspect_remove(rounds, own->slot);
    }
    if (own->sum == theirs->sum && own->keys == theirs->keys) {
        return;
    }
    if (has_keys || !place->asks) {
        judge(rounds, node_id, own, theirs);
    } else {
        suspect_add(rounds, own->slot);
    }
}

void digest_rounds_own(struct digest_rounds *rounds, const struct message_digest *digest,
                       bool asks) {
    struct place *place = place_of(rounds, digest->seed);
    if (place->has_own) {
        return;
    }
    keep(&place->own, digest);
    place->has_own = true;
    place->asks = asks;
    for (uint32_t i = 0; i < place->early_count; i++) {
        compare(rounds, place, place->early[i].node_id, &place->early[i].kept.digest);
    }
    early_free(place);
    places_forget(rounds);
}

void digest_rounds_report(struct digest_rounds *rounds,
                          const unsigned char node_id[MESSAGE_NODE_ID_BYTES],
                          const struct message_digest *digest) {
    struct place *place = place_of(rounds, digest->seed);
    place->reports++;
    if (place->has_own) {
        compare(rounds, place, node_id, digest);
        return;
    }
    if (place->early_count == DIGEST_ROUNDS_EARLY_MAX) {
        rounds->figures.skipped++;
        return;
    }
    if (place->early == NULL) {
        place->early = memory_alloc_zeroed(DIGEST_ROUNDS_EARLY_MAX * sizeof(place->early[0]));
    }
    struct early *early = &place->early[place->early_count++];
    memcpy(early->node_id, node_id, MESSAGE_NODE_ID_BYTES);
    keep(&early->kept, digest);
    places_forget(rounds);
}

void digest_rounds_figures(const struct digest_rounds *rounds, struct digest_figures *figures) {
    *figures = rounds->figures;
}
