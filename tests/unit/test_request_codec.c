/* Bytes <-> request: every promise of codec/request_codec.h, each refusal at its edge. */
#include "codec/request_codec.h"

#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GOOD "\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\""
#define WITH(member) "{" GOOD "," member "}"
#define ORDER(json) "{\"order_id\":" json ",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\"}"
#define ACCOUNT(json) "{\"order_id\":\"o-1\",\"account_id\":" json ",\"amount_minor\":1250,\"currency\":\"EUR\"}"
#define AMOUNT(json) "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":" json ",\"currency\":\"EUR\"}"
#define CURRENCY(json) "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":" json "}"

#define TEN "abcdefghij"
#define SIXTY_FOUR TEN TEN TEN TEN TEN TEN "abcd"

/* A literal with its length, so that NUL bytes can be in it. */
#define BYTES(literal) (literal), sizeof(literal) - 1

struct verdict {
    bool good;
    struct pay_request request;
    struct pay_codec_error error;
};

static bool printable(const char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) return false;
    return true;
}

/* With a letter of a name escaped the scanner hands over: jansson must say the same as it, or as before. */
static void jansson_says_the_same(enum pay_codec_mode mode, const char *text, size_t length,
                                  const struct verdict *verdict) {
    static const char name[] = "\"order_id\"", escaped[] = "\"\\u006frder_id\"";
    const char *at = NULL;
    for (size_t i = 0; at == NULL && i + sizeof name - 1 <= length; i++)
        if (memcmp(text + i, name, sizeof name - 1) == 0) at = text + i;
    struct pay_request request = {.metadata = NULL};
    struct pay_codec_error error;
    if (at == NULL || length + sizeof escaped - sizeof name > PAY_VALUE_MAX) return;
    char *other = malloc(length + sizeof escaped);
    size_t before = (size_t)(at - text), after = length - before - (sizeof name - 1);
    memcpy(other, text, before);
    memcpy(other + before, escaped, sizeof escaped - 1);
    memcpy(other + before + sizeof escaped - 1, at + sizeof name - 1, after);
    memset(&request, 0x5a, sizeof request);
    bool good = pay_request_parse(other, before + sizeof escaped - 1 + after, mode, &request, &error);
    assert_int_equal(good, verdict->good);
    if (good) {
        assert_string_equal(request.order_id, verdict->request.order_id);
        assert_string_equal(request.account_id, verdict->request.account_id);
        assert_string_equal(request.currency, verdict->request.currency);
        assert_int_equal(request.attempt, verdict->request.attempt);
        assert_int_equal(request.amount_minor, verdict->request.amount_minor);
        assert_int_equal(request.metadata_length, verdict->request.metadata_length);
    } else {
        assert_int_equal(error.reason, verdict->error.reason);
        assert_int_equal(error.field, verdict->error.field);
    }
    free(other);
}

/* Parses a copy that ends where the bytes end, so that the address sanitizer sees every step beyond. */
static struct verdict parse_as(enum pay_codec_mode mode, const char *text, size_t length) {
    static char *copy; /* freed at the next call: metadata of the last verdict may be looked at */
    struct verdict verdict = {.good = false};
    free(copy);
    copy = malloc(length + (length == 0));
    memcpy(copy, text, length);
    verdict.good = pay_request_parse(copy, length, mode, &verdict.request, &verdict.error);
    if (!verdict.good) {
        assert_true(memchr(verdict.error.detail, '\0', sizeof verdict.error.detail - 1) != NULL);
        assert_true(memchr(verdict.error.pointer, '\0', sizeof verdict.error.pointer) != NULL);
        assert_true(printable(verdict.error.detail) && printable(verdict.error.pointer));
        assert_int_not_equal(verdict.error.detail[0], '\0');
    }
    jansson_says_the_same(mode, text, length, &verdict);
    return verdict;
}

static struct verdict parse_tolerant(const char *text) { return parse_as(PAY_CODEC_TOLERANT, text, strlen(text)); }
static struct verdict parse_strict(const char *text) { return parse_as(PAY_CODEC_STRICT, text, strlen(text)); }

static const char *name_of(enum pay_reason reason) {
    return reason == PAY_REASON_NONE ? "accepted" : pay_reason_name(reason);
}

/* Both modes say the same. */
static void expect(const char *text, size_t length, enum pay_reason reason, enum pay_field field) {
    for (enum pay_codec_mode mode = PAY_CODEC_STRICT; mode <= PAY_CODEC_TOLERANT; mode++) {
        struct verdict verdict = parse_as(mode, text, length);
        enum pay_reason seen = verdict.good ? PAY_REASON_NONE : verdict.error.reason;
        if (seen != reason || (!verdict.good && verdict.error.field != field))
            fail_msg("%.*s: expected %s, got %s, field %d (%s)", (int)length, text, name_of(reason), name_of(seen),
                     (int)verdict.error.field, verdict.error.detail);
    }
}

static void expect_good(const char *text) { expect(text, strlen(text), PAY_REASON_NONE, PAY_FIELD_NONE); }
static void expect_malformed(const char *text) { expect(text, strlen(text), PAY_MALFORMED_JSON, PAY_FIELD_NONE); }
static void expect_bad(enum pay_field field, const char *text) { expect(text, strlen(text), PAY_BAD_FIELD, field); }

/* splitmix64: the same numbers on every machine. */
static uint64_t random_state;
static uint64_t random_bits(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static uint64_t random_below(uint64_t bound) { return random_bits() % bound; }

/* ---- members ---- */

static void a_plain_request_is_read(void **state) {
    (void)state;
    struct verdict verdict = parse_strict("{" GOOD "}");
    assert_true(verdict.good);
    assert_string_equal(verdict.request.order_id, "o-1");
    assert_string_equal(verdict.request.account_id, "alice");
    assert_string_equal(verdict.request.currency, "EUR");
    assert_int_equal(verdict.request.amount_minor, 1250);
    assert_int_equal(verdict.request.attempt, 1);
    assert_null(verdict.request.metadata);
    assert_int_equal(verdict.request.metadata_length, 0);
    verdict = parse_strict(WITH("\"attempt\":7"));
    assert_true(verdict.good);
    assert_int_equal(verdict.request.attempt, 7);
}

static void ids_are_1_to_64_characters_of_the_safe_set(void **state) {
    (void)state;
    static const struct {
        const char *order, *account;
        bool good;
    } vectors[] = {{ORDER("\"\""), ACCOUNT("\"\""), false},
                   {ORDER("\"a\""), ACCOUNT("\"a\""), true},
                   {ORDER("\"" SIXTY_FOUR "\""), ACCOUNT("\"" SIXTY_FOUR "\""), true},
                   {ORDER("\"" SIXTY_FOUR "e\""), ACCOUNT("\"" SIXTY_FOUR "e\""), false},
                   {ORDER("\"AZaz09._:-\""), ACCOUNT("\"AZaz09._:-\""), true},
                   {ORDER("\"o\\u002d1\""), ACCOUNT("\"o\\u002d1\""), true},
                   {ORDER("\"o 1\""), ACCOUNT("\"o 1\""), false},
                   {ORDER("\"o/1\""), ACCOUNT("\"o/1\""), false},
                   {ORDER("\"o@1\""), ACCOUNT("\"o@1\""), false},
                   {ORDER("\"o[1\""), ACCOUNT("\"o[1\""), false},
                   {ORDER("\"o`1\""), ACCOUNT("\"o`1\""), false},
                   {ORDER("\"o{1\""), ACCOUNT("\"o{1\""), false},
                   {ORDER("\"o\\n1\""), ACCOUNT("\"o\\n1\""), false},
                   {ORDER("\"\xc3\xa9\""), ACCOUNT("\"\xc3\xa9\""), false},
                   {ORDER("1"), ACCOUNT("1"), false},
                   {ORDER("null"), ACCOUNT("null"), false},
                   {ORDER("true"), ACCOUNT("false"), false},
                   {ORDER("[\"a\"]"), ACCOUNT("[\"a\"]"), false},
                   {ORDER("{\"a\":1}"), ACCOUNT("{\"a\":1}"), false}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        enum pay_reason reason = vectors[i].good ? PAY_REASON_NONE : PAY_BAD_FIELD;
        expect(vectors[i].order, strlen(vectors[i].order), reason, PAY_FIELD_ORDER_ID);
        expect(vectors[i].account, strlen(vectors[i].account), reason, PAY_FIELD_ACCOUNT_ID);
    }
}

static void amounts_are_integer_tokens_from_1_to_2_53_less_1(void **state) {
    (void)state;
    static const char *const good[] = {AMOUNT("1"), AMOUNT("9007199254740991")};
    static const char *const bad[] = {AMOUNT("0"),
                                      AMOUNT("-0"),
                                      AMOUNT("-1"),
                                      AMOUNT("9007199254740992"),
                                      AMOUNT("9223372036854775807"),
                                      AMOUNT("9223372036854775808"),
                                      AMOUNT("-9223372036854775808"),
                                      AMOUNT("-9223372036854775809"),
                                      AMOUNT("99999999999999999999"),
                                      AMOUNT("1.0"),
                                      AMOUNT("1.5"),
                                      AMOUNT("1e3"),
                                      AMOUNT("1E3"),
                                      AMOUNT("1e+3"),
                                      AMOUNT("10e-1"),
                                      AMOUNT("0.0"),
                                      AMOUNT("1e400"),
                                      AMOUNT("-1e400"),
                                      AMOUNT("\"1\""),
                                      AMOUNT("null"),
                                      AMOUNT("true"),
                                      AMOUNT("[1]"),
                                      AMOUNT("{}"),
                                      AMOUNT("\"\"")};
    static const char *const malformed[] = {
        AMOUNT(""),    AMOUNT("01"),       AMOUNT("00"),        AMOUNT("-01"), AMOUNT("+1"),   AMOUNT("-"),
        AMOUNT("1."),  AMOUNT(".5"),       AMOUNT("1e"),        AMOUNT("1e+"), AMOUNT("0x10"), AMOUNT("1_000"),
        AMOUNT("NaN"), AMOUNT("Infinity"), AMOUNT("-Infinity"), AMOUNT("1 2"), AMOUNT("1-2"),  AMOUNT("True"),
        AMOUNT("nul"), AMOUNT("1l"),       AMOUNT("'1'")};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) expect_good(good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect_bad(PAY_FIELD_AMOUNT_MINOR, bad[i]);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) expect_malformed(malformed[i]);
    assert_int_equal(parse_strict(AMOUNT("9007199254740991")).request.amount_minor, PAY_AMOUNT_MAX);
}

