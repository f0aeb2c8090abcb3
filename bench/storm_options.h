/*
 * storm_options.h - the command line of paybuf-storm. Memory: plain values; texts point into argv and the environment.
 */
#ifndef PAY_BENCH_STORM_OPTIONS_H
#define PAY_BENCH_STORM_OPTIONS_H

#include "workload.h"

#define PAY_STORM_CONNECTIONS_MAX 4096

struct pay_storm_options {
    const char *url, *kafka, *request_topic, *reply_topic;
    const char *accepted_path, *status_path; /* NULL: none */
    struct pay_workload workload;
    int64_t count;       /* payments; 0: until the time is over */
    int64_t seconds;     /* no new payment after this; 0: no bound */
    int64_t rate;        /* payments per second; 0: as fast as the connections allow */
    int64_t outstanding; /* records appended without HTTP that wait for their acknowledgement; 0: no bound */
    int64_t batch;       /* lines of each NDJSON batch; 0: a request for each payment */
    int64_t connections, tries, timeout_s, patience_s, settle_s;
    bool listen, quiet, print_accounts, append, abort;
};

/* True: go on. False: everything was said; exit with *ret_exit. */
bool pay_storm_options_read(int argc, char **argv, struct pay_storm_options *ret_options, int *ret_exit);

#endif
