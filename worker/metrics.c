#include "worker/metrics.h"

#include <inttypes.h>

static void counter(FILE *out, const char *name, const char *help, uint64_t value) {
    fprintf(out, "# HELP paybuf_worker_%s %s\n# TYPE paybuf_worker_%s counter\npaybuf_worker_%s %" PRIu64 "\n", name,
            help, name, name, value);
}

static void lane_gauge(const struct pay_worker *worker, FILE *out, const char *name, const char *help,
                       int64_t (*value)(const struct pay_lane *)) {
    fprintf(out, "# HELP paybuf_lane_%s %s\n# TYPE paybuf_lane_%s gauge\n", name, help, name);
    for (uint32_t i = 0; i < pay_worker_lane_count(worker); i++) {
        const struct pay_lane *lane = pay_worker_lane(worker, i);
        if (lane->state == PAY_LANE_UNASSIGNED) continue;
        fprintf(out, "paybuf_lane_%s{partition=\"%" PRId32 "\"} %" PRId64 "\n", name, lane->partition, value(lane));
    }
}

static int64_t is_open(const struct pay_lane *lane) { return lane->state == PAY_LANE_OPEN; }
static int64_t is_halted(const struct pay_lane *lane) { return lane->halt != PAY_HALT_NONE; }
static int64_t processed(const struct pay_lane *lane) { return lane->processed; }
static int64_t replied(const struct pay_lane *lane) { return lane->replied_offset; }
static int64_t unreplied(const struct pay_lane *lane) { return lane->unreplied; }

void pay_worker_metrics(const struct pay_worker *worker, FILE *out) {
    const struct pay_worker_counters *c = pay_worker_counters(worker);
    counter(out, "records_total", "Records settled.", c->records);
    counter(out, "paid_total", "First decisions: paid.", c->paid);
    counter(out, "declined_total", "First decisions: declined.", c->declined);
    counter(out, "duplicates_total", "Repeated identities with the same fields.", c->duplicates);
    counter(out, "conflicts_total", "Known identities with other fields, or an order that is paid already.",
            c->conflicts);
    counter(out, "invalid_total", "Records that were no request, or an attempt out of sequence.", c->invalid);
    counter(out, "looked_up_total", "Records answered from rows after a claim.", c->looked_up);
    counter(out, "replies_acknowledged_total", "Replies the broker has.", c->replies_acknowledged);
    counter(out, "dead_letters_total", "Dead letters the broker has.", c->dead_letters);
    counter(out, "batches_total", "Transactions that settled records.", c->batches);
    counter(out, "empty_batches_total", "Transactions that moved positions at rest.", c->empty_batches);
    counter(out, "redone_total", "Transactions rolled back and redone (deadlock, lock timeout, a race of two lanes).",
            c->redone);
    counter(out, "halved_total", "Batches halved because they kept failing.", c->halved);
    counter(out, "claims_total", "Claims begun.", c->claims);
    counter(out, "claims_failed_total", "Claims put off.", c->claims_failed);
    counter(out, "fenced_total", "Lanes lost to another session.", c->fenced);
    counter(out, "sessions_ended_total", "Times everything was rolled back, reconnected and claimed again.",
            c->sessions_ended);
    counter(out, "publishers_lost_total", "Reply producers given up.", c->publishers_lost);
    counter(out, "halts_total", "Halts of a lane or of the ledger.", c->halts);
    lane_gauge(worker, out, "open", "1 when the lane is claimed and at work.", is_open);
    lane_gauge(worker, out, "halted", "1 when the lane stands still until a person has looked.", is_halted);
    lane_gauge(worker, out, "processed_offset", "P: everything below is settled.", processed);
    lane_gauge(worker, out, "replied_offset", "Everything below has an acknowledged reply.", replied);
    lane_gauge(worker, out, "unreplied", "Records received and not yet answered.", unreplied);
}