static void attempts_are_1_to_99_and_null_is_none(void **state) {
    (void)state;
    expect_good(WITH("\"attempt\":1"));
    expect_good(WITH("\"attempt\":99"));
    static const char *const bad[] = {WITH("\"attempt\":0"),
                                      WITH("\"attempt\":-0"),
                                      WITH("\"attempt\":-1"),
                                      WITH("\"attempt\":100"),
                                      WITH("\"attempt\":4294967297"),
                                      WITH("\"attempt\":1.0"),
                                      WITH("\"attempt\":1e0"),
                                      WITH("\"attempt\":\"1\""),
                                      WITH("\"attempt\":null"),
                                      WITH("\"attempt\":false"),
                                      WITH("\"attempt\":18446744073709551617"),
                                      WITH("\"attempt\":[]")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect_bad(PAY_FIELD_ATTEMPT, bad[i]);
}

static void currencies_are_three_capital_letters(void **state) {
    (void)state;
    expect_good(CURRENCY("\"AZA\""));
    expect_good(CURRENCY("\"XXX\""));
    static const char *const bad[] = {CURRENCY("\"\""),    CURRENCY("\"EU\""),  CURRENCY("\"EURO\""),
                                      CURRENCY("\"eur\""), CURRENCY("\"EU1\""), CURRENCY("\"E R\""),
                                      CURRENCY("\"@AA\""), CURRENCY("\"[AA\""), CURRENCY("\"\xe2\x82\xac\""),
                                      CURRENCY("978"),     CURRENCY("null"),    CURRENCY("[]"),
                                      CURRENCY("{}")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect_bad(PAY_FIELD_CURRENCY, bad[i]);
}

static void a_missing_member_is_at_fault(void **state) {
    (void)state;
    expect_bad(PAY_FIELD_ORDER_ID, "{}");
    expect_bad(PAY_FIELD_ORDER_ID, "{\"account_id\":\"a\",\"amount_minor\":1,\"currency\":\"EUR\"}");
    expect_bad(PAY_FIELD_ACCOUNT_ID, "{\"order_id\":\"a\",\"amount_minor\":1,\"currency\":\"EUR\"}");
    expect_bad(PAY_FIELD_AMOUNT_MINOR, "{\"order_id\":\"a\",\"account_id\":\"a\",\"currency\":\"EUR\"}");
    expect_bad(PAY_FIELD_CURRENCY, "{\"order_id\":\"a\",\"account_id\":\"a\",\"amount_minor\":1}");
}

static void the_first_member_at_fault_is_named_in_the_contracts_order(void **state) {
    (void)state;
    static const struct {
        const char *bad, *good;
    } members[] = {{"\"order_id\":1", "\"order_id\":\"o\""},     {"\"attempt\":0", "\"attempt\":1"},
                   {"\"account_id\":1", "\"account_id\":\"a\""}, {"\"amount_minor\":0", "\"amount_minor\":1"},
                   {"\"currency\":1", "\"currency\":\"EUR\""},   {"\"metadata\":1", "\"metadata\":{}"}};
    for (enum pay_field first = PAY_FIELD_ORDER_ID; first <= PAY_FIELD_METADATA; first++) {
        char text[400] = "{";
        for (int i = 5; i >= 0; i--) { /* written backwards: the order of the text doesn't count */
            strcat(text, i >= (int)first - 1 ? members[i].bad : members[i].good);
            strcat(text, i == 0 ? "}" : ",");
        }
        expect_bad(first, text);
    }
}

static void an_order_named_by_the_call_may_be_absent_from_the_body(void **state) {
    (void)state;
    struct pay_request request = {.tenant = "t"};
    struct pay_codec_error error;
    static const char *const without[] = {"{\"account_id\":\"a\",\"amount_minor\":1,\"currency\":\"EUR\"}",
                                          "{\"account_id\":\"\\u0061\",\"amount_minor\":1,\"currency\":\"EUR\"}"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        memset(request.order_id, 0, sizeof request.order_id);
        assert_true(pay_request_parse_for("path", without[i], strlen(without[i]), PAY_CODEC_STRICT, &request, &error));
        assert_string_equal(request.order_id, "path");
    }
    assert_true(pay_request_parse_for("path", "{" GOOD "}", strlen("{" GOOD "}"), PAY_CODEC_STRICT, &request, &error));
    assert_string_equal(request.order_id, "o-1"); /* comparing the two is the caller's */
    assert_false(
        pay_request_parse_for("path", ORDER("null"), strlen(ORDER("null")), PAY_CODEC_STRICT, &request, &error));
    assert_int_equal(error.field, PAY_FIELD_ORDER_ID);
}

/* ---- metadata ---- */

static void expect_metadata(const char *text, const char *slice) {
    struct verdict verdict = parse_strict(text);
    if (!verdict.good) fail_msg("%s: refused: %s", text, verdict.error.detail);
    if (slice == NULL) {
        assert_null(verdict.request.metadata);
        assert_int_equal(verdict.request.metadata_length, 0);
        return;
    }
    assert_int_equal(verdict.request.metadata_length, strlen(slice));
    assert_memory_equal(verdict.request.metadata, slice, strlen(slice));
}

static void metadata_is_the_exact_slice_of_the_bytes_sent(void **state) {
    (void)state;
    static const char *const objects[] = {"{}",
                                          "{ }",
                                          "{\"a\":1}",
                                          "{ \"a\" :\t[ 1 , {\"b\":\"}\"} ]\r\n}",
                                          "{\"a\":\"\\\"}\\\\\"}",
                                          "{\"metadata\":{\"metadata\":2}}",
                                          "{\"a\":\"\\\\\",\"b\":\"{[\"}",
                                          "{\"a\":1.50,\"b\":1E2,\"c\":-0,\"d\":\"\\u00e9\xc3\xa9\"}",
                                          "{\"n\":[[[]]],\"t\":true,\"f\":false,\"z\":null}"};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        char text[600];
        snprintf(text, sizeof text, "{\"metadata\":%s," GOOD "}", objects[i]);
        expect_metadata(text, objects[i]);
        snprintf(text, sizeof text, "{" GOOD ",\"metadata\":%s}", objects[i]);
        expect_metadata(text, objects[i]);
        snprintf(text, sizeof text, " \n{ " GOOD " ,\t\"metadata\" \r\n: %s \n} \n", objects[i]);
        expect_metadata(text, objects[i]);
    }
}

static void null_metadata_equals_none(void **state) {
    (void)state;
    expect_metadata("{" GOOD "}", NULL);
    expect_metadata(WITH("\"metadata\":null"), NULL);
}

static void metadata_is_an_object(void **state) {
    (void)state;
    static const char *const bad[] = {WITH("\"metadata\":[]"),  WITH("\"metadata\":\"{}\""), WITH("\"metadata\":1"),
                                      WITH("\"metadata\":1.5"), WITH("\"metadata\":true"),   WITH("\"metadata\":false"),
                                      WITH("\"metadata\":\"\"")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect_bad(PAY_FIELD_METADATA, bad[i]);
}

static void metadata_is_found_however_its_name_is_escaped(void **state) {
    (void)state;
    expect_metadata(WITH("\"meta\\u0064ata\":{\"a\":1}"), "{\"a\":1}");
    expect_metadata(WITH("\"\\u006d\\u0065\\u0074\\u0061\\u0064\\u0061\\u0074\\u0061\":{\"b\":2}"), "{\"b\":2}");
    expect_metadata(WITH("\"\\u006D\\u0065tadata\":{}"), "{}");
    expect_metadata(
        "{\"order_i\\u0064\":\"o\",\"account_id\":\"a\",\"amount_minor\":1,\"currency\":\"EUR\",\"metadata\":{ }}",
        "{ }");
}

static void what_only_looks_like_metadata_is_not_taken_for_it(void **state) {
    (void)state;
    static const char *const decoys[] = {"\"x\":\"\\\"metadata\\\":{\\\"no\\\":1}\"",
                                         "\"x\":{\"metadata\":{\"no\":1}}",
                                         "\"x\":[\"metadata\",{\"metadata\":{}}]",
                                         "\"metadat\":{\"no\":1}",
                                         "\"metadata1\":{\"no\":1}",
                                         "\"metadata\\u0020\":{\"no\":1}",
                                         "\"Metadata\":{\"no\":1}",
                                         "\"metadat\\t\":{\"no\":1}",
                                         "\"metadat\\\\u0061\":{\"no\":1}",
                                         "\"\":{\"no\":1}",
                                         "\"m\\u0065tadat\\u0041\":{}",
                                         "\"metadat\xc3\xa1\":{\"no\":1}",
                                         "\"metadat\\u0161\":{\"no\":1}",
                                         "\"\\u106detadata\":{\"no\":1}",
                                         "\"\\n006detadata\":{\"no\":1}",
                                         "\"\\/\\b\\f\\n\\r\\t\\\"\":1.25e3",
                                         "\"x\":-12",
                                         "\"x\":true",
                                         "\"x\":null ",
                                         "\"x\":\"\\\\\""};
    for (size_t i = 0; i < sizeof decoys / sizeof *decoys; i++) {
        char text[600];
        for (int order = 0; order < 2; order++) {
            if (order == 0)
                snprintf(text, sizeof text, "{%s,\"metadata\":{\"yes\":1}," GOOD "}", decoys[i]);
            else
                snprintf(text, sizeof text, "{" GOOD ",\"metadata\":{\"yes\":1},%s}", decoys[i]);
            struct verdict verdict = parse_tolerant(text);
            if (!verdict.good || verdict.request.metadata_length != 9 ||
                memcmp(verdict.request.metadata, "{\"yes\":1}", 9) != 0)
                fail_msg("%s: metadata was not found", text);
            snprintf(text, sizeof text, "{%s," GOOD "}", decoys[i]);
            assert_null(parse_tolerant(text).request.metadata);
        }
    }
}

/* A request with metadata of exactly `length` bytes as sent; `fill` pads it inside. */
static size_t build_metadata(char *text, size_t length, char fill) {
    size_t used = (size_t)sprintf(text, "{" GOOD ",\"metadata\":");
    const char *head = fill == ' ' ? "{" : "{\"a\":\"", *tail = fill == ' ' ? "}" : "\"}";
    size_t padding = length - strlen(head) - strlen(tail);
    used += (size_t)sprintf(text + used, "%s", head);
    memset(text + used, fill, padding);
    return used + padding + (size_t)sprintf(text + used + padding, "%s}", tail);
}

static void metadata_of_2048_bytes_as_sent_is_the_most(void **state) {
    (void)state;
    static const char fills[] = {'x', ' '};
    for (size_t i = 0; i < sizeof fills; i++) {
        char text[4096];
        size_t length = build_metadata(text, PAY_METADATA_MAX, fills[i]);
        expect(text, length, PAY_REASON_NONE, PAY_FIELD_NONE);
        assert_int_equal(parse_as(PAY_CODEC_STRICT, text, length).request.metadata_length, PAY_METADATA_MAX);
        length = build_metadata(text, PAY_METADATA_MAX + 1, fills[i]);
        expect(text, length, PAY_BAD_FIELD, PAY_FIELD_METADATA);
        assert_non_null(strstr(parse_as(PAY_CODEC_STRICT, text, length).error.detail, "got an object of 2049 bytes"));
    }
}

/* ---- limits and malformed bytes ---- */

static void a_value_of_8192_bytes_is_the_most(void **state) {
    (void)state;
    char text[PAY_VALUE_MAX + 1];
    memset(text, ' ', sizeof text);
    memcpy(text, "{" GOOD "}", strlen("{" GOOD "}"));
    expect(text, PAY_VALUE_MAX, PAY_REASON_NONE, PAY_FIELD_NONE);
    expect(text, PAY_VALUE_MAX + 1, PAY_TOO_LARGE, PAY_FIELD_NONE);
    memset(text, 0xff, sizeof text); /* the size is judged first */
    expect(text, PAY_VALUE_MAX + 1, PAY_TOO_LARGE, PAY_FIELD_NONE);
    expect(text, PAY_VALUE_MAX, PAY_MALFORMED_JSON, PAY_FIELD_NONE);
}

/* `depth` levels in all; metadata's own object is the second. */
static void build_nested(char *text, int depth, const char *open, const char *close) {
    size_t used = (size_t)sprintf(text, "{" GOOD ",\"metadata\":{\"a\":");
    for (int i = 2; i < depth; i++) used += (size_t)sprintf(text + used, "%s", open);
    used += (size_t)sprintf(text + used, "1");
    for (int i = 2; i < depth; i++) used += (size_t)sprintf(text + used, "%s", close);
    sprintf(text + used, "}}");
}

static void nesting_of_32_levels_is_the_most(void **state) {
    (void)state;
    char text[4096];
    build_nested(text, PAY_JSON_DEPTH_MAX, "[", "]");
    expect_good(text);
    build_nested(text, PAY_JSON_DEPTH_MAX, "{\"b\":", "}");
    expect_good(text);
    build_nested(text, PAY_JSON_DEPTH_MAX + 1, "[", "]");
    expect_malformed(text);
    assert_non_null(strstr(parse_strict(text).error.detail, "more than 32 levels"));
    build_nested(text, PAY_JSON_DEPTH_MAX + 1, "{\"b\":", "}");
    expect_malformed(text);
    expect_good(WITH("\"metadata\":{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"{{{{{{{{{\"}"));
    expect_good(WITH("\"metadata\":{\"a\":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],["
                     "],[],[],[],[],[],[]]}"));
}

static void nesting_without_end_is_cheap_and_harmless(void **state) {
    (void)state;
    char text[PAY_VALUE_MAX];
    memset(text, '[', sizeof text);
    expect(text, sizeof text, PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    memset(text, ']', sizeof text);
    expect(text, sizeof text, PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    memset(text, '"', sizeof text);
    expect(text, sizeof text, PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    memset(text, '\\', sizeof text);
    expect(text, sizeof text, PAY_MALFORMED_JSON, PAY_FIELD_NONE);
}

static void what_is_no_object_is_malformed(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "\n",
                                        "null",
                                        "true",
                                        "1",
                                        "\"a\"",
                                        "[]",
                                        "[{" GOOD "}]",
                                        "{",
                                        "}",
                                        "{" GOOD,
                                        "{" GOOD ",}",
                                        "{,}",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{a:1}",
                                        "{'a':1}",
                                        "{\"a\":1 \"b\":2}",
                                        "// x\n{}",
                                        "{} //",
                                        "\\"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) expect_malformed(texts[i]);
    struct verdict absent = {.good = false};
    assert_false(pay_request_parse(NULL, 0, PAY_CODEC_STRICT, &absent.request, &absent.error));
    assert_int_equal(absent.error.reason, PAY_MALFORMED_JSON);
    assert_false(pay_request_parse(NULL, 5, PAY_CODEC_STRICT, &absent.request, &absent.error));
    assert_int_equal(absent.error.reason, PAY_MALFORMED_JSON);
}

static void bytes_after_the_object_are_refused_but_for_whitespace(void **state) {
    (void)state;
    static const char *const texts[] = {"{" GOOD "}}",     "{" GOOD "}]",  "{" GOOD "},",
                                        "{" GOOD "}x",     "{" GOOD "}{}", "{" GOOD "}\n{" GOOD "}",
                                        "{" GOOD "} null", "{" GOOD "}\v", "{" GOOD "}\xc2\xa0",
                                        "{" GOOD "}\x80"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) expect_malformed(texts[i]);
    expect_good("{" GOOD "} \t\r\n");
    expect_good(" \t\r\n{" GOOD "}");
}

static void duplicate_members_are_refused_however_they_are_written(void **state) {
    (void)state;
    static const char *const texts[] = {WITH("\"order_id\":\"o-1\""),
                                        WITH("\"amount_minor\":1"),
                                        WITH("\"amount\\u005fminor\":1"),
                                        WITH("\"x\":1,\"x\":1"),
                                        WITH("\"metadata\":{},\"meta\\u0064ata\":{}"),
                                        WITH("\"metadata\":null,\"metadata\":{}"),
                                        WITH("\"metadata\":{\"a\":1,\"a\":2}"),
                                        WITH("\"metadata\":{\"a\":[{\"b\":1,\"\\u0062\":2}]}"),
                                        WITH("\"\":1,\"\":2")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect_malformed(texts[i]);
        assert_non_null(strstr(parse_strict(texts[i]).error.detail, "appears twice"));
    }
    expect_good(WITH("\"metadata\":{\"order_id\":1,\"metadata\":{\"metadata\":1}}"));
}

static void a_byte_order_mark_is_refused(void **state) {
    (void)state;
    expect_malformed("\xef\xbb\xbf{" GOOD "}");
    assert_non_null(strstr(parse_strict("\xef\xbb\xbf{" GOOD "}").error.detail, "byte order mark"));
    expect_malformed("\xef\xbb\xbf");
    assert_non_null(strstr(parse_strict("\xef\xbb\xbf").error.detail, "byte order mark"));
    expect_malformed("\xef\xbb\xbe{" GOOD "}");
    assert_null(strstr(parse_strict("\xef\xbb\xbe{" GOOD "}").error.detail, "byte order mark"));
    expect_malformed("\xef\xbb");
    expect_malformed("\xef\xbb{}");
    expect(BYTES("\xff\xfe{\0}\0"), PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    expect(BYTES("\0{\0}"), PAY_MALFORMED_JSON, PAY_FIELD_NONE);
}

static void text_must_be_utf8(void **state) {
    (void)state;
    static const char *const good[] = {
        "\x7f",           "\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",     "\xed\x9f\xbf",
        "\xee\x80\x80",   "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf",
        "\\ud83d\\ude00", "\\uFFFF",      "\\u0001"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x20",
                                      "\xe0\x80\xaf",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xed\xa0\xbd\xed\xb8\x80",
                                      "\xf0\x80\x80\xaf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x9f\x98",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "\\ud800",
                                      "\\udc00",
                                      "\\ud800x",
                                      "\\ud800\\u0041",
                                      "\\ude00\\ud83d",
                                      "\\u12",
                                      "\\u12g4",
                                      "\\x41",
                                      "\\",
                                      "\x01",
                                      "\x1f",
                                      "\t",
                                      "\n"};
    for (int place = 0; place < 2; place++) {
        const char *before = place == 0 ? "\"a\":\"" : "\"", *after = place == 0 ? "\"" : "\":1";
        char text[300];
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            snprintf(text, sizeof text, "{" GOOD ",\"metadata\":{%s%s%s}}", before, good[i], after);
            expect_good(text);
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            snprintf(text, sizeof text, "{" GOOD ",\"metadata\":{%s%s%s}}", before, bad[i], after);
            expect_malformed(text);
        }
    }
}

static void nul_is_refused_everywhere(void **state) {
    (void)state;
    /* The first three would be taken by jansson itself: it steps over a NUL behind a number or a word. */
    expect(BYTES("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"currency\":\"EUR\",\"amount_minor\":1250\0}"),
           PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    expect(BYTES(WITH("\"metadata\":{\"a\":true\0}")), PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    expect(BYTES(WITH("\"attempt\":1\0")), PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    expect(BYTES(WITH("\"metadata\":{\"a\":\"\0\"}")), PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    expect(BYTES("{" GOOD "}\0"), PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    expect(BYTES("\0"), PAY_MALFORMED_JSON, PAY_FIELD_NONE);
    expect_malformed(WITH("\"metadata\":{\"a\":\"\\u0000\"}"));
    expect_malformed(WITH("\"metadata\":{\"\\u0000\":1}"));
    expect_malformed(WITH("\"order_id\\u0000\":1"));
    expect_malformed(ORDER("\"o\\u0000\""));
    assert_non_null(strstr(parse_strict(ORDER("\"o\\u0000\"")).error.detail, "\\u0000"));
    assert_non_null(strstr(parse_strict(WITH("\"\\u0000\":1")).error.detail, "\\u0000"));
}

static void numbers_too_large_for_a_machine_are_json_all_the_same(void **state) {
    (void)state;
    static const char *const numbers[] = {"99999999999999999999",
                                          "-9223372036854775809",
                                          "9223372036854775808",
                                          "1e400",
                                          "-1.5E+999",
                                          "0.1e999",
                                          "123456789012345678901234567890.5e-3",
                                          "1e-99999"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[600], slice[300];
        snprintf(slice, sizeof slice,
                 "{\"n\":%s,\"s\":\"99999999999999999999 \\\" 1e999\",\"m\":[%s , "
                 "0,-1,true,false,null,1.5,9223372036854775807]}",
                 numbers[i], numbers[i]);
        snprintf(text, sizeof text, "{\"metadata\":%s," GOOD "}", slice);
        expect_metadata(text, slice);
        assert_int_equal(parse_strict(text).request.amount_minor, 1250);
        snprintf(text, sizeof text, "{" GOOD ",\"x\":%s}", numbers[i]);
        assert_true(parse_tolerant(text).good);
        snprintf(text, sizeof text, AMOUNT("%s"), numbers[i]);
        expect_bad(PAY_FIELD_AMOUNT_MINOR, text);
    }
}

static void a_number_too_large_may_have_an_exponent_of_one_digit_and_end_the_longest_value(void **state) {
    (void)state;
    char text[PAY_VALUE_MAX + 1];
    size_t length = (size_t)snprintf(text, sizeof text, "{" GOOD ",\"x\":1");
    memset(text + length, '0', 309);
    snprintf(text + length + 309, 16, "e1}");
    assert_true(parse_tolerant(text).good);
    memset(text + length, ' ', sizeof text - length);
    memcpy(text + PAY_VALUE_MAX - 7, ",\"y\":1}", 8);
    memcpy(text + length, "e400", 4);
    assert_int_equal(strlen(text), PAY_VALUE_MAX);
    assert_true(parse_tolerant(text).good);
}

static void a_number_too_large_hides_no_other_fault(void **state) {
    (void)state;
    static const char *const tails[] = {"}",
                                        "]",
                                        "\"",
                                        "1.",
                                        "1e",
                                        "1e+",
                                        "1.e5",
                                        "1-2",
                                        "01",
                                        "00000000000000000001",
                                        "-",
                                        "--1",
                                        "1.2.3",
                                        "1e5e5",
                                        "+1",
                                        ".5",
                                        "99999999999999999999x",
                                        "x99999999999999999999",
                                        "99999999999999999999.",
                                        "99999999999999999999e",
                                        "true99999999999999999999",
                                        "\"a\\x\"",
                                        "1,\"a\":2",
                                        "\"\x80\"",
                                        "\"\\ud800\"",
                                        "9e999 9e999",
                                        "-e400",
                                        "1..5e400",
                                        "0e400-",
                                        "012e400",
                                        "00e400",
                                        "00.5e400",
                                        "\"\\u0000\"",
                                        "1e400\\"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char text[400];
        snprintf(text, sizeof text, "{" GOOD ",\"metadata\":{\"n\":1e400,\"a\":%s}}", tails[i]);
        expect_malformed(text);
        snprintf(text, sizeof text, "{" GOOD ",\"metadata\":{\"a\":%s,\"n\":99999999999999999999}}", tails[i]);
        expect_malformed(text);
    }
}

/* ---- strict and tolerant ---- */

static void expect_unknown(const char *text, const char *pointer, const char *meant) {
    assert_true(parse_tolerant(text).good);
    struct verdict verdict = parse_strict(text);
    assert_false(verdict.good);
    assert_int_equal(verdict.error.reason, PAY_BAD_FIELD);
    assert_int_equal(verdict.error.field, PAY_FIELD_NONE);
    assert_string_equal(verdict.error.pointer, pointer);
    char expected[64];
    snprintf(expected, sizeof expected, "did you mean %s?)", meant != NULL ? meant : "");
    if (meant != NULL)
        assert_non_null(strstr(verdict.error.detail, expected));
    else
        assert_null(strstr(verdict.error.detail, "did you mean"));
}

static void unknown_members_are_refused_by_the_intake_only(void **state) {
    (void)state;
    struct verdict verdict = parse_tolerant(WITH("\"x\":\"a,\\\"metadata\\\":1\",\"metadata\":{\"k\":1}"));
    assert_true(verdict.good);
    assert_int_equal(verdict.request.metadata_length, strlen("{\"k\":1}"));
    assert_memory_equal(verdict.request.metadata, "{\"k\":1}", verdict.request.metadata_length);
    expect_unknown(WITH("\"x\":1"), "/x", NULL);
    expect_unknown(WITH("\"\":1"), "/", NULL);
    expect_unknown(WITH("\"\\u001f\\u007f\":1"), "/??", NULL);
    expect_unknown(WITH("\"zz\":1,\"aa\":2"), "/zz", NULL); /* the first in the document */
    expect_unknown(WITH("\"callback_url\":null"), "/callback_url", NULL);
    expect_unknown(WITH("\"somethingelseentirelythatisverylong\":null"), "/somethingelseentirelythatisverylong", NULL);
}

static void a_long_pointer_is_cut_between_characters(void **state) {
    (void)state;
    for (size_t ascii = 0; ascii < 3; ascii++) {
        char text[512], name[128] = "";
        memset(name, 'a', ascii);
        for (int i = 0; i < 40; i++) strcat(name, "\xe2\x82\xac");
        snprintf(text, sizeof text, "{" GOOD ",\"%s\":1}", name);
        struct verdict verdict = parse_strict(text);
        size_t length = strlen(verdict.error.pointer);
        assert_int_equal((length - 1 - ascii) % 3, 0);
        assert_true(length > 91 && length < sizeof verdict.error.pointer);
        assert_memory_equal(verdict.error.pointer + 1, name, length - 1);
    }
}

static void an_unknown_member_comes_with_what_was_probably_meant(void **state) {
    (void)state;
    expect_unknown(WITH("\"orderId\":1"), "/orderId", "order_id");
    expect_unknown(WITH("\"order-id\":1"), "/order-id", "order_id");
    expect_unknown(WITH("\"ORDER_ID\":1"), "/ORDER_ID", "order_id");
    expect_unknown(WITH("\"amount\":1"), "/amount", "amount_minor");
    expect_unknown(WITH("\"amountMinorUnits\":1"), "/amountMinorUnits", "amount_minor");
    expect_unknown(WITH("\"account\":1"), "/account", "account_id");
    expect_unknown(WITH("\"acount_id\":1"), "/acount_id", "account_id");
    expect_unknown(WITH("\"curency\":1"), "/curency", "currency");
    expect_unknown(WITH("\"currnecy\":1"), "/currnecy", "currency");
    expect_unknown(WITH("\"meta data\":1"), "/meta data", "metadata");
    expect_unknown(WITH("\"metdaata\":1"), "/metdaata", "metadata");
    expect_unknown(WITH("\"attempts\":1"), "/attempts", "attempt");
    expect_unknown(WITH("\"note\":1"), "/note", NULL);
    expect_unknown(WITH("\"id\":1"), "/id", NULL);
    expect_unknown(WITH("\"am\":1"), "/am", NULL);
}

static void members_at_fault_come_before_unknown_ones(void **state) {
    (void)state;
    struct verdict verdict =
        parse_strict("{\"x\":1,\"order_id\":\"o\",\"account_id\":\"a\",\"amount_minor\":0,\"currency\":\"EUR\"}");
    assert_int_equal(verdict.error.field, PAY_FIELD_AMOUNT_MINOR);
    assert_string_equal(verdict.error.pointer, "/amount_minor");
}

static void pointers_are_escaped_and_bounded(void **state) {
    (void)state;
    expect_unknown(WITH("\"a~b/c\":1"), "/a~0b~1c", NULL);
    expect_unknown(WITH("\"a\\nb\x7f\":1"), "/a?b?", NULL);
    expect_unknown(WITH("\"\xc3\xa9\":1"), "/\xc3\xa9", NULL);
    /* 94 bytes of name fill the room behind the slash; what is longer is cut, never inside a character or an escape. */
#define NINETY TEN TEN TEN TEN TEN TEN TEN TEN TEN
    expect_unknown(WITH("\"" NINETY "wxyz\":1"), "/" NINETY "wxyz", NULL);
    expect_unknown(WITH("\"" NINETY "wxyz5\":1"), "/" NINETY "wxyz", NULL);
    expect_unknown(WITH("\"" NINETY "wxy/\":1"), "/" NINETY "wxy", NULL);
    expect_unknown(WITH("\"" NINETY "wx~\":1"), "/" NINETY "wx~0", NULL);
    expect_unknown(WITH("\"" NINETY "wx\xc3\xa9\":1"), "/" NINETY "wx\xc3\xa9", NULL);
    expect_unknown(WITH("\"" NINETY "wxy\xc3\xa9\":1"), "/" NINETY "wxy", NULL);
    expect_unknown(WITH("\"" NINETY "wx\xf0\x9f\x98\x80\":1"), "/" NINETY "wx", NULL);
    expect_unknown(WITH("\"" NINETY "w\xe2\x82\xac\xe2\x82\xac\":1"), "/" NINETY "w\xe2\x82\xac", NULL);
}

static void details_say_the_rule_and_what_came_instead(void **state) {
    (void)state;
    static const struct {
        const char *text, *pointer, *detail;
    } vectors[] = {
        {AMOUNT("\"1\""), "/amount_minor",
         "amount_minor must be an integer from 1 to 9007199254740991, in minor units (cents); got a string"},
        {AMOUNT("1.0"), "/amount_minor",
         "amount_minor must be an integer from 1 to 9007199254740991, in minor units (cents); got a number with a "
         "fraction, an exponent or too many digits"},
        {AMOUNT("0"), "/amount_minor",
         "amount_minor must be an integer from 1 to 9007199254740991, in minor units (cents); got 0"},
        {AMOUNT("true"), "/amount_minor",
         "amount_minor must be an integer from 1 to 9007199254740991, in minor units (cents); got a boolean"},
        {"{}", "/order_id",
         "order_id must be a string of 1 to 64 characters out of A-Z a-z 0-9 . _ : -; it is missing"},
        {ORDER("\"\""), "/order_id",
         "order_id must be a string of 1 to 64 characters out of A-Z a-z 0-9 . _ : -; got a string of 0 bytes"},
        {ACCOUNT("\"a b\""), "/account_id",
         "account_id must be a string of 1 to 64 characters out of A-Z a-z 0-9 . _ : -; got a string with other "
         "characters"},
        {ACCOUNT("null"), "/account_id",
         "account_id must be a string of 1 to 64 characters out of A-Z a-z 0-9 . _ : -; got null"},
        {CURRENCY("\"EURO\""), "/currency",
         "currency must be a string of three letters A-Z, such as \"EUR\"; got a string of 4 bytes"},
        {CURRENCY("\"eur\""), "/currency",
         "currency must be a string of three letters A-Z, such as \"EUR\"; got a string with other characters"},
        {WITH("\"attempt\":null"), "/attempt", "attempt must be an integer from 1 to 99, or absent for 1; got null"},
        {WITH("\"metadata\":[]"), "/metadata",
         "metadata must be an object of at most 2048 bytes, null or absent; got an array"},
        {WITH("\"metadata\":\"\""), "/metadata",
         "metadata must be an object of at most 2048 bytes, null or absent; got a string"},
        {"", "", "the request must be one JSON object; it is empty; send one JSON object"},
        {"[]", "", "the request must be one JSON object; this is an array; send its members one by one"},
        {"{", "", "the request must be one JSON object; line 1, column 1: it ends too early; send the whole object"},
        {"{}\n x", "",
         "the request must be one JSON object; line 2, column 2: bytes follow the object; send exactly one object"},
        {"{\"\x80\"", "",
         "the request must be one JSON object; line 1, column 2: these bytes aren't UTF-8; encode it as UTF-8"},
        {"{\"a\" 1}", "",
         "the request must be one JSON object; line 1, column 6: this isn't JSON (RFC 8259); check quotes, commas and "
         "brackets"},
        {WITH("\"amount\":1"), "/amount",
         "there is no such member (did you mean amount_minor?); a request has order_id, attempt, account_id, "
         "amount_minor, currency, metadata and nothing else"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct verdict verdict = parse_strict(vectors[i].text);
        assert_false(verdict.good);
        assert_string_equal(verdict.error.pointer, vectors[i].pointer);
        assert_string_equal(verdict.error.detail, vectors[i].detail);
    }
    char text[PAY_VALUE_MAX + 1] = "";
    assert_string_equal(parse_as(PAY_CODEC_STRICT, text, sizeof text).error.detail,
                        "the request must be at most 8192 bytes; got 8193; shorten metadata");
}

static void a_refusal_leaves_the_request_untouched_and_tenant_is_never_touched(void **state) {
    (void)state;
    struct pay_request request, before;
    struct pay_codec_error error;
    memset(&before, 0x5a, sizeof before);
    strcpy(before.tenant, "acme");
    static const char *const bad[] = {"", "{", "{}", AMOUNT("0"), WITH("\"metadata\":[]"), WITH("\"x\":1")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(&request, &before, sizeof request);
        assert_false(pay_request_parse(bad[i], strlen(bad[i]), PAY_CODEC_STRICT, &request, &error));
        assert_memory_equal(&request, &before, sizeof request);
    }
    assert_true(pay_request_parse("{" GOOD "}", strlen("{" GOOD "}"), PAY_CODEC_STRICT, &request, &error));
    assert_string_equal(request.tenant, "acme");
}

/* ---- records ---- */

#define GOOD_VALUE "{" GOOD "}"

static struct pay_record decode(struct pay_record_bytes bytes) {
    struct pay_record record;
    memset(&record, 0x5a, sizeof record); /* a slot of the batch holds what was there before */
    record.position = (struct pay_position){1, 2, 3};
    record.timestamp_ms = 4;
    pay_record_decode(&bytes, &record);
    assert_int_equal(record.position.generation, 1);
    assert_int_equal(record.position.partition, 2);
    assert_int_equal(record.position.offset, 3);
    assert_int_equal(record.timestamp_ms, 4);
    assert_int_equal(record.crc32c, pay_record_crc(bytes.key, bytes.key_length, bytes.value, bytes.value_length));
    return record;
}

static struct pay_record_bytes good_bytes(void) {
    return (struct pay_record_bytes){
        .key = "o-1", .key_length = 3, .value = GOOD_VALUE, .value_length = strlen(GOOD_VALUE)};
}

static void a_good_record_is_decoded(void **state) {
    (void)state;
    struct pay_record record = decode(good_bytes());
    assert_int_equal(record.invalid, PAY_REASON_NONE);
    assert_int_equal(record.invalid_field, PAY_FIELD_NONE);
    assert_string_equal(record.tenant, "default");
    assert_string_equal(record.request.tenant, "default");
    assert_string_equal(record.key, "o-1");
    assert_string_equal(record.request.order_id, "o-1");
    assert_int_equal(record.request.amount_minor, 1250);
    assert_null(record.traceparent);
    assert_int_equal(record.traceparent_length, 0);
}

static void expect_tenant(const char *tenant, size_t length, uint32_t count, const char *expected) {
    struct pay_record_bytes bytes = good_bytes();
    bytes.tenant = tenant;
    bytes.tenant_length = length;
    bytes.tenant_count = count;
    struct pay_record record = decode(bytes);
    assert_string_equal(record.tenant, expected);
    assert_int_equal(record.invalid, expected[0] == '\0' ? PAY_BAD_TENANT : PAY_REASON_NONE);
    assert_string_equal(record.request.tenant, expected);
    bytes.value = "{"; /* the tenant is told even when the record is refused for its bytes */
    bytes.value_length = 1;
    record = decode(bytes);
    assert_int_equal(record.invalid, PAY_MALFORMED_JSON);
    assert_string_equal(record.tenant, expected);
}

static void the_tenant_header_is_absent_or_one_id(void **state) {
    (void)state;
    expect_tenant(NULL, 0, 0, "default");
    expect_tenant("ignored", 7, 0, "default");
    expect_tenant("acme", 4, 1, "acme");
    expect_tenant("a", 1, 1, "a");
    expect_tenant("acme!", 4, 1, "acme");
    expect_tenant(SIXTY_FOUR, 64, 1, SIXTY_FOUR);
    expect_tenant(SIXTY_FOUR "e", 65, 1, "");
    expect_tenant("", 0, 1, "");
    expect_tenant(NULL, 0, 1, "");
    expect_tenant("a b", 3, 1, "");
    expect_tenant("a\0b", 3, 1, "");
    expect_tenant("acme", 4, 2, "");
    expect_tenant("acme", 4, UINT32_MAX, "");
}

static void the_key_must_be_the_order_id(void **state) {
    (void)state;
    static const struct {
        const char *key;
        size_t length;
        enum pay_reason reason;
        const char *kept;
    } vectors[] = {{"o-1", 3, PAY_REASON_NONE, "o-1"},
                   {NULL, 0, PAY_KEY_MISMATCH, ""},
                   {"", 0, PAY_KEY_MISMATCH, ""},
                   {"o-1", 2, PAY_KEY_MISMATCH, "o-"},
                   {"o-11", 4, PAY_KEY_MISMATCH, "o-11"},
                   {"O-1", 3, PAY_KEY_MISMATCH, "O-1"},
                   {"o 1", 3, PAY_KEY_MISMATCH, ""},
                   {"o-1\0", 4, PAY_KEY_MISMATCH, ""},
                   {SIXTY_FOUR "e", 65, PAY_KEY_MISMATCH, ""}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct pay_record_bytes bytes = good_bytes();
        bytes.key = vectors[i].key;
        bytes.key_length = vectors[i].length;
        struct pay_record record = decode(bytes);
        assert_int_equal(record.invalid, vectors[i].reason);
        assert_string_equal(record.key, vectors[i].kept);
    }
}

static void faults_of_a_record_are_judged_in_the_contracts_order(void **state) {
    (void)state;
    char large[PAY_VALUE_MAX + 1] = "{";
    struct pay_record_bytes bytes = {.key = "other",
                                     .key_length = 5,
                                     .value = large,
                                     .value_length = sizeof large,
                                     .tenant = "!",
                                     .tenant_length = 1,
                                     .tenant_count = 1};
    assert_int_equal(decode(bytes).invalid, PAY_TOO_LARGE);
    bytes.value_length = 1;
    assert_int_equal(decode(bytes).invalid, PAY_MALFORMED_JSON);
    bytes.value = NULL;
    bytes.value_length = 0;
    assert_int_equal(decode(bytes).invalid, PAY_MALFORMED_JSON);
    bytes.value = AMOUNT("0");
    bytes.value_length = strlen(AMOUNT("0"));
    struct pay_record record = decode(bytes);
    assert_int_equal(record.invalid, PAY_BAD_FIELD);
    assert_int_equal(record.invalid_field, PAY_FIELD_AMOUNT_MINOR);
    assert_string_equal(record.key, "other");
    bytes.value = GOOD_VALUE;
    bytes.value_length = strlen(GOOD_VALUE);
    record = decode(bytes);
    assert_int_equal(record.invalid, PAY_BAD_TENANT);
    assert_int_equal(record.invalid_field, PAY_FIELD_NONE);
    bytes.tenant_count = 0;
    assert_int_equal(decode(bytes).invalid, PAY_KEY_MISMATCH);
    bytes.key = "o-1";
    bytes.key_length = 3;
    assert_int_equal(decode(bytes).invalid, PAY_REASON_NONE);
}

static void an_invalid_record_holds_no_request(void **state) {
    (void)state;
    struct pay_record_bytes bytes = good_bytes();
    bytes.key = NULL;
    bytes.key_length = 0;
    struct pay_record record = decode(bytes);
    static const struct pay_request none;
    assert_string_equal(record.request.order_id, "");
    assert_string_equal(record.request.tenant, "");
    assert_int_equal(record.request.amount_minor, none.amount_minor);
    assert_null(record.request.metadata);
}

static void the_worker_ignores_unknown_members(void **state) {
    (void)state;
    struct pay_record_bytes bytes = good_bytes();
    bytes.value = WITH("\"x\":[1]");
    bytes.value_length = strlen(WITH("\"x\":[1]"));
    assert_int_equal(decode(bytes).invalid, PAY_REASON_NONE);
}

static void traceparent_is_passed_on_unless_it_can_not_be_one(void **state) {
    (void)state;
    char longest[PAY_TRACEPARENT_MAX + 1];
    memset(longest, 'f', sizeof longest);
    static const char usual[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const struct {
        const char *text;
        size_t length;
        bool kept;
    } vectors[] = {{usual, 55, true},
                   {"x", 1, true},
                   {longest, PAY_TRACEPARENT_MAX, true},
                   {longest, PAY_TRACEPARENT_MAX + 1, false},
                   {NULL, 0, false},
                   {NULL, 3, false},
                   {"", 0, false},
                   {"a\nb", 3, false},
                   {"a\0b", 3, false},
                   {"a\x7f", 2, false},
                   {"a\x1f", 2, false},
                   {"\x1f"
                    "a",
                    2, false},
                   {"a b\xc3\xa9", 5, true}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct pay_record_bytes bytes = good_bytes();
        bytes.traceparent = vectors[i].text;
        bytes.traceparent_length = vectors[i].length;
        struct pay_record record = decode(bytes);
        assert_int_equal(record.invalid, PAY_REASON_NONE);
        assert_ptr_equal(record.traceparent, vectors[i].kept ? vectors[i].text : NULL);
        assert_int_equal(record.traceparent_length, vectors[i].kept ? vectors[i].length : 0);
    }
}

/* ---- writing, and both together ---- */

static void the_canonical_form_is_compact_in_the_contracts_order(void **state) {
    (void)state;
    struct pay_request request = {
        .order_id = "o-1", .attempt = 1, .account_id = "alice", .amount_minor = 1250, .currency = "EUR"};
    char text[PAY_REQUEST_TEXT_MAX];
    size_t length = pay_request_format(&request, text, sizeof text);
    static const char plain[] =
        "{\"order_id\":\"o-1\",\"attempt\":1,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\"}";
    assert_int_equal(length, strlen(plain));
    assert_memory_equal(text, plain, length);
    request.metadata = "{ \"a\" : 1 }";
    request.metadata_length = strlen(request.metadata);
    length = pay_request_format(&request, text, sizeof text);
    static const char full[] = "{\"order_id\":\"o-1\",\"attempt\":1,\"account_id\":\"alice\",\"amount_minor\":1250,"
                               "\"currency\":\"EUR\",\"metadata\":{ \"a\" : 1 }}";
    assert_int_equal(length, strlen(full));
    assert_memory_equal(text, full, length);
}

static void what_does_not_fit_is_not_written(void **state) {
    (void)state;
    struct pay_request request = {.order_id = "o",
                                  .attempt = 1,
                                  .account_id = "a",
                                  .amount_minor = 1,
                                  .currency = "EUR",
                                  .metadata = "{}",
                                  .metadata_length = 2};
    char text[PAY_REQUEST_TEXT_MAX];
    size_t length = pay_request_format(&request, text, sizeof text);
    for (size_t capacity = 0; capacity < length; capacity++) {
        char *exact = malloc(capacity + (capacity == 0));
        assert_int_equal(pay_request_format(&request, exact, capacity), 0);
        free(exact);
    }
    char *exact = malloc(length);
    assert_int_equal(pay_request_format(&request, exact, length), length);
    assert_memory_equal(exact, text, length);
    free(exact);
}

static void the_largest_request_fits_into_its_buffer(void **state) {
    (void)state;
    char metadata[PAY_METADATA_MAX];
    memset(metadata, ' ', sizeof metadata);
    metadata[0] = '{';
    metadata[sizeof metadata - 1] = '}';
    struct pay_request request = {.order_id = SIXTY_FOUR,
                                  .attempt = 99,
                                  .account_id = SIXTY_FOUR,
                                  .amount_minor = PAY_AMOUNT_MAX,
                                  .currency = "EUR",
                                  .metadata = metadata,
                                  .metadata_length = sizeof metadata};
    char text[PAY_REQUEST_TEXT_MAX];
    size_t length = pay_request_format(&request, text, sizeof text);
    assert_true(length > 0 && length <= PAY_VALUE_MAX);
    expect(text, length, PAY_REASON_NONE, PAY_FIELD_NONE);
}

static void random_id(char *id) {
    static const char alphabet[] = "ABCXYZabcxyz0189._:-";
    size_t length = 1 + random_below(random_below(8) == 0 ? PAY_ID_MAX : 12);
    for (size_t i = 0; i < length; i++) id[i] = alphabet[random_below(sizeof alphabet - 1)];
    id[length] = '\0';
}

static size_t random_space(char *out) {
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t ", "\r\n"};
    return (size_t)sprintf(out, "%s", spaces[random_below(7)]);
}

static size_t random_string(char *out) {
    static const char *const pieces[] = {"a",
                                         "metadata",
                                         "\\\"",
                                         "\\\\",
                                         "}",
                                         "{",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         " ",
                                         "\\u0064",
                                         "\\ud83d\\ude00",
                                         "\xc3\xa9",
                                         "\xf0\x9f\x98\x80",
                                         "\\n",
                                         "\\/",
                                         "1e999"};
    size_t used = (size_t)sprintf(out, "\"");
    for (uint64_t i = random_below(5); i > 0; i--) used += (size_t)sprintf(out + used, "%s", pieces[random_below(18)]);
    return used + (size_t)sprintf(out + used, "\"");
}

static size_t random_value(char *out, int depth);

static size_t random_members(char *out, int depth, bool object) {
    size_t used = (size_t)sprintf(out, object ? "{" : "[");
    for (uint64_t i = 0, count = random_below(4); i < count; i++) {
        if (i > 0) used += (size_t)sprintf(out + used, ",");
        used += random_space(out + used);
        if (object) { /* a number in front keeps the names of one object apart */
            used += (size_t)sprintf(out + used, "\"%u", (unsigned)i);
            size_t start = used;
            used += random_string(out + used);
            memmove(out + start, out + start + 1, used - start - 1);
            used -= 1;
            used += random_space(out + used);
            used += (size_t)sprintf(out + used, ":");
        }
        used += random_value(out + used, depth - 1);
    }
    return used + (size_t)sprintf(out + used, object ? "}" : "]");
}

static size_t random_value(char *out, int depth) {
    static const char *const scalars[] = {"true",
                                          "false",
                                          "null",
                                          "0",
                                          "-1",
                                          "1.50",
                                          "-0",
                                          "1e5",
                                          "12345678901234567890",
                                          "-1E+400",
                                          "9223372036854775807"};
    size_t used = random_space(out);
    uint64_t kind = random_below(depth > 0 ? 4 : 2);
    if (kind == 0)
        used += random_string(out + used);
    else if (kind == 1)
        used += (size_t)sprintf(out + used, "%s", scalars[random_below(11)]);
    else
        used += random_members(out + used, depth, kind == 2);
    return used + random_space(out + used);
}

static struct pay_request random_request(char *metadata) {
    struct pay_request request = {.attempt = (int32_t)(1 + random_below(PAY_ATTEMPT_MAX))};
    random_id(request.order_id);
    random_id(request.account_id);
    for (int i = 0; i < PAY_CURRENCY_LENGTH; i++) request.currency[i] = (char)('A' + random_below(26));
    request.amount_minor = (int64_t)(random_bits() >> (11 + random_below(53)));
    if (request.amount_minor == 0) request.amount_minor = 1;
    if (random_below(4) == 0) return request;
    request.metadata = metadata;
    request.metadata_length = random_members(metadata, 3, true);
    return request;
}

static bool same_request(const struct pay_request *a, const struct pay_request *b) {
    return strcmp(a->order_id, b->order_id) == 0 && strcmp(a->account_id, b->account_id) == 0 &&
           strcmp(a->currency, b->currency) == 0 && a->attempt == b->attempt && a->amount_minor == b->amount_minor &&
           (a->metadata == NULL) == (b->metadata == NULL) && a->metadata_length == b->metadata_length &&
           (a->metadata == NULL || memcmp(a->metadata, b->metadata, a->metadata_length) == 0);
}

static void what_is_written_is_read_back_the_same(void **state) {
    (void)state;
    random_state = 20261121;
    for (int i = 0; i < 20000; i++) {
        char metadata[8192], text[PAY_REQUEST_TEXT_MAX], again[PAY_REQUEST_TEXT_MAX];
        struct pay_request request = random_request(metadata);
        if (request.metadata_length > PAY_METADATA_MAX) continue;
        size_t length = pay_request_format(&request, text, sizeof text);
        assert_true(length > 0);
        struct verdict verdict = parse_as(PAY_CODEC_STRICT, text, length);
        if (!verdict.good) fail_msg("%.*s: refused: %s", (int)length, text, verdict.error.detail);
        assert_true(same_request(&request, &verdict.request));
        assert_int_equal(pay_request_format(&verdict.request, again, sizeof again), length);
        assert_memory_equal(text, again, length);
    }
}

static size_t mutate(char *text, size_t length) {
    static const char spice[] = "{}[]\",:\\u0019eE+-. \ntfn\xc3\xef\xff"; /* its NUL is part of it */
    for (uint64_t i = 1 + random_below(3); i > 0 && length > 0; i--) {
        size_t at = random_below(length);
        switch (random_below(4)) {
        case 0: text[at] = spice[random_below(sizeof spice)]; break;
        case 1: text[at] = (char)random_bits(); break;
        case 2: memmove(text + at, text + at + 1, length - at - 1), length--; break;
        default:
            memmove(text + at + 1, text + at, length - at), text[at] = spice[random_below(sizeof spice)], length++;
            break;
        }
    }
    return length;
}

/* What jansson alone says, the reference wherever it finds no number too large. */
enum reference { TAKES, REFUSES, NUMBER_TOO_LARGE };

static enum reference ask_jansson(const char *text, size_t length) {
    json_error_t error;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    bool object = json_is_object(document);
    bool too_large = document == NULL && json_error_code(&error) == json_error_numeric_overflow;
    json_decref(document);
    return too_large ? NUMBER_TOO_LARGE : object ? TAKES : REFUSES;
}

static void no_bytes_crash_it_and_what_the_intake_takes_the_worker_takes(void **state) {
    (void)state;
    random_state = 8675309;
    int accepted = 0;
    for (int i = 0; i < 40000; i++) {
        char metadata[8192], text[PAY_REQUEST_TEXT_MAX + 8], again[PAY_REQUEST_TEXT_MAX];
        struct pay_request request = random_request(metadata);
        if (request.metadata_length > PAY_METADATA_MAX) continue;
        size_t length = mutate(text, pay_request_format(&request, text, PAY_REQUEST_TEXT_MAX));
        struct verdict tolerant = parse_as(PAY_CODEC_TOLERANT, text, length);
        struct verdict strict = parse_as(PAY_CODEC_STRICT, text, length);
        assert_true(tolerant.good || !strict.good);
        bool malformed = !tolerant.good && tolerant.error.reason == PAY_MALFORMED_JSON;
        enum reference reference = ask_jansson(text, length);
        if (reference != NUMBER_TOO_LARGE)
            assert_int_equal(malformed, reference == REFUSES || memchr(text, '\0', length) != NULL);
        if (tolerant.good != strict.good) assert_int_equal(strict.error.field, PAY_FIELD_NONE);
        if (!strict.good) continue;
        accepted++;
        length = pay_request_format(&strict.request, again, sizeof again);
        struct pay_request first = strict.request;
        first.metadata = first.metadata == NULL ? NULL : again + length - 1 - first.metadata_length;
        struct verdict back = parse_as(PAY_CODEC_STRICT, again, length);
        assert_true(back.good && same_request(&first, &back.request));
    }
    assert_in_range(accepted, 1000, 39000);
}

static void died(int signal_number) {
    (void)signal_number;
    exit(7); /* not _exit: the coverage counters are written */
}

static void out_of_memory_stops_the_program_and_refuses_nobody(void **state) {
    (void)state;
    json_malloc_t allocate;
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    assert_true(release == free);
    volatile size_t impossible = SIZE_MAX / 2;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        signal(SIGABRT, died);
        exit(allocate(impossible) == NULL ? 1 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 2);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they end such a program by themselves */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
#endif
}

static void what_a_record_is_read_from_is_found_in_its_headers(void **state) {
    (void)state;
    const struct pay_header headers[] = {
        {"tenant", "first", 5}, {"other", "x", 1}, {"traceparent", "00-1", 4}, {"tenant", "shop", 4}};
    const struct pay_log_record raw = {
        .key = "k", .key_length = 1, .value = "value", .value_length = 5, .headers = headers, .header_count = 4};
    struct pay_record_bytes bytes;
    pay_record_bytes_of(&raw, &bytes);
    assert_int_equal(bytes.tenant_count, 2); /* which is refused */
    assert_memory_equal(bytes.tenant, "shop", bytes.tenant_length);
    assert_memory_equal(bytes.traceparent, "00-1", bytes.traceparent_length);
    assert_int_equal(bytes.key_length, 1);
    assert_memory_equal(bytes.value, "value", bytes.value_length);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_read),
        cmocka_unit_test(ids_are_1_to_64_characters_of_the_safe_set),
        cmocka_unit_test(amounts_are_integer_tokens_from_1_to_2_53_less_1),
        cmocka_unit_test(attempts_are_1_to_99_and_null_is_none),
        cmocka_unit_test(currencies_are_three_capital_letters),
        cmocka_unit_test(a_missing_member_is_at_fault),
        cmocka_unit_test(the_first_member_at_fault_is_named_in_the_contracts_order),
        cmocka_unit_test(an_order_named_by_the_call_may_be_absent_from_the_body),
        cmocka_unit_test(metadata_is_the_exact_slice_of_the_bytes_sent),
        cmocka_unit_test(null_metadata_equals_none),
        cmocka_unit_test(metadata_is_an_object),
        cmocka_unit_test(metadata_is_found_however_its_name_is_escaped),
        cmocka_unit_test(what_only_looks_like_metadata_is_not_taken_for_it),
        cmocka_unit_test(metadata_of_2048_bytes_as_sent_is_the_most),
        cmocka_unit_test(a_value_of_8192_bytes_is_the_most),
        cmocka_unit_test(nesting_of_32_levels_is_the_most),
        cmocka_unit_test(nesting_without_end_is_cheap_and_harmless),
        cmocka_unit_test(what_is_no_object_is_malformed),
        cmocka_unit_test(bytes_after_the_object_are_refused_but_for_whitespace),
        cmocka_unit_test(duplicate_members_are_refused_however_they_are_written),
        cmocka_unit_test(a_byte_order_mark_is_refused),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(nul_is_refused_everywhere),
        cmocka_unit_test(numbers_too_large_for_a_machine_are_json_all_the_same),
        cmocka_unit_test(a_number_too_large_may_have_an_exponent_of_one_digit_and_end_the_longest_value),
        cmocka_unit_test(a_number_too_large_hides_no_other_fault),
        cmocka_unit_test(unknown_members_are_refused_by_the_intake_only),
        cmocka_unit_test(a_long_pointer_is_cut_between_characters),
        cmocka_unit_test(an_unknown_member_comes_with_what_was_probably_meant),
        cmocka_unit_test(members_at_fault_come_before_unknown_ones),
        cmocka_unit_test(pointers_are_escaped_and_bounded),
        cmocka_unit_test(details_say_the_rule_and_what_came_instead),
        cmocka_unit_test(a_refusal_leaves_the_request_untouched_and_tenant_is_never_touched),
        cmocka_unit_test(a_good_record_is_decoded),
        cmocka_unit_test(the_tenant_header_is_absent_or_one_id),
        cmocka_unit_test(the_key_must_be_the_order_id),
        cmocka_unit_test(faults_of_a_record_are_judged_in_the_contracts_order),
        cmocka_unit_test(an_invalid_record_holds_no_request),
        cmocka_unit_test(the_worker_ignores_unknown_members),
        cmocka_unit_test(traceparent_is_passed_on_unless_it_can_not_be_one),
        cmocka_unit_test(the_canonical_form_is_compact_in_the_contracts_order),
        cmocka_unit_test(what_does_not_fit_is_not_written),
        cmocka_unit_test(the_largest_request_fits_into_its_buffer),
        cmocka_unit_test(what_is_written_is_read_back_the_same),
        cmocka_unit_test(what_a_record_is_read_from_is_found_in_its_headers),
        cmocka_unit_test(no_bytes_crash_it_and_what_the_intake_takes_the_worker_takes),
        cmocka_unit_test(out_of_memory_stops_the_program_and_refuses_nobody),
    };
    pay_codec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
