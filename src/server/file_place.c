#include "server/file_place.h"

#include "base/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int file_place_open(struct file_place *place, const char *program, const char *path, int code) {
    const char *slash = strrchr(path, '/');
    place->name = slash == NULL ? path : slash + 1;
    if (*place->name == '\0' || strlen(place->name) >= DISK_NAME_BYTES_MAX) {
        fprintf(stderr, "%s: \"%s\" is no file's name\n", program, path);
        return code;
    }
    struct buffer folder = BUFFER_EMPTY;
    if (slash == NULL) {
        buffer_append_string(&folder, ".");
    } else {
        buffer_append(&folder, path, (size_t)(slash - path) + 1);
    }
    buffer_append_byte(&folder, '\0');
    /* A folder that is opened is made if it is not there. */
    bool is_there = access(folder.bytes, F_OK) == 0;
    int error = is_there ? disk_open(&place->disk, folder.bytes) : -ENOENT;
    if (error != 0) {
        fprintf(stderr, "%s: cannot open \"%s\": %s\n", program, folder.bytes, strerror(-error));
    }
    buffer_free(&folder);
    return error == 0 ? 0 : code;
}

void file_place_close(struct file_place *place) {
    disk_close(&place->disk);
}
