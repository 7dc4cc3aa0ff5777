#include "server/syntax.h"

#include "base/assertion.h"

#include <string.h>

#define ITEMS_MAX 16

static const struct {
    const char *name;
    enum syntax_type type;
} known_names[] = {
    {"key", SYNTAX_KEY},
    {"key1", SYNTAX_KEY},
    {"key2", SYNTAX_KEY},
    {"destkey", SYNTAX_KEY},
    {"newkey", SYNTAX_KEY},
    {"source", SYNTAX_KEY},
    {"destination", SYNTAX_KEY},
    {"pattern", SYNTAX_PATTERN},
    {"unix-time-seconds", SYNTAX_UNIX_TIME},
    {"unix-time-milliseconds", SYNTAX_UNIX_TIME},
    {"bit", SYNTAX_INTEGER},
    {"client-id", SYNTAX_INTEGER},
    {"count", SYNTAX_INTEGER},
    {"cursor", SYNTAX_INTEGER},
    {"db", SYNTAX_INTEGER},
    {"decrement", SYNTAX_INTEGER},
    {"destination-db", SYNTAX_INTEGER},
    {"end", SYNTAX_INTEGER},
    {"increment", SYNTAX_INTEGER},
    {"index", SYNTAX_INTEGER},
    {"index1", SYNTAX_INTEGER},
    {"index2", SYNTAX_INTEGER},
    {"milliseconds", SYNTAX_INTEGER},
    {"min-match-len", SYNTAX_INTEGER},
    {"offset", SYNTAX_INTEGER},
    {"port", SYNTAX_INTEGER},
    {"cluster_bus_port", SYNTAX_INTEGER},
    {"config-epoch", SYNTAX_INTEGER},
    {"end-slot", SYNTAX_INTEGER},
    {"limit", SYNTAX_INTEGER},
    {"slot", SYNTAX_INTEGER},
    {"start-slot", SYNTAX_INTEGER},
    {"protover", SYNTAX_INTEGER},
    {"seconds", SYNTAX_INTEGER},
    {"start", SYNTAX_INTEGER},
    {"timeout", SYNTAX_INTEGER},
    {"numreplicas", SYNTAX_INTEGER},
    {"numlocal", SYNTAX_INTEGER},
    {"members", SYNTAX_INTEGER},
    {"version", SYNTAX_INTEGER},
};

static const char *const type_names[] = {
    "string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block",
};

const char *syntax_type_name(enum syntax_type type) {
    return type_names[type];
}

/* What is being read: text[at] is next. */
struct reading {
    struct syntax *syntax;
    const char *text;
    size_t at;
    int key_specs;
    int keys;
};

/* One part of a sequence. */
struct item {
    uint32_t node;
    size_t start;
    size_t end;
};

struct sequence {
    struct item items[ITEMS_MAX];
    size_t count;
    bool is_multiple; /* it ended with three dots */
};

static struct syntax_node *node_at(const struct reading *reading, uint32_t index) {
    ASSERT(index < reading->syntax->count);
    return &reading->syntax->nodes[index];
}

static uint32_t add_node(struct reading *reading, enum syntax_type type) {
    ASSERT(reading->syntax->count < SYNTAX_NODES_MAX);
    uint32_t index = reading->syntax->count++;
    reading->syntax->nodes[index] = (struct syntax_node){
        .type = type,
        .key_index = -1,
        .first_child = SYNTAX_NONE,
        .next = SYNTAX_NONE,
    };
    return index;
}

