/*
 * options.h - what the command lines of the daemons have in common:
 * --help, --version, --config FILE, --print-config, --check-config, --sample-config and the --section.key=value flags.
 * The command line program has verbs instead and uses config.h directly. Threads: before the first one.
 */
#ifndef PAY_BASE_OPTIONS_H
#define PAY_BASE_OPTIONS_H

#include "base/config.h"

struct pay_program {
    const char *name;           /* paybuf-producer */
    const char *purpose;        /* one sentence */
    const char *examples;       /* lines for the top of --help */
    const char *version;        /* what --version prints after the name */
    const char *sample_section; /* whose settings --sample-config shows after [kafka] and [topics] */
    const char *second_section; /* ... and then this one's; may be NULL */
    /* What the table can't judge; for --check-config and before a start. False: *ret_message says what, why and what to do. May be NULL. */
    bool (*check)(const struct pay_config *config, char *ret_message, size_t message_size);
};

/* Exit codes of every program (INTERFACES). */
enum pay_exit {
    PAY_EXIT_OK = 0,
    PAY_EXIT_FAILURE = 1,
    PAY_EXIT_USAGE = 2,
    PAY_EXIT_NOT_FOUND = 3,
    PAY_EXIT_DIFFERENCES = 4,
    PAY_EXIT_UNAVAILABLE = 69,
    PAY_EXIT_TEMPORARY = 75,
    PAY_EXIT_CONFIG = 78
};

/* True: go on with *config. False: everything was said; exit with *ret_exit. */
bool pay_options_load(const struct pay_program *program, int argc, char **argv, struct pay_config *config,
                      enum pay_exit *ret_exit);

#endif
