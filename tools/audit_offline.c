#include "tools/audit_offline.h"

#include "tools/audit_requests.h"
#include "tools/dump_manifest.h"
#include "tools/sorter.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_BYTES (32u << 20)   /* request keys by order */
#define KNOWN_BYTES (64u << 20)  /* rows by request position */
#define EVENTS_BYTES (96u << 20) /* the books */
#define MARK_EVERY 4096          /* reply records between two places that can be returned to */
#define KNOWN_MAX 128            /* attempts of one order are 1-99 */

struct mark {
    int64_t offset;
    struct dump_mark at;
};

struct log_reading {
    struct dump_reader *reader; /* NULL: none */
    int32_t partition;
    int64_t from, end;
    struct dump_headers headers;
    struct mark *marks;
    size_t mark_count;
    int64_t since_mark;
};

struct offline {
    struct audit_source source;
    struct tool *tool;
    const char *folder;
    struct dump_manifest *manifest; /* owned by the first source */
    bool is_first;
    const struct audit *audit; /* whose lanes this source gives */
    int32_t shard, shards;
    struct log_reading logs[AUDIT_LOG_COUNT];
    /* requests with their rows */
    struct sorter *known;
    struct sorter_entry head; /* of known, not taken yet */
    bool has_head;
    struct dump_reader *refusals;
    struct pay_refusal refusal; /* the next one of the file */
    bool has_refusal;
    struct pay_decision pool[KNOWN_MAX];
    struct pay_record record;
};

static enum pay_exit sort_failed(struct offline *offline, const struct sorter *sorter) {
    return tool_fail(offline->tool, PAY_EXIT_FAILURE, "%s; TMPDIR names another place to sort in",
                     sorter_failed(sorter));
}

static enum pay_exit unknown_word(struct offline *offline, const char *column) {
    const struct pay_position *at = &offline->refusal.position;
    return tool_fail(offline->tool, PAY_EXIT_FAILURE,
                     "%s of %" PRId64 "-%" PRId32 "-%" PRId64
                     " holds a word that this program doesn't know; was the row changed by hand?",
                     column, at->generation, at->partition, at->offset);
}

/* NULL: missing or damaged; audit_offline_verify says which. */
static struct dump_reader *open_file(const struct offline *offline, const char *what, int32_t partition) {
    struct dump_entry wanted;
    char why[DUMP_WHY_MAX];
    dump_file_of(what, partition, &wanted);
    const struct dump_entry *entry = dump_find(offline->manifest, wanted.name);
    return entry != NULL ? dump_reader_open(offline->folder, entry->name, wanted.kind, &entry->extent, why) : NULL;
}

/* ---- logs ---- */

static void log_stop(struct audit_source *source, enum audit_log log) {
    struct log_reading *reading = &((struct offline *)source)->logs[log];
    dump_reader_close(reading->reader);
    free(reading->marks);
    dump_headers_free(&reading->headers);
    *reading = (struct log_reading){.partition = -1};
}

/* Only forward reading is cheap; a gap in the replies makes the audit go back, to the mark before it. */
static bool go_back(struct log_reading *reading, int64_t offset) {
    char why[DUMP_WHY_MAX];
    size_t at = reading->mark_count;
    while (at > 0 && reading->marks[at - 1].offset > offset) at--;
    if (at == 0) return false;
    reading->mark_count = at - 1; /* it is noted again */
    reading->since_mark = 0;
    return dump_reader_return(reading->reader, &reading->marks[at - 1].at, why);
}

static enum pay_exit log_seek(struct audit_source *source, enum audit_log log, int32_t partition, int64_t offset,
                              int64_t end) {
    struct offline *offline = (struct offline *)source;
    struct log_reading *reading = &offline->logs[log];
    if (reading->reader == NULL || reading->partition != partition || !go_back(reading, offset)) {
        log_stop(source, log);
        reading->reader = open_file(offline, dump_log_name(log), partition);
        if (reading->reader == NULL) return PAY_EXIT_DIFFERENCES;
    }
    reading->partition = partition;
    reading->from = offset;
    reading->end = end;
    return PAY_EXIT_OK;
}

