/* A file of commands from outside: what is given are commands with arguments inside the bytes read,
 * and what is refused is reported. The bytes, as a manifest, are taken or refused too.
 */
#include "snapshot/aof_reader.h"

#include "base/assertion.h"
#include "snapshot/aof_manifest.h"

#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/snapshot/rdb_collector.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static bool command_seen(void *context, const struct aof_command *command) {
    struct rdb_collector *collector = context;
    ASSERT(command->args_count != 0);
    ASSERT(!span_is(command->args[0], "select") || command->args_count != 2);
    for (uint32_t i = 0; i < command->args_count; i++) {
        buffer_append_span(&collector->lines, command->args[i]);
        buffer_append_byte(&collector->lines, ' ');
    }
    buffer_append_byte(&collector->lines, '\n');
    return true;
}

static enum aof_read_status read_file(struct memory_disk *memory, bool takes_truncated,
                                      struct rdb_collector *collector) {
    const struct aof_source source = {
        .disk = &memory->disk,
        .takes_truncated = takes_truncated,
        .observer = rdb_collector_observer(collector),
        .command = command_seen,
    };
    enum aof_read_status status = aof_read_file(&source, "file", &collector->report);
    ASSERT((status == AOF_READ_DONE) == (collector->report.length == 0));
    return status;
}

static void read_manifest(struct span text) {
    struct aof_manifest manifest;
    struct buffer report = BUFFER_EMPTY;
    if (aof_manifest_parse(&manifest, "manifest", text, &report)) {
        ASSERT(manifest.count != 0 && manifest.count <= AOF_FILES_MAX + 1);
        for (size_t i = 0; i < manifest.count; i++) {
            ASSERT(strchr(manifest.names[i], '/') == NULL && manifest.names[i][0] != '\0');
        }
        aof_manifest_free(&manifest);
    } else {
        ASSERT(report.length != 0);
    }
    buffer_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct memory_disk memory;
    memory_disk_init(&memory);
    memory_disk_name(&memory.files[0], "file");
    buffer_append(&memory.files[0].content, bytes, length);
    struct rdb_collector lenient = {0};
    struct rdb_collector strict = {0};
    enum aof_read_status status = read_file(&memory, true, &lenient);
    enum aof_read_status other = read_file(&memory, false, &strict);
    ASSERT(status == other || (status == AOF_READ_TRUNCATED && other == AOF_READ_DAMAGED));
    ASSERT(span_equal(buffer_span(&lenient.lines), buffer_span(&strict.lines)));
    rdb_collector_free(&lenient);
    rdb_collector_free(&strict);
    memory_disk_free(&memory);
    read_manifest(span_of(bytes, length));
    return 0;
}
