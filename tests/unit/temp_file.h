/*
 * temp_file.h - one small file below /tmp, for what only takes a path. Begins zeroed; written as often as the test likes, always the
 * same path. Errors fail the test.
 */
#ifndef PAY_TESTS_UNIT_TEMP_FILE_H
#define PAY_TESTS_UNIT_TEMP_FILE_H

#include "unit.h"

#include <stdlib.h>

struct temp_file {
    char path[32]; /* "": not made yet */
};

static inline void temp_file_write(struct temp_file *file, const char *text) {
    if (file->path[0] == '\0') {
        strcpy(file->path, "/tmp/paybuf-test-XXXXXX");
        int fd = mkstemp(file->path);
        assert_true(fd >= 0);
        close(fd);
    }
    FILE *out = fopen(file->path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static inline void temp_file_remove(struct temp_file *file) {
    if (file->path[0] != '\0') unlink(file->path);
    file->path[0] = '\0';
}

#endif
