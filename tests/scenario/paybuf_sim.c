/*
 * paybuf-sim - the simulator's command line: single seeds, ranges of them over several processes, minimizing, coverage.
 *
 * Every seed is played in a child process: a worker that aborts is a violation of its seed, and the range goes on behind it. A job
 * plays every J-th seed; what is printed depends on the seeds alone, not on who was faster.
 */
#include "sim_minimize.h"
#include "sim_run.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_VIOLATIONS 4
#define EXIT_USAGE 2
#define JOBS_MAX 64
#define SHOWN_MAX 3 /* violating seeds in full */
#if defined(__SANITIZE_ADDRESS__)
#define SEEDS_A_PROCESS 250 /* fiber.c keeps the stacks of crashed workers */
#else
#define SEEDS_A_PROCESS 5000 /* then a new one: what crashed workers had allocated is gone with the old */
#endif
#define STUCK_AFTER_S 60 /* of CPU in one seed: it is in a loop that never comes back to the scheduler */
#define MINIMIZE_TRIES 3000

struct found {
    uint64_t seed;
    uint32_t violation_count;
    int signal; /* it died of this one; 0: it was judged */
    char violations[SIM_VIOLATIONS_SHOWN][400];
};

/* Shared between a job's process and its parent. */
struct job {
    uint64_t next; /* the seed to be played next; at work while `playing` */
    bool playing;
    uint64_t seeds, violating, hash, events, tampered;
    uint32_t found_count;
    struct found found[SHOWN_MAX]; /* the first ones of this job */
    struct sim_coverage coverage;
    struct sim_result last;
};

struct options {
    uint64_t from, count, jobs;
    bool one, minimize, trace, coverage, print_plan;
    const char *plan;
};

static const char help[] =
    "Examples:\n"
    "  paybuf-sim --from 1 --count 20000 --jobs 2     20,000 seeds in two processes\n"
    "  paybuf-sim --seed 17                           one seed again, exactly, with its hash\n"
    "  paybuf-sim --seed 17 --trace | less            the same, as a story\n"
    "  paybuf-sim --seed 17 --minimize                a smaller plan that fails in the same way\n"
    "  paybuf-sim --plan \"seed=17 partitions=1 ..\"    a plan by hand, as --print-plan and --minimize print it\n"
    "  paybuf-sim --from 1 --count 20000 --coverage   which fault met which state, and how often\n"
    "\n"
    "Usage: paybuf-sim (--seed N | --from S --count N | --plan TEXT) [options]\n"
    "  --seed N        play seed N and print its hash\n"
    "  --from S        first seed of a range (default 1)\n"
    "  --count N       how many seeds\n"
    "  --plan TEXT     play a plan instead of one drawn from a seed\n"
    "  --print-plan    print the plan of the seed, and don't play it\n"
    "  --trace         every event on stdout\n"
    "  --minimize      shrink the plan of a failing seed, or a failing --plan\n"
    "  --coverage      print the table of faults and states\n"
    "  --jobs J        processes for a range (default 1)\n"
    "  --help\n"
    "\n"
    "Last line: sim: N seeds, V violations. Exit code 0; 4 with violations; 2 usage.\n";

/* ---- one seed, in a child ---- */

static void note_violations(struct job *job, uint64_t seed, const struct sim_result *result) {
    job->violating++;
    if (job->found_count == SHOWN_MAX) return;
    struct found *found = &job->found[job->found_count++];
    *found = (struct found){.seed = seed, .violation_count = result->violation_count};
    memcpy(found->violations, result->violations, sizeof found->violations);
}

static void limit_cpu(void) {
    const struct itimerval limit = {.it_value = {.tv_sec = STUCK_AFTER_S}};
    setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

static void play(struct job *job, const struct options *options, const struct sim_plan *plan, uint64_t seed) {
    struct sim_listener listener = {.coverage = options->coverage ? &job->coverage : NULL,
                                    .trace = options->trace ? stdout : NULL};
    job->playing = true;
    limit_cpu();
    sim_play(plan, &listener, &job->last);
    job->playing = false;
    job->seeds++;
    job->hash += job->last.hash;
    job->events += job->last.events;
    job->tampered += job->last.tampered;
    if (job->last.violation_count > 0) note_violations(job, seed, &job->last);
}

static _Noreturn void run_job(struct job *job, const struct options *options, uint64_t end, uint64_t stride) {
    static struct sim_plan plan;
    for (uint32_t i = 0; i < SEEDS_A_PROCESS && job->next < end; i++) {
        uint64_t seed = job->next;
        if (options->plan != NULL) {
            const char *wrong;
            bool parsed = sim_plan_parse(options->plan, &plan, &wrong);
            assert(parsed);
            (void)parsed;
        } else {
            sim_plan_draw(seed, &plan);
        }
        play(job, options, &plan, seed);
        job->next = seed + stride;
    }
    fflush(NULL);
    _exit(0);
}

static pid_t fork_job(struct job *job, const struct options *options, uint64_t end, uint64_t stride) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "paybuf-sim: can't fork: %s\n", strerror(errno));
        exit(1);
    }
    if (pid == 0) run_job(job, options, end, stride);
    return pid;
}

