# shellcheck shell=bash
# bench_intake.sh - acknowledged POSTs a second, in turns with what they are compared with:
#
#   nginx     answers the same 202 from memory          bare   our HTTP server alone does the same (bare_http.c)
#   go        the usual service: net/http and franz-go, the same promise (go_intake/)
#   librdkafka alone: the same records without HTTP, with as many under way as there are connections, or for batches no bound
#
# The storm is on the same machine and takes its share of the cores; it is the same for all of them.

bench_intake() {
    local connections
    fresh_servers
    dev stop worker-1 worker-2
    start_nginx
    start_bare
    start_go
    warm_up
    for connections in "${intake_connections[@]}"; do compare_singles "$connections"; done
    half_load
    thousand_connections
    compare_batches
    end_yardsticks
}

# --- single payments ---

compare_singles() { # CONNECTIONS
    local connections=$1 round name
    local -A rates=() cost=() url=([nginx]=$nginx_url [bare]=$bare_url [go]=$go_url [intake]=$PAYBUF_HTTP_URL)
    local -A pid=([nginx]=$nginx_pid [bare]=$bare_pid [go]=$go_pid [intake]=$(pid_file producer))
    for ((round = 1; round <= rounds; round++)); do
        say "intake, $connections connections, round $round of $rounds"
        for name in nginx bare go intake; do
            [[ ${url[$name]} ]] || continue
            local ticks
            ticks=$(cpu_ticks "${pid[$name]}")
            rates[$name]+=" $(storm_rate "${url[$name]}" "$connections")"
            cost[$name]=$(us_each "$(($(cpu_ticks "${pid[$name]}") - ticks))" "$(number accepted "$bench_dir/storm.json")")
        done
        rates[library]+=" $(library_rate --outstanding "$connections")"
    done
    local own
    # shellcheck disable=SC2086 # a list of numbers, split on purpose; so below
    own=$(median ${rates[intake]})
    figure intake "acknowledged POSTs, $connections connections" "$own/s" "$(beside "$own" "${rates[nginx]:-}" nginx), $(beside "$own" "${rates[bare]:-}" 'bare server'), $(beside "$own" "${rates[library]}" 'librdkafka alone'), $(beside "$own" "${rates[go]:-}" Go)"
    figure intake '  p50, p99, p99.9' "$(latency p50_us), $(latency p99_us), $(latency p999_us)" 'as fast as the connections allow'
    figure intake '  CPU each' "${cost[intake]} us" "nginx ${cost[nginx]:--}, bare server ${cost[bare]:--}, Go ${cost[go]:--}"
}

# beside OWN "RATES" NAME: "0.31 of nginx (95000/s)"
beside() {
    local yardstick
    if [[ ! $2 ]]; then echo "no $3 here"; return; fi
    # shellcheck disable=SC2086
    yardstick=$(median $2)
    echo "$(ratio "$1" "$yardstick") of $3 ($yardstick/s)"
}

half_load() {
    local half
    say 'intake at half load'
    half=$(($(storm_rate "$PAYBUF_HTTP_URL" 128) / 2))
    storm_rate "$PAYBUF_HTTP_URL" 128 --rate "$half" >/dev/null
    figure intake "at half load, $half/s" "p50 $(latency p50_us), p99 $(latency p99_us), p99.9 $(latency p999_us)" 'from POST to 202, 128 connections'
}

thousand_connections() {
    local rate
    say 'intake, 1000 connections'
    rate=$(storm_rate "$PAYBUF_HTTP_URL" 1000)
    figure intake 'acknowledged POSTs, 1000 connections' "$rate/s" "resident memory $(($(memory_kib "$(pid_file producer)") / 1024)) MiB, the most it ever had"
}

# --- batches ---

compare_batches() {
    local lines round pid ticks own
    local -A rates=() cost=() times=()
    pid=$(pid_file producer)
    for ((round = 1; round <= rounds; round++)); do
        say "batches, round $round of $rounds"
        rates[library]+=" $(library_rate)"
        for lines in 100 1000; do
            ticks=$(cpu_ticks "$pid")
            rates[$lines]+=" $(storm_rate "$PAYBUF_HTTP_URL" 16 --batch "$lines")"
            cost[$lines]=$(us_each "$(($(cpu_ticks "$pid") - ticks))" "$(number accepted "$bench_dir/storm.json")")
            times[$lines]="p50 $(latency p50_us), p99 $(latency p99_us)"
        done
    done
    for lines in 100 1000; do
        # shellcheck disable=SC2086
        own=$(median ${rates[$lines]})
        figure intake "payments in batches of $lines, 16 connections" "$own/s" "$(beside "$own" "${rates[library]}" 'librdkafka alone'); ${cost[$lines]} us of CPU each, a batch ${times[$lines]}"
    done
    # shellcheck disable=SC2086
    figure intake 'librdkafka alone, acks=all, idempotent' "$(median ${rates[library]})/s" 'no HTTP, the same records'
}

