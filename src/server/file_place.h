/* File place: a path, given by a user of our tools, as a folder and a name in it. What goes wrong
 * is said on standard error, after the program's name.
 */
#ifndef TARN_SERVER_FILE_PLACE_H
#define TARN_SERVER_FILE_PLACE_H

#include "io/disk.h"

struct file_place {
    struct disk disk;
    const char *name; /* in the path */
};

/* The folder must be there, the file need not. 0, or the exit code; then nothing is open. */
int file_place_open(struct file_place *place, const char *program, const char *path, int code);
void file_place_close(struct file_place *place);

#endif
