# shellcheck shell=bash
# process.sh - start, find and end processes that outlive this script.
#
# A pid alone can come to belong to a stranger (after a reboot, or once numbers wrap around). So beside run/NAME.pid lies
# run/state/NAME.start with the kernel's start time of that process and the boot it belongs to; a pid whose start time
# differs is "stopped", and no signal is ever sent to it.
# No ps, pgrep or ss here: a bare Debian has none of them.

# process_stat PID: its state letter and start time, from /proc; fails when there is no such process.
process_stat() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    line=${line##*) }                       # the name before it may hold blanks and brackets
    # shellcheck disable=SC2086             # split on purpose
    set -- $line
    echo "$1 ${20}"
}

process_identity() {
    local stat
    stat=$(process_stat "$1") || return 1
    echo "${stat#* } $(cat /proc/sys/kernel/random/boot_id)"
}

# pid_of NAME: the pid of the live process, else failure. A zombie is dead: not everybody's init reaps quickly.
pid_of() {
    local pid stat
    [[ -s $run_dir/$1.pid && -s $run_dir/state/$1.start ]] || return 1
    pid=$(<"$run_dir/$1.pid")
    stat=$(process_stat "$pid") || return 1
    [[ $stat != [ZX]* && $(process_identity "$pid") == "$(<"$run_dir/state/$1.start")" ]] || return 1
    echo "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

# spawn NAME COMMAND...: in a session of its own, without our terminal, pipes or locks; output appended to its log.
spawn() {
    local name=$1 pid
    shift
    (
        close_inherited_files
        exec setsid "$@" </dev/null >>"$run_dir/log/$name.log" 2>&1
    ) &
    pid=$!
    disown "$pid"
    process_identity "$pid" >"$run_dir/state/$name.start" || true   # gone already: the wait for it will tell
    echo "$pid" >"$run_dir/$name.pid"
}

close_inherited_files() {
    local path fd
    for path in "/proc/$BASHPID/fd/"*; do
        fd=${path##*/}
        if ((fd > 2 && fd != 255)); then eval "exec $fd>&-"; fi
    done
}

# wait_until SECONDS NAME CHECK...: until CHECK succeeds; fails early when the process has died.
wait_until() {
    local deadline=$(($(now_ms) + $1 * 1000)) name=$2
    shift 2
    until "$@"; do
        is_running "$name" || return 1
        (($(now_ms) < deadline)) || return 1
        sleep 0.1
    done
    is_running "$name"                      # or else the answer came from somebody else's server
}

# accepts_tcp HOST:PORT
accepts_tcp() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# answers_ready HOST:PORT: GET /readyz says 200. No curl on a bare Debian.
answers_ready() {
    # shellcheck disable=SC2016             # expanded by the inner shell
    timeout 3 bash -c '
        exec 3<>"/dev/tcp/${1%:*}/${1##*:}" || exit 1
        printf "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" "$1" >&3
        read -r _ status _ <&3 && [[ $status == 200 ]]' _ "$1" 2>/dev/null
}

forget() { rm -f "$run_dir/$1.pid" "$run_dir/state/$1.start"; }

# end_process NAME SIGNAL SECONDS: ask, wait, and after SECONDS make an end of it. A frozen process is thawed first.
end_process() {
    local name=$1 signal=$2 limit_s=$3 pid
    if ! pid=$(pid_of "$name"); then
        forget "$name"
        note "ok  $name: was not running"
        return 0
    fi
    step "ending $name (pid $pid, SIG$signal)"
    kill -s "$signal" "$pid" 2>/dev/null || true
    kill -s CONT "$pid" 2>/dev/null || true
    if wait_gone "$name" "$limit_s"; then
        end_leftovers "$name"
        forget "$name"
        if [[ $signal == KILL ]]; then step_done "$name: killed"; else step_done "$name: stopped"; fi
        return 0
    fi
    kill -s KILL "$pid" 2>/dev/null || true
    wait_gone "$name" 10 || die "$name (pid $pid) is still there after SIGKILL" "it hangs in the kernel; look at /proc/$pid/stack"
    end_leftovers "$name"
    forget "$name"
    warn "$name did not end within $limit_s s of SIG$signal and was killed; its log: $run_dir/log/$name.log"
}

wait_gone() {
    local deadline=$(($(now_ms) + $2 * 1000))
    while is_running "$1"; do
        (($(now_ms) < deadline)) || return 1
        sleep 0.05
    done
}

end_leftovers() {
    if [[ $1 == postgres ]]; then end_postgres_leftovers; fi
}
