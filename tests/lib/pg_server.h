/*
 * pg_server.h - a real PostgreSQL for one test program.
 *
 * pay_test_pg_start: PAYBUF_TEST_DATABASE_URL names a server to use (its login needs CREATEDB and CREATEROLE; nothing of its own
 * database is touched); otherwise a private one is made under /var/tmp and started on a free loopback port, as the user postgres
 * when root calls. Either way the test gets a database of its own. Never skips: what can't be done ends the program with a reason.
 * pay_test_pg_stop: drops the database, ends the private server, removes its files. A killed test program takes its server with it
 * (parent death signal).
 */
#ifndef PAY_TEST_PG_SERVER_H
#define PAY_TEST_PG_SERVER_H

#include <stdbool.h>

void pay_test_pg_start(void);
void pay_test_pg_stop(void);
const char *pay_test_pg_url(void);       /* the test's own database; the login owns it, and isn't a superuser */
const char *pay_test_pg_admin_url(void); /* superuser on the same database; NULL with a server that isn't private */
const char *pay_test_pg_socket_url(
    void);                      /* the test's own database over a unix socket; NULL with a server that isn't private */
int pay_test_pg_port(void);     /* private only */
void pay_test_pg_restart(void); /* private only: another pg_postmaster_start_time() */

#endif
