/*
 * fake_intake.h - both neighbours of the intake's routes, played in memory: the HTTP server of fake_http.h, and a log (appender.h)
 * that takes records, refuses them, and acknowledges when the test says so.
 */
#ifndef PAY_TESTS_UNIT_FAKE_INTAKE_H
#define PAY_TESTS_UNIT_FAKE_INTAKE_H

#include "fake_http.h"
#include "producer/routes.h"

#define FAKE_RECORDS_MAX 256

struct fake_record {
    char key[PAY_ID_MAX + 1];
    char value[PAY_REQUEST_TEXT_MAX];
    char tenant[PAY_ID_MAX + 1], traceparent[PAY_TRACEPARENT_MAX + 1];
    bool bulk;
    struct pay_call call;
};

struct fake_log {
    struct fake_record records[FAKE_RECORDS_MAX];
    uint32_t count;
    uint32_t room; /* records it takes until it refuses */
};

extern struct fake_log fake_log;

/* A service without keys and tokens on an empty log; *ret_config is its configuration. */
void fake_service(struct pay_service *ret_service, struct pay_config *ret_config);
/* Gives it API keys, the lines of their file; fake_service_close forgets keys and tokens. */
void fake_keys(struct pay_service *service, const char *lines);
void fake_service_close(struct pay_service *service);
/* A group's set-up. */
int fake_start(void **state);

/* head, the body (whole, or in pieces of `piece` bytes when it streams), its end; as the server would. */
void fake_serve(struct pay_service *service, struct pay_http_request *request, const char *body, size_t length,
                size_t piece);

/* What becomes of record number `index`: acknowledged at (partition 0, offset index), or unknown. */
void fake_acknowledge(uint32_t index);
void fake_lose(uint32_t index);
bool fake_is_waited_for(uint32_t index);

#endif
