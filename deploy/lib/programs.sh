# shellcheck shell=bash
# programs.sh - build paybuf's own programs, start and end them, and the table of all processes.

# build PRESET: configure and compile; the whole output goes to a log, warnings and errors to the screen.
build() {
    local preset=$1 log=$run_dir/log/build-$1.log
    with_lock "build-$preset" build_locked "$preset" "$log" || exit 1
}

build_locked() {
    local preset=$1 log=$2 options=()
    [[ -z ${PAYBUF_WERROR:-} ]] || options+=(-DPAY_WERROR="$PAYBUF_WERROR")
    step "building $preset"
    if ! (cd "$root" && cmake --preset "$preset" "${options[@]}" && cmake --build --preset "$preset") </dev/null >"$log" 2>&1; then
        step_failed "the $preset build"
        if grep -qE '(error|warning):|CMake Error' "$log"; then
            grep -E -A 4 '(error|warning):|CMake Error' "$log" | head -n 60 >&2
            note "       all of it: $log"
        else
            show_end "$log" 30
        fi
        exit 1
    fi
    step_done "built build/$preset"
    grep -A 4 'warning:' "$log" >&2 || true
}

require_programs() {
    local dir
    dir=$(program_dir)
    [[ -x $dir/$1 ]] || die "there is no program $dir/$1" "build it: ./dev build ${PAYBUF_PRESET:-release}"
}

start_producer() {
    start_program producer paybuf-producer "${PAYBUF_PRODUCER_ADMIN:-127.0.0.1:$(port_of producer-admin)}"
}

start_worker() {
    local admin=${PAYBUF_WORKER_ADMIN:-127.0.0.1:$(port_of "$1")}
    PAYBUF_WORKER_ADMIN=$admin start_program "$1" paybuf-worker "$admin"
}

# start_program NAME PROGRAM ADMIN: PAYBUF_* of our environment goes with it.
start_program() {
    local name=$1 program=$2 admin=$3
    if ! is_running "$name"; then
        require_programs "$program"
        step "starting $name"
        spawn "$name" "$(program_dir)/$program" --config "$run_dir/paybuf.conf"
    else
        step "waiting for $name"
    fi
    if ! wait_until 180 "$name" answers_ready "$admin"; then
        if is_running "$name"; then
            step_failed "$name runs but isn't ready: GET http://$admin/readyz says $(readiness_answer "$admin")"
        else
            step_failed "$name ended instead of serving"
        fi
        show_end "$run_dir/log/$name.log"
        return 1
    fi
    step_done "$name: ready (admin http://$admin)"
}

# readiness_answer HOST:PORT: what /readyz answers, on one line, for people.
readiness_answer() {
    # shellcheck disable=SC2016             # expanded by the inner shell
    timeout 3 bash -c '
        exec 3<>"/dev/tcp/${1%:*}/${1##*:}" || exit 1
        printf "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" "$1" >&3
        tr -s "\r\n" "  " <&3 | cut -c 1-300' _ "$1" 2>/dev/null || echo nothing
}

check_name() {
    [[ $1 =~ ^(kafka|postgres|producer|worker-[1-9][0-9]{0,2})$ ]] ||
        usage_error "'$1' is no process: kafka, postgres, producer, worker-1, worker-2, ..."
}

start_one() {
    check_name "$1"
    with_lock settings write_settings
    case $1 in
    kafka | postgres) with_lock "$1" "start_$1" ;;
    producer) with_lock producer start_producer ;;
    worker-*) with_lock "$1" start_worker "$1" ;;
    esac
}

stop_one() {
    check_name "$1"
    # PostgreSQL's SIGTERM waits for every client to leave; SIGINT rolls their transactions back and stops.
    if [[ $1 == postgres ]]; then end_process "$1" INT 30; else end_process "$1" TERM 30; fi
}

kill_one() {
    check_name "$1"
    is_running "$1" || die "$1 isn't running, so it can't be killed" "./dev status shows what runs"
    end_process "$1" KILL 10
}

# known_processes: in the order of starting; workers are those that have a pid file.
known_processes() {
    echo kafka postgres producer
    local file
    for file in "$run_dir"/worker-*.pid; do
        [[ ! -e $file ]] || basename "$file" .pid
    done | sort -V
}

stop_all() {
    local name names
    names=$(known_processes | tr ' ' '\n' | tac)
    for name in $names; do
        if is_running "$name"; then stop_one "$name"; else forget "$name"; fi
    done
}

show_status() {
    local name pid state where stat
    printf '%-10s %-9s %-8s %-22s %s\n' NAME STATE PID ADDRESS LOG
    for name in $(known_processes); do
        pid=- state=stopped where=-
        case $name in
        worker-* | producer) where=$(recorded_port "${name/producer/producer-admin}") ;;
        *) where=$(recorded_port "$name") ;;
        esac
        where=${where:+127.0.0.1:$where}
        if pid=$(pid_of "$name"); then
            state=starting
            stat=$(process_stat "$pid") || true
            if [[ $stat == [Tt]* ]]; then
                state=frozen
            else
                case $name in
                kafka | postgres) ! accepts_tcp "$where" || state=serving ;;
                *) ! answers_ready "$where" || state=ready ;;
                esac
            fi
        elif [[ -s $run_dir/$name.pid ]]; then
            state=died pid=$(<"$run_dir/$name.pid")
        fi
        printf '%-10s %-9s %-8s %-22s %s\n' "$name" "$state" "${pid:--}" "${where:--}" "$run_dir/log/$name.log"
    done
}
