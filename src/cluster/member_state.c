#include "cluster/member_state.h"

#include "base/memory.h"
#include "cluster/map_merge.h"

void member_state_free(struct member_state *state) {
    map_return(state->map);
    memory_free(state->tickets);
    memory_free(state->absorbed);
    *state = MEMBER_STATE_EMPTY;
}

/* ---- entries ---- */

static void put_contact(struct buffer *out, const struct member_contact *contact) {
    fields_put_id(out, &contact->id);
    fields_put_text(out, contact->ip);
    fields_put_u16(out, contact->bus_port);
}

static void take_contact(struct fields *fields, struct member_contact *contact) {
    contact->id = fields_take_id(fields);
    fields_take_text(fields, contact->ip, sizeof(contact->ip));
    contact->bus_port = fields_take_u16(fields);
}

void member_entry_write(const struct member_entry *entry, struct buffer *out) {
    fields_put_u8(out, entry->kind);
    fields_put_id(out, &entry->asker);
    fields_put_u64(out, entry->session);
    fields_put_u64(out, entry->number);
    switch (entry->kind) {
    case MEMBER_ENTRY_CHANGES:
        buffer_append_span(out, entry->changes);
        break;
    case MEMBER_ENTRY_MERGE_BEGIN:
        fields_put_id(out, &entry->group);
        put_contact(out, &entry->contact);
        break;
    case MEMBER_ENTRY_MERGE_END:
        fields_put_u64(out, entry->merge);
        fields_put_text(out, entry->error);
        break;
    case MEMBER_ENTRY_ADOPT:
        fields_put_id(out, &entry->group);
        fields_put_u64(out, entry->merge);
        buffer_append_span(out, entry->map);
        break;
    }
}

bool member_entry_read(struct span bytes, struct member_entry *entry) {
    struct fields fields = {.rest = bytes};
    *entry = (struct member_entry){.kind = (enum member_entry_kind)fields_take_u8(&fields)};
    entry->asker = fields_take_id(&fields);
    entry->session = fields_take_u64(&fields);
    entry->number = fields_take_u64(&fields);
    switch (entry->kind) {
    case MEMBER_ENTRY_CHANGES:
        entry->changes = fields.rest;
        return !fields.is_bad;
    case MEMBER_ENTRY_MERGE_BEGIN:
        entry->group = fields_take_id(&fields);
        take_contact(&fields, &entry->contact);
        return fields_end(&fields);
    case MEMBER_ENTRY_MERGE_END:
        entry->merge = fields_take_u64(&fields);
        fields_take_text(&fields, entry->error, sizeof(entry->error));
        return fields_end(&fields);
    case MEMBER_ENTRY_ADOPT:
        entry->group = fields_take_id(&fields);
        entry->merge = fields_take_u64(&fields);
        entry->map = fields.rest;
        return !fields.is_bad;
    }
    return false;
}

/* ---- tickets, absorbed groups ---- */

const struct member_ticket *member_state_ticket(const struct member_state *state,
                                                const struct raft_id *node) {
    for (size_t i = 0; i < state->ticket_count; i++) {
        if (raft_id_equal(&state->tickets[i].node, node)) {
            return &state->tickets[i];
        }
    }
    return NULL;
}

/* Those of nodes that have left make room. */
static void tickets_trim(struct member_state *state) {
    size_t kept = 0;
    for (size_t i = 0; i < state->ticket_count; i++) {
        if (map_find(state->map, state->tickets[i].node.bytes) != MAP_NOBODY) {
            state->tickets[kept++] = state->tickets[i];
        }
    }
    state->ticket_count = kept;
}

static void ticket_set(struct member_state *state, const struct member_entry *entry,
                       struct span error) {
    if (raft_id_is_none(&entry->asker)) {
        return;
    }
    struct member_ticket *ticket =
        (struct member_ticket *)member_state_ticket(state, &entry->asker);
    if (ticket == NULL) {
        if (state->ticket_count == MEMBER_TICKETS_MAX) {
            tickets_trim(state);
        }
        state->tickets =
            memory_realloc(state->tickets, (state->ticket_count + 1) * sizeof(*state->tickets));
        ticket = &state->tickets[state->ticket_count++];
    }
    *ticket = (struct member_ticket){
        .node = entry->asker, .session = entry->session, .number = entry->number};
    size_t length = error.length < MEMBER_ERROR_MAX ? error.length : MEMBER_ERROR_MAX;
    if (length > 0) {
        memcpy(ticket->error, error.bytes, length);
    }
}

