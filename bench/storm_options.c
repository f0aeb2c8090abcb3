#include "storm_options.h"

#include "base/clock.h"
#include "base/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "paybuf-storm --count 200000 --rate 3000             payments over HTTP: duplicates, conflicts, poor accounts\n"
    "paybuf-storm --print-accounts >accounts.ndjson      the accounts it pays from, for `paybuf account import`\n"
    "paybuf-storm --plain --connections 128 --seconds 10 how many an intake takes\n"
    "paybuf-storm --rate 2000 --seconds 30 --listen      how long a payment takes from request to reply\n"
    "\n"
    "Sends a workload that is a function of --seed and --epoch-ms, each payment until it gets its 202: 503 again after "
    "Retry-After,\n"
    "504 and broken connections again with the same order_id. At the end one JSON object on standard output.\n"
    "\n"
    "  --url URL          the intake (PAYBUF_HTTP_URL)\n"
    "  --count N          payments to send, duplicates included (200000); 0: until --seconds are over\n"
    "  --seconds S        no new payment after so many seconds (0: no bound)\n"
    "  --rate R           payments a second (0: as fast as the connections allow)\n"
    "  --connections N    keep-alive connections, one payment at a time on each (64)\n"
    "  --seed N           another workload (1)\n"
    "  --epoch-ms MS      the time in the order ids (now); the same again: the same orders again\n"
    "  --prefix P         before each account's name\n"
    "  --accounts N       rich accounts (1000)       --poor N        poor ones (50)\n"
    "  --duplicates N     in 100 payments (30)       --random-ids    order ids like UUIDv4 instead of UUIDv7\n"
    "  --plain            only new payments on rich accounts\n"
    "  --batch N          NDJSON batches of N lines, nothing sent again: how many an intake takes of a client that has "
    "many\n"
    "  --append           no HTTP: straight into the request topic, as fast as librdkafka takes them\n"
    "  --outstanding N    with --append: at most N without an acknowledgement, as under N clients (0: no bound)\n"
    "  --abort            the same in one transaction, which is then aborted: the log has them, nobody may pay them\n"
    "  --listen           also read the reply log (--kafka, PAYBUF_KAFKA_BOOTSTRAP) and wait for every answer, at most "
    "--settle S (60)\n"
    "  --tries N          of one payment (500)       --timeout S     of one answer (35)\n"
    "  --patience S       give up when nothing was accepted for so long (90)\n"
    "  --accepted FILE    what was promised: each 202 as a line of JSON\n"
    "  --status FILE      name=value lines, replaced five times a second\n"
    "  --quiet            no progress on standard error\n"
    "\n"
    "exit: 0 every payment accepted (with --listen: and answered once), 1 some weren't, 4 with --listen: answers "
    "missing or wrong,\n"
    "69 the intake stayed away, 130 interrupted\n";

/* A flag with a number, or one with a text, or one alone. */
struct flag {
    const char *name;
    int64_t least, most;
    size_t offset;
    enum { NUMBER, TEXT, SWITCH } type;
};

#define AT(member) offsetof(struct pay_storm_options, member)

/* clang-format off */
static const struct flag flags[] = {
    {"url", 0, 0, AT(url), TEXT},                       {"kafka", 0, 0, AT(kafka), TEXT},
    {"accepted", 0, 0, AT(accepted_path), TEXT},        {"status", 0, 0, AT(status_path), TEXT},
    {"count", 0, 1000000000, AT(count), NUMBER},        {"seconds", 0, 86400, AT(seconds), NUMBER},
    {"rate", 0, 10000000, AT(rate), NUMBER},            {"batch", 1, 10000, AT(batch), NUMBER},
    {"connections", 1, PAY_STORM_CONNECTIONS_MAX, AT(connections), NUMBER},
    {"tries", 1, 1000000, AT(tries), NUMBER},           {"timeout", 1, 3600, AT(timeout_s), NUMBER},
    {"patience", 1, 3600, AT(patience_s), NUMBER},      {"settle", 0, 3600, AT(settle_s), NUMBER},
    {"listen", 0, 0, AT(listen), SWITCH},               {"quiet", 0, 0, AT(quiet), SWITCH},
    {"print-accounts", 0, 0, AT(print_accounts), SWITCH}, {"append", 0, 0, AT(append), SWITCH},
    {"abort", 0, 0, AT(abort), SWITCH},                 {"outstanding", 0, 1000000, AT(outstanding), NUMBER},
    {"plain", 0, 0, AT(workload.plain), SWITCH},        {"random-ids", 0, 0, AT(workload.random_ids), SWITCH},
};
/* clang-format on */

