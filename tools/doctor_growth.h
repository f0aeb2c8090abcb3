/* doctor_growth.h - the part of `paybuf doctor` about what grows and what retention deletes: asks servers, doctor_retention.h judges. */
#ifndef PAY_TOOLS_DOCTOR_GROWTH_H
#define PAY_TOOLS_DOCTOR_GROWTH_H

#include "tools/doctor.h"

/* `pg` may read the tables. Lines about topics only where doctor->card says that all of them are there.
   PAY_EXIT_OK when everything could be looked at, whatever was found. */
enum pay_exit doctor_growth(struct doctor *doctor, struct pay_pg *pg);

#endif