static bool was_answered(const struct member_state *state, const struct member_entry *entry) {
    const struct member_ticket *last = member_state_ticket(state, &entry->asker);
    return last != NULL && (entry->session < last->session ||
                            (entry->session == last->session && entry->number <= last->number));
}

const struct member_absorbed *member_state_absorbed(const struct member_state *state,
                                                    const struct raft_id *group) {
    for (size_t i = 0; i < state->absorbed_count; i++) {
        if (raft_id_equal(&state->absorbed[i].group, group)) {
            return &state->absorbed[i];
        }
    }
    return NULL;
}

void member_state_absorb(struct member_state *state, const struct member_absorbed *absorbed) {
    struct member_absorbed *known =
        (struct member_absorbed *)member_state_absorbed(state, &absorbed->group);
    if (known != NULL) {
        *known = *absorbed;
        return;
    }
    if (state->absorbed_count == MEMBER_ABSORBED_MAX) {
        state->absorbed_count--;
        memmove(state->absorbed, state->absorbed + 1,
                state->absorbed_count * sizeof(*state->absorbed));
    }
    state->absorbed =
        memory_realloc(state->absorbed, (state->absorbed_count + 1) * sizeof(*state->absorbed));
    state->absorbed[state->absorbed_count++] = *absorbed;
}

/* ---- applying ---- */

/* A map that this entry changes, or NULL. The state's is given back. */
static bool map_set(struct member_state *state, struct map *next) {
    if (next != NULL) {
        map_return(state->map);
        state->map = next;
    }
    return next != NULL;
}

static bool refuse(struct buffer *report, const char *error) {
    buffer_append_string(report, error);
    return false;
}

static bool apply_changes(struct member_state *state, uint64_t index,
                          const struct member_entry *entry, struct buffer *report) {
    return map_set(state, map_change_apply(state->map, index, entry->changes, report));
}

static bool apply_merge_begin(struct member_state *state, uint64_t index,
                              const struct member_entry *entry, struct buffer *report) {
    if (memcmp(state->map->group, entry->group.bytes, MAP_ID_BYTES) == 0 ||
        member_state_absorbed(state, &entry->group) != NULL) {
        return refuse(report, "ERR The two clusters are one already");
    }
    state->merge =
        (struct member_merge){.number = index, .group = entry->group, .contact = entry->contact};
    return true;
}

static bool apply_adopt(struct member_state *state, uint64_t index,
                        const struct member_entry *entry, struct buffer *report) {
    const struct member_absorbed *absorbed = member_state_absorbed(state, &entry->group);
    if (absorbed != NULL && absorbed->number == entry->merge) {
        return true; /* It asked twice. */
    }
    struct member_state other = MEMBER_STATE_EMPTY;
    if (!member_state_read(&other, entry->map)) {
        return refuse(report, "ERR The other cluster's map cannot be read");
    }
    bool is_merged = map_set(state, map_merge(state->map, index, other.map, report));
    for (size_t i = 0; is_merged && i < other.absorbed_count; i++) {
        member_state_absorb(state, &other.absorbed[i]); /* who is still on the way to it */
    }
    member_state_free(&other);
    if (is_merged) {
        member_state_absorb(
            state, &(struct member_absorbed){.group = entry->group, .number = entry->merge});
    } else {
        buffer_append_string(report, ": the two clusters cannot be merged");
    }
    return is_merged;
}

static bool apply_known(struct member_state *state, uint64_t index,
                        const struct member_entry *entry, struct buffer *report) {
    if (entry->kind == MEMBER_ENTRY_MERGE_END) {
        if (entry->merge != state->merge.number) {
            return refuse(report, "ERR No such merge is under way");
        }
        state->merge = (struct member_merge){.number = 0};
        return true;
    }
    if (state->merge.number != 0) {
        return refuse(report, MEMBER_STANDS_STILL);
    }
    switch (entry->kind) {
    case MEMBER_ENTRY_CHANGES:
        return apply_changes(state, index, entry, report);
    case MEMBER_ENTRY_MERGE_BEGIN:
        return apply_merge_begin(state, index, entry, report);
    case MEMBER_ENTRY_ADOPT:
    default:
        return apply_adopt(state, index, entry, report);
    }
}

