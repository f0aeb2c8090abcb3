/* doctor_growth.h - the part of `paybuf doctor` about what grows and what retention deletes: asks servers, doctor_retention.h judges. */
#ifndef PAY_TOOLS_DOCTOR_GROWTH_H
#define PAY_TOOLS_DOCTOR_GROWTH_H

#include "tools/doctor.h"

/* `pg` may read the tables. PAY_EXIT_OK when everything could be looked at, whatever was found, and where a topic isn't there. What
   couldn't be asked has its lines, too: warnings that say why. */
enum pay_exit doctor_growth(struct doctor *doctor, struct pay_pg *pg);
/* Those lines, where not even the tables can be read. */
void doctor_growth_unchecked(struct doctor *doctor, const char *why);

#endif
