/*
 * make_dump FOLDER REQUESTS [PARTITIONS] - a dump as `paybuf dump` writes it, of a ledger that never was: to measure audits and replays
 * of sizes that nobody wants to load first.
 *
 * Decided by the core's own pay_decide: three in ten requests are repeats of a recent order, one account in twenty runs dry. Orders are
 * time-ordered, so the payments come in the order of their key. Memory: the accounts and the last 4096 orders of each partition.
 */
#include "base/clock.h"
#include "codec/reply_record.h"
#include "codec/request_codec.h"
#include "tools/dump_manifest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS 100000
#define RECENT 4096
#define LEDGER_ID "00000000-0000-4000-8000-000000000000"
#define TOPIC "pay.requests"
#define BEGAN_US 1760000000000000

struct recent {
    struct pay_request request;
    struct pay_decision decision;
};

static struct dump_writer *request_files[PAY_LANES_MAX], *reply_files[PAY_LANES_MAX], *payments;
static struct dump_manifest manifest;
static struct pay_account accounts[ACCOUNTS];
static struct recent *recent[PAY_LANES_MAX];
static int64_t offsets[PAY_LANES_MAX];
static struct dump_bytes bytes;
static char why[DUMP_WHY_MAX];
static uint64_t state = 1;

static uint32_t below(uint32_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % limit);
}

static void write_entry(struct dump_writer *writer) {
    if (!dump_writer_add(writer, bytes.bytes, bytes.length, why)) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    bytes.length = 0;
}

static struct dump_writer *open_file(const char *folder, const char *what, int32_t partition) {
    struct dump_entry entry;
    dump_file_of(what, partition, &entry);
    dump_add_file(&manifest, &entry);
    struct dump_writer *writer = dump_writer_open(folder, entry.name, entry.kind, why);
    if (writer == NULL) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    return writer;
}

static void close_file(struct dump_writer *writer, const char *what, int32_t partition) {
    struct dump_entry entry;
    dump_file_of(what, partition, &entry);
    for (size_t i = 0; i < manifest.file_count; i++)
        if (strcmp(manifest.files[i].name, entry.name) == 0 &&
            !dump_writer_close(writer, &manifest.files[i].extent, why))
            exit(1);
}

static const char *number(char text[24], int64_t value) {
    snprintf(text, 24, "%" PRId64, value);
    return text;
}

static void write_payment(const struct pay_request *request, const struct pay_decision *decision) {
    char n[8][24];
    const struct audit_row row = {
        PAYMENT_COLUMNS,
        {request->tenant, request->order_id, number(n[0], decision->attempt), decision->account_id, decision->currency,
         number(n[1], decision->amount_minor), pay_outcome_name(decision->outcome), pay_reason_name(decision->reason),
         number(n[2], decision->balance_after_minor), number(n[3], decision->account_version),
         number(n[4], decision->position.generation), number(n[5], decision->position.partition),
         number(n[6], decision->position.offset), number(n[7], decision->decided_at_us)}};
    dump_encode_row(&bytes, &row);
    write_entry(payments);
}

/* Decides one request and writes its record, its reply and, where it is new, its row. */
static void write_request(struct recent *slot, bool repeat, int32_t partition, int64_t at_us) {
    char value[PAY_REQUEST_TEXT_MAX];
    struct pay_record record;
    struct pay_answer answer;
    struct pay_reply_record reply;
    size_t length = pay_request_format(&slot->request, value, sizeof value);
    const struct pay_record_bytes raw = {.key = slot->request.order_id,
                                         .key_length = strlen(slot->request.order_id),
                                         .value = value,
                                         .value_length = length};
    pay_record_decode(&raw, &record);
    record.position = (struct pay_position){1, partition, offsets[partition]++};
    record.timestamp_ms = at_us / 1000;
    struct pay_account *account = &accounts[strtoul(slot->request.account_id + 2, NULL, 10)];
    if (pay_decide(&record, repeat ? &slot->decision : NULL, account, at_us, &answer) == PAY_VERDICT_DECIDED) {
        slot->decision = answer.decision;
        write_payment(&record.request, &answer.decision);
    }
    dump_encode_record(&bytes, &(struct pay_log_record){.offset = record.position.offset,
                                                        .timestamp_ms = record.timestamp_ms,
                                                        .key = raw.key,
                                                        .key_length = raw.key_length,
                                                        .value = value,
                                                        .value_length = length});
    write_entry(request_files[partition]);
    pay_reply_record_make(&record, &answer, record.position.offset, TOPIC, LEDGER_ID, &reply);
    dump_encode_record(&bytes, &(struct pay_log_record){.offset = record.position.offset,
                                                        .timestamp_ms = record.timestamp_ms + 1,
                                                        .key = reply.key,
                                                        .key_length = reply.key_length,
                                                        .value = reply.value,
                                                        .value_length = reply.value_length,
                                                        .headers = reply.headers,
                                                        .header_count = reply.header_count});
    write_entry(reply_files[partition]);
}

