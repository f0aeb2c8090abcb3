#include "tests/lib/pg_server.h"

#include "pg/pg.h"

#include <arpa/inet.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
    char directory[64], bin[128], login_url[512], url[512], admin_url[512], socket_url[512], database[64];
    int port;
    pid_t pid;
    bool own;
} server;

static void die(const char *what, const char *detail) {
    fprintf(stderr, "pg_server: %s: %s\n", what, detail);
    exit(99);
}

/* ---- processes ---- */

static void become_postgres(void) {
    if (geteuid() != 0) return;
    struct passwd *user = getpwnam("postgres");
    if (user == NULL) die("PostgreSQL doesn't run as root", "there is no user postgres");
    if (initgroups("postgres", user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
        die("can't become", "postgres");
}

static pid_t spawn(const char *log, const char *const *words) {
    fflush(NULL); /* or the child would write it again */
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) die("fork", words[0]);
    if (pid > 0) return pid;
    become_postgres();
    /* After the change of user, which clears it: a test that dies takes its server with it. */
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent) _exit(127);
    if (chdir(server.directory) != 0 || freopen(log, "a", stdout) == NULL || dup2(fileno(stdout), 2) < 0) _exit(127);
    setpgid(0, 0);                                    /* Ctrl-C is for the test, which then ends the server */
    execv(words[0], (char *const *)(uintptr_t)words); /* execv changes nothing */
    _exit(127);
}

static void show_log(const char *log) {
    char path[96], line[512];
    snprintf(path, sizeof path, "%s/%s", server.directory, log);
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) fputs(line, stderr);
    fclose(file);
}

static void run(const char *log, const char *const *words) {
    int status;
    pid_t pid = spawn(log, words);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        show_log(log);
        die("failed", words[0]);
    }
}

/* ---- the private server ---- */

static void find_binaries(void) {
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) != 0)
        die("no PostgreSQL server installed", "apt install postgresql, or set PAYBUF_TEST_DATABASE_URL");
    const char *chosen = found.gl_pathv[found.gl_pathc - 1];
    snprintf(server.bin, sizeof server.bin, "%.*s", (int)(strlen(chosen) - strlen("/postgres")), chosen);
    globfree(&found);
}

/* As tests/e2e/ports.py: below the ephemeral range, so that no outgoing connection takes it before the server does, and marked as given
   away as long as this program lives. */
static int free_port(void) {
    uint32_t random = 0;
    for (int tries = 0; tries < 1000; tries++) {
        struct sockaddr_un mark = {.sun_family = AF_UNIX};
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (getrandom(&random, sizeof random, 0) != sizeof random) die("no free port", "getrandom");
        int port = 20000 + (int)(random % 12000);
        int length = snprintf(mark.sun_path + 1, sizeof mark.sun_path - 1, "paybuf-test-port-%d", port);
        socklen_t mark_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
        address.sin_port = htons((uint16_t)port);
        int held = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
            probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (held < 0 || probe < 0) die("no free port", "socket");
        bool free = bind(held, (struct sockaddr *)&mark, mark_size) == 0 &&
                    bind(probe, (struct sockaddr *)&address, sizeof address) == 0;
        close(probe);
        if (free) return port;
        close(held);
    }
    die("no free port", "bind");
    return 0;
}

static void make_cluster(void) {
    char initdb[160], data[96];
    find_binaries();
    snprintf(server.directory, sizeof server.directory, "/var/tmp/paybuf-test-pg.XXXXXX");
    if (mkdtemp(server.directory) == NULL) die("mkdtemp", server.directory);
    struct passwd *user = getpwnam("postgres");
    if (geteuid() == 0 && (user == NULL || chown(server.directory, user->pw_uid, user->pw_gid) != 0))
        die("chown", server.directory);
    snprintf(initdb, sizeof initdb, "%s/initdb", server.bin);
    snprintf(data, sizeof data, "%s/data", server.directory);
    run("initdb.log", (const char *[]){initdb, "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust",
                                       "--no-sync", NULL});
}

static void start_server(void) {
    char postgres[160], data[96], port[32], sockets[128];
    snprintf(postgres, sizeof postgres, "%s/postgres", server.bin);
    snprintf(data, sizeof data, "%s/data", server.directory);
    snprintf(port, sizeof port, "port=%d", server.port);
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", server.directory);
    /* fsync stays on: that it is on is part of what is tested. */
    server.pid =
        spawn("server.log", (const char *[]){postgres, "-D", data, "-c", port, "-c", "listen_addresses=127.0.0.1", "-c",
                                             sockets, "-c", "max_connections=60", "-c", "shared_buffers=64MB", "-c",
                                             "log_min_messages=warning", NULL});
}

