/* doctor_database.h - the database's part of `paybuf doctor`. */
#ifndef PAY_TOOLS_DOCTOR_DATABASE_H
#define PAY_TOOLS_DOCTOR_DATABASE_H

#include "tools/doctor.h"

/* PAY_EXIT_OK when everything could be looked at, whatever was found. */
enum pay_exit doctor_database(struct doctor *doctor);

#endif
