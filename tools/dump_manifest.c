#include "tools/dump_manifest.h"

#include "codec/time_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMAT "paybuf-dump 1"
#define NAME "MANIFEST"
#define BYTES_MAX (8 << 20)

const char *dump_log_name(enum audit_log log) {
    static const char *const names[AUDIT_LOG_COUNT] = {"requests", "replies", "letters"};
    return names[log];
}

void dump_file_of(const char *what, int32_t partition, struct dump_entry *ret_entry) {
    *ret_entry = (struct dump_entry){.extent = {0}};
    if (partition < 0) {
        snprintf(ret_entry->name, sizeof ret_entry->name, "%s.dump", what);
        snprintf(ret_entry->kind, sizeof ret_entry->kind, "%s", what);
    } else {
        snprintf(ret_entry->name, sizeof ret_entry->name, "%s-%05" PRId32 ".dump", what, partition);
        snprintf(ret_entry->kind, sizeof ret_entry->kind, "%s %" PRId32, what, partition);
    }
}

const struct dump_entry *dump_find(const struct dump_manifest *manifest, const char *name) {
    for (size_t i = 0; i < manifest->file_count; i++)
        if (strcmp(manifest->files[i].name, name) == 0) return &manifest->files[i];
    return NULL;
}

void dump_add_file(struct dump_manifest *manifest, const struct dump_entry *entry) {
    manifest->files = realloc(manifest->files, (manifest->file_count + 1) * sizeof *manifest->files);
    if (manifest->files == NULL) abort();
    manifest->files[manifest->file_count++] = *entry;
}

void dump_manifest_free(struct dump_manifest *manifest) {
    lanes_free(&manifest->lanes);
    free(manifest->letters_bounds);
    free(manifest->files);
    *manifest = (struct dump_manifest){0};
}

/* ---- lanes: one table of members for both directions ---- */

struct lane_member {
    const char *name;
    size_t at;
};

#define MEMBER(name)                                                                                                   \
    { #name, offsetof(struct lane_view, name) }
static const struct lane_member lane_members[] = {
    MEMBER(generation),  MEMBER(processed),     MEMBER(replied_offset), MEMBER(reply_position), MEMBER(anchor_offset),
    MEMBER(owner_epoch), MEMBER(request_start), MEMBER(request_end),    MEMBER(reply_start),    MEMBER(reply_end),
};
#define LANE_MEMBERS (sizeof lane_members / sizeof *lane_members)

static json_t *lane_json(const struct lane_view *lane) {
    json_t *object = json_pack("{s:i,s:b,s:s}", "partition", (int)lane->partition, "has_row", (int)lane->has_row,
                               "halted", lane->halted);
    for (size_t i = 0; i < LANE_MEMBERS; i++) {
        int64_t number;
        memcpy(&number, (const char *)lane + lane_members[i].at, sizeof number);
        json_object_set_new(object, lane_members[i].name, json_integer(number));
    }
    return object;
}

static bool read_lane(const json_t *object, int32_t partition, struct lane_view *ret_lane) {
    const char *halted = json_string_value(json_object_get(object, "halted"));
    if (json_integer_value(json_object_get(object, "partition")) != partition || halted == NULL) return false;
    *ret_lane = (struct lane_view){.partition = partition,
                                   .has_row = json_is_true(json_object_get(object, "has_row")),
                                   .has_bounds = true,
                                   .first_unsettled_ms = -1};
    snprintf(ret_lane->halted, sizeof ret_lane->halted, "%s", halted);
    for (size_t i = 0; i < LANE_MEMBERS; i++) {
        const json_t *value = json_object_get(object, lane_members[i].name);
        int64_t number = json_integer_value(value);
        if (!json_is_integer(value)) return false;
        memcpy((char *)ret_lane + lane_members[i].at, &number, sizeof number);
    }
    return true;
}

/* ---- writing ---- */

static json_t *files_json(const struct dump_manifest *manifest) {
    json_t *files = json_array();
    for (size_t i = 0; i < manifest->file_count; i++) {
        const struct dump_entry *file = &manifest->files[i];
        json_array_append_new(files,
                              json_pack("{s:s,s:s,s:I,s:I,s:I}", "name", file->name, "kind", file->kind, "entries",
                                        (json_int_t)file->extent.entries, "bytes", (json_int_t)file->extent.bytes,
                                        "chain", (json_int_t)file->extent.chain));
    }
    return files;
}

static json_t *manifest_json(const struct dump_manifest *manifest) {
    char taken_at[PAY_TIME_TEXT_MAX];
    json_t *lanes = json_array(), *letters = json_array();
    pay_time_format(manifest->taken_at_us, taken_at);
    for (int32_t p = 0; p < manifest->lanes.count; p++)
        json_array_append_new(lanes, lane_json(&manifest->lanes.all[p]));
    for (int32_t p = 0; p < manifest->letters_partitions; p++)
        json_array_append_new(letters, json_pack("{s:I,s:I}", "start", (json_int_t)manifest->letters_bounds[2 * p],
                                                 "end", (json_int_t)manifest->letters_bounds[2 * p + 1]));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "format", FORMAT, "ledger_id", manifest->ledger_id,
                     "taken_at", taken_at, "request_topic", manifest->request_topic, "reply_topic",
                     manifest->reply_topic, "dead_letter_topic", manifest->dead_letter_topic, "lanes", lanes, "letters",
                     letters, "files", files_json(manifest));
}

