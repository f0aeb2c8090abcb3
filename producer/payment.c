#include "producer/payment.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool fault(struct pay_payment_fault *ret_fault, enum pay_problem_code code, const char *pointer,
                  const char *detail) {
    ret_fault->code = code;
    ret_fault->has_pointer = pointer != NULL;
    snprintf(ret_fault->pointer, sizeof ret_fault->pointer, "%s", pointer != NULL ? pointer : "");
    snprintf(ret_fault->detail, sizeof ret_fault->detail, "%s", detail);
    return false;
}

static bool codec_fault(struct pay_payment_fault *ret_fault, const struct pay_codec_error *error) {
    enum pay_problem_code code = error->reason == PAY_TOO_LARGE        ? PAY_PROBLEM_TOO_LARGE
                                 : error->reason == PAY_MALFORMED_JSON ? PAY_PROBLEM_MALFORMED_JSON
                                                                       : PAY_PROBLEM_BAD_FIELD;
    return fault(ret_fault, code, code == PAY_PROBLEM_BAD_FIELD ? error->pointer : NULL, error->detail);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* "abc" (a structured string) means abc. */
static bool unquote(const char *key, char ret_key[PAY_ID_MAX + 1]) {
    size_t length = strlen(key);
    if (length >= 2 && key[0] == '"' && key[length - 1] == '"') {
        key++;
        length -= 2;
    }
    if (!pay_id_valid(key, length)) return false;
    memcpy(ret_key, key, length);
    ret_key[length] = '\0';
    return true;
}

bool pay_payment_read(const struct pay_payment_parts *parts, struct pay_request *ret_request,
                      struct pay_payment_fault *ret_fault) {
    struct pay_codec_error error;
    char key[PAY_ID_MAX + 1];
    const char *path_id = parts->path_id, *key_id = NULL;
    if (path_id != NULL && !pay_id_valid(path_id, strlen(path_id))) {
        return fault(ret_fault, PAY_PROBLEM_BAD_FIELD, "/order_id",
                     "The order id in the path must be 1 to 64 of A-Z a-z 0-9 . _ : -");
    }
    if (parts->idempotency_key != NULL) {
        if (!unquote(parts->idempotency_key, key)) {
            return fault(
                ret_fault, PAY_PROBLEM_BAD_FIELD, "/order_id",
                "Idempotency-Key is the order id here: 1 to 64 of A-Z a-z 0-9 . _ : -, or leave the header out");
        }
        key_id = key;
    }
    if (path_id != NULL && key_id != NULL && strcmp(path_id, key_id) != 0) {
        return fault(ret_fault, PAY_PROBLEM_ID_MISMATCH, "/order_id",
                     "Idempotency-Key differs from the order id in the path; send the same or leave it out");
    }
    const char *id = path_id != NULL ? path_id : key_id;
    if (!pay_request_parse_for(id, parts->body, parts->body_length, PAY_CODEC_STRICT, ret_request, &error))
        return codec_fault(ret_fault, &error);
    if (id != NULL && strcmp(ret_request->order_id, id) != 0) {
        return fault(ret_fault, PAY_PROBLEM_ID_MISMATCH, "/order_id",
                     path_id != NULL ? "order_id differs from the one in the path; send the same or leave it out"
                                     : "order_id differs from Idempotency-Key; send the same or leave one out");
    }
    return true;
}

static size_t lower_hexadecimal(const char *text) { return strspn(text, "0123456789abcdef"); }

bool pay_traceparent_valid(const char *text) {
    size_t length = strlen(text);
    if (length < 55 || length > PAY_TRACEPARENT_MAX) return false;
    if (lower_hexadecimal(text) != 2 || text[2] != '-' || strncmp(text, "ff", 2) == 0) return false;
    if (lower_hexadecimal(text + 3) != 32 || text[35] != '-' || strspn(text + 3, "0") == 32) return false;
    if (lower_hexadecimal(text + 36) != 16 || text[52] != '-' || strspn(text + 36, "0") == 16) return false;
    if (lower_hexadecimal(text + 53) != 2) return false;
    return length == 55 || (strncmp(text, "00", 2) != 0 && text[55] == '-');
}

static bool is_media(const char *text, const char *wanted) {
    size_t length = strlen(wanted);
    if (strncasecmp(text, wanted, length) != 0) return false;
    const char *at = text + length;
    while (is_blank(*at)) at++;
    if (*at == '\0') return true;
    if (*at++ != ';') return false;
    while (is_blank(*at)) at++;
    if (*at == '\0') return true;
    if (strncasecmp(at, "charset=", 8) != 0) return false;
    at += 8;
    bool quoted = *at == '"';
    if (quoted) at++;
    if (strncasecmp(at, "utf-8", 5) != 0) return false;
    at += 5;
    if (quoted && *at++ != '"') return false;
    while (is_blank(*at)) at++;
    return *at == '\0';
}

bool pay_content_type_is_json(const char *text) { return is_media(text, "application/json"); }

bool pay_content_type_is_ndjson(const char *text) {
    return is_media(text, "application/x-ndjson") || is_media(text, "application/ndjson");
}