static void note_mark(struct log_reading *reading, int64_t offset) {
    if (reading->since_mark++ % MARK_EVERY != 0) return;
    if ((reading->mark_count & (reading->mark_count - 1)) == 0) {
        size_t capacity = reading->mark_count == 0 ? 1 : 2 * reading->mark_count;
        reading->marks = realloc(reading->marks, capacity * sizeof *reading->marks);
        if (reading->marks == NULL) abort();
    }
    reading->marks[reading->mark_count++] = (struct mark){offset, dump_reader_mark(reading->reader)};
}

static enum pay_exit log_next(struct audit_source *source, enum audit_log log, struct pay_log_record *ret_record,
                              bool *ret_found) {
    struct log_reading *reading = &((struct offline *)source)->logs[log];
    char why[DUMP_WHY_MAX];
    const uint8_t *payload;
    size_t length;
    *ret_found = false;
    for (;;) {
        switch (dump_reader_next(reading->reader, &payload, &length, why)) {
        case DUMP_END: return PAY_EXIT_OK;
        case DUMP_DAMAGED: return PAY_EXIT_DIFFERENCES;
        case DUMP_ENTRY: break;
        }
        if (!dump_decode_record(payload, length, &reading->headers, ret_record)) return PAY_EXIT_DIFFERENCES;
        if (log == AUDIT_REPLIES) note_mark(reading, ret_record->offset);
        if (ret_record->offset < reading->from) continue;
        ret_record->partition = reading->partition;
        *ret_found = ret_record->offset < reading->end;
        return PAY_EXIT_OK;
    }
}

/* ---- requests by order ---- */

/* The order that a valid request with this key and these headers is about; false: it can only be invalid. */
static bool order_key(const struct pay_log_record *record, struct sort_key *ret_key) {
    const struct pay_header *tenant = NULL;
    char text[PAY_ID_MAX + 1] = "default";
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, "tenant") != 0) continue;
        if (tenant != NULL) return false;
        tenant = &record->headers[i];
    }
    if (record->key == NULL || !pay_id_valid(record->key, record->key_length)) return false;
    if (tenant != NULL) {
        if (tenant->value == NULL || !pay_id_valid(tenant->value, tenant->length)) return false;
        memcpy(text, tenant->value, tenant->length);
        text[tenant->length] = '\0';
    }
    ret_key->length = 0;
    sort_key_text(ret_key, text);
    memcpy(text, record->key, record->key_length);
    text[record->key_length] = '\0';
    sort_key_text(ret_key, text);
    return true;
}

static enum pay_exit collect_keys_of(struct offline *offline, struct sorter *keys, const struct audit_lane *lane) {
    struct audit_source *source = &offline->source;
    const struct lane_view *view = &lane->view;
    struct pay_log_record record;
    struct sort_key key, place;
    bool found = true;
    enum pay_exit status = log_seek(source, AUDIT_REQUESTS, view->partition, view->request_start, view->request_end);
    while (status == PAY_EXIT_OK) {
        status = log_next(source, AUDIT_REQUESTS, &record, &found);
        if (status != PAY_EXIT_OK || !found || record.offset >= view->processed) break;
        if (!order_key(&record, &key)) continue;
        place.length = 0;
        sort_key_number(&place, view->partition);
        sort_key_number(&place, record.offset);
        if (!sorter_add(keys, key.bytes, key.length, place.bytes, place.length)) status = sort_failed(offline, keys);
    }
    log_stop(source, AUDIT_REQUESTS);
    return status;
}

static enum pay_exit collect_keys(struct offline *offline, struct sorter *keys) {
    enum pay_exit status = PAY_EXIT_OK;
    for (int32_t i = offline->shard; i < offline->audit->lane_count && status == PAY_EXIT_OK; i += offline->shards)
        if (offline->audit->lanes[i].view.request_start < offline->audit->lanes[i].view.request_end)
            status = collect_keys_of(offline, keys, &offline->audit->lanes[i]);
    if (status == PAY_EXIT_OK && !sorter_finish(keys)) status = sort_failed(offline, keys);
    return status;
}

/* ---- ... merged with the payments, by position ---- */

/* The payments of one order, as they lie in the file. */
struct order_rows {
    struct sort_key key;
    struct dump_bytes rows; /* each: length size_t, bytes */
    bool over;              /* no more in the file */
    struct sort_key next_key;
    const uint8_t *next; /* the row behind them, NULL before the first */
    size_t next_length;
};

