/*
 * admin.c - a small GET-only server on libmicrohttpd, without a thread of its own: the program's loop waits for our epoll descriptor
 * and calls pay_admin_run. One client at a time is enough here, so nothing is tuned. The intake's own server is producer/http.h.
 */
#include "base/admin.h"

#include "base/listen.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16
#define IDLE_TIMEOUT_S 10

struct pay_admin {
    struct MHD_Daemon *daemon;
    struct pay_admin_source source;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status, const char *type,
                              const void *body, size_t length) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned int status, const char *text) {
    return answer(connection, status, "text/plain; charset=utf-8", text, strlen(text));
}

static enum MHD_Result answer_ready(struct pay_admin *admin, struct MHD_Connection *connection) {
    char reason[400] = "";
    if (admin->source.ready == NULL || admin->source.ready(admin->source.argument, reason, sizeof reason - 1)) {
        return answer_text(connection, MHD_HTTP_OK, "ready\n");
    }
    strcat(reason, "\n");
    return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, reason);
}

static enum MHD_Result answer_metrics(struct pay_admin *admin, struct MHD_Connection *connection) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) return MHD_NO;
    if (admin->source.metrics != NULL) admin->source.metrics(admin->source.argument, out);
    enum MHD_Result result = MHD_NO;
    if (fclose(out) == 0)
        result = answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, length);
    free(text);
    return result;
}

static enum MHD_Result handle(void *argument, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **context) {
    struct pay_admin *admin = argument;
    static char seen;
    (void)version;
    (void)upload;
    if (*context == NULL) { /* the headers are there; answer when the body, if any, has been read */
        *context = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD here\n");
    }
    if (strcmp(url, "/livez") == 0) return answer_text(connection, MHD_HTTP_OK, "alive\n");
    if (strcmp(url, "/readyz") == 0) return answer_ready(admin, connection);
    if (strcmp(url, "/metrics") == 0) return answer_metrics(admin, connection);
    if (strcmp(url, "/version") == 0) {
        const char *json = admin->source.version_json != NULL ? admin->source.version_json : "{}";
        return answer(connection, MHD_HTTP_OK, "application/json", json, strlen(json));
    }
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "there is /livez, /readyz, /metrics, /version\n");
}

struct pay_admin *pay_admin_open(const char *address, const struct pay_admin_source *source, char *ret_message,
                                 size_t message_size) {
    int fd = pay_listen(address, 64, ret_message, message_size);
    if (fd < 0) return NULL;
    struct pay_admin *admin = calloc(1, sizeof *admin);
    if (admin != NULL) {
        admin->source = *source;
        admin->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, admin, MHD_OPTION_LISTEN_SOCKET, fd,
                                         MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
                                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_END);
        if (admin->daemon != NULL) return admin;
    }
    snprintf(ret_message, message_size, "can't start the admin server on %s: out of memory or file descriptors",
             address);
    close(fd);
    free(admin);
    return NULL;
}

int pay_admin_descriptor(struct pay_admin *admin) {
    return MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

void pay_admin_run(struct pay_admin *admin) { MHD_run(admin->daemon); }

void pay_admin_close(struct pay_admin *admin) {
    if (admin == NULL) return;
    MHD_stop_daemon(admin->daemon);
    free(admin);
}