# --- the storm ---

# A broker that was just started compiles what it runs for some seconds.
warm_up() {
    say 'intake: warming up'
    "$storm" --append --plain --count "$worker_records" --seed 99 >/dev/null || fail 'the warm-up appended nothing'
    storm_rate "$PAYBUF_HTTP_URL" 64 >/dev/null
    if [[ $go_url ]]; then storm_rate "$go_url" 64 >/dev/null; fi
}

latency() { local text; milliseconds text "$(number "$1" "$bench_dir/storm.json")"; echo "$text"; }

storm_rate() { # URL CONNECTIONS [OPTION...]
    "$storm" --url "$1" --plain --connections "$2" --count 0 --seconds "$intake_seconds" --seed "$RANDOM" --quiet "${account_options[@]}" "${@:3}" \
        >"$bench_dir/storm.json" 2>"$bench_dir/storm.err" || fail "the storm on $1 failed: $(tail -n 3 "$bench_dir/storm.err")"
    number rate "$bench_dir/storm.json"
}

library_rate() { # [OPTION...]
    "$storm" --append --plain --count 0 --seconds "$intake_seconds" --seed "$RANDOM" "$@" >"$bench_dir/append.json" || fail 'librdkafka alone appended nothing'
    number rate "$bench_dir/append.json"
}

# --- the yardsticks ---

nginx_url='' nginx_pid='' bare_url='' bare_pid='' go_url='' go_pid=''

free_port() { echo $((20000 + SRANDOM % 12000)); }

wait_for_port() { # PORT LOG
    local tries
    for tries in {1..50}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    fail "a yardstick doesn't answer after $tries tries: $(tail -n 3 "$2")"
}

start_nginx() {
    local nginx port dir=$bench_dir/nginx
    nginx=$(command -v nginx || echo /usr/sbin/nginx)
    if [[ ! -x $nginx ]]; then
        say 'nginx is not installed: its figures stay empty'
        return 0
    fi
    mkdir -p "$dir"
    port=$(free_port)
    sed -e "s|@DIR@|$dir|g; s|@PORT@|$port|" "$bench/nginx.conf.in" >"$dir/nginx.conf"
    "$nginx" -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf" >"$dir/out" 2>&1 &
    nginx_pid=$! nginx_url=http://127.0.0.1:$port
    wait_for_port "$port" "$dir/error.log"
}

start_bare() {
    local port
    port=$(free_port)
    "$bin_dir/paybuf-bare-http" "127.0.0.1:$port" >"$bench_dir/bare.log" 2>&1 &
    bare_pid=$! bare_url=http://127.0.0.1:$port
    wait_for_port "$port" "$bench_dir/bare.log"
}

# Built where the jars are kept; the modules come through the Go proxy.
start_go() {
    local port program=$cache_dir/go_intake
    if ! command -v go >/dev/null; then
        say 'go is not installed: its figures stay empty'
        return 0
    fi
    say 'building the Go service'
    mkdir -p "$cache_dir"
    if ! (cd "$bench/go_intake" && go build -o "$program" .) >"$bench_dir/go.log" 2>&1; then
        say "the Go service can't be built, its figures stay empty: $(tail -n 1 "$bench_dir/go.log")"
        return 0
    fi
    port=$(free_port)
    "$program" -listen "127.0.0.1:$port" -kafka "$PAYBUF_KAFKA_BOOTSTRAP" -topic "$PAYBUF_REQUEST_TOPIC" >"$bench_dir/go.log" 2>&1 &
    go_pid=$! go_url=http://127.0.0.1:$port
    wait_for_port "$port" "$bench_dir/go.log"
}

end_yardsticks() {
    local pid
    for pid in $nginx_pid $bare_pid $go_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    nginx_pid='' bare_pid='' go_pid='' nginx_url='' bare_url='' go_url=''
}
