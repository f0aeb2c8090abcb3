#include "tools/doctor_growth.h"

#include "base/clock.h"
#include "sql/pay_sql.h"
#include "tools/doctor_retention.h"
#include "tools/lanes.h"

#include <inttypes.h>
#include <string.h>

static bool take_table(void *argument, const struct pay_pg_row *row) {
    struct doctor *doctor = argument;
    char check[64], found[96];
    const char *name = pay_pg_column(row, 0);
    snprintf(check, sizeof check, "table %s", name);
    snprintf(found, sizeof found, "about %s rows, %.1f MB with indexes", pay_pg_column(row, 1),
             (double)pay_pg_column_int8(row, 2) / 1e6);
    doctor->add(doctor, check, DOCTOR_OK, found,
                strcmp(name, "refusal") == 0 ? "room on disk" : "room on disk: rows are never deleted", "");
    return true;
}

static void add_kept(struct doctor *doctor, const struct lanes *lanes) {
    char found[96];
    int64_t requests = 0, replies = 0;
    for (int32_t p = 0; p < lanes->count; p++) {
        requests += lanes->all[p].request_end - lanes->all[p].request_start;
        replies += lanes->all[p].reply_end - lanes->all[p].reply_start;
    }
    snprintf(found, sizeof found, "%" PRId64 " requests, %" PRId64 " replies", requests, replies);
    doctor->add(doctor, "records kept", DOCTOR_OK, found, "room on the brokers' disks", "");
}

static bool take_refusals(void *argument, const struct pay_pg_row *row) {
    struct retention_facts *facts = argument;
    facts->refusals_old = pay_pg_column_int8(row, 0);
    facts->refusals_deletable = pay_pg_column_int8(row, 1);
    return true;
}

static enum pay_exit count_refusals(struct doctor *doctor, struct pay_pg *pg, const struct lanes *lanes,
                                    struct retention_facts *facts) {
    struct pay_pg_array partitions = {0}, starts = {0};
    struct pay_pg_args args;
    struct pay_error error;
    pay_pg_array_begin(&partitions, PAY_PG_INT4);
    pay_pg_array_begin(&starts, PAY_PG_INT8);
    for (int32_t p = 0; p < lanes->count; p++) {
        pay_pg_array_int4(&partitions, p);
        pay_pg_array_int8(&starts, lanes->all[p].request_start);
    }
    pay_pg_args_begin(&args);
    pay_pg_args_array(&args, &partitions);
    pay_pg_args_array(&args, &starts);
    enum pay_move move = pay_pg_exec(pg, pay_sql_tools_old_refusals, &args, take_refusals, facts, NULL, &error);
    pay_pg_array_free(&partitions);
    pay_pg_array_free(&starts);
    return move == PAY_OK ? PAY_EXIT_OK : tool_error(doctor->tool, &error);
}

/* Unsettled and deleted; or settled, with the last one not known to be answered, and deleted. */
static bool unanswered_is_gone(const struct lane_view *lane) {
    return lane->request_start > lane->processed ||
           (lane->request_start > lane->replied_offset && lane->anchor_offset >= lane->replied_offset);
}

static enum pay_exit find_unanswered(struct doctor *doctor, struct lanes *lanes, struct retention_facts *facts) {
    struct pay_kafka_reader *records;
    int64_t now_ms = pay_wall_clock_us() / 1000;
    facts->lane = -1;
    for (int32_t p = 0; p < lanes->count; p++) {
        struct lane_view *lane = &lanes->all[p];
        if (lane->has_row && !facts->gone && unanswered_is_gone(lane)) {
            facts->gone = true;
            facts->lane = p;
        }
        /* From here on these lanes are asked about R instead of P; a lane without a row has answered nothing. */
        lane->processed = lane->replied_offset;
        lane->has_row = true;
    }
    if (facts->gone) return PAY_EXIT_OK;
    enum pay_exit status = tool_open_reader(doctor->tool, true, &records);
    if (status != PAY_EXIT_OK) return status;
    status = lanes_ages(doctor->tool, records, lanes);
    pay_kafka_reader_close(records);
    for (int32_t p = 0; p < lanes->count; p++) {
        int64_t since_ms = lanes->all[p].first_unsettled_ms;
        facts->unknown += lanes->all[p].age_unknown;
        if (since_ms < 0 || (facts->lane >= 0 && now_ms - since_ms <= facts->unanswered_ms)) continue;
        facts->lane = p;
        facts->unanswered_ms = now_ms > since_ms ? now_ms - since_ms : 0;
    }
    return status;
}