/* Its process died in the middle of a seed: a violation like any other. */
static void note_death(struct job *job, int status, uint64_t stride) {
    if (!job->playing) return;
    job->violating++;
    job->seeds++;
    if (job->found_count < SHOWN_MAX) {
        struct found *found = &job->found[job->found_count++];
        *found = (struct found){
            .seed = job->next, .violation_count = 1, .signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1};
        snprintf(found->violations[0], sizeof found->violations[0], "the process died: %s",
                 found->signal == SIGVTALRM ? "it never came back to the scheduler"
                 : found->signal > 0        ? strsignal(found->signal)
                                            : "it ended by itself");
    }
    job->playing = false;
    job->next += stride;
}

/* ---- a range ---- */

static struct job *make_jobs(uint64_t count) {
    void *memory = mmap(NULL, count * sizeof(struct job), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(memory != MAP_FAILED);
    return memory;
}

static void run_all(struct job *jobs, const struct options *options) {
    pid_t pids[JOBS_MAX];
    uint64_t end = options->from + options->count, alive = 0;
    for (uint64_t i = 0; i < options->jobs; i++) {
        jobs[i].next = options->from + i;
        pids[i] = 0;
        if (jobs[i].next >= end) continue;
        pids[i] = fork_job(&jobs[i], options, end, options->jobs);
        alive++;
    }
    while (alive > 0) {
        int status;
        pid_t pid = wait(&status);
        if (pid < 0 && errno == EINTR) continue;
        assert(pid > 0);
        for (uint64_t i = 0; i < options->jobs; i++) {
            if (pids[i] != pid) continue;
            note_death(&jobs[i], status, options->jobs);
            pids[i] = 0;
            alive--;
            if (jobs[i].next >= end) continue;
            pids[i] = fork_job(&jobs[i], options, end, options->jobs);
            alive++;
        }
    }
}

static int compare_found(const void *a, const void *b) {
    const struct found *left = a, *right = b;
    return (left->seed > right->seed) - (left->seed < right->seed);
}

static void show(const struct options *options, const struct found *found) {
    char text[SIM_PLAN_TEXT_MAX];
    if (options->plan != NULL)
        printf("the plan: ");
    else
        printf("seed %llu: ", (unsigned long long)found->seed);
    printf("%u violation(s)\n", found->violation_count);
    for (uint32_t i = 0; i < found->violation_count && i < SIM_VIOLATIONS_SHOWN; i++)
        printf("  %s\n", found->violations[i]);
    if (options->plan != NULL) return;
    static struct sim_plan plan;
    sim_plan_draw(found->seed, &plan);
    sim_plan_print(&plan, text);
    printf("  plan: %s\n", text);
}

static void add_up(struct job *sum, const struct job *jobs, uint64_t count, struct found all[JOBS_MAX * SHOWN_MAX],
                   uint32_t *ret_found) {
    *ret_found = 0;
    for (uint64_t i = 0; i < count; i++) {
        sum->seeds += jobs[i].seeds;
        sum->violating += jobs[i].violating;
        sum->hash += jobs[i].hash;
        sum->events += jobs[i].events;
        sum->tampered += jobs[i].tampered;
        sim_coverage_add(&sum->coverage, &jobs[i].coverage);
        for (uint32_t n = 0; n < jobs[i].found_count; n++) all[(*ret_found)++] = jobs[i].found[n];
    }
    qsort(all, *ret_found, sizeof all[0], compare_found);
}

static void tell_rate(uint64_t seeds) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (cpu_s > 1) fprintf(stderr, "%.0f seeds per core-second\n", (double)seeds / cpu_s);
}

static int run_range(const struct options *options) {
    static struct job sum;
    static struct found all[JOBS_MAX * SHOWN_MAX];
    uint32_t found_count;
    struct job *jobs = make_jobs(options->jobs);
    run_all(jobs, options);
    add_up(&sum, jobs, options->jobs, all, &found_count);
    for (uint32_t i = 0; i < found_count && i < SHOWN_MAX; i++) show(options, &all[i]);
    if (options->coverage) sim_coverage_print(&sum.coverage, stdout);
    if (options->count == 1 && sum.violating == 0) {
        const struct sim_result *last = &jobs[0].last;
        printf("%llu events, %llu steps, %.3f s of virtual time%s\n", (unsigned long long)last->events,
               (unsigned long long)last->steps, (double)last->virtual_ms / 1000,
               last->tampered ? ", the past was changed" : "");
    }
    printf("hash %016llx\n", (unsigned long long)sum.hash);
    if (options->count > 1) {
        printf("%llu events; the past was changed in %llu runs\n", (unsigned long long)sum.events,
               (unsigned long long)sum.tampered);
        tell_rate(sum.seeds);
    }
    printf("sim: %llu seeds, %llu violations\n", (unsigned long long)sum.seeds, (unsigned long long)sum.violating);
    return sum.violating > 0 ? EXIT_VIOLATIONS : 0;
}

