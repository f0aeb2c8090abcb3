#include "tools/state_file.h"

#include "core/position.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE "paybuf-reader 1"

void state_add(struct state *state, const struct paybuf_listener_position *entry) {
    if (state->count == state->capacity) {
        state->capacity = state->capacity == 0 ? 16 : 2 * state->capacity;
        state->entries = realloc(state->entries, state->capacity * sizeof *state->entries);
        if (state->entries == NULL) abort();
    }
    state->entries[state->count++] = *entry;
}

void state_free(struct state *state) {
    free(state->entries);
    *state = (struct state){.output_bytes = -1};
}

/* ---- reading ---- */

static bool number(char **rest, int64_t *ret_number) {
    char *word = strsep(rest, " ");
    return word != NULL && pay_decimal_parse(word, strlen(word), ret_number);
}

static bool read_entry(char *line, struct state *state) {
    struct paybuf_listener_position entry;
    int64_t partition;
    if (!number(&line, &entry.generation) || !number(&line, &partition) || !number(&line, &entry.next) ||
        !number(&line, &entry.reply_offset) || !number(&line, &entry.resync_until))
        return false;
    if (line != NULL || partition > INT32_MAX) return false;
    entry.partition = (int32_t)partition;
    for (size_t i = 0; i < state->count; i++)
        if (state->entries[i].generation == entry.generation && state->entries[i].partition == entry.partition)
            return false;
    state_add(state, &entry);
    return true;
}

static bool read_line(char *line, int64_t line_number, struct state *state) {
    if (line_number == 1) return strcmp(line, FIRST_LINE) == 0;
    if (line[0] == '#') return true;
    if (strncmp(line, "output ", 7) == 0) return pay_decimal_parse(line + 7, strlen(line + 7), &state->output_bytes);
    if (strncmp(line, "ledger ", 7) != 0) return read_entry(line, state);
    size_t length = strlen(line + 7);
    if (length == 0 || length >= sizeof state->ledger_id) return false;
    memcpy(state->ledger_id, line + 7, length + 1);
    return true;
}

static bool read_lines(FILE *file, struct state *state, int64_t *ret_line) {
    char *line = NULL;
    size_t capacity = 0;
    bool good = true;
    for (*ret_line = 1; good; ++*ret_line) {
        ssize_t length = getline(&line, &capacity, file);
        if (length < 0) break;
        /* A cut line is a number that isn't whole, and so is one that ends in zeros which a file system left there. */
        good = line[length - 1] == '\n' && memchr(line, '\0', (size_t)length) == NULL;
        line[length - 1] = '\0';
        good = good && read_line(line, *ret_line, state);
        if (!good) break;
    }
    free(line);
    return good && *ret_line > 1 && !ferror(file);
}

enum state_load state_load(const char *path, struct state *ret_state, char *ret_why, size_t why_size) {
    struct state state = {.output_bytes = -1};
    int64_t line;
    FILE *file = fopen(path, "r");
    if (file == NULL && errno == ENOENT) return STATE_ABSENT;
    if (file == NULL) {
        snprintf(ret_why, why_size, "can't read the state file %s: %s", path, strerror(errno));
        return STATE_BAD;
    }
    bool good = read_lines(file, &state, &line);
    fclose(file);
    if (good) {
        *ret_state = state;
        return STATE_LOADED;
    }
    state_free(&state);
    snprintf(ret_why, why_size,
             "%s isn't a reader's state (line %" PRId64 "); put the right file there, or remove it to begin anew", path,
             line);
    return STATE_BAD;
}

/* ---- writing ---- */

static bool write_lines(FILE *file, const struct state *state) {
    fputs(FIRST_LINE "\n", file);
    if (state->ledger_id[0] != '\0') fprintf(file, "ledger %s\n", state->ledger_id);
    if (state->output_bytes >= 0) fprintf(file, "output %" PRId64 "\n", state->output_bytes);
    fputs("# generation partition next-source-offset reply-offset resync-until\n", file);
    for (size_t i = 0; i < state->count; i++) {
        const struct paybuf_listener_position *entry = &state->entries[i];
        fprintf(file, "%" PRId64 " %" PRId32 " %" PRId64 " %" PRId64 " %" PRId64 "\n", entry->generation,
                entry->partition, entry->next, entry->reply_offset, entry->resync_until);
    }
    return fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
}

/* The name itself must survive a power cut, too. */
static bool sync_folder(const char *path) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return false;
    bool synced = fsync(folder) == 0;
    close(folder);
    return synced;
}

bool state_save(const char *path, const struct state *state, char *ret_why, size_t why_size) {
    char beside[PATH_MAX];
    if ((size_t)snprintf(beside, sizeof beside, "%s.new", path) >= sizeof beside) {
        snprintf(ret_why, why_size, "the state file's name is too long");
        return false;
    }
    FILE *file = fopen(beside, "w");
    bool good = file != NULL && write_lines(file, state);
    int saved = errno;
    if (file != NULL && fclose(file) != 0 && good) {
        good = false;
        saved = errno;
    }
    if (good && rename(beside, path) == 0 && sync_folder(path)) return true;
    if (good) saved = errno;
    snprintf(ret_why, why_size, "can't write the state file %s: %s", path, strerror(saved));
    return false;
}
