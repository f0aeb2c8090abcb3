#include "tools/listen_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void begin(struct listen_output *output, int descriptor, bool own) {
    *output = (struct listen_output){.descriptor = descriptor, .own = own};
    output->lines = open_memstream(&output->text, &output->size);
    if (output->lines == NULL) abort();
}

void listen_output_stdout(struct listen_output *output) { begin(output, STDOUT_FILENO, false); }

/* A file that is gone was moved away on purpose: a new one begins. One that is shorter than the state says is another file. */
static bool cut(int descriptor, const char *path, int64_t found, int64_t wanted, char *ret_why, size_t why_size) {
    if (found < wanted && found > 0) {
        snprintf(ret_why, why_size,
                 "%s has %" PRId64 " bytes, the state knows of %" PRId64
                 "; name the file that belongs to the state, or move this one away",
                 path, found, wanted);
        return false;
    }
    if (found <= wanted || ftruncate(descriptor, wanted) == 0) return true;
    snprintf(ret_why, why_size, "can't cut %s to %" PRId64 " bytes: %s", path, wanted, strerror(errno));
    return false;
}

bool listen_output_file(struct listen_output *output, const char *path, int64_t length, char *ret_why,
                        size_t why_size) {
    struct stat about;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor < 0 || fstat(descriptor, &about) != 0) {
        snprintf(ret_why, why_size, "can't write %s: %s", path, strerror(errno));
        if (descriptor >= 0) close(descriptor);
        return false;
    }
    if (!S_ISREG(about.st_mode)) {
        snprintf(ret_why, why_size, "%s is no ordinary file, so its length can't be kept; leave --to out and redirect",
                 path);
        close(descriptor);
        return false;
    }
    int64_t found = about.st_size;
    if (length >= 0 && !cut(descriptor, path, found, length, ret_why, why_size)) {
        close(descriptor);
        return false;
    }
    begin(output, descriptor, true);
    output->length = length >= 0 && found > length ? length : found;
    return true;
}

bool listen_output_is_full(struct listen_output *output) { return ftello(output->lines) >= LISTEN_BUFFER_BYTES; }

bool listen_output_write(struct listen_output *output) {
    if (fflush(output->lines) != 0) abort(); /* out of memory */
    size_t gathered = (size_t)ftello(output->lines), done = 0;
    while (done < gathered) {
        ssize_t written = write(output->descriptor, output->text + done, gathered - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        done += (size_t)written;
    }
    output->length += (int64_t)gathered;
    rewind(output->lines);
    if (fdatasync(output->descriptor) == 0) return true;
    return errno == EINVAL || errno == EROFS; /* a pipe or a terminal */
}

void listen_output_close(struct listen_output *output) {
    if (output->lines == NULL) return;
    fclose(output->lines);
    free(output->text);
    if (output->own) close(output->descriptor);
    *output = (struct listen_output){.descriptor = -1};
}