static void set_name(struct syntax_node *node, struct span name) {
    ASSERT(name.length < SYNTAX_NAME_BYTES_MAX);
    for (size_t i = 0; i < name.length; i++) {
        char c = name.bytes[i];
        node->name[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    node->name[name.length] = '\0';
}

static bool is_token(struct span word) {
    for (size_t i = 0; i < word.length; i++) {
        if (word.bytes[i] >= 'a' && word.bytes[i] <= 'z') {
            return false;
        }
    }
    return word.length != 0;
}

static bool is_word_end(char c) {
    return c == '\0' || strchr(" []<>|(@~=", c) != NULL;
}

static struct span read_word(struct reading *reading) {
    size_t start = reading->at;
    while (!is_word_end(reading->text[reading->at]) &&
           strncmp(reading->text + reading->at, "...", 3) != 0) {
        reading->at++;
    }
    ASSERT(reading->at > start);
    return span_of(reading->text + start, reading->at - start);
}

static enum syntax_type type_named(struct span name) {
    for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
        if (span_is(name, type_names[i])) {
            return (enum syntax_type)i;
        }
    }
    ASSERT(false);
    return SYNTAX_STRING;
}

static enum syntax_type usual_type(struct span name) {
    for (size_t i = 0; i < sizeof(known_names) / sizeof(known_names[0]); i++) {
        if (span_is(name, known_names[i].name)) {
            return known_names[i].type;
        }
    }
    return SYNTAX_STRING;
}

static uint32_t read_argument(struct reading *reading) {
    struct span word = read_word(reading);
    if (is_token(word)) {
        uint32_t index = add_node(reading, SYNTAX_PURE_TOKEN);
        node_at(reading, index)->token = word;
        set_name(node_at(reading, index), word);
        return index;
    }
    uint32_t index = add_node(reading, usual_type(word));
    struct syntax_node *node = node_at(reading, index);
    set_name(node, word);
    if (reading->text[reading->at] == '(') {
        reading->at++;
        size_t start = reading->at;
        while (reading->text[reading->at] != ')') {
            ASSERT(reading->text[reading->at] != '\0');
            reading->at++;
        }
        node->type = type_named(span_of(reading->text + start, reading->at - start));
        reading->at++;
    }
    if (node->type == SYNTAX_KEY) {
        node->key_index = reading->keys < reading->key_specs ? reading->keys : reading->keys - 1;
        reading->keys += reading->keys < reading->key_specs ? 1 : 0;
    }
    return index;
}

static struct span read_version(struct reading *reading) {
    reading->at++;
    size_t start = reading->at;
    while (strchr("0123456789.", reading->text[reading->at]) != NULL &&
           reading->text[reading->at] != '\0') {
        reading->at++;
    }
    return span_of(reading->text + start, reading->at - start);
}

static void read_suffixes(struct reading *reading, struct syntax_node *node) {
    for (;;) {
        const char *rest = reading->text + reading->at;
        if (strncmp(rest, "...", 3) == 0) {
            node->is_multiple = true;
            reading->at += 3;
        } else if (*rest == '@') {
            node->since = read_version(reading);
        } else if (*rest == '~') {
            node->deprecated_since = read_version(reading);
        } else {
            return;
        }
    }
}

static void link_children(const struct reading *reading, struct syntax_node *parent,
                          const struct item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i == 0) {
            parent->first_child = items[i].node;
        } else {
            node_at(reading, items[i - 1].node)->next = items[i].node;
        }
    }
}

static uint32_t make_block(struct reading *reading, const char *name, const struct item *items,
                           size_t count) {
    uint32_t index = add_node(reading, SYNTAX_BLOCK);
    struct syntax_node *block = node_at(reading, index);
    set_name(block, span_of_string(name));
    link_children(reading, block, items, count);
    return index;
}

/* The sequence as one node. */
static uint32_t join_sequence(struct reading *reading, const struct sequence *sequence) {
    ASSERT(sequence->count > 0);
    const struct item *items = sequence->items;
    const struct syntax_node *first = node_at(reading, items[0].node);
    if (sequence->count == 1) {
        return items[0].node;
    }
    bool is_behind_token = first->type == SYNTAX_PURE_TOKEN && !first->is_optional &&
                           (node_at(reading, items[1].node)->type != SYNTAX_PURE_TOKEN ||
                            node_at(reading, items[1].node)->is_optional);
    if (!is_behind_token) {
        return make_block(reading, "block", items, sequence->count);
    }
    uint32_t index = sequence->count == 2
                         ? items[1].node
                         : make_block(reading, first->name, items + 1, sequence->count - 1);
    node_at(reading, index)->token = first->token;
    return index;
}

static void read_sequence(struct reading *reading, struct sequence *sequence);