static int compare_sort_keys(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static enum pay_exit read_payment(struct dump_reader *payments, struct order_rows *rows) {
    struct audit_row row;
    char why[DUMP_WHY_MAX];
    switch (dump_reader_next(payments, &rows->next, &rows->next_length, why)) {
    case DUMP_END: rows->over = true; return PAY_EXIT_OK;
    case DUMP_DAMAGED: return PAY_EXIT_DIFFERENCES;
    case DUMP_ENTRY: break;
    }
    if (!dump_decode_row(rows->next, rows->next_length, &row) || !audit_row_complete(AUDIT_PAYMENTS, &row))
        return PAY_EXIT_DIFFERENCES;
    rows->next_key.length = 0;
    sort_key_text(&rows->next_key, row.columns[PAYMENT_TENANT]);
    sort_key_text(&rows->next_key, row.columns[PAYMENT_ORDER]);
    return PAY_EXIT_OK;
}

/* Moves on to the order of `key`; none may be on file about it. Orders come in ascending order. */
static enum pay_exit find_order(struct dump_reader *payments, struct order_rows *rows, const uint8_t *key,
                                size_t length) {
    enum pay_exit status = PAY_EXIT_OK;
    if (compare_sort_keys(rows->key.bytes, rows->key.length, key, length) == 0) return PAY_EXIT_OK;
    memcpy(rows->key.bytes, key, length);
    rows->key.length = length;
    rows->rows.length = 0;
    if (rows->next == NULL) status = read_payment(payments, rows);
    while (status == PAY_EXIT_OK && !rows->over) {
        int order = compare_sort_keys(rows->next_key.bytes, rows->next_key.length, key, length);
        if (order > 0) break;
        if (order == 0) dump_bytes_add(&rows->rows, &rows->next_length, sizeof rows->next_length);
        if (order == 0) dump_bytes_add(&rows->rows, rows->next, rows->next_length);
        status = read_payment(payments, rows);
    }
    return status;
}

static bool add_known(struct sorter *known, const struct order_rows *rows, const struct sorter_entry *request) {
    for (size_t at = 0; at < rows->rows.length;) {
        size_t length;
        memcpy(&length, rows->rows.bytes + at, sizeof length);
        at += sizeof length;
        if (!sorter_add(known, request->data, request->data_length, rows->rows.bytes + at, length)) return false;
        at += length;
    }
    return true;
}

static enum pay_exit merge_payments(struct offline *offline, struct sorter *keys) {
    struct dump_reader *payments = open_file(offline, audit_table_name(AUDIT_PAYMENTS), -1);
    struct order_rows rows = {.over = false};
    struct sorter_entry request;
    enum pay_exit status = payments != NULL ? PAY_EXIT_OK : PAY_EXIT_DIFFERENCES;
    while (status == PAY_EXIT_OK && sorter_next(keys, &request)) {
        status = find_order(payments, &rows, request.key, request.key_length);
        if (status == PAY_EXIT_OK && !add_known(offline->known, &rows, &request))
            status = sort_failed(offline, offline->known);
    }
    if (status == PAY_EXIT_OK && sorter_failed(keys) != NULL) status = sort_failed(offline, keys);
    if (status == PAY_EXIT_OK && !sorter_finish(offline->known)) status = sort_failed(offline, offline->known);
    dump_reader_close(payments);
    dump_bytes_free(&rows.rows);
    return status;
}

static enum pay_exit join(struct offline *offline) {
    struct sorter *keys = sorter_open(audit_work_folder(), KEYS_BYTES);
    offline->known = sorter_open(audit_work_folder(), KNOWN_BYTES);
    enum pay_exit status = collect_keys(offline, keys);
    if (status == PAY_EXIT_OK) status = merge_payments(offline, keys);
    sorter_close(keys);
    offline->has_head = status == PAY_EXIT_OK && sorter_next(offline->known, &offline->head);
    return status;
}

/* ---- requests with their rows ---- */

static enum pay_exit next_refusal(struct offline *offline) {
    struct audit_row row;
    const uint8_t *payload;
    size_t length;
    char why[DUMP_WHY_MAX];
    offline->has_refusal = false;
    switch (dump_reader_next(offline->refusals, &payload, &length, why)) {
    case DUMP_END: return PAY_EXIT_OK;
    case DUMP_DAMAGED: return PAY_EXIT_DIFFERENCES;
    case DUMP_ENTRY: break;
    }
    if (!dump_decode_row(payload, length, &row) || !audit_row_complete(AUDIT_REFUSALS, &row))
        return PAY_EXIT_DIFFERENCES;
    const char *broken = audit_row_refusal(&row, &offline->refusal);
    if (broken != NULL) return unknown_word(offline, broken);
    offline->has_refusal = true;
    return PAY_EXIT_OK;
}

static enum pay_exit requests_begin(struct audit_source *source, struct audit_requests *requests) {
    struct offline *offline = (struct offline *)source;
    if (requests->audit->quick || offline->known != NULL) return PAY_EXIT_OK;
    enum pay_exit status = join(offline);
    if (status != PAY_EXIT_OK) return status;
    offline->refusals = open_file(offline, audit_table_name(AUDIT_REFUSALS), -1);
    return offline->refusals != NULL ? next_refusal(offline) : PAY_EXIT_DIFFERENCES;
}

static void requests_end(struct audit_source *source) { (void)source; }

/* The rows of the record's order, from the sorted stream. */
static enum pay_exit take_known(struct offline *offline, const struct pay_log_record *raw,
                                const struct pay_decision **ret_known) {
    struct sort_key place = {.length = 0};
    struct audit_row row;
    size_t count = 0;
    *ret_known = NULL;
    sort_key_number(&place, raw->partition);
    sort_key_number(&place, raw->offset);
    while (offline->has_head) {
        int order = memcmp(offline->head.key, place.bytes, place.length);
        if (order > 0) break;
        if (order == 0) {
            struct pay_decision *decision = &offline->pool[count++];
            if (count > KNOWN_MAX || !dump_decode_row(offline->head.data, offline->head.data_length, &row))
                return PAY_EXIT_DIFFERENCES;
            if (audit_row_decision(&row, decision) != NULL)
                decision->position = (struct pay_position){0}; /* pay_known_possible */
            decision->next = (struct pay_decision *)*ret_known;
            *ret_known = decision;
        }
        offline->has_head = sorter_next(offline->known, &offline->head);
    }
    return sorter_failed(offline->known) == NULL ? PAY_EXIT_OK : sort_failed(offline, offline->known);
}

static int compare_refusal(const struct pay_refusal *refusal, const struct pay_position *position) {
    const struct pay_position *at = &refusal->position;
    if (at->partition != position->partition) return at->partition < position->partition ? -1 : 1;
    if (at->generation != position->generation) return at->generation < position->generation ? -1 : 1;
    return (at->offset > position->offset) - (at->offset < position->offset);
}

/* *ret_refusal lives in the source; the next record moves on. */
static enum pay_exit take_refusal(struct offline *offline, const struct pay_decision *known,
                                  const struct pay_refusal **ret_refusal) {
    enum pay_exit status = PAY_EXIT_OK;
    *ret_refusal = NULL;
    while (status == PAY_EXIT_OK && offline->has_refusal) {
        int order = compare_refusal(&offline->refusal, &offline->record.position);
        if (order == 0 && audit_can_be_refused(&offline->record, known)) *ret_refusal = &offline->refusal;
        if (order >= 0) break;
        status = next_refusal(offline);
    }
    return status;
}

static enum pay_exit requests_next(struct audit_source *source, struct audit_requests *requests,
                                   struct audit_request *ret_request, bool *ret_found) {
    struct offline *offline = (struct offline *)source;
    struct pay_log_record raw;
    enum pay_exit status = audit_requests_read(requests, &raw, ret_found);
    if (status != PAY_EXIT_OK || !*ret_found) return status;
    *ret_request = (struct audit_request){.offset = raw.offset};
    if (requests->audit->quick) return PAY_EXIT_OK;
    audit_decode(requests->lane, &raw, &offline->record);
    ret_request->record = &offline->record;
    status = take_known(offline, &raw, &ret_request->known);
    if (status == PAY_EXIT_OK) status = take_refusal(offline, ret_request->known, &ret_request->refusal);
    return status;
}

/* ---- rows ---- */

typedef bool (*entry_fn)(void *argument, const struct audit_row *row, const uint8_t *payload, size_t length);

static enum pay_exit each_entry(struct offline *offline, enum audit_table table, entry_fn each, void *argument) {
    struct dump_reader *reader = open_file(offline, audit_table_name(table), -1);
    struct audit_row row;
    const uint8_t *payload;
    size_t length;
    char why[DUMP_WHY_MAX];
    enum dump_read read = reader != NULL ? DUMP_ENTRY : DUMP_DAMAGED;
    while (read == DUMP_ENTRY) {
        read = dump_reader_next(reader, &payload, &length, why);
        if (read != DUMP_ENTRY) break;
        if (!dump_decode_row(payload, length, &row) || !audit_row_complete(table, &row)) read = DUMP_DAMAGED;
        if (read == DUMP_ENTRY && !each(argument, &row, payload, length)) break;
    }
    dump_reader_close(reader);
    return read == DUMP_DAMAGED ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}

struct handing {
    audit_row_fn each;
    void *argument;
};

static bool hand_row(void *argument, const struct audit_row *row, const uint8_t *payload, size_t length) {
    const struct handing *handing = argument;
    (void)payload;
    (void)length;
    return handing->each(handing->argument, row);
}

static enum pay_exit rows(struct audit_source *source, enum audit_table table, audit_row_fn each, void *argument) {
    struct handing handing = {each, argument};
    return each_entry((struct offline *)source, table, hand_row, &handing);
}

/* ---- events: all rows of three tables, sorted by account and version ---- */

struct sorting {
    struct sorter *sorter;
    enum audit_table table;
    struct dump_bytes data; /* the table, then the row */
    bool failed;
};

static void payment_id(const struct audit_row *row, char *id, size_t size) {
    snprintf(id, size, "%s#%s", row->columns[PAYMENT_ORDER], row->columns[PAYMENT_ATTEMPT]);
}

static bool sort_event(void *argument, const struct audit_row *row, const uint8_t *payload, size_t length) {
    static const size_t accounts[] = {
        [AUDIT_PAYMENTS] = PAYMENT_ACCOUNT, [AUDIT_ACCOUNTS] = ACCOUNT_ID, [AUDIT_ADJUSTMENTS] = ADJUSTMENT_ACCOUNT};
    static const size_t versions[] = {[AUDIT_PAYMENTS] = PAYMENT_VERSION, [AUDIT_ADJUSTMENTS] = ADJUSTMENT_VERSION};
    struct sorting *sorting = argument;
    uint8_t table = (uint8_t)sorting->table;
    struct sort_key key = {.length = 0};
    char id[PAY_ID_MAX + 32];
    if (table == AUDIT_PAYMENTS && row->columns[PAYMENT_VERSION] == NULL) return true; /* unknown_account */
    sort_key_text(&key, row->columns[table == AUDIT_ADJUSTMENTS ? ADJUSTMENT_TENANT : PAYMENT_TENANT]);
    sort_key_text(&key, row->columns[accounts[table]]);
    sort_key_number(&key, table == AUDIT_ACCOUNTS ? 0 : audit_number(row, versions[table]));
    if (table == AUDIT_PAYMENTS) payment_id(row, id, sizeof id);
    if (table != AUDIT_ACCOUNTS) sort_key_text(&key, table == AUDIT_PAYMENTS ? id : row->columns[ADJUSTMENT_ID]);
    sorting->data.length = 0;
    dump_bytes_add(&sorting->data, &table, 1);
    dump_bytes_add(&sorting->data, payload, length);
    sorting->failed = !sorter_add(sorting->sorter, key.bytes, key.length, sorting->data.bytes, sorting->data.length);
    return !sorting->failed;
}

static void payment_event(const struct audit_row *row, char *id, size_t id_size, struct book_event *event) {
    payment_id(row, id, id_size);
    *event = (struct book_event){.tenant = row->columns[PAYMENT_TENANT],
                                 .account_id = row->columns[PAYMENT_ACCOUNT],
                                 .version = audit_number(row, PAYMENT_VERSION),
                                 .kind = row->columns[PAYMENT_OUTCOME],
                                 .amount_minor = audit_number(row, PAYMENT_AMOUNT),
                                 .has_balance = row->columns[PAYMENT_BALANCE_AFTER] != NULL,
                                 .balance_minor = audit_number(row, PAYMENT_BALANCE_AFTER),
                                 .currency = row->columns[PAYMENT_CURRENCY],
                                 .reason = row->columns[PAYMENT_REASON],
                                 .id = id,
                                 .position = {audit_number(row, PAYMENT_GENERATION),
                                              (int32_t)audit_number(row, PAYMENT_PARTITION),
                                              audit_number(row, PAYMENT_OFFSET)}};
}

static void account_event(const struct audit_row *row, struct book_event *event) {
    *event = (struct book_event){.tenant = row->columns[ACCOUNT_TENANT],
                                 .account_id = row->columns[ACCOUNT_ID],
                                 .kind = row->columns[ACCOUNT_STATE],
                                 .amount_minor = audit_number(row, ACCOUNT_FLOOR),
                                 .has_balance = true,
                                 .balance_minor = audit_number(row, ACCOUNT_BALANCE),
                                 .currency = row->columns[ACCOUNT_CURRENCY],
                                 .id = row->columns[ACCOUNT_VERSION]};
}

static void adjustment_event(const struct audit_row *row, struct book_event *event) {
    *event = (struct book_event){.tenant = row->columns[ADJUSTMENT_TENANT],
                                 .account_id = row->columns[ADJUSTMENT_ACCOUNT],
                                 .version = audit_number(row, ADJUSTMENT_VERSION),
                                 .kind = row->columns[ADJUSTMENT_KIND],
                                 .amount_minor = audit_number(row, ADJUSTMENT_AMOUNT),
                                 .id = row->columns[ADJUSTMENT_ID]};
}

static bool give_event(const struct sorter_entry *entry, audit_event_fn each, void *argument) {
    struct audit_row row;
    struct book_event event;
    char id[PAY_ID_MAX + 32];
    if (!dump_decode_row(entry->data + 1, entry->data_length - 1, &row)) return false;
    switch ((enum audit_table)entry->data[0]) {
    case AUDIT_PAYMENTS: payment_event(&row, id, sizeof id, &event); break;
    case AUDIT_ACCOUNTS: account_event(&row, &event); break;
    case AUDIT_ADJUSTMENTS: adjustment_event(&row, &event); break;
    case AUDIT_REFUSALS:
    case AUDIT_TABLE_COUNT: return false;
    }
    return each(argument, &event);
}

static enum pay_exit events(struct audit_source *source, audit_event_fn each, void *argument) {
    static const enum audit_table tables[] = {AUDIT_ACCOUNTS, AUDIT_ADJUSTMENTS, AUDIT_PAYMENTS};
    struct offline *offline = (struct offline *)source;
    struct sorting sorting = {.sorter = sorter_open(audit_work_folder(), EVENTS_BYTES)};
    struct sorter_entry entry;
    enum pay_exit status = PAY_EXIT_OK;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && status == PAY_EXIT_OK && !sorting.failed; i++) {
        sorting.table = tables[i];
        status = each_entry(offline, tables[i], sort_event, &sorting);
    }
    if (status == PAY_EXIT_OK && !sorting.failed && sorter_finish(sorting.sorter))
        while (sorter_next(sorting.sorter, &entry) && give_event(&entry, each, argument)) continue;
    if (status == PAY_EXIT_OK && sorter_failed(sorting.sorter) != NULL) status = sort_failed(offline, sorting.sorter);
    sorter_close(sorting.sorter);
    dump_bytes_free(&sorting.data);
    return status;
}