enum member_outcome member_state_apply(struct member_state *state, uint64_t index,
                                       struct span bytes, struct buffer *report) {
    struct member_entry entry;
    if (state->map == NULL || !member_entry_read(bytes, &entry)) {
        buffer_append_string(report, "ERR The entry cannot be read");
        return MEMBER_REFUSED;
    }
    if (was_answered(state, &entry)) {
        return MEMBER_SECOND;
    }
    size_t start = report->length;
    bool is_done = apply_known(state, index, &entry, report);
    ticket_set(state, &entry, span_of(report->bytes + start, report->length - start));
    return is_done ? MEMBER_APPLIED : MEMBER_REFUSED;
}

/* ---- bytes ---- */

void member_state_write(const struct member_state *state, struct buffer *out) {
    struct buffer map = BUFFER_EMPTY;
    map_write(state->map, &map);
    fields_put_u32(out, MEMBER_STATE_FORMAT);
    fields_put_span(out, buffer_span(&map));
    buffer_free(&map);
    fields_put_u8(out, state->merge.number != 0);
    fields_put_u64(out, state->merge.number);
    fields_put_id(out, &state->merge.group);
    put_contact(out, &state->merge.contact);
    fields_put_u16(out, (uint16_t)state->ticket_count);
    for (size_t i = 0; i < state->ticket_count; i++) {
        fields_put_id(out, &state->tickets[i].node);
        fields_put_u64(out, state->tickets[i].session);
        fields_put_u64(out, state->tickets[i].number);
        fields_put_text(out, state->tickets[i].error);
    }
    fields_put_u16(out, (uint16_t)state->absorbed_count);
    for (size_t i = 0; i < state->absorbed_count; i++) {
        fields_put_id(out, &state->absorbed[i].group);
        fields_put_u64(out, state->absorbed[i].number);
    }
}

static void take_merge(struct fields *fields, struct member_merge *merge) {
    bool is_under_way = fields_take_u8(fields) != 0;
    merge->number = fields_take_u64(fields);
    merge->group = fields_take_id(fields);
    take_contact(fields, &merge->contact);
    fields->is_bad |= is_under_way != (merge->number != 0);
}

static void take_tickets(struct fields *fields, struct member_state *state) {
    size_t count = fields_take_u16(fields);
    if (count > MEMBER_TICKETS_MAX) {
        fields->is_bad = true;
        return;
    }
    state->tickets = memory_alloc_zeroed((count + 1) * sizeof(*state->tickets));
    for (size_t i = 0; i < count && !fields->is_bad; i++) {
        struct member_ticket *ticket = &state->tickets[i];
        ticket->node = fields_take_id(fields);
        ticket->session = fields_take_u64(fields);
        ticket->number = fields_take_u64(fields);
        fields_take_text(fields, ticket->error, sizeof(ticket->error));
    }
    state->ticket_count = count;
}

static void take_absorbed(struct fields *fields, struct member_state *state) {
    size_t count = fields_take_u16(fields);
    if (count > MEMBER_ABSORBED_MAX) {
        fields->is_bad = true;
        return;
    }
    state->absorbed = memory_alloc_zeroed((count + 1) * sizeof(*state->absorbed));
    for (size_t i = 0; i < count && !fields->is_bad; i++) {
        state->absorbed[i].group = fields_take_id(fields);
        state->absorbed[i].number = fields_take_u64(fields);
    }
    state->absorbed_count = count;
}

bool member_state_read(struct member_state *state, struct span bytes) {
    struct fields fields = {.rest = bytes};
    struct member_state reading = MEMBER_STATE_EMPTY;
    if (fields_take_u32(&fields) != MEMBER_STATE_FORMAT) {
        return false;
    }
    reading.map = map_read(fields_take_span(&fields));
    take_merge(&fields, &reading.merge);
    take_tickets(&fields, &reading);
    take_absorbed(&fields, &reading);
    if (reading.map == NULL || !fields_end(&fields)) {
        member_state_free(&reading);
        return false;
    }
    member_state_free(state);
    *state = reading;
    return true;
}