static enum pay_exit read_lanes(struct doctor *doctor, struct pay_pg *pg, struct lanes *lanes) {
    struct pay_kafka_reader *bounds;
    enum pay_exit status = tool_open_reader(doctor->tool, false, &bounds);
    if (status != PAY_EXIT_OK) return status;
    status = lanes_read(doctor->tool, pg, lanes); /* before the ends: R isn't beyond them */
    if (status == PAY_EXIT_OK)
        status = lanes_request_bounds(doctor->tool, bounds, doctor->card->request.partitions, lanes);
    if (status == PAY_EXIT_OK) status = lanes_reply_bounds(doctor->tool, bounds, doctor->card->reply.partitions, lanes);
    pay_kafka_reader_close(bounds);
    return status;
}

static void add_lines(struct doctor *doctor, const struct retention_line lines[RETENTION_LINES]) {
    for (size_t i = 0; i < RETENTION_LINES; i++)
        doctor->add(doctor, lines[i].check, lines[i].state, lines[i].found, lines[i].wanted, lines[i].fix);
}

void doctor_growth_unchecked(struct doctor *doctor, const char *why) {
    struct retention_line lines[RETENTION_LINES];
    retention_unchecked(why, lines);
    add_lines(doctor, lines);
}

static enum pay_exit look_at_topics(struct doctor *doctor, struct pay_pg *pg) {
    struct lanes lanes = {0};
    struct retention_facts facts = {.requests_ms = doctor->card->request.retention_ms,
                                    .replies_ms = doctor->card->reply.retention_ms,
                                    .letters_ms = doctor->card->dead_letter.retention_ms};
    struct retention_line lines[RETENTION_LINES];
    enum pay_exit status = read_lanes(doctor, pg, &lanes);
    if (status == PAY_EXIT_OK) add_kept(doctor, &lanes);
    if (status == PAY_EXIT_OK) status = count_refusals(doctor, pg, &lanes, &facts);
    if (status == PAY_EXIT_OK) status = find_unanswered(doctor, &lanes, &facts);
    if (status == PAY_EXIT_OK) {
        retention_judge(&facts, lines);
        add_lines(doctor, lines);
    } else {
        doctor_growth_unchecked(doctor, "the servers didn't answer all that was asked (stderr says why): mend that");
    }
    lanes_free(&lanes);
    return status;
}

enum pay_exit doctor_growth(struct doctor *doctor, struct pay_pg *pg) {
    struct pay_error error;
    const struct pay_kafka_report_card *card = doctor->card;
    const char *absent = !card->request.exists ? card->request.name
                         : !card->reply.exists ? card->reply.name
                                               : card->dead_letter.name;
    char why[PAY_TOPIC_MAX + 64];
    if (pay_pg_exec(pg, pay_sql_tools_table_sizes, NULL, take_table, doctor, NULL, &error) != PAY_OK)
        return tool_error(doctor->tool, &error);
    if (card->request.exists && card->reply.exists && card->dead_letter.exists) return look_at_topics(doctor, pg);
    if (absent[0] != '\0')
        snprintf(why, sizeof why, "%s doesn't exist: paybuf init makes it", absent);
    else
        snprintf(why, sizeof why, "the cluster couldn't be asked (stderr says why): mend that");
    doctor_growth_unchecked(doctor, why);
    return PAY_EXIT_OK;
}