static void hash_line(const char *line, size_t length, char ret_hex[AUDIT_DIGEST_TEXT]) {
    struct audit_digest digest;
    audit_digest_open(&digest);
    char *text = strndup(line, length);
    if (text == NULL) abort();
    audit_digest_text(&digest, text);
    free(text);
    audit_digest_close(&digest, ret_hex);
}

bool dump_manifest_save(const char *folder, const struct dump_manifest *manifest, char why[DUMP_WHY_MAX]) {
    char path[1024], beside[1040], hex[AUDIT_DIGEST_TEXT];
    json_t *object = manifest_json(manifest);
    char *line = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (line == NULL) abort();
    hash_line(line, strlen(line), hex);
    snprintf(path, sizeof path, "%s/" NAME, folder);
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "we");
    bool good =
        file != NULL && fprintf(file, "%s\n%s\n", line, hex) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file != NULL && fclose(file) != 0) good = false;
    good = good && rename(beside, path) == 0;
    if (!good) snprintf(why, DUMP_WHY_MAX, "%.400s can't be written: %s", path, strerror(errno));
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(line);
    return good;
}

/* ---- reading ---- */

static bool text_member(const json_t *object, const char *name, char *target, size_t size) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && (size_t)snprintf(target, size, "%s", text) < size;
}

static bool read_files(const json_t *files, struct dump_manifest *manifest) {
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *object = json_array_get(files, i);
        struct dump_entry entry = {.extent = {json_integer_value(json_object_get(object, "entries")),
                                              json_integer_value(json_object_get(object, "bytes")),
                                              (uint32_t)json_integer_value(json_object_get(object, "chain"))}};
        if (!text_member(object, "name", entry.name, sizeof entry.name) || strchr(entry.name, '/') != NULL ||
            !text_member(object, "kind", entry.kind, sizeof entry.kind))
            return false;
        dump_add_file(manifest, &entry);
    }
    return manifest->file_count > 0;
}

static bool read_lanes(const json_t *lanes, struct dump_manifest *manifest) {
    size_t count = json_array_size(lanes);
    if (count < 1 || count > PAY_LANES_MAX) return false;
    manifest->lanes.all = calloc(count, sizeof *manifest->lanes.all);
    if (manifest->lanes.all == NULL) abort();
    manifest->lanes.count = (int32_t)count;
    for (size_t p = 0; p < count; p++)
        if (!read_lane(json_array_get(lanes, p), (int32_t)p, &manifest->lanes.all[p])) return false;
    return true;
}

