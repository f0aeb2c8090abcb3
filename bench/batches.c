#include "batches.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "base/options.h"
#include "base/signals.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char accepted_mark[] = "\"status\":202";

/* One connection and the batch on it. */
struct poster {
    CURL *curl;
    char *body;       /* room for a batch of the longest lines */
    uint32_t matched; /* of accepted_mark, at the end of what came so far */
    uint64_t lines, accepted;
    int64_t sent_us;
};

struct batches {
    const struct pay_storm_options *options;
    CURLM *multi;
    struct curl_slist *headers;
    struct poster *posters;
    char url[512];
    uint32_t under_way;
    uint64_t next, accepted, failed_batches, not_accepted;
    int64_t began_us;
    struct pay_histogram latency; /* of a whole batch */
};

/* Counts the accepted lines without keeping the answer; the mark can't begin inside itself. */
static size_t take_bytes(char *bytes, size_t size, size_t count, void *argument) {
    struct poster *poster = argument;
    for (size_t i = 0; i < size * count; i++) {
        poster->matched = bytes[i] == accepted_mark[poster->matched] ? poster->matched + 1
                          : bytes[i] == accepted_mark[0]             ? 1
                                                                     : 0;
        if (accepted_mark[poster->matched] != '\0') continue;
        poster->accepted++;
        poster->matched = 0;
    }
    return size * count;
}

static bool may_begin(const struct batches *batches) {
    const struct pay_storm_options *options = batches->options;
    if (options->count > 0 && batches->next >= (uint64_t)options->count) return false;
    if (options->seconds > 0 && pay_clock_us() - batches->began_us >= options->seconds * 1000000) return false;
    return !pay_signals_stop_requested();
}

static void post(struct batches *batches, struct poster *poster) {
    size_t length = 0;
    for (int64_t i = 0; i < batches->options->batch; i++) {
        struct pay_workload_item item;
        pay_workload_item(&batches->options->workload, batches->next++, &item);
        length += pay_workload_body(&item, poster->body + length);
        poster->body[length++] = '\n';
    }
    poster->lines = (uint64_t)batches->options->batch;
    poster->accepted = poster->matched = 0;
    poster->sent_us = pay_clock_us();
    curl_easy_setopt(poster->curl, CURLOPT_POSTFIELDS, poster->body);
    curl_easy_setopt(poster->curl, CURLOPT_POSTFIELDSIZE, (long)length);
    curl_multi_add_handle(batches->multi, poster->curl);
    batches->under_way++;
}

static void take_answer(struct batches *batches, CURL *curl, CURLcode result) {
    struct poster *poster = NULL;
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&poster);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(batches->multi, curl);
    batches->under_way--;
    batches->accepted += poster->accepted;
    batches->not_accepted += poster->lines - poster->accepted;
    pay_histogram_record(&batches->latency, pay_clock_us() - poster->sent_us);
    if (result == CURLE_OK && status == 200) return;
    if (batches->failed_batches++ == 0)
        fprintf(stderr, "paybuf-storm: a batch got no answer: %s (status %ld)\n", curl_easy_strerror(result), status);
}

static void run(struct batches *batches) {
    for (int64_t i = 0; i < batches->options->connections && may_begin(batches); i++)
        post(batches, &batches->posters[i]);
    while (batches->under_way > 0) {
        int running, left;
        CURLMsg *message;
        curl_multi_perform(batches->multi, &running);
        while ((message = curl_multi_info_read(batches->multi, &left)) != NULL) {
            CURL *curl = message->easy_handle;
            struct poster *poster;
            take_answer(batches, curl, message->data.result);
            curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&poster);
            if (may_begin(batches)) post(batches, poster);
        }
        pay_signals_collect();
        if (batches->under_way > 0) curl_multi_poll(batches->multi, NULL, 0, 100, NULL);
    }
}

static bool open_posters(struct batches *batches) {
    size_t room = (size_t)batches->options->batch * (PAY_WORKLOAD_BODY_MAX + 1);
    batches->multi = curl_multi_init();
    batches->headers = curl_slist_append(curl_slist_append(NULL, "Content-Type: application/x-ndjson"), "Expect:");
    batches->posters = calloc((size_t)batches->options->connections, sizeof *batches->posters);
    if (batches->multi == NULL || batches->headers == NULL || batches->posters == NULL) return false;
    for (int64_t i = 0; i < batches->options->connections; i++) {
        struct poster *poster = &batches->posters[i];
        poster->curl = curl_easy_init();
        poster->body = malloc(room);
        if (poster->curl == NULL || poster->body == NULL) return false;
        curl_easy_setopt(poster->curl, CURLOPT_URL, batches->url);
        curl_easy_setopt(poster->curl, CURLOPT_HTTPHEADER, batches->headers);
        curl_easy_setopt(poster->curl, CURLOPT_WRITEFUNCTION, take_bytes);
        curl_easy_setopt(poster->curl, CURLOPT_WRITEDATA, poster);
        curl_easy_setopt(poster->curl, CURLOPT_PRIVATE, poster);
        curl_easy_setopt(poster->curl, CURLOPT_TIMEOUT, (long)batches->options->timeout_s);
        curl_easy_setopt(poster->curl, CURLOPT_NOSIGNAL, 1L);
    }
    return true;
}

static void close_posters(struct batches *batches) {
    for (int64_t i = 0; batches->posters != NULL && i < batches->options->connections; i++) {
        curl_easy_cleanup(batches->posters[i].curl);
        free(batches->posters[i].body);
    }
    free(batches->posters);
    curl_multi_cleanup(batches->multi);
    curl_slist_free_all(batches->headers);
}

int pay_batches_run(const struct pay_storm_options *options) {
    struct batches batches = {.options = options};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    snprintf(batches.url, sizeof batches.url, "%s/v1/payments:batch", options->url);
    if (!open_posters(&batches)) {
        fprintf(stderr, "paybuf-storm: out of memory\n");
        close_posters(&batches);
        return PAY_EXIT_FAILURE;
    }
    batches.began_us = pay_clock_us();
    run(&batches);
    double seconds = (double)(pay_clock_us() - batches.began_us) / 1e6;
    printf("{\"payments\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"not_accepted\":%" PRIu64 ",\"failed_batches\":%" PRIu64
           ",\"seconds\":%.3f,\"rate\":%.0f,\"p50_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 "}\n",
           batches.next, batches.accepted, batches.not_accepted, batches.failed_batches, seconds,
           (double)batches.accepted / seconds, pay_histogram_quantile(&batches.latency, 0.5),
           pay_histogram_quantile(&batches.latency, 0.99));
    close_posters(&batches);
    return batches.not_accepted == 0 && batches.failed_batches == 0 ? PAY_EXIT_OK : PAY_EXIT_FAILURE;
}
