/* fake_stream_private.h - what the two files of fake_stream share. Not for anybody else. */
#ifndef PAY_TESTS_FAKE_STREAM_PRIVATE_H
#define PAY_TESTS_FAKE_STREAM_PRIVATE_H

#include "fake_stream.h"

/* The end of every call that can fail: the script has the last word. */
enum pay_move fake_stream_answer(struct fake_stream *stream, const struct fault_entry *entry, enum pay_move move,
                                 const char *code, struct pay_error *error);

/* The publishing ops of the port. */
enum pay_move fake_stream_open_publisher(struct pay_stream *port, uint32_t slot, struct pay_error *error);
void fake_stream_close_publisher(struct pay_stream *port, uint32_t slot);
enum pay_move fake_stream_publish(struct pay_stream *port, uint32_t slot, const struct pay_outgoing *reply,
                                  struct pay_error *error);
enum pay_move fake_stream_dead_letter(struct pay_stream *port, const struct pay_outgoing *letter,
                                      struct pay_error *error);
void fake_stream_reset_dead_letters(struct pay_stream *port);
bool fake_stream_next_report(struct pay_stream *port, struct pay_report *ret_report);

/* What the broker calls. */
void fake_stream_client_send(struct fake_client *client);
void fake_stream_client_answered(struct fake_client *client, struct fake_produce *produce);

/* Purge and destroy: what is on the wire stays there, and nobody hears of it. */
void fake_stream_purge(struct fake_stream *stream, uint32_t index);

#endif
