#include "tools/http_call.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 30000L /* beyond the wait that was asked for: the intake itself gives up earlier */
#define ANSWER_BYTES_MAX (1 << 20)

void http_url(const struct tool *tool, const char *path, char *ret_url, size_t size) {
    const char *url = getenv("PAYBUF_HTTP_URL");
    if (url != NULL && url[0] != '\0') {
        size_t length = strlen(url);
        while (length > 0 && url[length - 1] == '/') length--;
        snprintf(ret_url, size, "%.*s%s", (int)length, url, path);
        return;
    }
    snprintf(ret_url, size, "http://%s%s", tool->config.producer_listen, path);
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *argument) {
    struct http_answer *answer = argument;
    size_t length = size * count;
    if (answer->length + length > ANSWER_BYTES_MAX) return 0;
    answer->body = realloc(answer->body, answer->length + length + 1);
    if (answer->body == NULL) abort();
    memcpy(answer->body + answer->length, bytes, length);
    answer->length += length;
    answer->body[answer->length] = '\0';
    return length;
}

static struct curl_slist *headers(const char *header) {
    bool typed = strncmp(header, "Content-Type:", 13) == 0;
    struct curl_slist *list = typed ? NULL : curl_slist_append(NULL, "Content-Type: application/json");
    const char *key = getenv("PAYBUF_API_KEY");
    char bearer[600];
    if (header[0] != '\0') list = curl_slist_append(list, header);
    if (key != NULL && key[0] != '\0') {
        snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", key);
        list = curl_slist_append(list, bearer);
    }
    return curl_slist_append(list, "Expect:");
}

/* Nothing left this machine: certainly not stored. Anything later: nobody knows. */
static enum pay_exit failed(struct tool *tool, CURLcode code, const char *url, const char *why) {
    const char *text = why[0] != '\0' ? why : curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return tool_fail(tool, PAY_EXIT_UNAVAILABLE,
                         "the intake isn't reachable at %s: %s; nothing was sent. Is it running? PAYBUF_HTTP_URL or "
                         "[producer] listen says where it is",
                         url, text);
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return tool_fail(tool, PAY_EXIT_CONFIG, "'%s' is no address of an intake: %s", url, text);
    return tool_fail(tool, PAY_EXIT_TEMPORARY,
                     "no answer from %s: %s; it may be stored or not, trying again with the same --order-id is safe",
                     url, text);
}

enum pay_exit http_post(struct tool *tool, const char *url, const char *header, const char *body, int64_t wait_seconds,
                        struct http_answer *ret_answer) {
    char why[CURL_ERROR_SIZE] = "";
    struct http_answer answer = {0};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *curl = curl_easy_init();
    struct curl_slist *list = headers(header);
    if (curl == NULL) abort();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (body != NULL) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "paybuf/" PAY_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS + (long)wait_seconds * 1000);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    if (code != CURLE_OK) {
        free(answer.body);
        return failed(tool, code, url, why);
    }
    *ret_answer = answer;
    return PAY_EXIT_OK;
}
