/* What a target of MIGRATE answers: whatever it is, it is taken as lines, each whole and bounded,
 * or refused; and all that has come is looked at. */
#include "server/migrate_target.h"
#include "base/assertion.h"
#include "io/network.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define INPUT_BYTES_MAX ((size_t)64 * 1024)

static size_t lines_of(struct migrate_target *target, bool waits) {
    size_t bytes = 0;
    struct span line;
    while (migrate_target_line(target, waits, &line)) {
        ASSERT(line.length == 0 || memchr(line.bytes, '\n', line.length) == NULL);
        bytes += line.length + 1;
    }
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const atomic_bool is_stopping = false;
    struct migrate_targets targets;
    int fds[2];
    if (size == 0 || size > INPUT_BYTES_MAX ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        return 0;
    }
    migrate_targets_init(&targets, &is_stopping);
    struct migrate_target target = {.targets = &targets, .fd = fds[0], .input = BUFFER_EMPTY};
    /* In two parts, the first of which is looked at before the second comes. */
    size_t half = size / 2;
    struct network_result first = {.bytes = 0};
    if (half > 0) {
        first = network_write(fds[1], data, half);
    }
    size_t bytes = lines_of(&target, true);
    struct network_result second = network_write(fds[1], data + half, size - half);
    network_close(fds[1]);
    bytes += lines_of(&target, true);
    bytes += lines_of(&target, false);
    ASSERT(bytes <= first.bytes + second.bytes);
    buffer_free(&target.input);
    network_close(fds[0]);
    migrate_targets_free(&targets);
    return 0;
}
