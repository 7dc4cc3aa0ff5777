/* Syntax: a command row's `syntax` text as a tree, for COMMAND DOCS.
 *
 *   text  := item { ' ' item }
 *   item  := word | '[' body ']' | '<' body '>'            [...] is optional
 *            each may be followed by '...' (any number of times), '@7.0.0' (since),
 *            '~7.0.0' (deprecated since)
 *   body  := [ name '=' ] text { '|' text }               more than one: one of them
 *   word  := TOKEN | name | name '(' type ')'
 *
 * "TOKEN name" inside a body is an argument behind a word, "TOKEN name name" a block behind one.
 * What is said again in brackets with three dots may be given any number of times: "key [key ...]",
 * "field value [field value ...]" (a block), "[GET field [GET field ...]]" (with its word each
 * time). A name's type is known for the usual names (see syntax.c) and else string.
 *
 * The texts are our own rows': what does not fit the grammar is a programmer's error.
 */
#ifndef TARN_SERVER_SYNTAX_H
#define TARN_SERVER_SYNTAX_H

#include "base/span.h"

#include <stdint.h>

#define SYNTAX_NODES_MAX 64
#define SYNTAX_NAME_BYTES_MAX 40
#define SYNTAX_NONE UINT32_MAX

enum syntax_type {
    SYNTAX_STRING,
    SYNTAX_INTEGER,
    SYNTAX_DOUBLE,
    SYNTAX_KEY,
    SYNTAX_PATTERN,
    SYNTAX_UNIX_TIME,
    SYNTAX_PURE_TOKEN,
    SYNTAX_ONE_OF,
    SYNTAX_BLOCK,
};

struct syntax_node {
    enum syntax_type type;
    char name[SYNTAX_NAME_BYTES_MAX];
    struct span token; /* empty: none */
    struct span since; /* likewise */
    struct span deprecated_since;
    int key_index; /* which of the command's key specs; -1: it is no key */
    bool is_optional;
    bool is_multiple;
    bool is_multiple_token;
    uint32_t first_child; /* or SYNTAX_NONE */
    uint32_t next;        /* sibling, or SYNTAX_NONE */
};

struct syntax {
    struct syntax_node nodes[SYNTAX_NODES_MAX];
    uint32_t count;
    uint32_t first; /* or SYNTAX_NONE */
};

/* text must outlive the tree. key_specs: how many the command has. */
void syntax_parse(struct syntax *syntax, const char *text, int key_specs);
/* "integer", "pure-token" ... */
const char *syntax_type_name(enum syntax_type type);

#endif
