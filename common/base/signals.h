/*
 * signals.h - signal handlers that only set flags, and a descriptor that becomes readable when they did.
 * Threads: install before the first thread; other threads inherit a blocked mask.
 */
#ifndef PAY_BASE_SIGNALS_H
#define PAY_BASE_SIGNALS_H

#include <stdbool.h>

/* SIGTERM and SIGINT ask to stop, SIGHUP to reload; SIGPIPE is ignored. Answers the descriptor to wait for (signalfd), -1 on failure. */
int pay_signals_install(void);
/* Reads what came. Cheap when nothing did. */
void pay_signals_collect(void);
bool pay_signals_stop_requested(void);
bool pay_signals_take_reload(void); /* true once per SIGHUP */

/* sd_notify without libsystemd: READY=1, STOPPING=1, WATCHDOG=1, STATUS=...; a no-op without NOTIFY_SOCKET. */
void pay_notify(const char *state);

#endif
