#include "tools/audit_run.h"

#include "tools/audit_lane.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 2

/* One thread's part. Its `audit` is a copy with a source and differences of its own. */
struct part {
    struct audit audit;
    int32_t shard;                /* SHARDS: the rows and books */
    struct audit *whole;          /* its lanes are filled, each by one thread */
    struct differences **by_lane; /* of the whole; NULL where there are none */
    bool books;
    struct audit_rows_result *result;
    enum pay_exit status;
    pthread_t thread;
};

static struct differences *copy_differences(const struct differences *differences) {
    if (differences->count == 0) return NULL;
    struct differences *copy = malloc(sizeof *copy);
    if (copy == NULL) abort();
    *copy = *differences;
    return copy;
}

static void judge_lanes(struct part *part) {
    for (int32_t i = part->shard; i < part->whole->lane_count && part->status == PAY_EXIT_OK; i += SHARDS) {
        part->audit.differences.count = 0;
        part->status = audit_one_lane(&part->audit, &part->whole->lanes[i]);
        part->by_lane[i] = copy_differences(&part->audit.differences);
    }
}

static void *run_part(void *argument) {
    struct part *part = argument;
    if (part->shard < SHARDS) {
        judge_lanes(part);
        return NULL;
    }
    part->status = audit_count_rows(&part->audit, part->result);
    if (part->status == PAY_EXIT_OK && part->books) part->status = audit_all_books(&part->audit, part->result);
    return NULL;
}

static enum pay_exit run_parts(struct audit *audit, struct part *parts) {
    enum pay_exit status = PAY_EXIT_OK;
    for (int32_t i = 0; i <= SHARDS; i++)
        if (pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) != 0) abort();
    for (int32_t i = 0; i <= SHARDS; i++) pthread_join(parts[i].thread, NULL);
    for (int32_t i = 0; i <= SHARDS; i++) {
        if (status == PAY_EXIT_OK || (parts[i].status != PAY_EXIT_OK && status == PAY_EXIT_DIFFERENCES))
            status = parts[i].status; /* what was said wins over what a damaged dump still has to say */
        parts[i].audit.source->ops->close(parts[i].audit.source);
    }
    for (int32_t i = 0; i < audit->lane_count; i++) {
        if (parts[0].by_lane[i] != NULL) differences_append(&audit->differences, parts[0].by_lane[i]);
        free(parts[0].by_lane[i]);
    }
    return status;
}

static enum pay_exit judge_in_threads(struct audit *audit, bool books, struct audit_rows_result *result,
                                      struct differences *ret_books) {
    struct part *parts = calloc(SHARDS + 1, sizeof *parts);
    struct differences **by_lane = calloc((size_t)audit->lane_count + 1, sizeof(struct differences *));
    if (parts == NULL || by_lane == NULL) abort();
    for (int32_t i = 0; i <= SHARDS; i++) {
        parts[i] = (struct part){
            .audit = *audit, .shard = i, .whole = audit, .by_lane = by_lane, .books = books, .result = result};
        parts[i].audit.source = audit->source->ops->shard(audit->source, audit, i < SHARDS ? i : 0, SHARDS);
        parts[i].audit.draws = i == 0;
    }
    enum pay_exit status = run_parts(audit, parts);
    *ret_books = parts[SHARDS].audit.differences;
    free(by_lane);
    free(parts);
    return status;
}

static enum pay_exit judge_in_turn(struct audit *audit, bool books, struct audit_rows_result *result,
                                   struct differences *ret_books) {
    const struct audit_source_ops *ops = audit->source->ops;
    enum pay_exit status = PAY_EXIT_OK;
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK; i++)
        status = audit_one_lane(audit, &audit->lanes[i]);
    if (status == PAY_EXIT_OK)
        status = audit->quick && ops->counts != NULL ? ops->counts(audit->source, audit, result->by_lane)
                                                     : audit_count_rows(audit, result);
    if (status != PAY_EXIT_OK || !books) return status;
    struct differences lanes = audit->differences;
    audit->differences.count = 0;
    status = audit_all_books(audit, result);
    *ret_books = audit->differences;
    audit->differences = lanes;
    return status;
}

enum pay_exit audit_run(struct audit *audit, bool books, struct audit_rows_result *ret_result) {
    static struct differences of_books;
    bool threads = audit->source->ops->shard != NULL && !audit->quick;
    memset(ret_result, 0, sizeof *ret_result);
    of_books.count = 0;
    enum pay_exit status = audit->quick ? PAY_EXIT_OK : audit_read_letters(audit);
    if (status == PAY_EXIT_OK)
        status = threads ? judge_in_threads(audit, books, ret_result, &of_books)
                         : judge_in_turn(audit, books, ret_result, &of_books);
    progress_end(&audit->progress->bar);
    if (status == PAY_EXIT_OK) status = audit_compare_rows(audit, ret_result);
    differences_append(&audit->differences, &of_books);
    return status;
}

void audit_hash(const struct audit *audit, const struct audit_rows_result *result, char ret_hex[AUDIT_DIGEST_TEXT]) {
    struct audit_digest digest;
    char line[512];
    audit_digest_open(&digest);
    snprintf(line, sizeof line, "paybuf audit 1\nledger %s\n", audit->ledger_id);
    audit_digest_text(&digest, line);
    for (int32_t i = 0; i < audit->lane_count; i++) {
        const struct audit_lane *lane = &audit->lanes[i];
        snprintf(line, sizeof line,
                 "lane %" PRId64 "-%" PRId32 " from %" PRId64 " to %" PRId64 " requests %s replies %s\n",
                 lane->view.generation, lane->view.partition, lane->view.request_start, lane->view.processed,
                 lane->requests_sha256, lane->replies_sha256);
        audit_digest_text(&digest, line);
    }
    for (int table = 0; table < AUDIT_TABLE_COUNT; table++) {
        snprintf(line, sizeof line, "%s %s\n", audit_table_name((enum audit_table)table), result->sha256[table]);
        audit_digest_text(&digest, line);
    }
    audit_digest_close(&digest, ret_hex);
}
