#include "producer/auth.h"

#include "core/request.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGEST_SIZE SHA256_DIGEST_LENGTH
#define KEY_LENGTH_MAX 512 /* a longer one is no key of ours */
#define WORDS_MAX 6

struct pay_quota {
    struct pay_quota *next;
    char name[PAY_ID_MAX + 1];
    int64_t rate, burst;
    int64_t left_millionths;
    int64_t filled_us; /* 0: never used, full */
};

struct key {
    char name[PAY_ID_MAX + 1];
    struct pay_caller caller;
    int64_t rate, burst; /* rate 0: no quota */
    unsigned char digest[DIGEST_SIZE];
};

struct pay_auth {
    char *path;
    struct key *keys;
    uint32_t count;
    struct pay_quota *quotas; /* of every name there ever was: callers hold them */
};

const char *pay_scope_name(enum pay_scope scope) {
    return scope == PAY_SCOPE_PAY ? "pay" : scope == PAY_SCOPE_READ ? "read" : "admin";
}

/* --- one line of the file; each answers NULL, or what is wrong ---------------------------------------------------------------- */

static const char *read_scopes(char *text, uint32_t *ret_scopes) {
    char *rest = NULL;
    *ret_scopes = 0;
    for (const char *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        if (strcmp(word, "pay") == 0)
            *ret_scopes |= PAY_SCOPE_PAY;
        else if (strcmp(word, "read") == 0)
            *ret_scopes |= PAY_SCOPE_READ;
        else if (strcmp(word, "admin") == 0)
            *ret_scopes |= PAY_SCOPE_ALL;
        else
            return "the scopes are pay, read and admin, with commas between them";
    }
    return *ret_scopes != 0 ? NULL : "the scopes are missing";
}

static const char *read_digest(const char *text, unsigned char ret_digest[DIGEST_SIZE]) {
    static const char wrong[] = "the fourth word is the key's SHA-256, 64 hexadecimal digits";
    if (strlen(text) != 2 * DIGEST_SIZE || strspn(text, "0123456789abcdefABCDEF") != 2 * DIGEST_SIZE) return wrong;
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        const char pair[] = {text[2 * i], text[2 * i + 1], '\0'};
        ret_digest[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return NULL;
}

static const char *read_limit(const char *text, struct key *key) {
    const char *digits = strchr(text, '=');
    size_t length = digits != NULL ? strlen(++digits) : 0;
    if (length == 0 || length > 7 || strspn(digits, "0123456789") != length)
        return "after the SHA-256 only rate=N and burst=N may stand";
    int64_t number = strtoll(digits, NULL, 10);
    if (number < 1 || number > PAY_AUTH_RATE_MAX) return "rate and burst are from 1 to 1000000";
    if (strncmp(text, "rate=", 5) == 0)
        key->rate = number;
    else if (strncmp(text, "burst=", 6) == 0)
        key->burst = number;
    else
        return "after the SHA-256 only rate=N and burst=N may stand";
    return NULL;
}

static const char *read_words(char *const words[WORDS_MAX], size_t count, struct key *key) {
    if (count < 4) return "a line is: name tenant scopes sha256 [rate=N] [burst=N]";
    if (!pay_id_valid(words[0], strlen(words[0]))) return "the name must be 1 to 64 of A-Z a-z 0-9 . _ : -";
    if (!pay_id_valid(words[1], strlen(words[1]))) return "the tenant must be 1 to 64 of A-Z a-z 0-9 . _ : -";
    strcpy(key->name, words[0]);
    strcpy(key->caller.tenant, words[1]);
    const char *wrong = read_scopes(words[2], &key->caller.scopes);
    if (wrong == NULL) wrong = read_digest(words[3], key->digest);
    for (size_t i = 4; i < count && wrong == NULL; i++) wrong = read_limit(words[i], key);
    if (wrong != NULL) return wrong;
    if (key->burst > 0 && key->rate == 0) return "burst needs a rate";
    if (key->burst == 0) key->burst = key->rate;
    return NULL;
}

static const char *read_key(char *line, struct key *keys, uint32_t count) {
    char *words[WORDS_MAX], *rest = NULL;
    size_t word_count = 0;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL; word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (word_count == WORDS_MAX) return "there are too many words";
        words[word_count++] = word;
    }
    struct key *key = &keys[count];
    memset(key, 0, sizeof *key);
    const char *wrong = read_words(words, word_count, key);
    for (uint32_t i = 0; i < count && wrong == NULL; i++) {
        if (strcmp(keys[i].name, key->name) == 0) wrong = "this name was given before";
        if (memcmp(keys[i].digest, key->digest, DIGEST_SIZE) == 0) wrong = "this key was given before";
    }
    return wrong;
}

/* --- the file ----------------------------------------------------------------------------------------------------------------- */

