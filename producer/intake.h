/*
 * intake.h - the intake as a whole: one thread, one epoll loop over HTTP, Kafka's reports, signals and the admin port.
 * A crash loses nothing that was answered 202; calls under way end without an answer and may be stored.
 */
#ifndef PAY_PRODUCER_INTAKE_H
#define PAY_PRODUCER_INTAKE_H

#include "base/config.h"

struct pay_intake;

/* Listens and starts its Kafka handles; an unreachable broker is no failure. NULL: *ret_message says why. Install signals before. */
struct pay_intake *pay_intake_open(const struct pay_config *config, int signal_descriptor, char *ret_message,
                                   size_t message_size);
/* Serves until SIGTERM or SIGINT, then drains; true when everything under way was answered within drain_ms. */
bool pay_intake_run(struct pay_intake *intake);
/* Never blocks for long. NULL is fine. */
void pay_intake_close(struct pay_intake *intake);

#endif