static void write_requests(int64_t count, int32_t partitions) {
    for (int64_t i = 0; i < count; i++) {
        int32_t partition = (int32_t)(i % partitions);
        bool repeat = i > RECENT * (int64_t)partitions && below(10) < 3;
        struct recent *slot = &recent[partition][repeat ? below(RECENT) : (uint32_t)(i / partitions % RECENT)];
        if (!repeat) {
            *slot = (struct recent){.request = {.tenant = "default", .currency = "EUR", .attempt = 1}};
            slot->request.amount_minor = 1 + below(5000);
            snprintf(slot->request.order_id, sizeof slot->request.order_id, "order-%016" PRId64, i);
            snprintf(slot->request.account_id, sizeof slot->request.account_id, "a-%06u", below(ACCOUNTS));
        }
        write_request(slot, repeat, partition, BEGAN_US + i * 10);
    }
}

static int64_t opening_of(size_t index) { return index % 20 == 0 ? 20000 : 1000000000000; }

static void open_accounts(void) {
    for (size_t i = 0; i < ACCOUNTS; i++) {
        accounts[i] = (struct pay_account){
            .tenant = "default", .currency = "EUR", .found = true, .balance_minor = opening_of(i), .version = 1};
        snprintf(accounts[i].account_id, sizeof accounts[i].account_id, "a-%06zu", i);
    }
}

static void write_accounts(const char *folder) {
    struct dump_writer *rows = open_file(folder, "accounts", -1), *adjustments = open_file(folder, "adjustments", -1);
    for (size_t i = 0; i < ACCOUNTS; i++) {
        char balance[24], version[24], opening[24], id[80];
        const struct pay_account *account = &accounts[i];
        snprintf(id, sizeof id, "open:%s", account->account_id);
        dump_encode_row(
            &bytes, &(struct audit_row){ACCOUNT_COLUMNS,
                                        {"default", account->account_id, "EUR", number(balance, account->balance_minor),
                                         "0", "active", number(version, account->version)}});
        write_entry(rows);
        dump_encode_row(&bytes, &(struct audit_row){ADJUSTMENT_COLUMNS,
                                                    {"default", id, account->account_id, "open",
                                                     number(opening, opening_of(i)), "1", NULL, "1759999999000000"}});
        write_entry(adjustments);
    }
    close_file(rows, "accounts", -1);
    close_file(adjustments, "adjustments", -1);
}

static void describe(int32_t partitions) {
    strcpy(manifest.ledger_id, LEDGER_ID);
    strcpy(manifest.request_topic, TOPIC);
    strcpy(manifest.reply_topic, "pay.replies");
    strcpy(manifest.dead_letter_topic, "pay.dlq");
    manifest.taken_at_us = pay_wall_clock_us();
    manifest.lanes.count = partitions;
    manifest.lanes.all = calloc((size_t)partitions, sizeof *manifest.lanes.all);
    if (manifest.lanes.all == NULL) abort();
    for (int32_t p = 0; p < partitions; p++)
        manifest.lanes.all[p] = (struct lane_view){.partition = p,
                                                   .has_row = true,
                                                   .generation = 1,
                                                   .processed = offsets[p],
                                                   .replied_offset = offsets[p],
                                                   .reply_position = offsets[p],
                                                   .anchor_offset = offsets[p] - 1,
                                                   .request_end = offsets[p],
                                                   .reply_end = offsets[p]};
}

int main(int argc, char **argv) {
    int32_t partitions = argc > 3 ? atoi(argv[3]) : 12;
    if (argc < 3 || partitions < 1 || partitions > PAY_LANES_MAX) {
        fprintf(stderr, "make_dump FOLDER REQUESTS [PARTITIONS]; FOLDER must be there and empty\n");
        return 2;
    }
    pay_codec_init();
    open_accounts();
    for (int32_t p = 0; p < partitions; p++) {
        request_files[p] = open_file(argv[1], "requests", p);
        reply_files[p] = open_file(argv[1], "replies", p);
        recent[p] = calloc(RECENT, sizeof *recent[p]);
        if (recent[p] == NULL) abort();
    }
    payments = open_file(argv[1], "payments", -1);
    close_file(open_file(argv[1], "refusals", -1), "refusals", -1);
    write_requests(strtoll(argv[2], NULL, 10), partitions);
    write_accounts(argv[1]);
    close_file(payments, "payments", -1);
    for (int32_t p = 0; p < partitions; p++) {
        close_file(request_files[p], "requests", p);
        close_file(reply_files[p], "replies", p);
        free(recent[p]);
    }
    describe(partitions);
    bool saved = dump_manifest_save(argv[1], &manifest, why);
    if (!saved) fprintf(stderr, "%s\n", why);
    dump_manifest_free(&manifest);
    dump_bytes_free(&bytes);
    return saved ? 0 : 1;
}
