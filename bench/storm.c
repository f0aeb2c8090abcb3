/*
 * storm.c - paybuf-storm: many clients that pay, as good clients do: each payment is sent until it gets its 202.
 *
 * One thread, one loop. Each client has one keep-alive connection and one payment at a time; a duplicate of a payment is mostly
 * somebody else's, often while the first is still under way. What the intake promised (each 202) goes to --accepted.
 */
#include "aborted.h"
#include "append.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/signals.h"
#include "batches.h"
#include "http_client.h"
#include "storm_report.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_MS 50 /* after 504 and broken connections; doubled with each try */
#define BACKOFF_MAX_MS 1600
#define BACKOFF_REFUSED_MS 1000  /* 503 without Retry-After */
#define RETRY_AFTER_MAX_MS 10000 /* a Retry-After of an hour isn't waited for */
#define IDLE_WAIT_MS 50
#define INTERRUPTED_MS 3000 /* what is under way when a signal comes may finish this long */
#define REPLIES_AT_ONCE 2000
#define COMPLAINTS_MAX 5

struct client {
    bool holds; /* a payment that has no 202 yet */
    bool under_way;
    uint32_t tries;
    int64_t due_us; /* not sent before */
    struct pay_workload_item item;
};

struct storm {
    const struct pay_storm_options *options;
    struct pay_http_client *http;
    struct pay_reply_watch *watch; /* NULL: nobody listens */
    struct pay_storm_report report;
    struct client *clients;
    uint32_t holding, under_way;
    uint64_t next;            /* index of the next payment */
    FILE *accepted;           /* NULL: not written down */
    int64_t patient_since_us; /* the last 202, or the last moment when nothing was due */
    int64_t interrupted_us;   /* 0: not */
    uint32_t complaints;
    bool away, full; /* the intake stayed away; the disk or the table of positions is full */
    uint64_t jitter;
};

static const char *phase_of(const struct storm *storm) { return storm->interrupted_us != 0 ? "stopping" : "storm"; }

/* 0..range-1; only spreads retries, so it needs no seed. */
static int64_t jitter_ms(struct storm *storm, int64_t range) {
    storm->jitter = storm->jitter * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((storm->jitter >> 33) % (uint64_t)range);
}

/* The next payment may begin: not too many, not too late, not too early. */
static bool may_begin(const struct storm *storm, int64_t now_us) {
    const struct pay_storm_options *options = storm->options;
    int64_t elapsed_us = now_us - storm->report.began_us;
    if (storm->interrupted_us != 0 || storm->away || storm->full) return false;
    if (options->count > 0 && storm->next >= (uint64_t)options->count) return false;
    if (options->seconds > 0 && elapsed_us >= options->seconds * 1000000) return false;
    return options->rate == 0 || (int64_t)storm->next * 1000000 / options->rate <= elapsed_us;
}

static bool all_begun(const struct storm *storm, int64_t now_us) {
    const struct pay_storm_options *options = storm->options;
    if (storm->interrupted_us != 0 || storm->away || storm->full) return true;
    if (options->count > 0 && storm->next >= (uint64_t)options->count) return true;
    return options->seconds > 0 && now_us - storm->report.began_us >= options->seconds * 1000000;
}

static void take_payment(struct storm *storm, struct client *client) {
    pay_workload_item(&storm->options->workload, storm->next++, &client->item);
    client->holds = true;
    client->tries = 0;
    client->due_us = 0;
    storm->holding++;
    storm->report.counts.payments++;
    storm->report.counts.kinds[client->item.kind]++;
}

static void let_go(struct storm *storm, struct client *client) {
    client->holds = false;
    storm->holding--;
}

