#include "io/memory_disk.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define LENGTH (2 * MEMORY_DISK_BLOCK_BYTES + 1000)

static struct disk_file *make(const struct disk *disk, const char *name) {
    int error = 0;
    struct disk_file *file = disk->open(disk->context, name, true, &error);
    ck_assert_int_eq(error, 0);
    return file;
}

static void put(const struct disk *disk, struct disk_file *file, const char *text,
                uint64_t offset) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    ck_assert_int_eq(disk->write(file, &part, 1, offset), 0);
}

static void expect(const struct disk *disk, struct disk_file *file, const char *text,
                   uint64_t offset) {
    char bytes[64];
    ck_assert_int_eq(disk->read(file, bytes, strlen(text), offset), (int64_t)strlen(text));
    ck_assert_int_eq(memcmp(bytes, text, strlen(text)), 0);
}

START_TEST(what_is_written_over_blocks_is_read) {
    struct disk disk;
    memory_disk_open(&disk);
    struct disk_file *file = make(&disk, "a");
    static char bytes[LENGTH];
    static char read[LENGTH + 10];
    for (size_t i = 0; i < LENGTH; i++) {
        bytes[i] = (char)(i * 31 % 251);
    }
    struct iovec parts[] = {
        {.iov_base = bytes, .iov_len = 10},
        {.iov_base = bytes + 10, .iov_len = LENGTH - 10},
    };
    ck_assert_int_eq(disk.write(file, parts, 2, 5), 0);
    ck_assert_int_eq(disk.size(file), LENGTH + 5);
    ck_assert_int_eq(disk.read(file, read, sizeof(read), 0), LENGTH + 5);
    ck_assert_int_eq(memcmp(read, "\0\0\0\0\0", 5), 0);
    ck_assert_int_eq(memcmp(read + 5, bytes, LENGTH), 0);
    ck_assert_int_eq(disk.read(file, read, 10, LENGTH + 5), 0);
    ck_assert_uint_eq(memory_disk_bytes(&disk), 3 * MEMORY_DISK_BLOCK_BYTES);
    disk.close(file);
    memory_disk_close(&disk);
}
END_TEST

START_TEST(what_was_cut_off_reads_as_zeros_when_it_is_there_again) {
    struct disk disk;
    memory_disk_open(&disk);
    struct disk_file *file = make(&disk, "a");
    put(&disk, file, "first and last", 0);
    ck_assert_int_eq(disk.truncate(file, 5), 0);
    ck_assert_int_eq(disk.size(file), 5);
    put(&disk, file, "end", MEMORY_DISK_BLOCK_BYTES);
    expect(&disk, file, "first", 0);
    char byte = 'x';
    ck_assert_int_eq(disk.read(file, &byte, 1, 7), 1);
    ck_assert_int_eq(byte, 0);
    expect(&disk, file, "end", MEMORY_DISK_BLOCK_BYTES);
    ck_assert_int_eq(disk.truncate(file, 0), 0);
    ck_assert_uint_eq(memory_disk_bytes(&disk), 0);
    disk.close(file);
    memory_disk_close(&disk);
}
END_TEST

START_TEST(file_that_is_removed_is_readable_until_it_is_closed) {
    struct disk disk;
    memory_disk_open(&disk);
    struct disk_file *file = make(&disk, "a");
    put(&disk, file, "content", 0);
    ck_assert_int_eq(disk.remove(disk.context, "a"), 0);
    ck_assert_int_eq(disk.remove(disk.context, "a"), -ENOENT);
    expect(&disk, file, "content", 0);
    ck_assert_uint_gt(memory_disk_bytes(&disk), 0);
    disk.close(file);
    ck_assert_uint_eq(memory_disk_bytes(&disk), 0);
    memory_disk_close(&disk);
}
END_TEST

static void count_name(void *context, const char *name) {
    const struct disk *disk = *(const struct disk *const *)context;
    ck_assert(strcmp(name, "b") == 0 || strcmp(name, "c") == 0);
    ck_assert_int_eq(disk->remove(disk->context, name), 0);
}

START_TEST(names_are_taken_moved_and_listed) {
    struct disk disk;
    memory_disk_open(&disk);
    struct disk_file *a = make(&disk, "a");
    struct disk_file *b = make(&disk, "b");
    put(&disk, a, "of a", 0);
    put(&disk, b, "of b", 0);
    int error = 0;
    ck_assert_ptr_null(disk.open(disk.context, "a", true, &error));
    ck_assert_int_eq(error, -EEXIST);
    ck_assert_ptr_null(disk.open(disk.context, "c", false, &error));
    ck_assert_int_eq(error, -ENOENT);
    disk.close(make(&disk, "c"));
    disk.close(make(&disk, ".hidden"));
    ck_assert_int_eq(disk.rename(disk.context, "a", "b"), 0);
    ck_assert_int_eq(disk.rename(disk.context, "a", "b"), -ENOENT);
    struct disk_file *again = disk.open(disk.context, "b", false, &error);
    expect(&disk, again, "of a", 0);
    expect(&disk, b, "of b", 0);
    const struct disk *listed = &disk;
    ck_assert_int_eq(disk.list(disk.context, count_name, &listed), 0);
    ck_assert_ptr_null(disk.open(disk.context, "b", false, &error));
    disk.close(a);
    disk.close(b);
    disk.close(again);
    memory_disk_close(&disk);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_is_written_over_blocks_is_read,
        what_was_cut_off_reads_as_zeros_when_it_is_there_again,
        file_that_is_removed_is_readable_until_it_is_closed,
        names_are_taken_moved_and_listed,
    };
    return unit_run(unit_suite("memory disk", tests, UNIT_COUNT(tests)));
}
