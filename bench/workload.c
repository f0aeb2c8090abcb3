#include "workload.h"

#include <inttypes.h>

#define TEN_THOUSAND 10000
#define CONFLICTS 100 /* of ten thousand items */
#define NEXT_ATTEMPTS 150
#define POOR_SEARCH_STEPS 200 /* back to a payment on a poor account; nearly always found within this */
#define RICH_OPENING_MINOR 1000000000000LL
#define POOR_OPENING_MINOR 100000LL /* ten average payments */
#define AMOUNT_MAX 20000
#define IDS_PER_MS 64 /* order ids rise by a millisecond each 64 of them */

/* What a random number is for, so that two uses of one index don't agree. */
enum salt {
    SALT_KIND = 1,
    SALT_TARGET,
    SALT_DISTANCE,
    SALT_ACCOUNT,
    SALT_ACCOUNT_KIND,
    SALT_AMOUNT,
    SALT_ID,
    SALT_FORM,
    SALT_CHANGE
};

/* splitmix64's finish over a mix of seed, index and use. */
static uint64_t random_at(const struct pay_workload *workload, uint64_t index, enum salt salt) {
    uint64_t z =
        workload->seed * 0x9E3779B97F4A7C15u + index * 0xD1B54A32D192ED03u + (uint64_t)salt * 0x8CB92BA72F3D8DD7u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static enum pay_workload_kind kind_at(const struct pay_workload *workload, uint64_t index) {
    uint64_t duplicates = (uint64_t)workload->duplicates_percent * (TEN_THOUSAND / 100);
    if (workload->plain || index == 0) return PAY_WORKLOAD_FIRST;
    uint64_t drawn = random_at(workload, index, SALT_KIND) % TEN_THOUSAND;
    if (drawn < duplicates) return PAY_WORKLOAD_DUPLICATE;
    if (drawn < duplicates + CONFLICTS) return PAY_WORKLOAD_CONFLICT;
    if (drawn < duplicates + CONFLICTS + NEXT_ATTEMPTS) return PAY_WORKLOAD_NEXT_ATTEMPT;
    return PAY_WORKLOAD_FIRST;
}

/* An earlier item: of ten, four within the last 8 (often still in flight), three within 2,000, three anywhere before. */
static uint64_t earlier_item(const struct pay_workload *workload, uint64_t index) {
    uint64_t drawn = random_at(workload, index, SALT_TARGET);
    uint64_t reach = drawn % 10 < 4 ? 8 : drawn % 10 < 7 ? 2000 : index;
    if (reach > index) reach = index;
    return index - 1 - random_at(workload, index, SALT_DISTANCE) % reach;
}

enum account_kind { RICH, POOR, UNKNOWN, FROZEN, CLOSED, WRONG_CURRENCY };

static enum account_kind account_kind_of(const struct pay_workload *workload, uint64_t order) {
    if (workload->plain) return RICH;
    uint64_t drawn = random_at(workload, order, SALT_ACCOUNT_KIND) % 1000;
    if (drawn < 40) return POOR;
    if (drawn < 45) return UNKNOWN;
    if (drawn < 50) return FROZEN;
    if (drawn < 53) return CLOSED;
    if (drawn < 58) return WRONG_CURRENCY;
    return RICH;
}

/* Which payment an item is about: the index of its first sight, and the attempt. */
struct identity {
    uint64_t order;
    int32_t attempt;
};

/* The payment on a poor account that an item tries again. False: none near. */
static bool poor_order_before(const struct pay_workload *workload, uint64_t index, uint64_t *ret_order) {
    uint64_t order = random_at(workload, index, SALT_DISTANCE) % index;
    for (uint32_t step = 0; step < POOR_SEARCH_STEPS; step++, order--) {
        if (kind_at(workload, order) == PAY_WORKLOAD_FIRST && account_kind_of(workload, order) == POOR) {
            *ret_order = order;
            return true;
        }
        if (order == 0) return false;
    }
    return false;
}

static struct identity identity_of(const struct pay_workload *workload, uint64_t index) {
    for (;;) { /* ends: each step goes to a smaller index, and item 0 is a first sight */
        enum pay_workload_kind kind = kind_at(workload, index);
        uint64_t order;
        if (kind == PAY_WORKLOAD_FIRST) return (struct identity){index, 1};
        if (kind == PAY_WORKLOAD_NEXT_ATTEMPT && poor_order_before(workload, index, &order))
            return (struct identity){order, random_at(workload, index, SALT_FORM) % 8 == 0 ? 3 : 2};
        index = earlier_item(workload, index);
    }
}

static void name_account(const struct pay_workload *workload, uint64_t order, char account_id[PAY_ID_MAX + 1]) {
    uint64_t drawn = random_at(workload, order, SALT_ACCOUNT);
    const char *prefix = workload->account_prefix;
    switch (account_kind_of(workload, order)) {
    case RICH:
    case WRONG_CURRENCY:
        snprintf(account_id, PAY_ID_MAX + 1, "%srich-%06" PRIu64, prefix, drawn % workload->rich_accounts);
        return;
    case POOR:
        snprintf(account_id, PAY_ID_MAX + 1, "%spoor-%06" PRIu64, prefix, drawn % workload->poor_accounts);
        return;
    case UNKNOWN: snprintf(account_id, PAY_ID_MAX + 1, "%snobody-%06" PRIu64, prefix, drawn % 1000); return;
    case FROZEN: pay_workload_frozen_account(workload, account_id); return;
    case CLOSED: pay_workload_closed_account(workload, account_id); return;
    }
}

static void append_hex(char **at, uint64_t number, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) *(*at)++ = "0123456789abcdef"[(number >> shift) & 15];
}

