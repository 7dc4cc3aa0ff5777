#include "cluster/raft_config.h"

#include "base/bytes.h"
#include "base/memory.h"

#define COUNT_BYTES 2
#define MEMBER_BYTES (RAFT_ID_BYTES + 1)

void raft_config_free(struct raft_config *config) {
    memory_free(config->members);
    *config = RAFT_CONFIG_EMPTY;
}

void raft_config_copy(struct raft_config *target, const struct raft_config *source) {
    struct raft_config copy = RAFT_CONFIG_EMPTY;
    if (source->count > 0) {
        copy.members = memory_copy(source->members, source->count * sizeof(*source->members));
        copy.count = source->count;
    }
    raft_config_free(target);
    *target = copy;
}

/* ---- asking ---- */

/* The member, or the first one behind it. */
static size_t place_of(const struct raft_config *config, const struct raft_id *id) {
    size_t i = 0;
    while (i < config->count && raft_id_compare(&config->members[i].id, id) < 0) {
        i++;
    }
    return i;
}

static struct raft_config_member *find(const struct raft_config *config, const struct raft_id *id) {
    size_t i = place_of(config, id);
    bool is_there = i < config->count && raft_id_equal(&config->members[i].id, id);
    return is_there ? &config->members[i] : NULL;
}

bool raft_config_has(const struct raft_config *config, const struct raft_id *id) {
    return find(config, id) != NULL;
}

bool raft_config_has_voter(const struct raft_config *config, const struct raft_id *id) {
    const struct raft_config_member *member = find(config, id);
    return member != NULL && member->is_voter;
}

size_t raft_config_voters(const struct raft_config *config) {
    size_t count = 0;
    for (size_t i = 0; i < config->count; i++) {
        count += config->members[i].is_voter;
    }
    return count;
}

size_t raft_config_majority(const struct raft_config *config) {
    return raft_config_voters(config) / 2 + 1;
}

/* ---- changing ---- */

static void insert(struct raft_config *config, const struct raft_config_member *member) {
    size_t at = place_of(config, &member->id);
    size_t size = sizeof(*config->members);
    config->members = memory_realloc(config->members, (config->count + 1) * size);
    memmove(config->members + at + 1, config->members + at, (config->count - at) * size);
    config->members[at] = *member;
    config->count++;
}

static void take_out(struct raft_config *config, struct raft_config_member *member) {
    size_t behind = config->count - (size_t)(member - config->members) - 1;
    memmove(member, member + 1, behind * sizeof(*member));
    config->count--;
}

bool raft_config_change(struct raft_config *config, const struct raft_change *change) {
    struct raft_config_member *member = find(config, &change->id);
    bool is_last_voter = member != NULL && member->is_voter && raft_config_voters(config) == 1;
    if ((member == NULL) != (change->kind == RAFT_CHANGE_ADD) || is_last_voter) {
        return false;
    }
    switch (change->kind) {
    case RAFT_CHANGE_ADD:
        if (config->count == RAFT_MEMBERS_MAX || raft_id_is_none(&change->id)) {
            return false;
        }
        insert(config, &(struct raft_config_member){.id = change->id});
        return true;
    case RAFT_CHANGE_PROMOTE:
        if (member->is_voter || raft_config_voters(config) == RAFT_VOTERS_MAX) {
            return false;
        }
        member->is_voter = true;
        return true;
    case RAFT_CHANGE_DEMOTE:
        if (!member->is_voter) {
            return false;
        }
        member->is_voter = false;
        return true;
    case RAFT_CHANGE_REMOVE:
        take_out(config, member);
        return true;
    }
    return false;
}

void raft_config_found(struct raft_config *config, const struct raft_id *voter) {
    ASSERT(!raft_id_is_none(voter));
    raft_config_free(config);
    insert(config, &(struct raft_config_member){.id = *voter, .is_voter = true});
}

/* ---- bytes ---- */

void raft_config_write(const struct raft_config *config, struct buffer *out) {
    char *place = buffer_reserve(out, COUNT_BYTES + config->count * MEMBER_BYTES);
    bytes_store_u16(place, (uint16_t)config->count);
    place += COUNT_BYTES;
    for (size_t i = 0; i < config->count; i++) {
        memcpy(place, config->members[i].id.bytes, RAFT_ID_BYTES);
        place[RAFT_ID_BYTES] = config->members[i].is_voter ? 1 : 0;
        place += MEMBER_BYTES;
    }
    buffer_commit(out, COUNT_BYTES + config->count * MEMBER_BYTES);
}

/* False: it is none, or does not belong behind the one before it. */
static bool member_read(const char *place, const struct raft_id *before,
                        struct raft_config_member *member) {
    memcpy(member->id.bytes, place, RAFT_ID_BYTES);
    unsigned char role = (unsigned char)place[RAFT_ID_BYTES];
    member->is_voter = role == 1;
    return role <= 1 && raft_id_compare(before, &member->id) < 0;
}

bool raft_config_read(struct raft_config *config, struct span *bytes) {
    if (bytes->length < COUNT_BYTES) {
        return false;
    }
    size_t count = bytes_load_u16(bytes->bytes);
    size_t length = COUNT_BYTES + count * MEMBER_BYTES;
    if (count > RAFT_MEMBERS_MAX || bytes->length < length) {
        return false;
    }
    struct raft_config found = {.members = NULL, .count = count};
    if (count > 0) {
        found.members = memory_alloc(count * sizeof(*found.members));
    }
    struct raft_id before = RAFT_ID_NONE;
    bool is_whole = true;
    for (size_t i = 0; i < count && is_whole; i++) {
        const char *place = bytes->bytes + COUNT_BYTES + i * MEMBER_BYTES;
        is_whole = member_read(place, &before, &found.members[i]);
        before = found.members[i].id;
    }
    if (!is_whole || raft_config_voters(&found) > RAFT_VOTERS_MAX) {
        raft_config_free(&found);
        return false;
    }
    raft_config_free(config);
    *config = found;
    *bytes = span_of(bytes->bytes + length, bytes->length - length);
    return true;
}