/* ---- beginning and end ---- */

static struct audit_source *new_source(const struct offline *like, const struct audit *audit, int32_t shard,
                                       int32_t shards);

static struct audit_source *make_shard(struct audit_source *source, const struct audit *audit, int32_t shard,
                                       int32_t shards) {
    return new_source((struct offline *)source, audit, shard, shards);
}

static void close_offline(struct audit_source *source) {
    struct offline *offline = (struct offline *)source;
    for (int log = 0; log < AUDIT_LOG_COUNT; log++) log_stop(source, (enum audit_log)log);
    sorter_close(offline->known);
    dump_reader_close(offline->refusals);
    if (offline->is_first) {
        dump_manifest_free(offline->manifest);
        free(offline->manifest);
    }
    free(offline);
}

static const struct audit_source_ops offline_ops = {.log_seek = log_seek,
                                                    .log_next = log_next,
                                                    .log_stop = log_stop,
                                                    .requests_begin = requests_begin,
                                                    .requests_next = requests_next,
                                                    .requests_end = requests_end,
                                                    .rows = rows,
                                                    .events = events,
                                                    .shard = make_shard,
                                                    .close = close_offline};

static struct audit_source *new_source(const struct offline *like, const struct audit *audit, int32_t shard,
                                       int32_t shards) {
    struct offline *offline = calloc(1, sizeof *offline);
    if (offline == NULL) abort();
    offline->source.ops = &offline_ops;
    offline->tool = like->tool;
    offline->folder = like->folder;
    offline->manifest = like->manifest;
    offline->audit = audit;
    offline->shard = shard;
    offline->shards = shards;
    return &offline->source;
}

