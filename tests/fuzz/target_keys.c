/*
 * target_keys.c - the file of API keys, what callers send as Authorization, quotas, and order ids with tokens.
 *
 * Input: the file's text; behind a line that is "---": one Authorization value a line. A line that begins with '@' is an order id to be
 * judged instead, one that begins with '+' the microseconds between payments of the key found last.
 * Oracle: a file is taken exactly when each of its lines is a key by the rules below; a caller is found exactly when the SHA-256 of what
 * was sent stands in the file, and as whom it says; no quota gives more than burst + rate x time; no token is good that wasn't issued
 * for this tenant.
 */
#define _GNU_SOURCE /* memfd_create, memmem */
#include "fuzz.h"
#include "json_opinion.h"
#include "producer/auth.h"
#include "producer/order_token.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEYS_MAX 64
#define WORDS_MAX 7
#define NOW_US INT64_C(1800000000000000)

struct known_key {
    char *words[WORDS_MAX];
    size_t word_count;
    char *line;
    uint32_t scopes;
    int64_t rate, burst;
};

struct known_keys {
    struct known_key keys[KEYS_MAX];
    size_t count;
    bool good;
};

static bool limit_value(const char *text, int64_t *ret_number) {
    size_t length = strlen(text);
    if (length < 1 || length > 7 || strspn(text, "0123456789") != length) return false;
    *ret_number = strtol(text, NULL, 10);
    return *ret_number >= 1 && *ret_number <= 1000000;
}

static bool scopes_of(const char *text, uint32_t *ret_scopes) {
    char *copy = strdup(text), *rest = copy, *word;
    bool good = true;
    *ret_scopes = 0;
    while ((word = strsep(&rest, ",")) != NULL) {
        uint32_t scope = strcmp(word, "pay") == 0     ? 1
                         : strcmp(word, "read") == 0  ? 2
                         : strcmp(word, "admin") == 0 ? 7
                                                      : 0;
        good = good && (scope != 0 || word[0] == '\0'); /* an empty one is read over */
        *ret_scopes |= scope;
    }
    free(copy);
    return good && *ret_scopes != 0;
}

static bool is_key(struct known_key *key) {
    if (key->word_count < 4 || key->word_count > 6) return false;
    if (!opinion_is_id(key->words[0], strlen(key->words[0])) || !opinion_is_id(key->words[1], strlen(key->words[1])))
        return false;
    if (!scopes_of(key->words[2], &key->scopes)) return false;
    if (strlen(key->words[3]) != 64 || strspn(key->words[3], "0123456789abcdefABCDEF") != 64) return false;
    for (size_t i = 4; i < key->word_count; i++) {
        bool rate = strncmp(key->words[i], "rate=", 5) == 0, burst = strncmp(key->words[i], "burst=", 6) == 0;
        if (!rate && !burst) return false;
        if (!limit_value(key->words[i] + (rate ? 5 : 6), rate ? &key->rate : &key->burst)) return false;
    }
    if (key->burst > 0 && key->rate == 0) return false;
    if (key->burst == 0) key->burst = key->rate;
    return true;
}

static void read_file(const char *text, size_t length, struct known_keys *known) {
    struct fuzz_input in = {(const uint8_t *)text, length};
    known->good = true;
    while (in.left > 0 && known->good && known->count < KEYS_MAX) {
        size_t line_length;
        const char *line = fuzz_line(&in, &line_length);
        struct known_key *key = &known->keys[known->count];
        *key = (struct known_key){.line = fuzz_text(line, line_length)};
        char *rest = key->line, *word;
        while ((word = strsep(&rest, " \t\r")) != NULL)
            if (word[0] != '\0' && key->word_count < WORDS_MAX) key->words[key->word_count++] = word;
        if (key->word_count == 0 || key->words[0][0] == '#') {
            free(key->line);
            continue;
        }
        known->count++;
        known->good = is_key(key);
        for (size_t i = 0; i + 1 < known->count && known->good; i++)
            known->good = strcmp(known->keys[i].words[0], key->words[0]) != 0 &&
                          strcasecmp(known->keys[i].words[3], key->words[3]) != 0;
    }
    known->good = known->good && known->count > 0;
}

static const struct known_key *find_known(const struct known_keys *known, const char *sent) {
    unsigned char digest[32];
    char hexadecimal[65];
    if (strncasecmp(sent, "bearer ", 7) != 0) return NULL;
    sent += 7 + strspn(sent + 7, " ");
    if (sent[0] == '\0' || strlen(sent) > 512) return NULL;
    EVP_Digest(sent, strlen(sent), digest, NULL, EVP_sha256(), NULL);
    for (int i = 0; i < 32; i++) snprintf(hexadecimal + 2 * i, 3, "%02x", digest[i]);
    for (size_t i = 0; i < known->count; i++)
        if (strcasecmp(known->keys[i].words[3], hexadecimal) == 0) return &known->keys[i];
    return NULL;
}

