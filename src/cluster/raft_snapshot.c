#include "cluster/raft_snapshot.h"

#include "base/hash.h"
#include "base/memory.h"

/* The content becomes the snapshot's; its configuration is taken over. */
static struct raft_snapshot *make(uint64_t index, uint64_t term, struct raft_config *config,
                                  struct span content, size_t state_offset) {
    struct raft_snapshot *snapshot = memory_alloc(sizeof(*snapshot));
    *snapshot = (struct raft_snapshot){
        .references = 1,
        .name = {.index = index,
                 .term = term,
                 .size = content.length,
                 .checksum = checksum_bytes(content)},
        .config = *config,
        .state_offset = state_offset,
        .content = memory_copy(content.bytes, content.length),
    };
    *config = RAFT_CONFIG_EMPTY;
    return snapshot;
}

struct raft_snapshot *raft_snapshot_new(uint64_t index, uint64_t term,
                                        const struct raft_config *config, struct span state) {
    struct buffer content = BUFFER_EMPTY;
    raft_config_write(config, &content);
    size_t state_offset = content.length;
    ASSERT(state.length <= RAFT_SNAPSHOT_BYTES_MAX - state_offset);
    buffer_append_span(&content, state);
    struct raft_config copy = RAFT_CONFIG_EMPTY;
    raft_config_copy(&copy, config);
    struct raft_snapshot *snapshot = make(index, term, &copy, buffer_span(&content), state_offset);
    buffer_free(&content);
    return snapshot;
}

struct raft_snapshot *raft_snapshot_read(uint64_t index, uint64_t term, struct span content) {
    struct raft_config config = RAFT_CONFIG_EMPTY;
    struct span state = content;
    if (content.length > RAFT_SNAPSHOT_BYTES_MAX || !raft_config_read(&config, &state)) {
        return NULL;
    }
    return make(index, term, &config, content, content.length - state.length);
}

struct raft_snapshot *raft_snapshot_hold(struct raft_snapshot *snapshot) {
    snapshot->references++;
    return snapshot;
}

void raft_snapshot_release(struct raft_snapshot *snapshot) {
    if (snapshot == NULL || --snapshot->references > 0) {
        return;
    }
    raft_config_free(&snapshot->config);
    memory_free(snapshot->content);
    memory_free(snapshot);
}

struct span raft_snapshot_content(const struct raft_snapshot *snapshot) {
    return span_of(snapshot->content, snapshot->name.size);
}

struct span raft_snapshot_state(const struct raft_snapshot *snapshot) {
    return span_of(snapshot->content + snapshot->state_offset,
                   snapshot->name.size - snapshot->state_offset);
}

bool raft_snapshot_name_equal(const struct raft_snapshot_name *a,
                              const struct raft_snapshot_name *b) {
    return a->index == b->index && a->term == b->term && a->size == b->size &&
           a->checksum == b->checksum;
}

/* ---- coming ---- */

uint64_t raft_incoming_add(struct raft_incoming *incoming, const struct raft_snapshot_name *name,
                           uint64_t offset, struct span piece) {
    if (!raft_snapshot_name_equal(&incoming->name, name)) {
        if (offset != 0) {
            return 0;
        }
        raft_incoming_clear(incoming);
        incoming->name = *name;
    }
    uint64_t here = incoming->content.length;
    if (offset == here && piece.length <= name->size - here) {
        buffer_append_span(&incoming->content, piece);
    }
    return incoming->content.length;
}

struct raft_snapshot *raft_incoming_take(struct raft_incoming *incoming) {
    struct span content = buffer_span(&incoming->content);
    ASSERT(content.length == incoming->name.size);
    struct raft_snapshot *snapshot = NULL;
    if (checksum_bytes(content) == incoming->name.checksum) {
        snapshot = raft_snapshot_read(incoming->name.index, incoming->name.term, content);
    }
    raft_incoming_clear(incoming);
    return snapshot;
}

void raft_incoming_clear(struct raft_incoming *incoming) {
    buffer_free(&incoming->content);
    *incoming = (struct raft_incoming){.content = BUFFER_EMPTY};
}
