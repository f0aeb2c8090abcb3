/*
 * request_error.h - says in one sentence why bytes are no request, and what to send instead; private to the codec.
 *
 * Promises: pointer is a JSON pointer (RFC 6901) of one member, cut between characters where it is too long; neither text
 * holds control characters; detail never repeats the client's strings. Memory: the caller's error. Threads: any.
 */
#ifndef PAY_CODEC_REQUEST_ERROR_H
#define PAY_CODEC_REQUEST_ERROR_H

#include "codec/codec_error.h"
#include "codec/json_text.h"

void pay_error_too_large(size_t length, struct pay_codec_error *ret_error);
void pay_error_malformed(const struct pay_json_fault *fault, struct pay_codec_error *ret_error);
/* `value`: what was sent as this member, NULL when it is missing. `length`: its bytes as sent, for an object. */
void pay_error_bad_field(enum pay_field field, const json_t *value, size_t length, struct pay_codec_error *ret_error);
void pay_error_unknown_member(const char *name, struct pay_codec_error *ret_error);

#endif