static size_t write_request(const struct storm *storm, const struct pay_workload_item *item,
                            char bytes[PAY_HTTP_REQUEST_MAX]) {
    char body[PAY_WORKLOAD_BODY_MAX], path[PAY_ID_MAX + 24] = "/v1/payments";
    size_t body_length = pay_workload_body(item, body);
    if (item->put) snprintf(path, sizeof path, "/v1/payments/%s", item->order_id);
    int length =
        snprintf(bytes, PAY_HTTP_REQUEST_MAX,
                 "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 item->put ? "PUT" : "POST", path, pay_http_client_host(storm->http), body_length, body);
    return (size_t)length;
}

static void send_payment(struct storm *storm, uint32_t index) {
    struct client *client = &storm->clients[index];
    char bytes[PAY_HTTP_REQUEST_MAX];
    size_t length = write_request(storm, &client->item, bytes);
    client->under_way = true;
    if (++client->tries == 2) storm->report.counts.retried++;
    storm->under_way++;
    storm->report.counts.sent++;
    pay_http_client_send(storm->http, index, bytes, length);
}

/* Whatever client `index` can do now. */
static void go_on(struct storm *storm, uint32_t index, int64_t now_us) {
    struct client *client = &storm->clients[index];
    if (client->under_way || !pay_http_client_ready(storm->http, index)) return;
    if (!client->holds && may_begin(storm, now_us)) take_payment(storm, client);
    if (client->holds && client->due_us <= now_us) send_payment(storm, index);
}

static void try_again(struct storm *storm, struct client *client, int64_t wait_ms) {
    if (client->tries >= storm->options->tries || storm->interrupted_us != 0 || storm->away) {
        storm->report.counts.gave_up++;
        let_go(storm, client);
        return;
    }
    client->due_us = pay_clock_us() + (wait_ms + jitter_ms(storm, wait_ms / 4 + 5)) * 1000;
}

static int64_t backoff_ms(uint32_t tries) {
    int64_t wait_ms = BACKOFF_FIRST_MS;
    while (--tries > 0 && wait_ms < BACKOFF_MAX_MS) wait_ms *= 2;
    return wait_ms;
}

static bool position_of(const struct pay_http_answer *answer, struct pay_position *ret_position) {
    static const char name[] = "\"position\":\"";
    char body[PAY_HTTP_ANSWER_MAX];
    snprintf(body, sizeof body, "%.*s", (int)answer->body_length, answer->body);
    const char *at = strstr(body, name);
    if (at == NULL) return false;
    at += sizeof name - 1;
    return pay_position_parse(at, strcspn(at, "\""), ret_position);
}

static void complain(struct storm *storm, const struct pay_workload_item *item, const struct pay_http_answer *answer,
                     const char *what) {
    if (storm->complaints++ >= COMPLAINTS_MAX) return;
    fprintf(stderr, "%spaybuf-storm: order %s: %s (status %d): %.*s\n", storm->report.terminal ? "\r\x1b[K" : "",
            item->order_id, what, answer->status, (int)(answer->body_length < 300 ? answer->body_length : 300),
            answer->body);
}

static void write_down(struct storm *storm, const struct pay_workload_item *item, const struct pay_position *position) {
    char text[PAY_POSITION_TEXT_MAX];
    if (storm->accepted == NULL) return;
    pay_position_format(position, text);
    fprintf(storm->accepted, "{\"order_id\":\"%s\",\"attempt\":%" PRId32 ",\"position\":\"%s\"}\n", item->order_id,
            item->attempt, text);
}

static void take_acceptance(struct storm *storm, struct client *client, const struct pay_http_answer *answer) {
    struct pay_position position;
    storm->report.counts.accepted++;
    storm->patient_since_us = answer->came_us;
    pay_histogram_record(&storm->report.latency, answer->came_us - answer->sent_us);
    pay_histogram_record(&storm->report.recent, answer->came_us - answer->sent_us);
    if (storm->accepted != NULL || storm->watch != NULL) {
        if (!position_of(answer, &position)) {
            storm->report.counts.errors++;
            complain(storm, &client->item, answer, "accepted without a position");
        } else {
            write_down(storm, &client->item, &position);
            if (storm->watch != NULL &&
                !pay_reply_watch_accepted(storm->watch, &position, client->item.order_id, answer->sent_us))
                storm->full = true;
        }
    }
    let_go(storm, client);
}

static void take_answer(void *argument, const struct pay_http_answer *answer) {
    struct storm *storm = argument;
    struct client *client = &storm->clients[answer->connection];
    struct pay_storm_counts *counts = &storm->report.counts;
    int64_t wait_ms = answer->retry_after_ms;
    client->under_way = false;
    storm->under_way--;
    switch (answer->status) {
    case 202: take_acceptance(storm, client, answer); break;
    case 429:
    case 503:
        counts->refused++;
        if (wait_ms < 0) wait_ms = BACKOFF_REFUSED_MS;
        try_again(storm, client, wait_ms < RETRY_AFTER_MAX_MS ? wait_ms : RETRY_AFTER_MAX_MS);
        break;
    case 504:
        counts->unknown++;
        try_again(storm, client, backoff_ms(client->tries));
        break;
    case 0:
        counts->broken++;
        try_again(storm, client, backoff_ms(client->tries));
        break;
    default:
        counts->errors++;
        complain(storm, &client->item, answer, "refused for good");
        let_go(storm, client);
    }
    go_on(storm, answer->connection, answer->came_us);
}

static void start_payments(struct storm *storm) {
    int64_t now_us = pay_clock_us();
    if (storm->under_way == (uint32_t)storm->options->connections) return;
    for (uint32_t i = 0; i < (uint32_t)storm->options->connections; i++) go_on(storm, i, now_us);
}

/* Until the next payment is due by the rate, or a moment: retries and reconnects are looked after then. */
static int wait_ms(const struct storm *storm, int64_t now_us) {
    if (storm->options->rate == 0 || all_begun(storm, now_us)) return IDLE_WAIT_MS;
    int64_t due_us = storm->report.began_us + (int64_t)storm->next * 1000000 / storm->options->rate;
    int64_t left_ms = (due_us - now_us + 999) / 1000;
    return left_ms < 1 ? 1 : left_ms > IDLE_WAIT_MS ? IDLE_WAIT_MS : (int)left_ms;
}

static void wait_for_something(struct storm *storm, int signals) {
    struct pollfd watched[3] = {
        {.fd = pay_http_client_descriptor(storm->http), .events = POLLIN},
        {.fd = signals, .events = POLLIN},
        {.fd = storm->watch != NULL ? pay_reply_watch_descriptor(storm->watch) : -1, .events = POLLIN}};
    bool patient = storm->under_way == (uint32_t)storm->options->connections || storm->holding == storm->under_way;
    int timeout_ms = patient ? wait_ms(storm, pay_clock_us()) : 5;
    if (poll(watched, 3, timeout_ms) < 0 && errno != EINTR) abort();
    pay_http_client_wait(storm->http, 0);
    if (storm->watch != NULL) pay_reply_watch_run(storm->watch, REPLIES_AT_ONCE);
    pay_signals_collect();
    if (pay_signals_stop_requested() && storm->interrupted_us == 0) storm->interrupted_us = pay_clock_us();
}

static void look_for_end(struct storm *storm, int64_t now_us) {
    if (storm->holding == 0 && !may_begin(storm, now_us)) storm->patient_since_us = now_us;
    if (now_us - storm->patient_since_us > storm->options->patience_s * 1000000) storm->away = true;
}

static bool over(const struct storm *storm, int64_t now_us) {
    if (storm->holding == 0) return all_begun(storm, now_us);
    if (storm->away) return true;
    return storm->interrupted_us != 0 && now_us - storm->interrupted_us > INTERRUPTED_MS * 1000;
}

static void run_storm(struct storm *storm, int signals) {
    for (;;) {
        int64_t now_us = pay_clock_us();
        look_for_end(storm, now_us);
        if (over(storm, now_us)) break;
        start_payments(storm);
        wait_for_something(storm, signals);
        pay_storm_report_tell(&storm->report, storm->watch, phase_of(storm));
    }
    storm->report.counts.gave_up += storm->holding;
    storm->report.ended_us = pay_clock_us();
}

/* What was accepted is answered sooner or later: waits for it, within a bound. */
static void wait_for_replies(struct storm *storm, int signals) {
    const struct pay_reply_counts *counts = pay_reply_watch_counts(storm->watch);
    int64_t until_us = pay_clock_us() + storm->options->settle_s * 1000000;
    while (counts->answered < counts->accepted && pay_clock_us() < until_us && storm->interrupted_us == 0) {
        wait_for_something(storm, signals);
        pay_storm_report_tell(&storm->report, storm->watch, "settling");
    }
}

static int judge(const struct storm *storm) {
    const struct pay_storm_counts *counts = &storm->report.counts;
    if (storm->interrupted_us != 0) return 130;
    if (storm->away) {
        fprintf(stderr,
                "paybuf-storm: %s accepted nothing for %" PRId64
                " s (%s); is it ready? GET /readyz on its admin port says why not\n",
                storm->options->url, storm->options->patience_s, pay_http_client_trouble(storm->http));
        return PAY_EXIT_UNAVAILABLE;
    }
    if (storm->watch != NULL) {
        const struct pay_reply_counts *replies = pay_reply_watch_counts(storm->watch);
        pay_reply_watch_print_unanswered(storm->watch, stderr, 20);
        if (replies->answered != replies->accepted || replies->gaps > 0 || replies->wrong_order > 0 ||
            replies->doubly_accepted > 0)
            return PAY_EXIT_DIFFERENCES;
    }
    return counts->errors == 0 && counts->gave_up == 0 && !storm->full ? PAY_EXIT_OK : PAY_EXIT_FAILURE;
}

static bool open_all(struct storm *storm, char *ret_message, size_t message_size) {
    const struct pay_storm_options *options = storm->options;
    struct pay_http_client_options http = {.url = options->url,
                                           .connections = (uint32_t)options->connections,
                                           .timeout_ms = options->timeout_s * 1000,
                                           .on_answer = take_answer,
                                           .argument = storm};
    storm->clients = calloc((size_t)options->connections, sizeof *storm->clients);
    if (storm->clients == NULL) {
        snprintf(ret_message, message_size, "out of memory");
        return false;
    }
    if (options->accepted_path != NULL && (storm->accepted = fopen(options->accepted_path, "w")) == NULL) {
        snprintf(ret_message, message_size, "can't write %s: %s", options->accepted_path, strerror(errno));
        return false;
    }
    if (options->listen) {
        struct pay_reply_watch_options watch = {options->kafka, options->request_topic, options->reply_topic};
        storm->watch = pay_reply_watch_open(&watch, ret_message, message_size);
        if (storm->watch == NULL) return false;
    }
    storm->http = pay_http_client_open(&http, ret_message, message_size);
    return storm->http != NULL;
}

static bool close_all(struct storm *storm) {
    bool written = true;
    pay_http_client_close(storm->http);
    pay_reply_watch_close(storm->watch);
    if (storm->accepted != NULL && fclose(storm->accepted) != 0) {
        fprintf(stderr, "paybuf-storm: can't write %s: %s\n", storm->options->accepted_path, strerror(errno));
        written = false;
    }
    free(storm->clients);
    return written;
}

int main(int argc, char **argv) {
    struct pay_storm_options options;
    struct storm storm = {.options = &options, .jitter = 1};
    char message[512];
    int exit_code;
    if (!pay_storm_options_read(argc, argv, &options, &exit_code)) return exit_code;
    if (options.print_accounts) {
        pay_workload_print_accounts(&options.workload, stdout);
        return fflush(stdout) == 0 ? PAY_EXIT_OK : PAY_EXIT_FAILURE;
    }
    int signals = pay_signals_install();
    if (options.append) return pay_append_run(&options);
    if (options.batch > 0) return pay_batches_run(&options);
    if (options.abort) return pay_aborted_run(&options);
    if (signals < 0 || !open_all(&storm, message, sizeof message)) {
        fprintf(stderr, "paybuf-storm: %s\n", signals < 0 ? "no signal descriptor" : message);
        close_all(&storm);
        return PAY_EXIT_FAILURE;
    }
    pay_storm_report_begin(&storm.report, &options);
    storm.patient_since_us = storm.report.began_us;
    run_storm(&storm, signals);
    if (storm.watch != NULL) wait_for_replies(&storm, signals);
    exit_code = judge(&storm);
    pay_storm_report_end(&storm.report, storm.watch, storm.interrupted_us != 0);
    if (!close_all(&storm) && exit_code == PAY_EXIT_OK) exit_code = PAY_EXIT_FAILURE;
    return exit_code;
}
