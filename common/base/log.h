/*
 * log.h - one line per event on stderr: time, level, program, text with key=value pairs. Programs log, libraries never do.
 * Under systemd (JOURNAL_STREAM) the time is left out and <N> levels are used. A repeated line is rate limited by its call site's key.
 * Threads: any.
 */
#ifndef PAY_BASE_LOG_H
#define PAY_BASE_LOG_H

enum pay_log_level { PAY_LOG_DEBUG, PAY_LOG_INFO, PAY_LOG_WARNING, PAY_LOG_ERROR };

void pay_log_open(const char *program, enum pay_log_level least);
void pay_log(enum pay_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
