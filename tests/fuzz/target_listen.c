/*
 * target_listen.c - the state file of `paybuf listen`, and the listener that goes on from it.
 *
 * Input: the file's text; behind a line that is "---": four bytes a reply (partition, source offset, how far back it covers, generation
 * and kind), as they come out of the reply log.
 * Oracle: what loads is saved and loads again the same, and has what the header promises; a refused one names a line that exists. The reader's rule
 * of PROTOCOL 5, said a second time, for every reply; a listener that is stopped, saved, loaded and started again goes on as one
 * that was never stopped.
 */
#define _GNU_SOURCE /* memfd_create */
#include "core/position.h"
#include "fuzz.h"
#include "listener/listener_rule.h"
#include "tools/state_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARTITIONS 3
#define RESTARTS_MAX 2 /* each is a file written, synced and renamed */
#define LEDGER "d03dbc18-12e4-46be-9a87-433a64143dd2"

static void remove_state(void);

/* A folder in memory where there is one: a state is synced to its disk. */
static const char *state_path(void) {
    static char folder[64], path[96];
    if (path[0] != '\0') return path;
    snprintf(folder, sizeof folder, "%s/paybuf-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) == NULL) abort();
    snprintf(path, sizeof path, "%s/state", folder);
    atexit(remove_state);
    return path;
}

static void remove_state(void) {
    char folder[96];
    snprintf(folder, sizeof folder, "%s", state_path());
    unlink(folder);
    *strrchr(folder, '/') = '\0';
    rmdir(folder);
}

static bool same_entry(const struct paybuf_listener_position *a, const struct paybuf_listener_position *b) {
    return a->generation == b->generation && a->partition == b->partition && a->next == b->next &&
           a->reply_offset == b->reply_offset && a->resync_until == b->resync_until;
}

static void check_same_state(const struct state *a, const struct state *b) {
    FUZZ_CHECK(strcmp(a->ledger_id, b->ledger_id) == 0 && a->output_bytes == b->output_bytes && a->count == b->count);
    for (size_t i = 0; i < a->count; i++) FUZZ_CHECK(same_entry(&a->entries[i], &b->entries[i]));
}

static void save_and_load(const struct state *state, struct state *ret_again) {
    char why[512] = "";
    FUZZ_CHECK(state_save(state_path(), state, why, sizeof why));
    FUZZ_CHECK(state_load(state_path(), ret_again, why, sizeof why) == STATE_LOADED);
    check_same_state(state, ret_again);
}

static bool load(const void *text, size_t length, struct state *ret_state) {
    char why[512] = "";
    char path[32];
    int fd = memfd_create("state", 0);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum state_load loaded = state_load(path, ret_state, why, sizeof why);
    close(fd);
    FUZZ_CHECK(loaded != STATE_ABSENT && (loaded == STATE_BAD) == (why[0] != '\0'));
    if (loaded == STATE_BAD) {
        long line = 0, lines = 1;
        const char *at = strstr(why, "(line ");
        for (size_t i = 0; i < length; i++) lines += ((const char *)text)[i] == '\n';
        FUZZ_CHECK(at != NULL && sscanf(at, "(line %ld)", &line) == 1 && line >= 1 && line <= lines);
        return false;
    }
    static const char first_line[] = "paybuf-reader 1\n";
    FUZZ_CHECK(length >= sizeof first_line - 1 && memcmp(text, first_line, sizeof first_line - 1) == 0);
    FUZZ_CHECK(((const char *)text)[length - 1] == '\n' && memchr(text, '\0', length) == NULL);
    for (size_t i = 0; i < ret_state->count; i++) {
        const struct paybuf_listener_position *a = &ret_state->entries[i];
        FUZZ_CHECK(a->generation >= 0 && a->partition >= 0 && a->next >= 0 && a->reply_offset >= 0 &&
                   a->resync_until >= 0);
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(a->generation != ret_state->entries[j].generation ||
                       a->partition != ret_state->entries[j].partition);
    }
    return true;
}

/* ---- the listener ---- */

static void start(struct pay_listener_rule *listener, const struct state *state) {
    struct pay_reader beginning;
    pay_reader_start_at(&beginning, 0);
    *listener = (struct pay_listener_rule){.lane_count = 0};
    memcpy(listener->ledger_id, state->ledger_id, sizeof listener->ledger_id);
    for (int p = 0; p < PARTITIONS; p++)
        if (pay_listener_rule_restore(listener, state->entries, state->count) == NULL)
            pay_listener_rule_add(listener, &beginning, 0);
}

static void keep(const struct pay_listener_rule *listener, struct state *ret_state) {
    struct paybuf_listener_position positions[PARTITIONS * 2 + 256];
    size_t count = pay_listener_rule_positions(listener, positions, PARTITIONS * 2 + 256);
    *ret_state = (struct state){.output_bytes = -1};
    memcpy(ret_state->ledger_id, listener->ledger_id, sizeof ret_state->ledger_id);
    FUZZ_CHECK(count <= PARTITIONS * 2 + 256);
    for (size_t i = 0; i < count; i++) state_add(ret_state, &positions[i]);
}

static enum pay_listener_move feed(struct pay_listener_rule *listener, int32_t partition, int64_t log_offset, int64_t s,
                                   int64_t c, int64_t generation) {
    char source[21], covers[21], number[21];
    const struct pay_header headers[] = {{"source-offset", source, pay_decimal_format(s, source)},
                                         {"covers-from", covers, pay_decimal_format(c, covers)},
                                         {"log-generation", number, pay_decimal_format(generation, number)},
                                         {"ledger-id", LEDGER, sizeof LEDGER - 1}};
    const struct pay_log_record record = {
        .partition = partition, .offset = log_offset, .headers = headers, .header_count = 4};
    struct pay_reply_headers read;
    int64_t rewind_to = -1;
    enum pay_listener_move move = pay_listener_rule_take(listener, &record, &read, &rewind_to);
    FUZZ_CHECK((move == PAY_LISTENER_TAKE_AND_REWIND) == (rewind_to >= 0));
    return move;
}

/* n of a lane's generation, by the listener's own state; -1: none yet. */
static const struct pay_reader *reader_of(const struct pay_listener_rule *listener, int32_t partition,
                                          int64_t generation) {
    const struct pay_listener_lane *lane = &listener->lanes[partition];
    for (size_t i = 0; i < lane->reader_count; i++)
        if (lane->readers[i].generation == generation) return &lane->readers[i].reader;
    return lane->reader_count == 0 ? &lane->first : NULL;
}

static bool taken(enum pay_listener_move move) {
    return move == PAY_LISTENER_TAKE || move == PAY_LISTENER_TAKE_AND_REWIND;
}

static void check_rule(const struct pay_reader *before, enum pay_listener_move move, int64_t s, int64_t c) {
    bool drop = s<before->next, gap = c> s || (before->started && before->synced && c > before->next);
    FUZZ_CHECK(taken(move) == (!drop && !gap));
}

static void follow(struct pay_listener_rule *listener, struct fuzz_input *in) {
    int restarts = 0;
    for (int64_t log_offset = 0; in->left >= 4 && log_offset < 200; log_offset++) {
        int32_t partition = (int32_t)fuzz_below(in, PARTITIONS);
        int64_t s = fuzz_byte(in), c = s - fuzz_byte(in) % 8 + 1;
        uint8_t last = fuzz_byte(in);
        int64_t generation = 1 + last % 2;
        static const struct pay_reader beginning = {.started = true, .synced = true};
        if (c < 0) c = 0;
        const struct pay_reader *reader = reader_of(listener, partition, generation);
        struct pay_reader before = reader != NULL ? *reader : beginning;
        if (last >= 200 &&
            restarts++ <
                RESTARTS_MAX) { /* stopped and started again: a second one from the saved state must say the same */
            struct state state, again;
            struct pay_listener_rule restarted;
            keep(listener, &state);
            save_and_load(&state, &again);
            start(&restarted, &again);
            bool fresh_middle =
                !before.started && before.resync_until == 0; /* E0 = 0: the whole log is read, it begins at 0 */
            enum pay_listener_move there = feed(&restarted, partition, log_offset, s, c, generation);
            enum pay_listener_move here = feed(listener, partition, log_offset, s, c, generation);
            FUZZ_CHECK(fresh_middle || taken(here) == taken(there));
            check_rule(&before, here, s, c);
            pay_listener_rule_free(&restarted);
            state_free(&state);
            state_free(&again);
            continue;
        }
        check_rule(&before, feed(listener, partition, log_offset, s, c, generation), s, c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char border[] = "\n---\n";
    struct state state, again;
    size_t length = size;
    for (size_t i = 0; i + 5 <= size && length == size; i++)
        if (memcmp(data + i, border, 5) == 0) length = i + 1;
    if (!load(data, length, &state)) return 0;
    if (size % 4 == 0) {
        save_and_load(&state, &again);
        state_free(&again);
    }
    if (state.ledger_id[0] == '\0' || strcmp(state.ledger_id, LEDGER) == 0) {
        struct pay_listener_rule listener;
        struct fuzz_input rest = {data, 0};
        if (length < size) rest = (struct fuzz_input){data + length + 4, size - length - 4};
        start(&listener, &state);
        follow(&listener, &rest);
        pay_listener_rule_free(&listener);
    }
    state_free(&state);
    return 0;
}
