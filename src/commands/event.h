/* Keyspace events: what Redis tells subscribers of __keyspace@db__ and __keyevent@db__ channels.
 * An effect carries the number of its event, so that replicas tell the same. Numbers are permanent.
 */
#ifndef TARN_COMMANDS_EVENT_H
#define TARN_COMMANDS_EVENT_H

#include <stdint.h>

/* Classes, by the letters of notify-keyspace-events. The values are Redis' own, since scripts know
 * them. */
enum event_class {
    EVENT_KEYSPACE = 1 << 0,   /* K: publish to __keyspace@<db>__ channels */
    EVENT_KEYEVENT = 1 << 1,   /* E: publish to __keyevent@<db>__ channels */
    EVENT_GENERIC = 1 << 2,    /* g */
    EVENT_STRING = 1 << 3,     /* $ */
    EVENT_LIST = 1 << 4,       /* l */
    EVENT_SET = 1 << 5,        /* s */
    EVENT_HASH = 1 << 6,       /* h */
    EVENT_SORTED_SET = 1 << 7, /* z */
    EVENT_EXPIRED = 1 << 8,    /* x */
    EVENT_EVICTED = 1 << 9,    /* e */
    EVENT_STREAM = 1 << 10,    /* t */
    EVENT_KEY_MISS = 1 << 11,  /* m, not part of A */
    EVENT_MODULE = 1 << 13,    /* d */
    EVENT_NEW = 1 << 14,       /* n, not part of A */
    /* A */
    EVENT_ALL = EVENT_GENERIC | EVENT_STRING | EVENT_LIST | EVENT_SET | EVENT_HASH |
                EVENT_SORTED_SET | EVENT_EXPIRED | EVENT_EVICTED | EVENT_STREAM | EVENT_MODULE,
};

/* One row per event: number, name, class. Add at the end. */
#define EVENT_ROWS(ROW)                                                                            \
    ROW(1, SET, "set", EVENT_STRING)                                                               \
    ROW(2, SETRANGE, "setrange", EVENT_STRING)                                                     \
    ROW(3, APPEND, "append", EVENT_STRING)                                                         \
    ROW(4, INCRBY, "incrby", EVENT_STRING)                                                         \
    ROW(5, INCRBYFLOAT, "incrbyfloat", EVENT_STRING)                                               \
    ROW(6, SETBIT, "setbit", EVENT_STRING)                                                         \
    ROW(7, DEL, "del", EVENT_GENERIC)                                                              \
    ROW(8, EXPIRE, "expire", EVENT_GENERIC)                                                        \
    ROW(9, PERSIST, "persist", EVENT_GENERIC)                                                      \
    ROW(10, RENAME_FROM, "rename_from", EVENT_GENERIC)                                             \
    ROW(11, RENAME_TO, "rename_to", EVENT_GENERIC)                                                 \
    ROW(12, MOVE_FROM, "move_from", EVENT_GENERIC)                                                 \
    ROW(13, MOVE_TO, "move_to", EVENT_GENERIC)                                                     \
    ROW(14, COPY_TO, "copy_to", EVENT_GENERIC)                                                     \
    ROW(15, EXPIRED, "expired", EVENT_EXPIRED)                                                     \
    ROW(16, EVICTED, "evicted", EVENT_EVICTED)                                                     \
    ROW(17, KEY_MISS, "keymiss", EVENT_KEY_MISS)                                                   \
    ROW(18, NEW, "new", EVENT_NEW)                                                                 \
    ROW(19, HSET, "hset", EVENT_HASH)                                                              \
    ROW(20, HDEL, "hdel", EVENT_HASH)                                                              \
    ROW(21, HINCRBY, "hincrby", EVENT_HASH)                                                        \
    ROW(22, HINCRBYFLOAT, "hincrbyfloat", EVENT_HASH)                                              \
    ROW(23, RESTORE, "restore", EVENT_GENERIC)

enum event {
    EVENT_NONE = 0,
#define EVENT_NUMBER(number, word, name, class) EVENT_##word##_ID = (number),
    EVENT_ROWS(EVENT_NUMBER)
#undef EVENT_NUMBER
};

const char *event_name(enum event event);
enum event_class event_class_of(enum event event);

#endif