static bool read_object(const json_t *object, struct dump_manifest *manifest) {
    const char *taken_at = json_string_value(json_object_get(object, "taken_at"));
    const json_t *letters = json_object_get(object, "letters");
    char format[32];
    if (!text_member(object, "format", format, sizeof format) || strcmp(format, FORMAT) != 0) return false;
    if (taken_at == NULL || !pay_time_parse(taken_at, strlen(taken_at), &manifest->taken_at_us)) return false;
    manifest->letters_partitions = (int32_t)json_array_size(letters);
    manifest->letters_bounds = calloc((size_t)manifest->letters_partitions + 1, 2 * sizeof *manifest->letters_bounds);
    if (manifest->letters_bounds == NULL) abort();
    for (int32_t i = 0; i < manifest->letters_partitions; i++) {
        const json_t *bounds = json_array_get(letters, (size_t)i);
        manifest->letters_bounds[2 * i] = json_integer_value(json_object_get(bounds, "start"));
        manifest->letters_bounds[2 * i + 1] = json_integer_value(json_object_get(bounds, "end"));
    }
    return text_member(object, "ledger_id", manifest->ledger_id, sizeof manifest->ledger_id) &&
           text_member(object, "request_topic", manifest->request_topic, sizeof manifest->request_topic) &&
           text_member(object, "reply_topic", manifest->reply_topic, sizeof manifest->reply_topic) &&
           text_member(object, "dead_letter_topic", manifest->dead_letter_topic, sizeof manifest->dead_letter_topic) &&
           read_lanes(json_object_get(object, "lanes"), manifest) &&
           read_files(json_object_get(object, "files"), manifest);
}

/* The whole file, NUL-terminated; NULL and *why. */
static char *read_text(const char *path, size_t *ret_length, char why[DUMP_WHY_MAX]) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(why, DUMP_WHY_MAX, "%.300s can't be read: %s%s", path, strerror(errno),
                 errno == ENOENT ? "; is it the folder of a finished dump?" : "");
        return NULL;
    }
    char *text = malloc(BYTES_MAX + 1);
    if (text == NULL) abort();
    *ret_length = fread(text, 1, BYTES_MAX, file);
    text[*ret_length] = '\0';
    fclose(file);
    return text;
}

/* Two lines, the second one the first one's hash. */
static bool hash_is_right(const char *text, size_t length, size_t *ret_line) {
    const char *end = memchr(text, '\n', length);
    char hex[AUDIT_DIGEST_TEXT];
    if (end == NULL || length - (size_t)(end - text) != 1 + 64 + 1 || text[length - 1] != '\n') return false;
    *ret_line = (size_t)(end - text);
    hash_line(text, *ret_line, hex);
    return memcmp(end + 1, hex, 64) == 0;
}

bool dump_manifest_load(const char *folder, struct dump_manifest *ret_manifest, char why[DUMP_WHY_MAX]) {
    char path[1024];
    size_t length, line;
    struct dump_manifest manifest = {.ledger_id = ""};
    snprintf(path, sizeof path, "%s/" NAME, folder);
    char *text = read_text(path, &length, why);
    if (text == NULL) return false;
    bool good = hash_is_right(text, length, &line);
    json_t *object = good ? json_loadb(text, line, 0, NULL) : NULL;
    free(text);
    if (!good) {
        snprintf(why, DUMP_WHY_MAX,
                 "%.400s isn't as it was written: its second line isn't the first "
                 "one's SHA-256",
                 path);
        return false;
    }
    good = object != NULL && read_object(object, &manifest);
    json_decref(object);
    if (good)
        *ret_manifest = manifest;
    else {
        snprintf(why, DUMP_WHY_MAX, "%.400s isn't a manifest that this program knows (" FORMAT ")", path);
        dump_manifest_free(&manifest);
    }
    return good;
}
