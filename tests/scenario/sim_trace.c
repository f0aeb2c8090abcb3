#include "sim_trace.h"

#include "sim_intake.h"
#include "sim_reader.h"

static const char *const topics[TOPIC_COUNT] = {"requests", "replies", "dead letters"};
static const char *const answers[] = {"ok", "again", "failed", "delivered, without an offset", "fatal"};

static uint32_t calls_of(const struct rig *rig, uint32_t worker) {
    for (uint32_t i = 0; i < RIG_WORKERS_MAX; i++) {
        if (rig->workers[i].alive && rig->workers[i].number == worker) return rig->workers[i].fault.calls;
    }
    return 0;
}

/* What the number of a call says: an offset, mostly. */
static const char *about_of(enum fault_call call) {
    switch (call) {
    case CALL_FETCH:
    case CALL_READ_REPLIES: return "from ";
    case CALL_NEXT_RECORD: return "to ";
    case CALL_REQUEST_BOUNDS:
    case CALL_REPLY_BOUNDS: return "end ";
    case CALL_PUBLISH:
    case CALL_DEAD_LETTER:
    case CALL_NEXT_REPORT: return "of ";
    case CALL_SETTLE_BEGIN: return "P ";
    case CALL_READ_ANCHOR: return "at ";
    default: return NULL;
    }
}

static const char *event_name(int64_t kind) {
    static const char *const names[] = {"nothing", "assigned", "revoked", "lost", "trouble"};
    return kind >= 0 && kind < 5 ? names[kind] : "?";
}

static void print_call(FILE *out, const struct trace_event *event) {
    enum fault_call call = (enum fault_call)event->a;
    char partition[24] = "", about[32] = "";
    if (event->c >= 0) snprintf(partition, sizeof partition, "%lld", (long long)event->c);
    if (about_of(call) != NULL) snprintf(about, sizeof about, "%s%lld", about_of(call), (long long)event->d);
    if (call == CALL_NEXT_EVENT) snprintf(about, sizeof about, "%s", event_name(event->d));
    if (call == CALL_HALT_LANE || call == CALL_HALT_LEDGER)
        snprintf(about, sizeof about, "%s", pay_halt_name((enum pay_halt)event->d));
    fprintf(out, "%-20s %-3s %-10s %s\n", fault_call_name(call), partition, about,
            event->b == PAY_OK ? "ok" : fault_move_name((enum pay_move)event->b));
}

static void print_fault(FILE *out, const struct trace_event *event) {
    char number[24] = "";
    if (event->d != 0) snprintf(number, sizeof number, " %lld", (long long)event->d);
    fprintf(out, "%-20s *** %s%s\n", fault_call_name((enum fault_call)event->b),
            fault_kind_name((enum fault_kind)event->a), number);
}

static void print_produce(FILE *out, const struct trace_event *event) {
    const char *topic = topics[event->b];
    switch (event->kind) {
    case TRACE_SENT:
        fprintf(out, "%-20s %-3lld p%-9lld %lld record(s)\n", topic, (long long)event->c, (long long)event->a,
                (long long)event->d);
        return;
    case TRACE_DOOM:
        fprintf(out, "%-20s %-3lld p%-9lld *** %s\n", topic, (long long)event->c, (long long)event->d,
                fault_fate_name((enum fault_fate)event->a));
        return;
    case TRACE_FATE:
        fprintf(out, "%-20s %-3lld %-10s %s\n", topic, (long long)event->c, fault_fate_name((enum fault_fate)event->a),
                answers[event->d]);
        return;
    case TRACE_CUT:
        fprintf(out, "%-20s %-3lld tail lost  ends at %lld\n", topic, (long long)event->c, (long long)event->d);
        return;
    default: fprintf(out, "%-20s %-3lld + %lld\n", topic, (long long)event->c, (long long)event->d); return;
    }
}

static void print_client(FILE *out, const struct trace_event *event) {
    static const char *const words[] = {
        "asks",          "is told 202",    "is told 503",   "is told 504",
        "hears nothing", "intake crashes", "intake starts", "intake renews its producer"};
    if (event->a >= INTAKE_CRASHES) {
        fprintf(out, "%s\n", words[event->a]);
        return;
    }
    fprintf(out, "call %-15lld %-3lld %s", (long long)event->b, (long long)event->c, words[event->a]);
    if (event->d >= 0) fprintf(out, " at %lld", (long long)event->d);
    fprintf(out, "\n");
}

static void print_reader(FILE *out, const struct trace_event *event) {
    static const char *const words[] = {"starts at", "takes", "alarms a gap at", "crashes; goes on at",
                                        "is passed by retention; goes on at"};
    fprintf(out, "%-20s %-3lld %s %lld\n", "replies", (long long)event->c, words[event->a], (long long)event->d);
}

static void who_is(char who[24], const struct rig *rig, const struct trace_event *event) {
    switch (event->kind) {
    case TRACE_CALL:
    case TRACE_FAULT: snprintf(who, 24, "w%u.%u", event->who, calls_of(rig, event->who)); return;
    case TRACE_START:
    case TRACE_END:
    case TRACE_SAYS: snprintf(who, 24, "w%u", event->who); return;
    case TRACE_COMMIT: snprintf(who, 24, "database"); return;
    case TRACE_TROUBLE: snprintf(who, 24, "TROUBLE"); return;
    case TRACE_CLIENT: snprintf(who, 24, "client"); return;
    case TRACE_READER: snprintf(who, 24, "reader %u", event->who); return;
    case TRACE_SENT:
        if (event->who != 0)
            snprintf(who, 24, "w%u sends", event->who);
        else
            snprintf(who, 24, "intake");
        return;
    default: snprintf(who, 24, "broker"); return;
    }
}

void sim_trace_print(FILE *out, const struct rig *rig, const struct trace_event *event) {
    char who[24];
    if (event->kind == TRACE_FATE && event->a == FATE_OK && event->d == ANSWER_OK) return; /* its append says it */
    who_is(who, rig, event);
    fprintf(out, "%11.6f %-10s ", (double)(event->at_us - FAKE_CLOCK_START_US) / 1e6, who);
    switch (event->kind) {
    case TRACE_CALL: print_call(out, event); return;
    case TRACE_FAULT: print_fault(out, event); return;
    case TRACE_SENT:
    case TRACE_DOOM:
    case TRACE_FATE:
    case TRACE_APPEND:
    case TRACE_CUT: print_produce(out, event); return;
    case TRACE_COMMIT:
        fprintf(out, "commit %-13lld %-3lld P %lld, of w%u\n", (long long)event->a, (long long)event->c,
                (long long)event->d, event->who);
        return;
    case TRACE_START: fprintf(out, "starts\n"); return;
    case TRACE_END: fprintf(out, "%s\n", event->a ? "is gone" : "ends"); return;
    case TRACE_SAYS: fprintf(out, "\"%s\"\n", event->text); return;
    case TRACE_TROUBLE:
        fprintf(out, "*** %s (%lld, %lld)%s\n", event->text, (long long)event->c, (long long)event->d,
                event->b ? ": not possible now" : "");
        return;
    case TRACE_CLIENT: print_client(out, event); return;
    case TRACE_READER: print_reader(out, event); return;
    case TRACE_KIND_COUNT: return;
    }
}