/* The keys of a stream, malloced; NULL and the message. */
static struct key *read_stream(FILE *in, const char *path, uint32_t *ret_count, char *ret_message, size_t size) {
    struct key *keys = malloc(PAY_AUTH_KEYS_MAX * sizeof *keys);
    char *line = NULL;
    size_t room = 0;
    const char *wrong = NULL;
    uint32_t number = 0, count = 0;
    if (keys == NULL) abort(); /* out of memory: accepted payments are in the log */
    while (wrong == NULL && getline(&line, &room, in) >= 0) {
        number++;
        char first = line[strspn(line, " \t\r\n")];
        if (first == '#' || first == '\0') continue;
        wrong = count == PAY_AUTH_KEYS_MAX ? "there are too many keys" : read_key(line, keys, count);
        count++;
    }
    free(line);
    if (wrong != NULL)
        snprintf(ret_message, size, "%s, line %" PRIu32 ": %s", path, number, wrong);
    else if (count == 0)
        snprintf(ret_message, size,
                 "%s has no key: nobody could pay; leave [producer] api_keys empty to serve the "
                 "loopback without keys",
                 path);
    else
        return *ret_count = count, keys;
    free(keys);
    return NULL;
}

static struct pay_quota *quota_of(struct pay_auth *auth, const struct key *key) {
    if (key->rate == 0) return NULL;
    struct pay_quota *quota = auth->quotas;
    while (quota != NULL && strcmp(quota->name, key->name) != 0) quota = quota->next;
    if (quota == NULL) {
        quota = calloc(1, sizeof *quota);
        if (quota == NULL) abort(); /* see above */
        strcpy(quota->name, key->name);
        quota->next = auth->quotas;
        auth->quotas = quota;
    }
    quota->rate = key->rate;
    quota->burst = key->burst;
    return quota;
}

bool pay_auth_reload(struct pay_auth *auth, char *ret_message, size_t message_size) {
    FILE *in = fopen(auth->path, "re");
    if (in == NULL) {
        snprintf(ret_message, message_size, "can't read the API keys in %s: %s", auth->path, strerror(errno));
        return false;
    }
    uint32_t count = 0;
    struct key *keys = read_stream(in, auth->path, &count, ret_message, message_size);
    fclose(in);
    if (keys == NULL) return false;
    free(auth->keys);
    auth->keys = keys;
    auth->count = count;
    for (uint32_t i = 0; i < count; i++) keys[i].caller.quota = quota_of(auth, &keys[i]);
    return true;
}

struct pay_auth *pay_auth_open(const char *path, char *ret_message, size_t message_size) {
    struct pay_auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL) abort(); /* see above */
    auth->path = strdup(path);
    if (auth->path == NULL) abort();
    if (pay_auth_reload(auth, ret_message, message_size)) return auth;
    pay_auth_close(auth);
    return NULL;
}

uint32_t pay_auth_count(const struct pay_auth *auth) { return auth->count; }

void pay_auth_close(struct pay_auth *auth) {
    if (auth == NULL) return;
    while (auth->quotas != NULL) {
        struct pay_quota *next = auth->quotas->next;
        free(auth->quotas);
        auth->quotas = next;
    }
    free(auth->keys);
    free(auth->path);
    free(auth);
}

/* --- a call ------------------------------------------------------------------------------------------------------------------- */

/* What follows "Bearer ", NULL when that isn't what was sent. */
static const char *bearer(const char *authorization) {
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0) return NULL;
    const char *key = authorization + 7;
    while (*key == ' ') key++;
    return key;
}

bool pay_auth_find(const struct pay_auth *auth, const char *authorization, struct pay_caller *ret_caller) {
    unsigned char digest[DIGEST_SIZE];
    const char *sent = bearer(authorization);
    size_t length = sent != NULL ? strlen(sent) : 0;
    if (length == 0 || length > KEY_LENGTH_MAX) return false;
    SHA256((const unsigned char *)sent, length, digest);
    const struct key *found = NULL;
    for (uint32_t i = 0; i < auth->count; i++) {
        /* To the end whichever it is, so that the time doesn't tell. */
        if (CRYPTO_memcmp(digest, auth->keys[i].digest, DIGEST_SIZE) == 0) found = &auth->keys[i];
    }
    if (found == NULL) return false;
    *ret_caller = found->caller;
    return true;
}

#define MILLION 1000000

static int64_t divide_up(int64_t number, int64_t by) { return (number + by - 1) / by; }

bool pay_quota_take(struct pay_quota *quota, int64_t now_us, struct pay_quota_state *ret_state) {
    if (quota == NULL) return true;
    const int64_t full = quota->burst * MILLION;
    int64_t elapsed_us = now_us - quota->filled_us;
    if (quota->filled_us == 0 || elapsed_us >= divide_up(full, quota->rate))
        quota->left_millionths = full;
    else
        quota->left_millionths += elapsed_us * quota->rate;
    if (quota->left_millionths > full) quota->left_millionths = full;
    quota->filled_us = now_us;
    bool taken = quota->left_millionths >= MILLION;
    if (taken) quota->left_millionths -= MILLION;
    if (ret_state == NULL) return taken;
    *ret_state = (struct pay_quota_state){
        .limit = quota->burst,
        .left = quota->left_millionths / MILLION,
        .rate = quota->rate,
        .reset_s = divide_up(full - quota->left_millionths, quota->rate * MILLION),
    };
    return taken;
}
