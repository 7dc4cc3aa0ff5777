#include "snapshot/aof_manifest.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "protocol/parser.h"
#include "snapshot/aof_reader.h"

#include <stdio.h>

/* What a parse knows so far. */
struct parse {
    struct aof_manifest *manifest;
    const char *name;
    struct buffer *report;
    unsigned line;
    int64_t last_number; /* of the files with commands */
    bool has_base;
};

/* A line, word by word. */
struct row {
    struct span name;
    int64_t number;
    char type;
};

static bool refuse(struct parse *parse, const char *expected) {
    buffer_format(parse->report, "AOF manifest \"%s\", line %u: expected %s", parse->name,
                  parse->line, expected);
    return false;
}

/* A name in this folder, and no other. */
static bool is_file_name(struct span name) {
    return name.length != 0 && name.length < DISK_NAME_BYTES_MAX &&
           memchr(name.bytes, '/', name.length) == NULL &&
           memchr(name.bytes, '\0', name.length) == NULL && name.bytes[0] != '.';
}

/* Words come in pairs of a key and a value; keys that are not known are for later versions. */
static bool read_row(struct parse *parse, const struct arguments *words, struct row *row) {
    *row = (struct row){.number = -1};
    if (words->count % 2 != 0) {
        return refuse(parse, "pairs of words");
    }
    for (uint32_t i = 0; i < words->count; i += 2) {
        struct span value = words->items[i + 1];
        if (span_is(words->items[i], "file")) {
            row->name = value;
        } else if (span_is(words->items[i], "seq")) {
            if (!number_parse(value, &row->number)) {
                return refuse(parse, "a number behind \"seq\"");
            }
        } else if (span_is(words->items[i], "type")) {
            row->type = value.length == 1 ? value.bytes[0] : '\0';
        }
    }
    if (!is_file_name(row->name)) {
        return refuse(parse, "the name of a file in the same folder behind \"file\"");
    }
    return row->number >= 0 || refuse(parse, "a number behind \"seq\"");
}

static void add_name(struct aof_manifest *manifest, struct span name, bool is_first) {
    manifest->names =
        memory_realloc(manifest->names, (manifest->count + 1) * sizeof(manifest->names[0]));
    size_t at = is_first ? 0 : manifest->count;
    memmove(manifest->names + at + 1, manifest->names + at,
            (manifest->count - at) * sizeof(manifest->names[0]));
    memcpy(manifest->names[at], name.bytes, name.length);
    manifest->names[at][name.length] = '\0';
    manifest->count++;
}

static bool add_row(struct parse *parse, const struct row *row) {
    switch (row->type) {
    case 'b':
        if (parse->has_base) {
            return refuse(parse, "no second file of type b");
        }
        parse->has_base = true;
        add_name(parse->manifest, row->name, true);
        return true;
    case 'i':
        if (row->number <= parse->last_number) {
            return refuse(parse, "a larger number than that of the file before");
        }
        if (parse->manifest->count >= AOF_FILES_MAX) {
            return refuse(parse, "fewer files");
        }
        parse->last_number = row->number;
        add_name(parse->manifest, row->name, false);
        return true;
    case 'h':
        return true;
    default:
        return refuse(parse, "b, h or i behind \"type\"");
    }
}

/* A line has the words and quotes of an inline command. */
static bool parse_line(struct parse *parse, struct parser *parser, struct span line) {
    const struct parser_limits limits = {.bulk_bytes_max = BLOCK_BYTES_MIN, .authenticated = true};
    struct row row;
    if (line.bytes[0] == '#') {
        return true;
    }
    if (line.bytes[0] == '*' ||
        parser_next(parser, line.bytes, line.length, &limits) != PARSER_READY ||
        parser->consumed != line.length || parser->arguments.count == 0) {
        return refuse(parse, "file <name> seq <number> type <b|h|i>");
    }
    return read_row(parse, &parser->arguments, &row) && add_row(parse, &row);
}

static bool parse_lines(struct parse *parse, struct parser *parser, struct span text) {
    while (text.length != 0) {
        parse->line++;
        const char *end = memchr(text.bytes, '\n', text.length);
        if (end == NULL) {
            return refuse(parse, "the end of the line");
        }
        struct span line = span_of(text.bytes, (size_t)(end - text.bytes) + 1);
        if (!parse_line(parse, parser, line)) {
            return false;
        }
        text = span_of(end + 1, text.length - line.length);
    }
    return parse->manifest->count != 0 || refuse(parse, "the name of a file");
}

bool aof_manifest_parse(struct aof_manifest *manifest, const char *name, struct span text,
                        struct buffer *report) {
    *manifest = (struct aof_manifest){.names = NULL};
    struct parse parse = {.manifest = manifest, .name = name, .report = report};
    struct parser parser;
    parser_init(&parser);
    bool is_done = parse_lines(&parse, &parser, text);
    parser_free(&parser);
    if (!is_done) {
        aof_manifest_free(manifest);
    }
    return is_done;
}

void aof_manifest_free(struct aof_manifest *manifest) {
    memory_free(manifest->names);
    *manifest = (struct aof_manifest){.names = NULL};
}
