#include "tools/listen_handover.h"

#include "base/signals.h"
#include "tools/listen_exec.h"
#include "tools/listen_forward.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECEIVERS_MAX 16
#define LOOK_MS 50 /* how long a signal may go unseen */

struct receiver {
    struct tool *tool;
    const struct listen_handover *handover;
    char *url; /* NULL: the command */
    char state_path[PATH_MAX];
    struct listen_port port;
    atomic_bool *stopping;
    atomic_bool ended;
    enum pay_exit status;
    pthread_t thread;
};

struct receivers {
    struct receiver of[RECEIVERS_MAX];
    size_t count;
    struct webhook_secrets secrets;
    atomic_bool stopping;
};

static void *receive(void *argument) {
    struct receiver *receiver = argument;
    const struct listen_handover *handover = receiver->handover;
    struct listen_delivery delivery = {.tool = receiver->tool,
                                       .filter = &handover->filter,
                                       .template = handover->template,
                                       .port = &receiver->port,
                                       .state_path = handover->state_path != NULL ? receiver->state_path : NULL,
                                       .max = handover->max,
                                       .idle_ms = handover->idle_ms,
                                       .stopping = receiver->stopping};
    int64_t output_bytes;
    receiver->status =
        listen_open(receiver->tool, &handover->from, delivery.state_path, &delivery.listener, &output_bytes);
    if (receiver->status == PAY_EXIT_OK) {
        receiver->status = listen_deliver(&delivery);
        receiver->status = listen_conclude(receiver->tool, delivery.listener, receiver->status);
        paybuf_listener_close(delivery.listener);
    }
    atomic_store(&receiver->ended, true);
    return NULL;
}

/* ---- who ---- */

static enum pay_exit name_state(struct receiver *receiver, const char *path) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    char mark[16] = "";
    if (path == NULL) return PAY_EXIT_OK;
    if (receiver->url != NULL) {
        if (EVP_Digest(receiver->url, strlen(receiver->url), digest, NULL, EVP_sha256(), NULL) != 1) abort();
        snprintf(mark, sizeof mark, ".%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
    }
    int length = snprintf(receiver->state_path, sizeof receiver->state_path, "%s%s", path, mark);
    return length < (int)sizeof receiver->state_path
               ? PAY_EXIT_OK
               : tool_fail(receiver->tool, PAY_EXIT_USAGE, "--state: the file's name is too long");
}

static struct receiver *add(struct receivers *receivers, struct tool *tool, const struct listen_handover *handover) {
    struct receiver *receiver = &receivers->of[receivers->count++];
    *receiver = (struct receiver){.tool = tool, .handover = handover, .stopping = &receivers->stopping};
    return receiver;
}

static enum pay_exit add_url(struct receivers *receivers, struct tool *tool, const struct listen_handover *handover,
                             const char *url, size_t length) {
    if (receivers->count == RECEIVERS_MAX)
        return tool_fail(tool, PAY_EXIT_USAGE, "--forward-to takes at most %d URLs", RECEIVERS_MAX);
    for (size_t i = 0; i < receivers->count; i++)
        if (strlen(receivers->of[i].url) == length && memcmp(receivers->of[i].url, url, length) == 0)
            return tool_fail(tool, PAY_EXIT_USAGE, "--forward-to: '%.*s' is there twice", (int)length, url);
    char *copy = strndup(url, length);
    struct listen_port port;
    if (copy == NULL) abort();
    if (!listen_forward_port(copy, &receivers->secrets, &port)) {
        free(copy);
        return tool_fail(tool, PAY_EXIT_USAGE, "--forward-to: '%.*s' is no http:// or https:// URL", (int)length, url);
    }
    struct receiver *receiver = add(receivers, tool, handover);
    receiver->url = copy;
    receiver->port = port;
    return name_state(receiver, handover->state_path);
}

static enum pay_exit add_urls(struct receivers *receivers, struct tool *tool, const struct listen_handover *handover) {
    char why[512];
    enum pay_exit status = PAY_EXIT_OK;
    if (!webhook_secrets_load(handover->secret_path, &receivers->secrets, why, sizeof why))
        return tool_fail(tool, PAY_EXIT_CONFIG, "--secret-file: %s", why);
    listen_forward_begin();
    for (const char *at = handover->urls; status == PAY_EXIT_OK; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (*at == '\0') break;
        status = add_url(receivers, tool, handover, at, strcspn(at, " "));
    }
    if (status == PAY_EXIT_OK && receivers->count == 0)
        return tool_fail(tool, PAY_EXIT_USAGE, "--forward-to wants at least one URL");
    return status;
}

static enum pay_exit add_receivers(struct receivers *receivers, struct tool *tool,
                                   const struct listen_handover *handover) {
    if (handover->urls != NULL) return add_urls(receivers, tool, handover);
    struct receiver *receiver = add(receivers, tool, handover);
    listen_exec_port(handover->command, &receiver->port);
    return name_state(receiver, handover->state_path);
}

/* ---- all of them ---- */

static bool all_ended(struct receivers *receivers) {
    for (size_t i = 0; i < receivers->count; i++)
        if (!atomic_load(&receivers->of[i].ended)) return false;
    return true;
}

static void start_all(struct receivers *receivers) {
    for (size_t i = 0; i < receivers->count; i++)
        if (pthread_create(&receivers->of[i].thread, NULL, receive, &receivers->of[i]) != 0) abort();
    while (!all_ended(receivers)) {
        const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
        pay_signals_collect();
        if (pay_signals_stop_requested()) atomic_store(&receivers->stopping, true);
        nanosleep(&pause, NULL);
    }
    for (size_t i = 0; i < receivers->count; i++) pthread_join(receivers->of[i].thread, NULL);
}

enum pay_exit listen_hand_over(struct tool *tool, const struct listen_handover *handover) {
    struct receivers *receivers = calloc(1, sizeof *receivers);
    if (receivers == NULL) abort();
    enum pay_exit status = add_receivers(receivers, tool, handover);
    if (status == PAY_EXIT_OK) start_all(receivers);
    for (size_t i = 0; i < receivers->count; i++) {
        struct receiver *receiver = &receivers->of[i];
        if (status == PAY_EXIT_OK) status = receiver->status;
        if (receiver->url != NULL) listen_forward_close(&receiver->port);
        free(receiver->url);
    }
    free(receivers);
    return status;
}