static bool complain(int *ret_exit, const char *what, const char *which) {
    fprintf(stderr, "paybuf-storm: %s%s; --help shows what there is\n", which, what);
    *ret_exit = PAY_EXIT_USAGE;
    return false;
}

static bool read_number(const char *text, int64_t least, int64_t most, int64_t *ret_number) {
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < least || number > most) return false;
    *ret_number = number;
    return true;
}

/* The workload's own numbers; false: no such name. */
static bool set_workload(struct pay_workload *workload, const char *name, const char *value, bool *ret_good) {
    int64_t number = 0;
    *ret_good = value != NULL;
    if (strcmp(name, "prefix") == 0) {
        *ret_good = *ret_good && strlen(value) <= PAY_WORKLOAD_PREFIX_MAX;
        if (*ret_good) snprintf(workload->account_prefix, sizeof workload->account_prefix, "%s", value);
    } else if (strcmp(name, "seed") == 0) {
        *ret_good = *ret_good && read_number(value, 0, INT64_MAX, &number);
        workload->seed = (uint64_t)number;
    } else if (strcmp(name, "epoch-ms") == 0) {
        *ret_good = *ret_good && read_number(value, 0, (1LL << 47), &number);
        workload->epoch_ms = (uint64_t)number;
    } else if (strcmp(name, "accounts") == 0) {
        *ret_good = *ret_good && read_number(value, 1, 1000000, &number);
        workload->rich_accounts = (uint32_t)number;
    } else if (strcmp(name, "poor") == 0) {
        *ret_good = *ret_good && read_number(value, 1, 1000000, &number);
        workload->poor_accounts = (uint32_t)number;
    } else if (strcmp(name, "duplicates") == 0) {
        *ret_good = *ret_good && read_number(value, 0, 90, &number);
        workload->duplicates_percent = (uint32_t)number;
    } else {
        return false;
    }
    return true;
}

static bool set_flag(struct pay_storm_options *options, const struct flag *flag, const char *value) {
    char *member = (char *)options + flag->offset;
    if (flag->type == SWITCH)
        *(bool *)member = true;
    else if (value == NULL)
        return false;
    else if (flag->type == TEXT)
        *(const char **)(void *)member = value;
    else
        return read_number(value, flag->least, flag->most, (int64_t *)(void *)member);
    return true;
}

static const struct flag *find_flag(const char *name) {
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(flags[i].name, name) == 0) return &flags[i];
    return NULL;
}

static const char *from_environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

static void set_defaults(struct pay_storm_options *options) {
    *options = (struct pay_storm_options){
        .url = from_environment("PAYBUF_HTTP_URL", "http://127.0.0.1:8080"),
        .kafka = from_environment("PAYBUF_KAFKA_BOOTSTRAP", "127.0.0.1:9092"),
        .request_topic = from_environment("PAYBUF_REQUEST_TOPIC", "pay.requests"),
        .reply_topic = from_environment("PAYBUF_REPLY_TOPIC", "pay.replies"),
        .workload = {.seed = 1,
                     .epoch_ms = (uint64_t)(pay_wall_clock_us() / 1000),
                     .rich_accounts = 1000,
                     .poor_accounts = 50,
                     .duplicates_percent = 30},
        .count = 200000,
        .connections = 64,
        .tries = 500,
        .timeout_s = 35,
        .patience_s = 90,
        .settle_s = 60,
    };
}

bool pay_storm_options_read(int argc, char **argv, struct pay_storm_options *ret_options, int *ret_exit) {
    set_defaults(ret_options);
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i] + 2;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            *ret_exit = PAY_EXIT_OK;
            return false;
        }
        if (strncmp(argv[i], "--", 2) != 0) return complain(ret_exit, " isn't understood", argv[i]);
        const struct flag *flag = find_flag(name);
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool good;
        if (flag != NULL)
            good = set_flag(ret_options, flag, value);
        else if (!set_workload(&ret_options->workload, name, value, &good))
            return complain(ret_exit, " isn't understood", argv[i]);
        if (!good) return complain(ret_exit, " has no value, or none that it can have", argv[i]);
        if (flag == NULL || flag->type != SWITCH) i++;
    }
    if (ret_options->count == 0 && ret_options->abort) return complain(ret_exit, "--abort needs a --count", "");
    if (ret_options->count == 0 && ret_options->seconds == 0)
        return complain(ret_exit, "--count 0 needs a bound in --seconds", "");
    return true;
}