/* ---- minimizing ---- */

struct wanted {
    struct job *job;
    char kind[SIM_KIND_MAX];
};

/* In a child: it may abort. */
static bool play_plan(struct job *job, const struct sim_plan *plan) {
    static const struct options plain;
    int status;
    memset(job, 0, sizeof *job);
    fflush(NULL);
    pid_t pid = fork();
    assert(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(1);
        play(job, &plain, plan, 0);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    note_death(job, status, 0);
    return job->violating > 0;
}

static bool fails_likewise(void *argument, const struct sim_plan *plan) {
    struct wanted *wanted = argument;
    char kind[SIM_KIND_MAX];
    if (!play_plan(wanted->job, plan)) return false;
    const struct found *found = &wanted->job->found[0];
    for (uint32_t i = 0; i < found->violation_count && i < SIM_VIOLATIONS_SHOWN; i++) {
        sim_violation_kind(found->violations[i], kind);
        if (strcmp(kind, wanted->kind) == 0) return true;
    }
    return false;
}

static int minimize(const struct options *options, struct sim_plan *plan) {
    char text[SIM_PLAN_TEXT_MAX];
    struct wanted wanted = {.job = make_jobs(1)};
    (void)options;
    if (!play_plan(wanted.job, plan)) {
        printf("nothing to minimize: it ends well\nsim: 1 seeds, 0 violations\n");
        return 0;
    }
    sim_violation_kind(wanted.job->found[0].violations[0], wanted.kind);
    uint32_t entries = plan->entry_count, faults = plan->script.count;
    uint32_t tries = sim_minimize(plan, MINIMIZE_TRIES, fails_likewise, &wanted);
    bool fails = play_plan(wanted.job, plan);
    assert(fails);
    (void)fails;
    printf("%u entries and %u faults became %u and %u in %u tries\n", entries, faults, plan->entry_count,
           plan->script.count, tries);
    for (uint32_t i = 0; i < wanted.job->found[0].violation_count && i < SIM_VIOLATIONS_SHOWN; i++)
        printf("  %s\n", wanted.job->found[0].violations[i]);
    sim_plan_print(plan, text);
    printf("paybuf-sim --trace --plan \"%s\"\nsim: 1 seeds, 1 violations\n", text);
    return EXIT_VIOLATIONS;
}

/* ---- the command line ---- */

static _Noreturn void refuse(const char *why, const char *what) {
    fprintf(stderr, "paybuf-sim: %s%s%s\nTry paybuf-sim --help.\n", why, what != NULL ? ": " : "",
            what != NULL ? what : "");
    exit(EXIT_USAGE);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < least || value > most)
        refuse("not a number that fits", text);
    return value;
}

static struct options read_options(int argc, char **argv) {
    static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"count", required_argument, NULL, 'c'},
                                          {"plan", required_argument, NULL, 'p'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"minimize", no_argument, NULL, 'm'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"coverage", no_argument, NULL, 'C'},
                                          {"print-plan", no_argument, NULL, 'P'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {.from = 1, .jobs = 1};
    bool ranged = false;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 's':
            options.from = number(optarg, 0, UINT64_MAX - 1);
            options.one = true;
            break;
        case 'f': options.from = number(optarg, 0, UINT64_MAX / 2), ranged = true; break;
        case 'c': options.count = number(optarg, 1, UINT64_MAX / 2), ranged = true; break;
        case 'j': options.jobs = number(optarg, 1, JOBS_MAX); break;
        case 'p': options.plan = optarg; break;
        case 'm': options.minimize = true; break;
        case 't': options.trace = true; break;
        case 'C': options.coverage = true; break;
        case 'P': options.print_plan = true; break;
        case 'h': fputs(help, stdout); exit(0);
        default: refuse("an option is missing its value, or unknown", NULL);
        }
    }
    if (optind < argc) refuse("no words are expected beside the options", argv[optind]);
    if (options.one + ranged + (options.plan != NULL) != 1)
        refuse("give --seed, or --from and --count, or --plan", NULL);
    if (ranged && options.count == 0) refuse("--count is missing", NULL);
    if (ranged && (options.trace || options.minimize || options.print_plan))
        refuse("--trace, --minimize and --print-plan want one seed", NULL);
    if (!ranged) options.count = options.jobs = 1;
    return options;
}

int main(int argc, char **argv) {
    static struct sim_plan plan;
    char text[SIM_PLAN_TEXT_MAX];
    const char *wrong = NULL;
    struct options options = read_options(argc, argv);
    if (options.plan != NULL && !sim_plan_parse(options.plan, &plan, &wrong)) refuse("not a plan, from here on", wrong);
    if (options.plan == NULL) sim_plan_draw(options.from, &plan);
    if (options.print_plan) {
        sim_plan_print(&plan, text);
        printf("%s\n", text);
        return 0;
    }
    return options.minimize ? minimize(&options, &plan) : run_range(&options);
}
