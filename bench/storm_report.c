#include "storm_report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TELL_US 200000
#define TICK_US 1000000
#define LINE_US 5000000 /* plain lines, when nobody watches a terminal */

void pay_storm_report_begin(struct pay_storm_report *report, const struct pay_storm_options *options) {
    const char *term = getenv("TERM");
    memset(report, 0, sizeof *report);
    report->options = options;
    report->terminal = isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
    report->began_us = report->tick_us = report->told_us = report->said_us = pay_clock_us();
}

static void write_status(const struct pay_storm_report *report, const struct pay_reply_counts *replies,
                         const char *phase) {
    char temporary[4096];
    const struct pay_storm_counts *counts = &report->counts;
    if (report->options->status_path == NULL) return;
    snprintf(temporary, sizeof temporary, "%s.new", report->options->status_path);
    FILE *out = fopen(temporary, "w");
    if (out == NULL) return; /* the storm doesn't end because nobody can watch it */
    fprintf(out,
            "phase=%s\nelapsed_ms=%" PRId64 "\npayments=%" PRIu64 "\nsent=%" PRIu64 "\naccepted=%" PRIu64
            "\nretried=%" PRIu64 "\n",
            phase, (report->told_us - report->began_us) / 1000, counts->payments, counts->sent, counts->accepted,
            counts->retried);
    fprintf(out,
            "unknown=%" PRIu64 "\nrefused=%" PRIu64 "\nbroken=%" PRIu64 "\nerrors=%" PRIu64 "\nrate=%" PRIu64
            "\np99_us=%" PRIu64 "\n",
            counts->unknown, counts->refused, counts->broken, counts->errors, report->recent_rate,
            report->recent_p99_us);
    fprintf(out, "answered=%" PRIu64 "\nreplies=%" PRIu64 "\ngaps=%" PRIu64 "\n", replies->answered, replies->replies,
            replies->gaps);
    fclose(out);
    rename(temporary, report->options->status_path);
}

static void write_line(const struct pay_storm_report *report, const struct pay_reply_counts *replies,
                       const char *phase) {
    const struct pay_storm_counts *counts = &report->counts;
    char answered[64] = "";
    if (report->options->listen) snprintf(answered, sizeof answered, "  answered %" PRIu64, replies->answered);
    fprintf(stderr, "%s%6.1f s  %s: accepted %" PRIu64 "%s  %" PRIu64 "/s  p99 %.1f ms  sent again %" PRIu64 "%s",
            report->terminal ? "\r\x1b[K" : "", (double)(report->told_us - report->began_us) / 1e6, phase,
            counts->accepted, answered, report->recent_rate, (double)report->recent_p99_us / 1e3,
            counts->sent - counts->payments, report->terminal ? "" : "\n");
    fflush(stderr);
}

void pay_storm_report_tell(struct pay_storm_report *report, const struct pay_reply_watch *watch, const char *phase) {
    static const struct pay_reply_counts none;
    int64_t now_us = pay_clock_us();
    const struct pay_reply_counts *replies = watch != NULL ? pay_reply_watch_counts(watch) : &none;
    if (now_us - report->told_us < TELL_US) return;
    report->told_us = now_us;
    if (now_us - report->tick_us >= TICK_US) {
        report->recent_rate =
            (report->counts.accepted - report->accepted_at_tick) * 1000000 / (uint64_t)(now_us - report->tick_us);
        report->recent_p99_us = pay_histogram_quantile(&report->recent, 0.99);
        report->accepted_at_tick = report->counts.accepted;
        report->tick_us = now_us;
        pay_histogram_reset(&report->recent);
    }
    write_status(report, replies, phase);
    if (report->options->quiet || (!report->terminal && now_us - report->said_us < LINE_US)) return;
    report->said_us = now_us;
    write_line(report, replies, phase);
}

static void print_replies(const struct pay_reply_watch *watch) {
    const struct pay_reply_counts *counts = pay_reply_watch_counts(watch);
    const struct pay_histogram *latency = pay_reply_watch_latency(watch);
    printf(",\"answered\":%" PRIu64 ",\"reply_p50_us\":%" PRIu64 ",\"reply_p99_us\":%" PRIu64
           ",\"reply_max_us\":%" PRIu64,
           counts->answered, pay_histogram_quantile(latency, 0.5), pay_histogram_quantile(latency, 0.99), latency->max);
    printf(",\"replies\":{\"taken\":%" PRIu64 ",\"paid\":%" PRIu64 ",\"declined\":%" PRIu64 ",\"duplicates\":%" PRIu64
           ",\"conflicts\":%" PRIu64 ",\"invalid\":%" PRIu64 ",\"copies\":%" PRIu64 ",\"gaps\":%" PRIu64
           ",\"foreign\":%" PRIu64 ",\"doubly_accepted\":%" PRIu64 ",\"wrong_order\":%" PRIu64 "}",
           counts->replies, counts->paid, counts->declined, counts->duplicates, counts->conflicts, counts->invalid,
           counts->copies, counts->gaps, counts->foreign, counts->doubly_accepted, counts->wrong_order);
}

void pay_storm_report_end(struct pay_storm_report *report, const struct pay_reply_watch *watch, bool interrupted) {
    const struct pay_storm_counts *counts = &report->counts;
    double seconds = (double)(report->ended_us - report->began_us) / 1e6;
    report->told_us = 0;
    pay_storm_report_tell(report, watch, "done");
    if (report->terminal && !report->options->quiet) fputc('\n', stderr);
    printf("{\"payments\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"retried\":%" PRIu64
           ",\"unknown\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"broken\":%" PRIu64 ",\"errors\":%" PRIu64
           ",\"gave_up\":%" PRIu64,
           counts->payments, counts->sent, counts->accepted, counts->retried, counts->unknown, counts->refused,
           counts->broken, counts->errors, counts->gave_up);
    printf(",\"asked\":{\"first\":%" PRIu64 ",\"duplicate\":%" PRIu64 ",\"conflict\":%" PRIu64
           ",\"next_attempt\":%" PRIu64 "}",
           counts->kinds[0], counts->kinds[1], counts->kinds[2], counts->kinds[3]);
    printf(",\"seconds\":%.3f,\"rate\":%.0f,\"p50_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 ",\"p999_us\":%" PRIu64
           ",\"max_us\":%" PRIu64,
           seconds, seconds > 0 ? (double)counts->accepted / seconds : 0, pay_histogram_quantile(&report->latency, 0.5),
           pay_histogram_quantile(&report->latency, 0.99), pay_histogram_quantile(&report->latency, 0.999),
           report->latency.max);
    if (watch != NULL) print_replies(watch);
    printf(",\"interrupted\":%s}\n", interrupted ? "true" : "false");
}
