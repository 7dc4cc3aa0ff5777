#include "io/disk.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS 200

struct place {
    char path[64];
    struct disk disk;
};

static struct place place_open(void) {
    struct place place;
    snprintf(place.path, sizeof(place.path), "/tmp/tarn-disk-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place.path));
    ck_assert_int_eq(disk_open(&place.disk, place.path), 0);
    return place;
}

static void remove_found(void *context, const char *name) {
    const struct disk *disk = context;
    disk->remove(disk->context, name);
}

static void place_close(struct place *place) {
    ck_assert_int_eq(place->disk.list(place->disk.context, remove_found, &place->disk), 0);
    disk_close(&place->disk);
    ck_assert_int_eq(rmdir(place->path), 0);
}

static struct disk_file *make(struct place *place, const char *name) {
    int error = 0;
    struct disk_file *file = place->disk.open(place->disk.context, name, true, &error);
    ck_assert_int_eq(error, 0);
    return file;
}

START_TEST(parts_stand_one_behind_the_other) {
    struct place place = place_open();
    struct disk_file *file = make(&place, "a");
    char bytes[PARTS];
    struct iovec parts[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        bytes[i] = (char)i;
        parts[i] = (struct iovec){.iov_base = bytes + i, .iov_len = i % 3 == 0 ? 0 : 1};
    }
    ck_assert_int_eq(place.disk.write(file, parts, PARTS, 10), 0);
    ck_assert_int_eq(place.disk.sync(file), 0);
    char read[2 * PARTS];
    int64_t count = place.disk.read(file, read, sizeof(read), 10);
    ck_assert_int_eq(count, PARTS - (PARTS + 2) / 3);
    for (int64_t i = 0; i < count; i++) {
        ck_assert_int_eq(read[i], (char)(i / 2 * 3 + i % 2 + 1));
    }
    ck_assert_int_eq(place.disk.read(file, read, 1, 10000), 0);
    place.disk.close(file);
    place_close(&place);
}
END_TEST

START_TEST(room_set_aside_reads_as_zeros_and_can_be_cut) {
    struct place place = place_open();
    struct disk_file *file = make(&place, "a");
    ck_assert_int_eq(place.disk.allocate(file, 4096), 0);
    if (place.disk.size(file) != 0) {
        char byte = 'x';
        ck_assert_int_eq(place.disk.size(file), 4096);
        ck_assert_int_eq(place.disk.read(file, &byte, 1, 4095), 1);
        ck_assert_int_eq(byte, 0);
    }
    ck_assert_int_eq(place.disk.truncate(file, 100), 0);
    ck_assert_int_eq(place.disk.size(file), 100);
    place.disk.close(file);
    place_close(&place);
}
END_TEST

START_TEST(names_are_new_or_there) {
    struct place place = place_open();
    const struct disk *disk = &place.disk;
    disk->close(make(&place, "a"));
    int error = 0;
    ck_assert_ptr_null(disk->open(disk->context, "a", true, &error));
    ck_assert_int_eq(error, -EEXIST);
    ck_assert_ptr_null(disk->open(disk->context, "b", false, &error));
    ck_assert_int_eq(error, -ENOENT);
    ck_assert_int_eq(disk->rename(disk->context, "a", "b"), 0);
    ck_assert_int_eq(disk->rename(disk->context, "a", "b"), -ENOENT);
    ck_assert_int_eq(disk->sync_names(disk->context), 0);
    ck_assert_int_eq(disk->remove(disk->context, "b"), 0);
    ck_assert_int_eq(disk->remove(disk->context, "b"), -ENOENT);
    place_close(&place);
}
END_TEST

START_TEST(lock_is_held_by_one_disk_until_it_is_closed) {
    struct place place = place_open();
    struct disk other;
    ck_assert_int_eq(disk_open(&other, place.path), 0);
    ck_assert_int_eq(place.disk.lock(place.disk.context), 0);
    ck_assert_int_eq(place.disk.lock(place.disk.context), 0);
    ck_assert_int_eq(other.lock(other.context), -EBUSY);
    disk_close(&place.disk);
    ck_assert_int_eq(other.lock(other.context), 0);
    place.disk = other;
    place_close(&place);
}
END_TEST

START_TEST(folder_may_be_renamed_while_it_is_open) {
    struct place place = place_open();
    char other[80];
    snprintf(other, sizeof(other), "%s-moved", place.path);
    ck_assert_int_eq(rename(place.path, other), 0);
    place.disk.close(make(&place, "a"));
    ck_assert_int_eq(place.disk.rename(place.disk.context, "a", "b"), 0);
    ck_assert_int_eq(rename(other, place.path), 0);
    place_close(&place);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        parts_stand_one_behind_the_other,
        room_set_aside_reads_as_zeros_and_can_be_cut,
        names_are_new_or_there,
        lock_is_held_by_one_disk_until_it_is_closed,
        folder_may_be_renamed_while_it_is_open,
    };
    return unit_run(unit_suite("disk", tests, UNIT_COUNT(tests)));
}
