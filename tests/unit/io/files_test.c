#include "io/files.h"

#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH_MAX ((size_t)1024 * 1024)

struct folder {
    char path[64];
    char file[128];
};

static struct folder folder_new(void) {
    struct folder folder = {.path = "/tmp/tarn-files-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(folder.path));
    snprintf(folder.file, sizeof(folder.file), "%s/file", folder.path);
    return folder;
}

/* Removes what is in it; answers how many files that were. */
static int folder_free(struct folder *folder) {
    DIR *directory = opendir(folder->path);
    struct dirent *entry;
    int count = 0;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.') {
            char path[512];
            snprintf(path, sizeof(path), "%s/%s", folder->path, entry->d_name);
            unlink(path);
            count++;
        }
    }
    closedir(directory);
    rmdir(folder->path);
    return count;
}

static void assert_content(const char *path, const char *expected) {
    struct buffer content = BUFFER_EMPTY;
    ck_assert_int_eq(file_read_whole(path, LENGTH_MAX, &content), FILE_DONE);
    ck_assert(span_equal(buffer_span(&content), span_of_string(expected)));
    buffer_free(&content);
}

START_TEST(replace_creates_a_file_and_read_gives_its_content) {
    struct folder folder = folder_new();
    ck_assert_int_eq(file_replace(folder.file, span_of_string("port 1\n"), 0644), 0);
    assert_content(folder.file, "port 1\n");
    ck_assert_int_eq(folder_free(&folder), 1);
}
END_TEST