static const struct known_key *check_caller(const struct pay_auth *auth, const struct known_keys *known,
                                            const char *sent, struct pay_caller *caller) {
    const struct known_key *key = find_known(known, sent);
    FUZZ_CHECK(pay_auth_find(auth, sent, caller) == (key != NULL));
    if (key == NULL) return NULL;
    FUZZ_CHECK(strcmp(caller->tenant, key->words[1]) == 0 && caller->scopes == key->scopes);
    FUZZ_CHECK((caller->quota != NULL) == (key->rate > 0));
    return key;
}

/* A run of payments, always the same time apart. */
static void check_quota(const struct known_key *key, struct pay_quota *quota, const char *text) {
    int64_t apart_us = strtol(text, NULL, 10) % 10000000, taken = 0, now_us = NOW_US;
    if (apart_us < 0 || quota == NULL) return;
    for (int i = 0; i < 200; i++, now_us += apart_us) {
        struct pay_quota_state state;
        taken += pay_quota_take(quota, now_us, &state);
        FUZZ_CHECK(taken <= key->burst + (now_us - NOW_US) * key->rate / 1000000);
        FUZZ_CHECK(state.limit == key->burst && state.rate == key->rate && state.left >= 0 &&
                   state.left < key->burst + 1 && state.reset_s >= 0);
    }
}

static struct pay_order_tokens *tokens_once(void) {
    static struct pay_order_tokens *tokens; /* lives as long as the program */
    char path[32], message[256];
    if (tokens != NULL) return tokens;
    static const char secret[] = "0123456789abcdef0123456789abcdef\n";
    int fd = memfd_create("secrets", 0);
    if (fd < 0 || write(fd, secret, sizeof secret - 1) < 0) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tokens = pay_order_tokens_open(path, 90, message, sizeof message);
    close(fd);
    if (tokens == NULL) abort();
    return tokens;
}

static void check_token(const char *order_id) {
    static char issued[PAY_ID_MAX + 1];
    const struct pay_order_tokens *tokens = tokens_once();
    if (issued[0] == '\0') pay_order_id_make(tokens, "default", NOW_US, issued);
    FUZZ_CHECK(pay_order_token_judge(tokens, "default", issued, NOW_US) == PAY_TOKEN_GOOD);
    FUZZ_CHECK(pay_order_token_judge(tokens, "other", issued, NOW_US) == PAY_TOKEN_WRONG);
    FUZZ_CHECK(pay_order_token_judge(tokens, "default", issued, NOW_US + INT64_C(91) * 86400000000) ==
               PAY_TOKEN_EXPIRED);
    enum pay_token_verdict verdict = pay_order_token_judge(tokens, "default", order_id, NOW_US);
    FUZZ_CHECK(verdict == PAY_TOKEN_NONE || verdict == PAY_TOKEN_WRONG);
    char changed[PAY_ID_MAX + 1]; /* the issued one with some of its characters replaced */
    memcpy(changed, issued, sizeof changed);
    size_t at = (unsigned char)order_id[0] % strlen(changed);
    if (order_id[0] == '\0' || order_id[1] == '\0' || changed[at] == order_id[1]) return;
    changed[at] = order_id[1];
    verdict = pay_order_token_judge(tokens, "default", changed, NOW_US);
    FUZZ_CHECK(verdict == PAY_TOKEN_NONE || verdict == PAY_TOKEN_WRONG);
}

static void take_lines(struct fuzz_input *in, const struct pay_auth *auth, const struct known_keys *known) {
    const struct known_key *last = NULL;
    struct pay_caller caller = {.scopes = 0};
    while (in->left > 0) {
        size_t length;
        const char *line = fuzz_line(in, &length);
        char *text = fuzz_text(line, length);
        if (text[0] == '@')
            check_token(text + 1);
        else if (text[0] == '+' && last != NULL)
            check_quota(last, caller.quota, text + 1);
        else if (text[0] != '+')
            last = check_caller(auth, known, text, &caller);
        bool once = text[0] == '+'; /* the bucket remembers: a second run would start with what the first one left */
        free(text);
        if (once) break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct known_keys known = {.count = 0};
    const uint8_t *border = size > 0 ? memmem(data, size, "\n---\n", 5) : NULL;
    size_t length = border != NULL ? (size_t)(border - data) + 1 : size;
    char path[32], message[512] = "";
    int fd = memfd_create("keys", 0);
    if (fd < 0 || write(fd, data, length) != (ssize_t)length) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    read_file((const char *)data, length, &known);
    struct pay_auth *auth = pay_auth_open(path, message, sizeof message);
    close(fd);
    if (known.count < KEYS_MAX) FUZZ_CHECK((auth != NULL) == known.good);
    FUZZ_CHECK((auth == NULL) == (message[0] != '\0'));
    if (auth != NULL && known.good) {
        FUZZ_CHECK(pay_auth_count(auth) == known.count);
        struct fuzz_input rest = {data, 0};
        if (border != NULL) rest = (struct fuzz_input){border + 5, size - length - 4};
        take_lines(&rest, auth, &known);
    }
    pay_auth_close(auth);
    for (size_t i = 0; i < known.count; i++) free(known.keys[i].line);
    return 0;
}
