#include "tools/listen_template.h"

#include "base/suggest.h"
#include "codec/reply_codec.h"
#include "tools/listen_member.h"

#include <inttypes.h>
#include <string.h>

#define WORD_MAX 96 /* of a name that is looked up; suggest.h takes no longer ones */

static const struct name {
    const char *text;
    enum listen_part kind;
} names[] = {
    {"schema", LISTEN_PART_VALUE},
    {"tenant", LISTEN_PART_VALUE},
    {"order_id", LISTEN_PART_VALUE},
    {"attempt", LISTEN_PART_VALUE},
    {"outcome", LISTEN_PART_VALUE},
    {"reason", LISTEN_PART_VALUE},
    {"field", LISTEN_PART_VALUE},
    {"duplicate", LISTEN_PART_VALUE},
    {"account_id", LISTEN_PART_VALUE},
    {"amount_minor", LISTEN_PART_VALUE},
    {"currency", LISTEN_PART_VALUE},
    {"balance_after_minor", LISTEN_PART_VALUE},
    {"account_version", LISTEN_PART_VALUE},
    {"position", LISTEN_PART_VALUE},
    {"original", LISTEN_PART_VALUE},
    {"decided_at", LISTEN_PART_VALUE},
    {"stored", LISTEN_PART_VALUE},
    {"stored.attempt", LISTEN_PART_VALUE},
    {"stored.account_id", LISTEN_PART_VALUE},
    {"stored.amount_minor", LISTEN_PART_VALUE},
    {"stored.currency", LISTEN_PART_VALUE},
    {"stored.outcome", LISTEN_PART_VALUE},
    {"metadata", LISTEN_PART_VALUE},
    {"ledger_id", LISTEN_PART_LEDGER_ID},
    {"log_generation", LISTEN_PART_LOG_GENERATION},
    {"partition", LISTEN_PART_PARTITION},
    {"source_offset", LISTEN_PART_SOURCE_OFFSET},
    {"reply_offset", LISTEN_PART_REPLY_OFFSET},
    {"appended_ms", LISTEN_PART_APPENDED_MS},
};

/* ---- reading a template ---- */

static const char *nearest(const char *word) {
    struct pay_suggestion suggestion = {.word = word};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) pay_suggestion_offer(&suggestion, names[i].text);
    return pay_suggestion_take(&suggestion);
}

static void say_unknown(const char *name, size_t length, char *ret_why, size_t why_size) {
    char word[WORD_MAX];
    int shown = length < sizeof word ? (int)length : (int)sizeof word - 1;
    snprintf(word, sizeof word, "%.*s", shown, name);
    const char *meant = nearest(word);
    if (meant == NULL) {
        word[strcspn(word, ".")] = '\0'; /* metdata.note */
        meant = nearest(word);
    }
    if (meant != NULL)
        snprintf(ret_why, why_size, "'%.*s' is no member of a reply; did you mean '%s'?", shown, name, meant);
    else
        snprintf(ret_why, why_size, "'%.*s' is no member of a reply; `paybuf listen --help` names them", shown, name);
}

static bool is_metadata_path(const char *name, size_t length) {
    static const char prefix[] = "metadata.";
    bool begins = length > sizeof prefix - 1 && memcmp(name, prefix, sizeof prefix - 1) == 0;
    bool empty_step = length > 0 && name[length - 1] == '.';
    for (size_t i = 1; i < length; i++) empty_step = empty_step || (name[i] == '.' && name[i - 1] == '.');
    return begins && !empty_step;
}

static bool kind_of(const char *name, size_t length, enum listen_part *ret_kind) {
    *ret_kind = LISTEN_PART_VALUE;
    if (is_metadata_path(name, length)) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].text) != length || memcmp(names[i].text, name, length) != 0) continue;
        *ret_kind = names[i].kind;
        return true;
    }
    return false;
}

