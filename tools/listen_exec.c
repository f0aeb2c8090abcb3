#define _GNU_SOURCE /* memfd_create */
#include "tools/listen_exec.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS 200
#define PAUSE_MOST_MS 5000
#define TRIES_MOST 10
#define LOOK_MS 5 /* how long an ended command may go unseen */

struct job {
    pid_t pid; /* -1: it couldn't be started, for `error` */
    int error;
};

/* A file in memory: the command may read it when and as far as it likes. */
static int input_of(const struct listen_item *item) {
    int input = memfd_create("reply", MFD_CLOEXEC);
    if (input < 0) return -1;
    bool good = write(input, item->value, item->length) == (ssize_t)item->length && write(input, "\n", 1) == 1 &&
                lseek(input, 0, SEEK_SET) == 0;
    if (good) return input;
    close(input);
    return -1;
}

static char **environment_with(char *id) {
    size_t count = 0, at = 0;
    while (environ[count] != NULL) count++;
    char **environment = calloc(count + 2, sizeof *environment);
    if (environment == NULL) abort();
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "PAYBUF_REPLY_ID=", 16) != 0) environment[at++] = environ[i];
    environment[at] = id;
    return environment;
}

/* Signals are as they were before pay_signals_install: the command may be stopped, and a closed pipe ends it. */
static int spawn(char *command, int input, char **environment, pid_t *ret_pid) {
    char shell[] = "sh", option[] = "-c";
    char *const words[] = {shell, option, command, NULL};
    sigset_t none, usual;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    int failed = posix_spawn(ret_pid, "/bin/sh", &files, &attributes, words, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

static void *begin(void *self, const struct listen_item *item) {
    char id[LISTEN_ID_MAX + 20];
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) abort();
    snprintf(id, sizeof id, "PAYBUF_REPLY_ID=%s", item->id);
    job->pid = -1;
    int input = input_of(item);
    if (input < 0) {
        job->error = errno;
        return job;
    }
    char **environment = environment_with(id);
    job->error = spawn(self, input, environment, &job->pid);
    if (job->error != 0) job->pid = -1;
    free(environment);
    close(input);
    return job;
}

static enum listen_taken look(void *self, void *argument, char *ret_why, size_t why_size, int64_t *ret_pause_ms) {
    struct job *job = argument;
    int status = 0;
    (void)self;
    (void)ret_pause_ms;
    if (job->pid >= 0 && waitpid(job->pid, &status, WNOHANG) == 0) return LISTEN_UNDER_WAY;
    if (job->pid < 0)
        snprintf(ret_why, why_size, "it can't be started: %s", strerror(job->error));
    else if (WIFEXITED(status))
        snprintf(ret_why, why_size, "it ended with %d", WEXITSTATUS(status));
    else
        snprintf(ret_why, why_size, "it was ended by signal %d", WTERMSIG(status));
    bool good = job->pid >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    free(job);
    return good ? LISTEN_TAKEN : LISTEN_NOT_TAKEN;
}

static void pause_a_little(void *self, int64_t timeout_ms) {
    (void)self;
    const struct timespec pause = {.tv_nsec = (timeout_ms < LOOK_MS ? timeout_ms : LOOK_MS) * 1000000};
    nanosleep(&pause, NULL);
}

/* It didn't end in time: asked to, and not waited for. Its reply is handed over again at the next start. */
static void drop(void *self, void *argument) {
    struct job *job = argument;
    (void)self;
    if (job->pid >= 0) kill(job->pid, SIGTERM);
    free(job);
}

void listen_exec_port(const char *command, struct listen_port *ret_port) {
    *ret_port = (struct listen_port){.self = (void *)command,
                                     .name = "the command",
                                     .pause_ms = PAUSE_MS,
                                     .pause_most_ms = PAUSE_MOST_MS,
                                     .tries_most = TRIES_MOST,
                                     .begin = begin,
                                     .look = look,
                                     .wait = pause_a_little,
                                     .drop = drop};
}
