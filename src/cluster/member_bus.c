#include "cluster/member_bus.h"

#define COUNT_HEARD 1
#define COUNT_LOADING 2

/* ---- writing ---- */

static void put_hello(struct buffer *out, const struct member_hello *hello) {
    fields_put_u16(out, hello->nodes);
    fields_put_u64(out, hello->merge);
    fields_put_text(out, hello->seen_ip);
    map_facts_write(&hello->facts, out);
}

static void put_pulse(struct buffer *out, const struct member_pulse *pulse) {
    fields_put_u16(out, (uint16_t)pulse->flags);
    fields_put_id(out, &pulse->start);
    fields_put_u64(out, pulse->map_index);
    fields_put_u64(out, pulse->epoch);
    fields_put_u64(out, pulse->history_epoch);
    fields_put_u64(out, pulse->position);
    fields_put_u64(out, pulse->asked_epoch);
    fields_put_u64(out, pulse->asked_index);
    fields_put_u64(out, pulse->lease_sent_ms);
    fields_put_u32(out, pulse->lease_ms);
    fields_put_u64(out, pulse->granted_ms);
}

static void put_adopt(struct buffer *out, const struct member_message *message) {
    const struct member_adopt *adopt = &message->adopt;
    fields_put_id(out, &adopt->asker);
    fields_put_id(out, &adopt->group);
    fields_put_u64(out, adopt->merge);
    if (message->kind == MEMBER_ADOPT) {
        fields_put_span(out, adopt->map);
    } else {
        fields_put_u8(out, adopt->verdict);
        fields_put_text(out, adopt->error);
    }
}

static void put_content(struct buffer *out, const struct member_message *message) {
    switch (message->kind) {
    case MEMBER_HELLO:
        put_hello(out, &message->hello);
        break;
    case MEMBER_PULSE:
        put_pulse(out, &message->pulse);
        break;
    case MEMBER_FORWARD:
    case MEMBER_RAFT:
        fields_put_span(out, message->bytes);
        break;
    case MEMBER_WELCOME:
        fields_put_id(out, &message->welcome.group);
        fields_put_u64(out, message->welcome.number);
        break;
    case MEMBER_MEET_BACK:
        break;
    case MEMBER_MEET_REFUSED:
        fields_put_text(out, message->error);
        break;
    case MEMBER_ADOPT:
    case MEMBER_ADOPT_ANSWER:
        put_adopt(out, message);
        break;
    case MEMBER_MAKE_WAY:
        fields_put_u64(out, message->make_way.epoch);
        break;
    case MEMBER_MAKE_WAY_ANSWER:
        fields_put_u64(out, message->make_way.epoch);
        fields_put_text(out, message->make_way.error);
        break;
    case MEMBER_STRANGER:
        fields_put_u64(out, message->map_index);
        break;
    case MEMBER_CENSUS:
        fields_put_u64(out, message->census_index);
        fields_put_span(out, message->bytes);
        break;
    }
}

void member_message_write(const struct member_message *message, struct buffer *out) {
    fields_put_u8(out, MEMBER_BUS_VERSION);
    fields_put_u8(out, message->kind);
    fields_put_id(out, &message->group);
    put_content(out, message);
}

void member_count_write(const struct member_count *count, struct buffer *out) {
    fields_put_u64(out, count->position);
    fields_put_u8(out,
                  (count->is_heard ? COUNT_HEARD : 0u) | (count->is_loading ? COUNT_LOADING : 0u));
}

/* ---- reading ---- */

static void take_hello(struct fields *fields, struct member_hello *hello) {
    hello->nodes = fields_take_u16(fields);
    hello->merge = fields_take_u64(fields);
    fields_take_text(fields, hello->seen_ip, sizeof(hello->seen_ip));
    fields->is_bad = fields->is_bad || !map_facts_read(&fields->rest, &hello->facts);
}