/* After '[' or '<'. */
static uint32_t read_body(struct reading *reading, char close) {
    struct span name = span_of(NULL, 0);
    size_t start = reading->at;
    while (!is_word_end(reading->text[reading->at])) {
        reading->at++;
    }
    if (reading->text[reading->at] == '=') {
        name = span_of(reading->text + start, reading->at - start);
        reading->at++;
    } else {
        reading->at = start;
    }
    struct sequence choices = {.count = 0};
    bool is_multiple = false;
    for (;;) {
        struct sequence sequence = {.count = 0};
        read_sequence(reading, &sequence);
        is_multiple |= sequence.is_multiple;
        ASSERT(choices.count < ITEMS_MAX);
        choices.items[choices.count++].node = join_sequence(reading, &sequence);
        char c = reading->text[reading->at++];
        if (c == close) {
            break;
        }
        ASSERT(c == '|');
    }
    uint32_t index = choices.items[0].node;
    if (choices.count > 1) {
        index = add_node(reading, SYNTAX_ONE_OF);
        link_children(reading, node_at(reading, index), choices.items, choices.count);
        set_name(node_at(reading, index), span_of_string("choice"));
    }
    struct syntax_node *node = node_at(reading, index);
    if (name.length != 0) {
        set_name(node, name);
    }
    node->is_multiple |= is_multiple;
    return index;
}

/* If "[... ...]" is next and says again what the sequence ends with, reads it and answers true. */
static bool read_repetition(struct reading *reading, struct sequence *sequence) {
    static const char dots[] = " ...]";
    const char *inside = reading->text + reading->at + 1;
    const char *end = strstr(inside, dots);
    if (end == NULL) {
        return false;
    }
    size_t length = (size_t)(end - inside);
    for (size_t i = 0; i < sequence->count; i++) {
        const struct item *from = &sequence->items[i];
        size_t said = sequence->items[sequence->count - 1].end - from->start;
        if (said != length || memcmp(reading->text + from->start, inside, length) != 0) {
            continue;
        }
        bool has_token = node_at(reading, from->node)->type == SYNTAX_PURE_TOKEN;
        struct sequence repeated = {.count = sequence->count - i};
        memcpy(repeated.items, from, repeated.count * sizeof(struct item));
        uint32_t index = join_sequence(reading, &repeated);
        struct syntax_node *node = node_at(reading, index);
        if (repeated.count > 1 && !has_token) {
            set_name(node, span_of_string("data"));
        }
        node->is_multiple = true;
        node->is_multiple_token = has_token;
        sequence->items[i].node = index;
        sequence->count = i + 1;
        reading->at += 1 + length + sizeof(dots) - 1;
        return true;
    }
    return false;
}

static void read_item(struct reading *reading, struct sequence *sequence) {
    size_t start = reading->at;
    char c = reading->text[reading->at];
    uint32_t index = 0;
    if (c == '[' || c == '<') {
        reading->at++;
        index = read_body(reading, c == '[' ? ']' : '>');
        node_at(reading, index)->is_optional |= c == '[';
    } else {
        index = read_argument(reading);
    }
    size_t end = reading->at;
    read_suffixes(reading, node_at(reading, index));
    ASSERT(sequence->count < ITEMS_MAX);
    sequence->items[sequence->count++] = (struct item){.node = index, .start = start, .end = end};
}

/* Up to what ends a body or the text. */
static void read_sequence(struct reading *reading, struct sequence *sequence) {
    for (;;) {
        const char *rest = reading->text + reading->at;
        if (*rest == '\0' || *rest == ']' || *rest == '>' || *rest == '|') {
            return;
        }
        if (*rest == ' ') {
            reading->at++;
        } else if (strncmp(rest, "...", 3) == 0) {
            sequence->is_multiple = true;
            reading->at += 3;
        } else if (*rest != '[' || !read_repetition(reading, sequence)) {
            read_item(reading, sequence);
        }
    }
}

void syntax_parse(struct syntax *syntax, const char *text, int key_specs) {
    struct reading reading = {.syntax = syntax, .text = text, .key_specs = key_specs};
    struct sequence sequence = {.count = 0};
    syntax->count = 0;
    syntax->first = SYNTAX_NONE;
    read_sequence(&reading, &sequence);
    ASSERT(text[reading.at] == '\0');
    struct syntax_node top = {.first_child = SYNTAX_NONE};
    link_children(&reading, &top, sequence.items, sequence.count);
    syntax->first = top.first_child;
}
