/*
 * state_file.h - where a reader of the reply log stands: one integer per (generation, partition), kept in a text file.
 *
 *   paybuf-reader 1
 *   ledger d03dbc18-12e4-46be-9a87-433a64143dd2
 *   output 18235
 *   # generation partition next-source-offset reply-offset resync-until
 *   1 0 1234 1250 0
 *
 * next-source-offset is the reader's n (PROTOCOL 5) and alone says what is taken; reply-offset only says from where on the reply
 * log must be read, so that a restart needn't read all of it. resync-until is the E0 of a reader that started in the middle and
 * isn't synced yet, else 0. Generation 0: no reply was taken of that partition yet. output: the length of the file that the lines
 * go to, if there is one. Written atomically: a file beside it, fsync, rename, fsync of the
 * folder. `paybuf replay --append` keeps where it stands in the request log in the same way: its own next source offset, and as
 * resync-until the end of what it sends + 1. A crash leaves the old file or the new one.
 * Memory: state_free. Threads: one.
 */
#ifndef PAY_TOOLS_STATE_FILE_H
#define PAY_TOOLS_STATE_FILE_H

#include <paybuf/listener.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_LEDGER_MAX 37

struct state {
    char ledger_id[STATE_LEDGER_MAX]; /* "" before the first reply */
    int64_t output_bytes;             /* of listen --to; -1: none */
    struct paybuf_listener_position *entries;
    size_t count, capacity;
};

void state_add(struct state *state, const struct paybuf_listener_position *entry);
void state_free(struct state *state);

enum state_load { STATE_LOADED, STATE_ABSENT, STATE_BAD };
/* BAD: *ret_why names the line. */
enum state_load state_load(const char *path, struct state *ret_state, char *ret_why, size_t why_size);

/* False: *ret_why; the old file is still there. */
bool state_save(const char *path, const struct state *state, char *ret_why, size_t why_size);

#endif