static void take_pulse(struct fields *fields, struct member_pulse *pulse) {
    pulse->flags = fields_take_u16(fields) & (unsigned)MEMBER_PULSE_FLAGS;
    pulse->start = fields_take_id(fields);
    pulse->map_index = fields_take_u64(fields);
    pulse->epoch = fields_take_u64(fields);
    pulse->history_epoch = fields_take_u64(fields);
    pulse->position = fields_take_u64(fields);
    pulse->asked_epoch = fields_take_u64(fields);
    pulse->asked_index = fields_take_u64(fields);
    pulse->lease_sent_ms = fields_take_u64(fields);
    pulse->lease_ms = fields_take_u32(fields);
    pulse->granted_ms = fields_take_u64(fields);
}

static void take_adopt(struct fields *fields, struct member_message *message) {
    struct member_adopt *adopt = &message->adopt;
    adopt->asker = fields_take_id(fields);
    adopt->group = fields_take_id(fields);
    adopt->merge = fields_take_u64(fields);
    if (message->kind == MEMBER_ADOPT) {
        adopt->map = fields_take_span(fields);
        return;
    }
    adopt->verdict = (enum member_verdict)fields_take_u8(fields);
    fields_take_text(fields, adopt->error, sizeof(adopt->error));
    fields->is_bad |= adopt->verdict >= MEMBER_VERDICTS;
}

static void take_content(struct fields *fields, struct member_message *message) {
    switch (message->kind) {
    case MEMBER_HELLO:
        take_hello(fields, &message->hello);
        break;
    case MEMBER_PULSE:
        take_pulse(fields, &message->pulse);
        break;
    case MEMBER_FORWARD:
    case MEMBER_RAFT:
        message->bytes = fields_take_span(fields);
        break;
    case MEMBER_WELCOME:
        message->welcome.group = fields_take_id(fields);
        message->welcome.number = fields_take_u64(fields);
        break;
    case MEMBER_MEET_BACK:
        break;
    case MEMBER_MEET_REFUSED:
        fields_take_text(fields, message->error, sizeof(message->error));
        break;
    case MEMBER_ADOPT:
    case MEMBER_ADOPT_ANSWER:
        take_adopt(fields, message);
        break;
    case MEMBER_MAKE_WAY:
        message->make_way.epoch = fields_take_u64(fields);
        message->make_way.error[0] = '\0';
        break;
    case MEMBER_MAKE_WAY_ANSWER:
        message->make_way.epoch = fields_take_u64(fields);
        fields_take_text(fields, message->make_way.error, sizeof(message->make_way.error));
        break;
    case MEMBER_STRANGER:
        message->map_index = fields_take_u64(fields);
        break;
    case MEMBER_CENSUS:
        message->census_index = fields_take_u64(fields);
        message->bytes = fields_take_span(fields);
        fields->is_bad |= message->bytes.length % MEMBER_COUNT_BYTES != 0;
        break;
    default:
        fields->is_bad = true;
    }
}

bool member_message_read(struct span bytes, struct member_message *message) {
    struct fields fields = {.rest = bytes};
    unsigned version = fields_take_u8(&fields);
    memset(message, 0, sizeof(*message));
    message->kind = (enum member_message_kind)fields_take_u8(&fields);
    message->group = fields_take_id(&fields);
    if (fields.is_bad || version == 0 || version > MEMBER_BUS_VERSION + 1) {
        return false;
    }
    take_content(&fields, message);
    return version == MEMBER_BUS_VERSION ? fields_end(&fields) : !fields.is_bad;
}

bool member_message_is_unknown(struct span bytes) {
    struct fields fields = {.rest = bytes};
    unsigned version = fields_take_u8(&fields);
    unsigned kind = fields_take_u8(&fields);
    fields_take_id(&fields);
    return !fields.is_bad && version > 0 && version <= MEMBER_BUS_VERSION + 1 &&
           kind > MEMBER_CENSUS;
}

struct member_count member_count_at(struct span list, size_t i) {
    const char *place = list.bytes + i * MEMBER_COUNT_BYTES;
    return (struct member_count){
        .position = bytes_load_u64(place),
        .is_heard = (place[8] & COUNT_HEARD) != 0,
        .is_loading = (place[8] & COUNT_LOADING) != 0,
    };
}
