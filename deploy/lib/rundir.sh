# shellcheck shell=bash
# rundir.sh - the run directory: where it is, its ports, run/env and run/paybuf.conf.
#
#   run/env          what programs and tests need to know, as export lines
#   run/ports        NAME=PORT, picked once and then kept, so that a restarted process is found where it was
#   run/NAME.pid     one process each; run/state/NAME.start says which process that was (see process.sh)
#   run/log/NAME.log what it wrote
#   run/cache        Kafka's jars (in the checkout's ./run even if PAYBUF_RUN_DIR is elsewhere; PAYBUF_CACHE_DIR moves it)

use_run_dir() {
    run_dir=${PAYBUF_RUN_DIR:-$root/run}
    mkdir -p "$run_dir/log" "$run_dir/state" 2>/dev/null ||
        die "can't write to the run directory $run_dir" "make it writable, or choose another with PAYBUF_RUN_DIR=/some/where"
    run_dir=$(cd "$run_dir" && pwd -P)
    cache_dir=${PAYBUF_CACHE_DIR:-$root/run/cache}
}

# with_lock NAME COMMAND...: one at a time per run directory. In a subshell, so that a failure inside ends the command
# as everywhere (set -e) and the lock goes with it. Servers never inherit it: spawn closes all files.
with_lock() {
    local file=$run_dir/state/$1.lock
    shift
    (
        trap 'exit 130' INT TERM            # a subshell has lost the one of `main`
        flock 9
        "$@"
    ) 9>"$file"
}

# port_of NAME: its port; picked and written down at the first call. PAYBUF_PORT_<NAME> gives one (PAYBUF_PORT_KAFKA=9092).
port_of() {
    local port
    port=$(recorded_port "$1")
    [[ -n $port ]] || port=$(with_lock ports pick_port "$1")
    echo "$port"
}

recorded_port() {
    [[ ! -e $run_dir/ports ]] || sed -n "s/^$1=//p" "$run_dir/ports"
}

pick_port() {
    local name=$1 port given
    port=$(recorded_port "$name")           # somebody was faster
    if [[ -z $port ]]; then
        given=PAYBUF_PORT_${name//-/_}
        given=${given^^}
        port=${!given:-}
        while [[ -z $port ]] || { [[ -z ${!given:-} ]] && port_taken "$port"; }; do
            port=$((20000 + SRANDOM % 12000))   # below Linux's ephemeral range, which begins at 32768
        done
        echo "$name=$port" >>"$run_dir/ports"
    fi
    echo "$port"
}

# port_taken PORT: some socket of this machine has it, or this run directory has given it away. No ss on a bare Debian.
port_taken() {
    local hex
    printf -v hex ':%04X' "$1"
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v hex="$hex" 'index($2, hex) == length($2) - 4 { found = 1 } END { exit !found }' ||
        grep -qs "=$1\$" "$run_dir/ports"
}

kafka_address() { echo "127.0.0.1:$(port_of kafka)"; }
database_url() { echo "postgresql://paybuf@127.0.0.1:$(port_of postgres)/paybuf"; }
program_dir() { echo "${PAYBUF_BIN_DIR:-$root/build/${PAYBUF_PRESET:-release}/bin}"; }

# write_settings: run/env and run/paybuf.conf, again at every start; replaced in one step, as somebody may be reading.
write_settings() {
    local listen=${PAYBUF_PRODUCER_LISTEN:-127.0.0.1:$(port_of producer)}
    local admin=${PAYBUF_PRODUCER_ADMIN:-127.0.0.1:$(port_of producer-admin)}
    {
        echo "# Written by ./dev; source it."
        export_line PAYBUF_HTTP_URL "http://$listen"
        export_line PAYBUF_ADMIN_URL "http://$admin"
        export_line PAYBUF_KAFKA_BOOTSTRAP "$(kafka_address)"
        export_line PAYBUF_DATABASE_URL "$(database_url)"
        export_line PAYBUF_REQUEST_TOPIC pay.requests
        export_line PAYBUF_REPLY_TOPIC pay.replies
        export_line PAYBUF_DLQ_TOPIC pay.dlq
        export_line PAYBUF_CLI "$(program_dir)/paybuf"
    } >"$run_dir/env.new.$$"
    mv "$run_dir/env.new.$$" "$run_dir/env"
    cat >"$run_dir/paybuf.conf.new.$$" <<END
# Written by ./dev at every start; changes are lost. PAYBUF_* environment variables override it.
[kafka]
bootstrap.servers = $(kafka_address)

[topics]
request = pay.requests
reply = pay.replies
dlq = pay.dlq

[database]
url = $(database_url)

[producer]
listen = $listen
admin = $admin
database = $(database_url)

[worker]
# worker-1's; ./dev gives each worker its own through PAYBUF_WORKER_ADMIN
admin = 127.0.0.1:$(port_of worker-1)
group = paybuf
END
    mv "$run_dir/paybuf.conf.new.$$" "$run_dir/paybuf.conf"
}

export_line() { printf 'export %s=%q\n' "$1" "$2"; }