START_TEST(replace_leaves_the_new_content_with_its_mode_and_no_other_file) {
    struct folder folder = folder_new();
    ck_assert_int_eq(file_replace(folder.file, span_of_string("a long old content"), 0644), 0);
    mode_t before = umask(077);
    ck_assert_int_eq(file_replace(folder.file, span_of_string("new"), 0640), 0);
    umask(before);
    assert_content(folder.file, "new");
    struct stat status;
    ck_assert_int_eq(stat(folder.file, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0640);
    ck_assert_int_eq(folder_free(&folder), 1);
}
END_TEST

START_TEST(replace_never_changes_the_file_that_others_have_open) {
    struct folder folder = folder_new();
    file_replace(folder.file, span_of_string("old"), 0644);
    FILE *reader = fopen(folder.file, "r");
    ck_assert_int_eq(file_replace(folder.file, span_of_string("new"), 0644), 0);
    char text[8] = "";
    ck_assert_ptr_nonnull(fgets(text, sizeof(text), reader));
    ck_assert_str_eq(text, "old");
    fclose(reader);
    folder_free(&folder);
}
END_TEST

START_TEST(replace_follows_a_link_and_keeps_it) {
    struct folder folder = folder_new();
    char link[128];
    snprintf(link, sizeof(link), "%s/link", folder.path);
    file_replace(folder.file, span_of_string("old"), 0644);
    ck_assert_int_eq(symlink("file", link), 0);
    ck_assert_int_eq(file_replace(link, span_of_string("new"), 0644), 0);
    struct stat status;
    ck_assert_int_eq(lstat(link, &status), 0);
    ck_assert(S_ISLNK(status.st_mode));
    assert_content(folder.file, "new");
    ck_assert_int_eq(folder_free(&folder), 2);
}
END_TEST

START_TEST(replace_accepts_a_name_relative_to_the_working_directory) {
    struct folder folder = folder_new();
    ck_assert_int_eq(chdir(folder.path), 0);
    ck_assert_int_eq(file_replace("file", span_of_string("x"), 0600), 0);
    assert_content(folder.file, "x");
    ck_assert_int_eq(chdir("/"), 0);
    folder_free(&folder);
}
END_TEST

START_TEST(replace_that_fails_says_why_and_leaves_nothing) {
    struct folder folder = folder_new();
    char inside[192];
    snprintf(inside, sizeof(inside), "%s/absent/file", folder.path);
    ck_assert_int_eq(file_replace(inside, span_of_string("x"), 0600), ENOENT);
    /* A directory cannot be replaced: the failure comes after the temporary file exists. */
    ck_assert_int_eq(mkdir(folder.file, 0700), 0);
    ck_assert_int_eq(file_replace(folder.file, span_of_string("x"), 0600), EISDIR);
    ck_assert_int_eq(rmdir(folder.file), 0);
    ck_assert_int_eq(folder_free(&folder), 0);
}
END_TEST

START_TEST(read_refuses_more_than_its_maximum_and_appends_only_whole_files) {
    struct folder folder = folder_new();
    file_replace(folder.file, span_of_string("12345"), 0600);
    struct buffer content = BUFFER_EMPTY;
    buffer_append_string(&content, "before:");
    ck_assert_int_eq(file_read_whole(folder.file, 4, &content), FILE_TOO_LARGE);
    ck_assert(span_equal(buffer_span(&content), span_of_string("before:")));
    ck_assert_int_eq(file_read_whole(folder.file, 5, &content), FILE_DONE);
    ck_assert(span_equal(buffer_span(&content), span_of_string("before:12345")));
    buffer_free(&content);
    folder_free(&folder);
}
END_TEST

START_TEST(read_gives_files_larger_than_one_read_or_nothing_of_them) {
    struct folder folder = folder_new();
    struct buffer large = BUFFER_EMPTY;
    for (int i = 0; i < 100000; i++) {
        buffer_append_byte(&large, (char)(i * 31));
    }
    ck_assert_int_eq(file_replace(folder.file, buffer_span(&large), 0600), 0);
    struct buffer content = BUFFER_EMPTY;
    ck_assert_int_eq(file_read_whole(folder.file, LENGTH_MAX, &content), FILE_DONE);
    ck_assert(span_equal(buffer_span(&content), buffer_span(&large)));
    buffer_clear(&content);
    ck_assert_int_eq(file_read_whole(folder.file, large.length - 1, &content), FILE_TOO_LARGE);
    ck_assert_uint_eq(content.length, 0);
    buffer_free(&content);
    buffer_free(&large);
    folder_free(&folder);
}
END_TEST

START_TEST(read_of_what_is_absent_or_a_directory_fails_with_errno) {
    struct buffer content = BUFFER_EMPTY;
    ck_assert_int_eq(file_read_whole("/nonexistent/file", LENGTH_MAX, &content), FILE_FAILED);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(file_read_whole("/tmp", LENGTH_MAX, &content), FILE_FAILED);
    ck_assert_int_eq(errno, EISDIR);
    buffer_free(&content);
}
END_TEST

START_TEST(read_takes_a_pipe_to_its_end) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "from a pipe", 11), 11);
    close(ends[1]);
    struct buffer content = BUFFER_EMPTY;
    ck_assert_int_eq(file_read_descriptor(ends[0], LENGTH_MAX, &content), FILE_DONE);
    ck_assert(span_equal(buffer_span(&content), span_of_string("from a pipe")));
    close(ends[0]);
    buffer_free(&content);
}
END_TEST

START_TEST(sync_of_a_directory_tells_what_it_is_not) {
    struct folder folder = folder_new();
    ck_assert_int_eq(file_sync_directory(folder.path), 0);
    file_replace(folder.file, span_of_string("x"), 0600);
    ck_assert_int_eq(file_sync_directory(folder.file), ENOTDIR);
    ck_assert_int_eq(file_sync_directory("/nonexistent"), ENOENT);
    folder_free(&folder);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        replace_creates_a_file_and_read_gives_its_content,
        replace_leaves_the_new_content_with_its_mode_and_no_other_file,
        replace_never_changes_the_file_that_others_have_open,
        replace_follows_a_link_and_keeps_it,
        replace_accepts_a_name_relative_to_the_working_directory,
        replace_that_fails_says_why_and_leaves_nothing,
        read_refuses_more_than_its_maximum_and_appends_only_whole_files,
        read_gives_files_larger_than_one_read_or_nothing_of_them,
        read_of_what_is_absent_or_a_directory_fails_with_errno,
        read_takes_a_pipe_to_its_end,
        sync_of_a_directory_tells_what_it_is_not,
    };
    return unit_run(unit_suite("files", tests, UNIT_COUNT(tests)));
}