enum pay_exit audit_offline_open(struct audit *audit, const char *folder, const struct audit_scope *scope) {
    struct dump_manifest *manifest = calloc(1, sizeof *manifest);
    char why[DUMP_WHY_MAX];
    if (manifest == NULL) abort();
    if (!dump_manifest_load(folder, manifest, why)) {
        free(manifest);
        return tool_fail(audit->tool, PAY_EXIT_DIFFERENCES, "%s", why);
    }
    const struct offline like = {.tool = audit->tool, .folder = folder, .manifest = manifest};
    audit->source = new_source(&like, audit, 0, 1);
    ((struct offline *)audit->source)->is_first = true;
    memcpy(audit->ledger_id, manifest->ledger_id, sizeof audit->ledger_id);
    memcpy(audit->request_topic, manifest->request_topic, sizeof audit->request_topic);
    memcpy(audit->reply_topic, manifest->reply_topic, sizeof audit->reply_topic);
    memcpy(audit->dead_letter_topic, manifest->dead_letter_topic, sizeof audit->dead_letter_topic);
    audit->taken_at_us = manifest->taken_at_us;
    audit->letters_partitions = manifest->letters_partitions;
    audit->letters_bounds = calloc((size_t)manifest->letters_partitions + 1, 2 * sizeof *audit->letters_bounds);
    if (audit->letters_bounds == NULL) abort();
    memcpy(audit->letters_bounds, manifest->letters_bounds,
           (size_t)manifest->letters_partitions * 2 * sizeof *audit->letters_bounds);
    return audit_take_lanes(audit, &manifest->lanes, scope);
}

