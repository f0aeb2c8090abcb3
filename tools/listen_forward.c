#include "tools/listen_forward.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_MS 500
#define PAUSE_MOST_MS 300000
#define RETRY_AFTER_MOST_MS 3600000
#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 20000L
#define STATUS_GONE 410

struct forward {
    CURLM *calls;
    const char *url;
    const struct webhook_secrets *secrets;
    char name[160];
};

struct job {
    CURL *call;
    struct curl_slist *headers;
    bool ended;
    CURLcode code;
    char why[CURL_ERROR_SIZE];
};

void listen_forward_begin(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static size_t drop_bytes(char *bytes, size_t size, size_t count, void *argument) {
    (void)bytes;
    (void)argument;
    return size * count;
}

static struct curl_slist *headers_of(const struct forward *forward, const struct listen_item *item) {
    char line[WEBHOOK_SIGNATURES_MAX + 32], signatures[WEBHOOK_SIGNATURES_MAX];
    int64_t now_s = (int64_t)time(NULL);
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    snprintf(line, sizeof line, "webhook-id: %s", item->id);
    list = curl_slist_append(list, line);
    snprintf(line, sizeof line, "webhook-timestamp: %" PRId64, now_s);
    list = curl_slist_append(list, line);
    webhook_sign(forward->secrets, item->id, now_s, item->value, item->length, signatures);
    snprintf(line, sizeof line, "webhook-signature: %s", signatures);
    return curl_slist_append(list, line);
}

static void *begin(void *self, const struct listen_item *item) {
    struct forward *forward = self;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL || (job->call = curl_easy_init()) == NULL) abort();
    job->headers = headers_of(forward, item);
    curl_easy_setopt(job->call, CURLOPT_URL, forward->url);
    curl_easy_setopt(job->call, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(job->call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)item->length);
    curl_easy_setopt(job->call, CURLOPT_POSTFIELDS, item->value); /* it stays until the call is over */
    curl_easy_setopt(job->call, CURLOPT_HTTPHEADER, job->headers);
    curl_easy_setopt(job->call, CURLOPT_USERAGENT, "paybuf/" PAY_VERSION);
    curl_easy_setopt(job->call, CURLOPT_WRITEFUNCTION, drop_bytes);
    curl_easy_setopt(job->call, CURLOPT_ERRORBUFFER, job->why);
    curl_easy_setopt(job->call, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(job->call, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(job->call, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
    curl_easy_setopt(job->call, CURLOPT_PRIVATE, job);
    curl_multi_add_handle(forward->calls, job->call);
    return job;
}

static void pump(struct forward *forward) {
    int running = 0, left = 0;
    const CURLMsg *message;
    curl_multi_perform(forward->calls, &running);
    while ((message = curl_multi_info_read(forward->calls, &left)) != NULL) {
        struct job *job = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&job);
        job->ended = true;
        job->code = message->data.result;
    }
}

static void drop(void *self, void *argument) {
    struct forward *forward = self;
    struct job *job = argument;
    curl_multi_remove_handle(forward->calls, job->call);
    curl_easy_cleanup(job->call);
    curl_slist_free_all(job->headers);
    free(job);
}

static enum listen_taken look(void *self, void *argument, char *ret_why, size_t why_size, int64_t *ret_pause_ms) {
    struct forward *forward = self;
    struct job *job = argument;
    long status = 0;
    curl_off_t retry_after_s = 0;
    if (!job->ended) pump(forward);
    if (!job->ended) return LISTEN_UNDER_WAY;
    curl_easy_getinfo(job->call, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(job->call, CURLINFO_RETRY_AFTER, &retry_after_s);
    bool answered = job->code == CURLE_OK;
    if (answered)
        snprintf(ret_why, why_size, "it answered %ld", status);
    else
        snprintf(ret_why, why_size, "%s", job->why[0] != '\0' ? job->why : curl_easy_strerror(job->code));
    *ret_pause_ms = retry_after_s < RETRY_AFTER_MOST_MS / 1000 ? (int64_t)retry_after_s * 1000 : RETRY_AFTER_MOST_MS;
    drop(self, job);
    if (answered && status >= 200 && status < 300) return LISTEN_TAKEN;
    return answered && status == STATUS_GONE ? LISTEN_GONE : LISTEN_NOT_TAKEN;
}

static void wait_for_calls(void *self, int64_t timeout_ms) {
    struct forward *forward = self;
    curl_multi_poll(forward->calls, NULL, 0, (int)timeout_ms, NULL);
}

/* Without what may be secret in it: user, password, query. */
static bool name_of(const char *url, char *ret_name, size_t size) {
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
    bool good = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (good) snprintf(ret_name, size, "%s://%s:%s%s", scheme, host, port, path);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_url_cleanup(parts);
    return good;
}

bool listen_forward_port(const char *url, const struct webhook_secrets *secrets, struct listen_port *ret_port) {
    struct forward *forward = calloc(1, sizeof *forward);
    if (forward == NULL) abort();
    if (!name_of(url, forward->name, sizeof forward->name)) {
        free(forward);
        return false;
    }
    forward->url = url;
    forward->secrets = secrets;
    forward->calls = curl_multi_init();
    if (forward->calls == NULL) abort();
    *ret_port = (struct listen_port){.self = forward,
                                     .name = forward->name,
                                     .pause_ms = PAUSE_MS,
                                     .pause_most_ms = PAUSE_MOST_MS,
                                     .begin = begin,
                                     .look = look,
                                     .wait = wait_for_calls,
                                     .drop = drop};
    return true;
}

void listen_forward_close(struct listen_port *port) {
    struct forward *forward = port->self;
    curl_multi_cleanup(forward->calls);
    free(forward);
}
