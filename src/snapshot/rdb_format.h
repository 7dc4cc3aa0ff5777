/* RDB files: Redis' form of a whole data set. Read by rdb_reader.h, written by rdb_writer.h.
 *
 *   "REDIS" and four digits: the version
 *   items, each with a first byte that says what it is
 *   0xFF, and from version 5 on 8 bytes: CRC-64 of all before them, little endian; 0: none
 *
 *   FIRST BYTE  FOLLOWED BY          MEANING
 *   < 0xF0      key, body            a key and its value: a type of store/value_codec.h
 *   0xF5        string               the code of a library of functions
 *   0xF6        ...                  the same in a release candidate of Redis 7.0: refused
 *   0xF7        ...                  data of a module: refused
 *   0xF8        length               the next key was used so many seconds ago last
 *   0xF9        1 byte               access counter of the next key
 *   0xFA        string, string       name and value of what is good to know: "redis-ver" ...
 *   0xFB        length, length       keys of this database, and those that expire
 *   0xFC        8 bytes              the next key expires then: ms since the epoch, little endian
 *   0xFD        4 bytes              the same in seconds
 *   0xFE        length               the number of the database of the keys that follow
 *
 * Lengths and strings are those of store/rdb_form.h.
 * Source: the files of redis-server 7, and the public descriptions of the format.
 */
#ifndef TARN_SNAPSHOT_RDB_FORMAT_H
#define TARN_SNAPSHOT_RDB_FORMAT_H

#define RDB_MAGIC "REDIS"
#define RDB_HEADER_BYTES ((size_t)9)
#define RDB_CHECKSUM_BYTES ((size_t)8)
#define RDB_CHECKSUM_VERSION_MIN 5 /* earlier ones have none */

enum rdb_opcode {
    RDB_OPCODE_FUNCTIONS = 0xf5,
    RDB_OPCODE_FUNCTIONS_OLD = 0xf6,
    RDB_OPCODE_MODULE = 0xf7,
    RDB_OPCODE_IDLE = 0xf8,
    RDB_OPCODE_FREQUENCY = 0xf9,
    RDB_OPCODE_FIELD = 0xfa,
    RDB_OPCODE_SIZES = 0xfb,
    RDB_OPCODE_EXPIRY_MS = 0xfc,
    RDB_OPCODE_EXPIRY_SECONDS = 0xfd,
    RDB_OPCODE_DATABASE = 0xfe,
    RDB_OPCODE_END = 0xff,
};

#endif
