/*
 * bare_http.c - a yardstick of the intake: its own HTTP server (producer/http.h) that answers every request with the same 202 at once.
 *
 *     paybuf-bare-http ADDRESS:PORT      until SIGTERM
 *
 * What lies between this and nginx is the library's; what lies between the intake and this is JSON, Kafka and waiting for it.
 */
#include "base/clock.h"
#include "base/options.h"
#include "base/signals.h"
#include "producer/http.h"

#include <poll.h>
#include <stdio.h>

#define TICK_MS 1000

static const char body[] = "{\"order_id\":\"01a1fe3b-74f4-7024-8e73-3bc33502af46\",\"attempt\":1,\"status\":"
                           "\"accepted\",\"position\":\"1-3-1234\"}";

static void answer(struct pay_http_request *request, unsigned int status) {
    const struct pay_http_header header = {"Content-Type", "application/json"};
    pay_http_answer(
        request,
        &(struct pay_http_answer){
            .status = status, .body = body, .body_length = sizeof body - 1, .headers = &header, .header_count = 1});
}

static void on_fault(void *argument, struct pay_http_request *request, enum pay_http_fault fault, const char *detail) {
    (void)argument;
    (void)fault;
    (void)detail;
    answer(request, 400);
}

static void on_head(void *argument, struct pay_http_request *request) {
    (void)argument;
    (void)request;
}

static void on_complete(void *argument, struct pay_http_request *request) {
    (void)argument;
    answer(request, 202);
}

int main(int argc, char **argv) {
    char message[256] = "name the address to listen on, as in 127.0.0.1:8081";
    const struct pay_http_options options = {.address = argc == 2 ? argv[1] : "",
                                             .connections_max = 4096,
                                             .body_max = 8192,
                                             .fault = on_fault,
                                             .head = on_head,
                                             .complete = on_complete,
                                             .gone = on_head};
    int signals = pay_signals_install();
    struct pay_http *http = argc == 2 && signals >= 0 ? pay_http_open(&options, message, sizeof message) : NULL;
    if (http == NULL) {
        fprintf(stderr, "paybuf-bare-http: %s\n", message);
        return PAY_EXIT_USAGE;
    }
    struct pollfd watched[2] = {{.fd = pay_http_descriptor(http), .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (int64_t tick_ms = 0; !pay_signals_stop_requested(); pay_signals_collect()) {
        poll(watched, 2, pay_http_due(http) ? 0 : TICK_MS);
        pay_http_run(http);
        if (pay_clock_ms() - tick_ms < TICK_MS) continue;
        tick_ms = pay_clock_ms();
        pay_http_tick(http, tick_ms);
    }
    pay_http_close(http);
    return PAY_EXIT_OK;
}
