#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Written by the thread that collects, which is the one that reads them: with a signalfd no handler runs anywhere. */
static int descriptor = -1;
static bool stop_requested;
static bool reload_requested;

int pay_signals_install(void) {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &wanted, NULL) != 0) return -1;
    descriptor = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
    return descriptor;
}

void pay_signals_collect(void) {
    struct signalfd_siginfo came;
    if (descriptor < 0) return;
    for (;;) {
        ssize_t got = read(descriptor, &came, sizeof came);
        if (got != (ssize_t)sizeof came) {
            if (got < 0 && errno == EINTR) continue;
            return;
        }
        if (came.ssi_signo == SIGHUP)
            reload_requested = true;
        else
            stop_requested = true;
    }
}

bool pay_signals_stop_requested(void) { return stop_requested; }

bool pay_signals_take_reload(void) {
    bool taken = reload_requested;
    reload_requested = false;
    return taken;
}