/* Behind a '{': a name and perhaps a fallback, up to `length`. */
static bool read_member(const char *text, size_t length, struct listen_template_part *ret_part, char *ret_why,
                        size_t why_size) {
    const char *bar = memchr(text, '|', length);
    size_t name_length = bar != NULL ? (size_t)(bar - text) : length;
    *ret_part = (struct listen_template_part){.text = text, .length = name_length, .fallback = ""};
    if (bar != NULL) {
        ret_part->fallback = bar + 1;
        ret_part->fallback_length = length - name_length - 1;
    }
    if (kind_of(text, name_length, &ret_part->kind)) return true;
    if (name_length == 0)
        snprintf(ret_why, why_size, "a '{' without a name; write {order_id} for a member and {{ for a brace");
    else
        say_unknown(text, name_length, ret_why, why_size);
    return false;
}

/* The part that `text` begins with, and how long it is there. 0: *ret_why. */
static size_t read_part(const char *text, struct listen_template_part *ret_part, char *ret_why, size_t why_size) {
    size_t plain = strcspn(text, "{}");
    bool twice = plain == 0 && text[1] == text[0];
    if (plain > 0 || twice) { /* a brace that is there twice is one */
        *ret_part = (struct listen_template_part){.text = text, .length = plain > 0 ? plain : 1};
        return plain > 0 ? plain : 2;
    }
    size_t length = strcspn(text + 1, "{}");
    if (text[0] == '}') {
        snprintf(ret_why, why_size, "a '}' stands alone; write }} for a brace");
        return 0;
    }
    if (text[1 + length] != '}') {
        snprintf(ret_why, why_size, "a '{' is never closed (before '%.20s'); write {{ for a brace", text + 1);
        return 0;
    }
    return read_member(text + 1, length, ret_part, ret_why, why_size) ? length + 2 : 0;
}

static const char *refused(const char *text) {
    if (text[0] == '\0') return "it is empty; name what a line shall hold, as in '{order_id} {outcome}'";
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
        if ((*at < ' ' && *at != '\t') || *at == 0x7f)
            return "it holds a line end or another control character; a reply is one line, so leave that out";
    return NULL;
}

bool listen_template_parse(const char *text, struct listen_template *ret_template, char *ret_why, size_t why_size) {
    struct listen_template template = {.count = 0};
    const char *wrong = refused(text);
    for (const char *at = text; wrong == NULL && *at != '\0';) {
        if (template.count == LISTEN_TEMPLATE_PARTS_MAX) {
            wrong = "it has too many members and braces; jq behind a pipe does that better";
            break;
        }
        size_t length = read_part(at, &template.parts[template.count++], ret_why, why_size);
        if (length == 0) return false;
        at += length;
    }
    if (wrong == NULL)
        *ret_template = template;
    else
        snprintf(ret_why, why_size, "%s", wrong);
    return wrong == NULL;
}

/* ---- writing a line ---- */

static void print_value(const struct listen_template_part *part, const struct paybuf_listener_reply *reply,
                        FILE *file) {
    struct listen_member member;
    if (listen_member_find(reply->value, reply->value_length, part->text, part->length, &member))
        listen_member_print(file, &member);
    else
        fwrite(part->fallback, 1, part->fallback_length, file);
}

static void print_part(const struct listen_template_part *part, const struct paybuf_listener_reply *reply, FILE *file) {
    const struct paybuf_listener_position *position = &reply->position;
    switch (part->kind) {
    case LISTEN_PART_TEXT: fwrite(part->text, 1, part->length, file); break;
    case LISTEN_PART_VALUE: print_value(part, reply, file); break;
    case LISTEN_PART_LEDGER_ID: fputs(reply->ledger_id, file); break;
    case LISTEN_PART_LOG_GENERATION: fprintf(file, "%" PRId64, position->generation); break;
    case LISTEN_PART_PARTITION: fprintf(file, "%" PRId32, position->partition); break;
    case LISTEN_PART_SOURCE_OFFSET: fprintf(file, "%" PRId64, reply->source_offset); break;
    case LISTEN_PART_REPLY_OFFSET: fprintf(file, "%" PRId64, reply->reply_offset); break;
    case LISTEN_PART_APPENDED_MS: fprintf(file, "%" PRId64, reply->appended_ms); break;
    }
}

bool listen_template_print(const struct listen_template *template, const struct paybuf_listener_reply *reply,
                           FILE *file) {
    struct pay_reply parsed;
    if (!pay_reply_parse(reply->value, reply->value_length, &parsed)) return false;
    for (size_t i = 0; i < template->count; i++) print_part(&template->parts[i], reply, file);
    return true;
}
