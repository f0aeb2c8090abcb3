#include "tools/audit.h"

#include <inttypes.h>
#include <stdlib.h>

const char *audit_where(const struct audit_lane *lane, int64_t offset, char text[PAY_POSITION_TEXT_MAX]) {
    const struct pay_position position = {lane->view.generation, lane->view.partition, offset};
    pay_position_format(&position, text);
    return text;
}

void audit_step(struct audit *audit) {
    int64_t done = atomic_fetch_add_explicit(&audit->progress->done, 1, memory_order_relaxed) + 1;
    if (audit->draws) progress_show(&audit->progress->bar, done);
}

const char *audit_work_folder(void) {
    const char *folder = getenv("TMPDIR");
    return folder != NULL && folder[0] != '\0' ? folder : "/var/tmp";
}

static enum pay_exit read_letters_of(struct audit *audit, int32_t partition, int64_t start, int64_t end) {
    const struct audit_source_ops *ops = audit->source->ops;
    struct pay_log_record record;
    bool found = start < end;
    if (start > 0) audit->letters.from_the_start = false;
    if (!found) return PAY_EXIT_OK;
    enum pay_exit status = ops->log_seek(audit->source, AUDIT_LETTERS, partition, start, end);
    while (status == PAY_EXIT_OK) {
        status = ops->log_next(audit->source, AUDIT_LETTERS, &record, &found);
        if (status != PAY_EXIT_OK || !found) break;
        letters_add(&audit->letters, &record);
    }
    ops->log_stop(audit->source, AUDIT_LETTERS);
    return status;
}

enum pay_exit audit_read_letters(struct audit *audit) {
    enum pay_exit status = PAY_EXIT_OK;
    audit->letters.from_the_start = true;
    for (int32_t p = 0; p < audit->letters_partitions && status == PAY_EXIT_OK; p++)
        status = read_letters_of(audit, p, audit->letters_bounds[2 * p], audit->letters_bounds[2 * p + 1]);
    return status;
}

enum pay_exit audit_take_lanes(struct audit *audit, const struct lanes *lanes, const struct audit_scope *scope) {
    if (scope->partition >= lanes->count)
        return tool_fail(audit->tool, PAY_EXIT_NOT_FOUND, "%s has no partition %" PRId32, audit->request_topic,
                         scope->partition);
    audit->lanes = calloc((size_t)lanes->count + 1, sizeof *audit->lanes);
    audit->progress = calloc(1, sizeof *audit->progress);
    if (audit->lanes == NULL || audit->progress == NULL) abort();
    int64_t records = 0;
    audit->whole = scope->partition < 0;
    for (int32_t p = 0; p < lanes->count; p++) {
        if (scope->partition >= 0 && scope->partition != p) continue;
        struct audit_lane *lane = &audit->lanes[audit->lane_count++];
        lane->view = lanes->all[p];
        if (!lane->view.has_row) lane->view.generation = 1; /* nothing is settled: everything is in flight */
        records += lane->view.request_end - lane->view.request_start;
    }
    audit->draws = true;
    progress_begin(&audit->progress->bar, "requests", records);
    return PAY_EXIT_OK;
}

void audit_close(struct audit *audit) {
    for (int32_t i = 0; i < audit->lane_count; i++) {
        free(audit->lanes[i].own_payment);
        free(audit->lanes[i].own_refusal);
    }
    free(audit->lanes);
    free(audit->letters_bounds);
    letters_free(&audit->letters);
    if (audit->progress != NULL) progress_end(&audit->progress->bar);
    free(audit->progress);
    if (audit->source != NULL) audit->source->ops->close(audit->source);
}
