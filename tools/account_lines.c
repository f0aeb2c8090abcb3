#include "tools/account_lines.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* What a member must be; `account` and `adjustment_id` are second names of account_id and id. */
enum member { TENANT, ACCOUNT, CURRENCY, ID, OPENING, FLOOR };
static const char id_rule[] = "1 to 64 letters, digits and . _ : -";
static const char adjustment_rule[] = "1 to 120 printable characters without spaces";
static const char opening_rule[] = "a whole number of minor units, at least 0";
static const struct {
    const char *name;
    enum member member;
    const char *rule;
} members[] = {{"tenant", TENANT, id_rule},
               {"account_id", ACCOUNT, id_rule},
               {"account", ACCOUNT, id_rule},
               {"currency", CURRENCY, "three capital letters"},
               {"id", ID, adjustment_rule},
               {"adjustment_id", ID, adjustment_rule},
               {"opening_minor", OPENING, opening_rule},
               {"floor_minor", FLOOR, "a whole number of minor units"}};

static bool set_text(const json_t *value, bool valid, char *target, size_t size) {
    if (!json_is_string(value) || !valid) return false;
    snprintf(target, size, "%s", json_string_value(value));
    return true;
}

static bool set_member(struct opening *opening, enum member member, const json_t *value) {
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t length = strlen(text);
    switch (member) {
    case TENANT: return set_text(value, pay_id_valid(text, length), opening->tenant, sizeof opening->tenant);
    case ACCOUNT: return set_text(value, pay_id_valid(text, length), opening->account_id, sizeof opening->account_id);
    case CURRENCY:
        return set_text(value, pay_currency_valid(text, length), opening->currency, sizeof opening->currency);
    case ID: return set_text(value, opening_id_valid(text), opening->adjustment_id, sizeof opening->adjustment_id);
    case OPENING:
        opening->opening_minor = json_integer_value(value);
        return json_is_integer(value) && opening->opening_minor >= 0;
    case FLOOR: opening->floor_minor = json_integer_value(value); return json_is_integer(value);
    }
    return false;
}

static bool set(struct opening *opening, const char *name, const json_t *value, char *ret_why, size_t why_size) {
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (strcmp(members[i].name, name) != 0) continue;
        if (set_member(opening, members[i].member, value)) return true;
        snprintf(ret_why, why_size, "\"%s\" must be %s", name, members[i].rule);
        return false;
    }
    snprintf(ret_why, why_size,
             "there is no member \"%.40s\"; account_id, currency, tenant, floor_minor, opening_minor, id", name);
    return false;
}

static bool read_members(json_t *document, struct opening *opening, char *ret_why, size_t why_size) {
    const char *name;
    json_t *value;
    json_object_foreach(document, name, value) {
        if (!json_is_null(value) && !set(opening, name, value, ret_why, why_size)) return false;
    }
    if (opening->account_id[0] != '\0' && opening->currency[0] != '\0')
        return opening_valid(opening, ret_why, why_size);
    snprintf(ret_why, why_size, "account_id and currency are required");
    return false;
}

bool account_line_parse(const char *line, size_t length, struct opening *ret_opening, char *ret_why, size_t why_size) {
    struct opening opening = {.tenant = "default"};
    json_error_t fault;
    if (memchr(line, '\0', length) != NULL) { /* jansson would step over some */
        snprintf(ret_why, why_size, "holds a zero byte");
        return false;
    }
    json_t *document = json_loadb(line, length, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(document)) {
        snprintf(ret_why, why_size, "is no JSON object%s%s", document == NULL ? ": " : "",
                 document == NULL ? fault.text : "");
        json_decref(document);
        return false;
    }
    bool good = read_members(document, &opening, ret_why, why_size);
    json_decref(document);
    if (good) *ret_opening = opening;
    return good;
}