static bool whole(const struct offline *offline, const struct dump_entry *file, char why[DUMP_WHY_MAX]) {
    const uint8_t *payload;
    size_t length;
    enum dump_read read = DUMP_DAMAGED;
    struct dump_reader *reader = dump_reader_open(offline->folder, file->name, file->kind, &file->extent, why);
    if (reader != NULL)
        while ((read = dump_reader_next(reader, &payload, &length, why)) == DUMP_ENTRY) continue;
    dump_reader_close(reader);
    return read == DUMP_END;
}

bool audit_offline_empty_files_whole(const struct audit *audit) {
    const struct offline *offline = (const struct offline *)audit->source;
    char why[DUMP_WHY_MAX];
    for (size_t i = 0; i < offline->manifest->file_count; i++)
        if (offline->manifest->files[i].extent.entries == 0 && !whole(offline, &offline->manifest->files[i], why))
            return false;
    return true;
}

enum pay_exit audit_offline_verify(struct audit *audit) {
    const struct offline *offline = (const struct offline *)audit->source;
    int64_t before = audit->differences.count;
    char why[DUMP_WHY_MAX];
    for (size_t i = 0; i < offline->manifest->file_count; i++) {
        const struct dump_entry *file = &offline->manifest->files[i];
        if (!whole(offline, file, why)) difference_add(&audit->differences, "dump_damaged", file->name, "%s", why);
    }
    if (audit->differences.count == before)
        difference_add(&audit->differences, "dump_damaged", offline->folder,
                       "its entries have the right checksums and can't be what paybuf dump wrote");
    return PAY_EXIT_DIFFERENCES;
}
