/* history_private.h - what the judge's files share. Not for anybody else. */
#ifndef PAY_TESTS_HISTORY_PRIVATE_H
#define PAY_TESTS_HISTORY_PRIVATE_H

#include "history.h"

/* A log as the judge reads it: the true one, where what the broker has now isn't it any more. */
const struct fake_log *history_log(const struct history *history, enum fake_topic_name topic, int32_t partition);

bool history_header_is(const struct fake_record *record, const char *name, const char *text);
int64_t history_header_number(const struct fake_record *record, const char *name); /* -1: none */
bool history_is_our_reply(const struct history *history, const struct fake_record *record);

/* A test has changed the past by hand, without history_tamper: only what still can be is judged. */
static inline bool history_is_blind(const struct history *history) { return history->tampered && !history->exact; }

/* history_tampered.c */
/* A reply of a session that doesn't know yet that the database was put back. */
bool history_is_leftover(const struct history *history, const struct fake_record *reply);
/* Such a reply, for something that the database has forgotten, is in the log now. */
void history_note_contradiction(struct history *history, int32_t partition);
/* A reply of a commit that is gone: no row says what it should be. */
bool history_is_forgotten(const struct history *history, int32_t partition, const struct fake_record *reply);
/* A reply of a lost commit, or a leader's stale word about them, came when PROTOCOL 6 promises nothing any more. */
bool history_is_excused(const struct history *history, int32_t partition);
/* Readers of this partition's replies may stop, or were told what the rows don't say: nobody promised them better. */
bool history_readers_excused(const struct history *history, int32_t partition);
void history_watch_tampered_commit(struct history *history, const struct fake_commit *commit);
void history_watch_tampered_reply(struct history *history, int32_t partition, const struct fake_record *reply);
void history_judge_halts(struct history *history);
/* Why the lane isn't at its right end; NULL: it is. `next`: where a reader from 0 stands. */
const char *history_unfinished(const struct history *history, int32_t partition, int64_t next, char text[96]);

#endif
