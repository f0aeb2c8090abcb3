/*
 * request_opinion.h - a second opinion on a request's value, from INTERFACES alone: taken or not, and which field is at fault.
 * Threads: any.
 */
#ifndef PAY_TESTS_FUZZ_REQUEST_OPINION_H
#define PAY_TESTS_FUZZ_REQUEST_OPINION_H

#include "core/outcome.h"
#include "json_opinion.h"

struct judgement {
    enum pay_reason reason; /* NONE: a request */
    enum pay_field field;
    bool unknown; /* strict: a member too many */
};

/* `length`: of the whole value. */
struct judgement judge_request(const struct json_opinion *opinion, size_t length);

#endif