static void end_server(void) {
    if (server.pid <= 0) return;
    kill(server.pid, SIGINT); /* fast shutdown */
    waitpid(server.pid, NULL, 0);
    server.pid = 0;
}

static struct pay_pg *connect_to(const char *url) {
    struct pay_pg *pg = NULL;
    struct pay_error error = {0};
    struct pay_pg_options options = {.url = url, .application_name = "pg_server"};
    for (int tries = 0; tries < 300; tries++) {
        enum pay_move move = pay_pg_open(&options, &pg, &error);
        if (move == PAY_OK) return pg;
        if (move == PAY_REFUSE || (server.pid > 0 && waitpid(server.pid, NULL, WNOHANG) == server.pid)) break;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    if (server.own) show_log("server.log");
    die(url, error.text);
    return NULL;
}

static void sql(struct pay_pg *pg, const char *text) {
    struct pay_error error;
    if (pay_pg_script(pg, text, &error) != PAY_OK) die(text, error.text);
}

/* ---- the test's database ---- */

/* The URL with its database replaced; PAYBUF_TEST_DATABASE_URL is of the form that ./dev makes: postgresql://user@host:port/name. */
static void with_database(const char *url, const char *database, char *ret_url, size_t size) {
    const char *authority = strstr(url, "//");
    const char *path = authority != NULL ? strchr(authority + 2, '/') : NULL;
    if (path == NULL) die("PAYBUF_TEST_DATABASE_URL must look like postgresql://user@host:port/database", url);
    const char *query = strchr(path, '?');
    snprintf(ret_url, size, "%.*s/%s%s", (int)(path - url), url, database, query != NULL ? query : "");
}

static void make_database(void) {
    char statement[160];
    snprintf(server.database, sizeof server.database, "paybuf_test_%ld", (long)getpid());
    struct pay_pg *pg = connect_to(server.login_url);
    snprintf(statement, sizeof statement, "DROP DATABASE IF EXISTS %s", server.database);
    sql(pg, statement);
    snprintf(statement, sizeof statement, "CREATE DATABASE %s", server.database);
    sql(pg, statement);
    pay_pg_close(pg);
    with_database(server.login_url, server.database, server.url, sizeof server.url);
    if (server.own)
        snprintf(server.socket_url, sizeof server.socket_url, "postgresql://paybuf@/%s?host=%s&port=%d",
                 server.database, server.directory, server.port);
    if (server.own)
        snprintf(server.admin_url, sizeof server.admin_url, "postgresql://postgres@127.0.0.1:%d/%s", server.port,
                 server.database);
}

void pay_test_pg_start(void) {
    const char *given = getenv("PAYBUF_TEST_DATABASE_URL");
    if (given != NULL && given[0] != '\0') {
        snprintf(server.login_url, sizeof server.login_url, "%s", given);
    } else {
        char admin[128];
        server.own = true;
        server.port = free_port();
        make_cluster();
        start_server();
        snprintf(admin, sizeof admin, "postgresql://postgres@127.0.0.1:%d/postgres", server.port);
        struct pay_pg *pg = connect_to(admin);
        sql(pg, "CREATE ROLE paybuf LOGIN CREATEROLE CREATEDB");
        sql(pg, "GRANT pg_monitor, pg_signal_backend TO paybuf");
        pay_pg_close(pg);
        snprintf(server.login_url, sizeof server.login_url, "postgresql://paybuf@127.0.0.1:%d/postgres", server.port);
    }
    make_database();
}

void pay_test_pg_stop(void) {
    if (server.own) {
        end_server();
        run("rm.log", (const char *[]){"/bin/rm", "-rf", server.directory, NULL});
    } else if (server.database[0] != '\0') {
        char statement[160];
        struct pay_pg *pg = connect_to(server.login_url);
        snprintf(statement, sizeof statement, "DROP DATABASE %s WITH (FORCE)", server.database);
        sql(pg, statement);
        pay_pg_close(pg);
    }
    memset(&server, 0, sizeof server);
}

void pay_test_pg_restart(void) {
    if (!server.own) die("restart", "not a private server");
    end_server();
    start_server();
    pay_pg_close(connect_to(server.url));
}

const char *pay_test_pg_url(void) { return server.url; }
const char *pay_test_pg_admin_url(void) { return server.own ? server.admin_url : NULL; }
const char *pay_test_pg_socket_url(void) { return server.own ? server.socket_url : NULL; }
int pay_test_pg_port(void) { return server.port; }
