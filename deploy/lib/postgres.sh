# shellcheck shell=bash
# postgres.sh - a private PostgreSQL: cluster, start, readiness.
#
# initdb and postgres refuse to run as root. Root therefore runs them as the user `postgres` of the package; anybody
# else as himself. That user may be unable to reach the checkout (below /root, say): then the data lies in a directory
# under /var/tmp, whose path is written to run/postgres.dir and which `./dev down --wipe` removes.

as_postgres=()
postgres_user=$(id -un)
if ((EUID == 0)); then
    postgres_user=postgres
    # setpriv becomes the program (runuser would stay between): so the pid is the postmaster's own.
    as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all --)
fi

# postgres_dir: where the cluster is; chosen at the first call after a wipe.
postgres_dir() {
    local dir
    if [[ -s $run_dir/postgres.dir ]]; then
        dir=$(<"$run_dir/postgres.dir")
        if [[ -d $dir ]]; then echo "$dir"; return; fi
    fi
    dir=$run_dir/postgres
    if [[ ! -d $dir ]]; then
        mkdir -p "$dir"
        chmod 700 "$dir"
        ((EUID != 0)) || chown "$postgres_user:" "$dir"
    fi
    if ! "${as_postgres[@]}" test -w "$dir"; then
        rmdir "$dir"
        dir=$(mktemp -d /var/tmp/paybuf-postgres.XXXXXX)
        chown "$postgres_user:" "$dir"
        note "    PostgreSQL's data lies in $dir, as the user $postgres_user can't enter $run_dir"
    fi
    echo "$dir" >"$run_dir/postgres.dir"
    echo "$dir"
}

# postgres_bin: the newest installed one, or the one that made the cluster.
postgres_bin() {
    local made_by='*' bin
    [[ ! -s $1/data/PG_VERSION ]] || made_by=$(<"$1/data/PG_VERSION")
    # shellcheck disable=SC2086             # the star is a pattern
    bin=$(printf '%s\n' /usr/lib/postgresql/$made_by/bin/postgres | sort -V | tail -n 1)
    [[ -x $bin ]] || die "no PostgreSQL server found as $bin" \
        "run/ was made by PostgreSQL $made_by: install postgresql-$made_by, or start afresh with ./dev down --wipe"
    dirname "$bin"
}

start_postgres() {
    local dir bin port
    port=$(port_of postgres)
    if ! is_running postgres; then
        dir=$(postgres_dir)
        bin=$(postgres_bin "$dir")
        end_postgres_leftovers
        [[ -e $dir/complete ]] || make_cluster "$dir" "$bin"
        sed "s|@PORT@|$port|" "$root/deploy/postgres/postgresql.conf.in" | "${as_postgres[@]}" tee "$dir/data/postgresql.conf" >/dev/null
        "${as_postgres[@]}" tee "$dir/data/pg_hba.conf" >/dev/null <"$root/deploy/postgres/pg_hba.conf"
        step "starting PostgreSQL"
        # shellcheck disable=SC2086         # options are words
        (cd "$dir" && spawn postgres "${as_postgres[@]}" "$bin/postgres" -D "$dir/data" ${PAYBUF_POSTGRES_OPTIONS:-})
    else
        dir=$(postgres_dir)
        bin=$(postgres_bin "$dir")
        step "waiting for PostgreSQL"
    fi
    if ! wait_until 180 postgres postgres_answers "$bin" "$port"; then
        step_failed "postgres doesn't serve on port $port"
        show_end "$run_dir/log/postgres.log"
        return 1
    fi
    step_done "postgres: serving on 127.0.0.1:$port"
}

postgres_answers() { "$1/pg_isready" -q -h 127.0.0.1 -p "$2" -d paybuf -U paybuf -t 2; }

# make_cluster DIR BIN: initdb, then role and database through the single-user server, before any socket is open.
make_cluster() {
    local dir=$1 bin=$2 log=$run_dir/log/initdb.log
    step "making a PostgreSQL cluster in $dir"
    # Left by an interrupted attempt, or else there would be a file `complete`.
    rm -rf "$dir/data"
    if ! (cd "$dir" &&
        "${as_postgres[@]}" "$bin/initdb" -D "$dir/data" -U postgres -E UTF8 --locale=C --auth=reject --no-sync &&
        "${as_postgres[@]}" "$bin/postgres" --single -D "$dir/data" postgres <"$root/deploy/postgres/bootstrap.sql") >"$log" 2>&1 ||
        grep -qE '(ERROR|FATAL|PANIC):' "$log"; then
        step_failed "could not make a PostgreSQL cluster in $dir"
        show_end "$log"
        exit 1
    fi
    "${as_postgres[@]}" touch "$dir/complete"
    sync -f "$dir/complete"                 # --no-sync above: once for all files is quicker
    step_done "postgres: new cluster in $dir"
}

# end_postgres_leftovers: what a killed postmaster leaves and no new one starts beside.
#  - Backends, which see its death only when they next wait. They all work in the data directory, and nobody else does.
#  - postmaster.pid naming a zombie, where pid 1 reaps late or never (containers): to PostgreSQL it lives. A pid beyond
#    the kernel's limit makes the file stale; its other lines stay, so that the old shared memory is found and removed.
end_postgres_leftovers() {
    local data tries process found
    data=$(postgres_dir)/data
    for tries in {1..100}; do
        found=
        for process in /proc/[0-9]*; do
            if [[ $(readlink "$process/cwd" 2>/dev/null || true) == "$data" ]]; then
                found=1
                kill -s KILL "${process#/proc/}" 2>/dev/null || true
            fi
        done
        [[ $found ]] || break
        sleep 0.05
    done
    [[ ! $found ]] || warn "processes of PostgreSQL are still in $data after $tries tries"
    [[ ! -s $data/postmaster.pid ]] || "${as_postgres[@]}" sed -i '1s/.*/4194305/' "$data/postmaster.pid"
}

wipe_postgres() {
    local dir
    [[ -s $run_dir/postgres.dir ]] || return 0
    dir=$(<"$run_dir/postgres.dir")
    case $dir in
    "$run_dir/postgres" | /var/tmp/paybuf-postgres.??????) rm -rf -- "$dir" ;;
    *) warn "not removing $dir: that is no place where ./dev puts data" ;;
    esac
    rm -f "$run_dir/postgres.dir"
}