/* Eight, four, four, four and twelve digits; version and variant as RFC 9562 has them. */
static void name_order(const struct pay_workload *workload, uint64_t order, char order_id[PAY_ID_MAX + 1]) {
    uint64_t low = random_at(workload, order, SALT_ID), time_ms = workload->epoch_ms + order / IDS_PER_MS;
    uint64_t rise = (order % IDS_PER_MS) << 6 | low >> 58, version = 7;
    char *at = order_id;
    if (workload->random_ids) {
        uint64_t high = random_at(workload, order + workload->epoch_ms * 1000003u, SALT_ID);
        time_ms = high >> 16, rise = high & 0xFFF, version = 4;
    }
    append_hex(&at, time_ms >> 16, 8);
    *at++ = '-';
    append_hex(&at, time_ms & 0xFFFF, 4);
    *at++ = '-';
    append_hex(&at, version << 12 | rise, 4);
    *at++ = '-';
    append_hex(&at, 0x8000 | ((low >> 44) & 0x3FFF), 4);
    *at++ = '-';
    append_hex(&at, low & 0xFFFFFFFFFFFF, 12);
    *at = '\0';
}

static void change_one_field(const struct pay_workload *workload, uint64_t index, struct pay_workload_item *item) {
    switch (random_at(workload, index, SALT_CHANGE) % 3) {
    case 0: item->amount_minor++; return;
    case 1: snprintf(item->account_id, sizeof item->account_id, "%srich-other", workload->account_prefix); return;
    default: snprintf(item->currency, sizeof item->currency, "%s", "CHF"); return;
    }
}

void pay_workload_item(const struct pay_workload *workload, uint64_t index, struct pay_workload_item *ret_item) {
    struct pay_workload_item *item = ret_item;
    struct identity identity = identity_of(workload, index);
    uint64_t form = random_at(workload, index, SALT_FORM) >> 8;
    item->kind = kind_at(workload, index);
    item->attempt = identity.attempt;
    item->amount_minor =
        1 + (int64_t)(random_at(workload, identity.order, SALT_AMOUNT) % AMOUNT_MAX) / identity.attempt;
    item->invoice = identity.order % 4 == 0 ? identity.order + 1 : 0;
    item->put = !workload->plain && form % 8 == 0;
    name_order(workload, identity.order, item->order_id);
    name_account(workload, identity.order, item->account_id);
    snprintf(item->currency, sizeof item->currency, "%s",
             account_kind_of(workload, identity.order) == WRONG_CURRENCY ? "USD" : "EUR");
    if (item->kind == PAY_WORKLOAD_CONFLICT) change_one_field(workload, index, item);
}

size_t pay_workload_body(const struct pay_workload_item *item, char body[PAY_WORKLOAD_BODY_MAX]) {
    char metadata[64] = "";
    if (item->invoice != 0)
        snprintf(metadata, sizeof metadata, ",\"metadata\":{\"invoice\":\"INV-%08" PRIu64 "\"}", item->invoice);
    int length =
        snprintf(body, PAY_WORKLOAD_BODY_MAX,
                 "{\"order_id\":\"%s\",\"attempt\":%" PRId32 ",\"account_id\":\"%s\",\"amount_minor\":%" PRId64
                 ",\"currency\":\"%s\"%s}",
                 item->order_id, item->attempt, item->account_id, item->amount_minor, item->currency, metadata);
    return (size_t)length;
}

static void print_account(FILE *out, const char *account_id, int64_t opening_minor) {
    fprintf(out, "{\"account_id\":\"%s\",\"currency\":\"EUR\",\"opening_minor\":%" PRId64 "}\n", account_id,
            opening_minor);
}

void pay_workload_print_accounts(const struct pay_workload *workload, FILE *out) {
    char account_id[PAY_ID_MAX + 1];
    for (uint32_t i = 0; i < workload->rich_accounts; i++) {
        snprintf(account_id, sizeof account_id, "%srich-%06" PRIu32, workload->account_prefix, i);
        print_account(out, account_id, RICH_OPENING_MINOR);
    }
    for (uint32_t i = 0; i < workload->poor_accounts; i++) {
        snprintf(account_id, sizeof account_id, "%spoor-%06" PRIu32, workload->account_prefix, i);
        print_account(out, account_id, POOR_OPENING_MINOR);
    }
    pay_workload_frozen_account(workload, account_id);
    print_account(out, account_id, RICH_OPENING_MINOR);
    pay_workload_closed_account(workload, account_id);
    print_account(out, account_id, 0);
}

void pay_workload_frozen_account(const struct pay_workload *workload, char account_id[PAY_ID_MAX + 1]) {
    snprintf(account_id, PAY_ID_MAX + 1, "%sfrozen", workload->account_prefix);
}

void pay_workload_closed_account(const struct pay_workload *workload, char account_id[PAY_ID_MAX + 1]) {
    snprintf(account_id, PAY_ID_MAX + 1, "%sclosed", workload->account_prefix);
}
