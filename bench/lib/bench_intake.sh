# shellcheck shell=bash
# bench_intake.sh - acknowledged POSTs a second, against nginx answering a static 202 and against librdkafka alone, in turns.
# The storm is on the same machine and takes its share of the cores; it is the same for both.

bench_intake() {
    local connections round own static library
    fresh_servers
    dev stop worker-1 worker-2
    start_nginx
    warm_up
    for connections in 64 128 256; do
        own=() static=()
        for ((round = 1; round <= rounds; round++)); do
            say "intake, $connections connections, round $round of $rounds"
            if [[ $nginx_url ]]; then static+=("$(storm_rate "$nginx_url" "$connections")"); fi
            intake_ticks=$(cpu_ticks "$(pid_file producer)")
            own+=("$(storm_rate "$PAYBUF_HTTP_URL" "$connections")")
            intake_ticks=$(($(cpu_ticks "$(pid_file producer)") - intake_ticks))
        done
        figure intake "acknowledged POSTs, $connections connections" "$(median "${own[@]}")/s" "$(against_nginx)"
        if ((connections == 64)); then
            figure intake '  from POST to 202' "p50 $(latency p50_us), p99 $(latency p99_us)" 'as fast as the connections allow'
            figure intake '  CPU per POST: intake' "$(us_each "$intake_ticks" "$(number accepted "$bench_dir/storm.json")") us" ''
        fi
    done
    figure intake 'resident memory at full load' "$(($(memory_kib "$(pid_file producer)") / 1024)) MiB" 'the most it ever had'
    library=()
    for ((round = 1; round <= rounds; round++)); do
        say "librdkafka alone, round $round of $rounds"
        "$storm" --append --plain --count 400000 --seed "1$round" >"$bench_dir/append.json" || fail 'librdkafka alone appended nothing'
        library+=("$(number rate "$bench_dir/append.json")")
    done
    figure intake 'librdkafka alone, acks=all, idempotent' "$(median "${library[@]}")/s" 'no HTTP, the same records'
    end_nginx
}

# A broker that was just started compiles what it runs for some seconds.
warm_up() {
    say 'intake: warming up'
    "$storm" --append --plain --count "$worker_records" --seed 99 >/dev/null || fail 'the warm-up appended nothing'
    storm_rate "$PAYBUF_HTTP_URL" 64 >/dev/null
}

against_nginx() {
    if [[ $nginx_url ]]; then echo "$(ratio "$(median "${own[@]}")" "$(median "${static[@]}")") of nginx's static 202 ($(median "${static[@]}")/s)"; else echo 'no nginx here'; fi
}

latency() { local text; milliseconds text "$(number "$1" "$bench_dir/storm.json")"; echo "$text"; }

storm_rate() { # URL CONNECTIONS
    "$storm" --url "$1" --plain --connections "$2" --count 0 --seconds "$intake_seconds" --seed "$RANDOM" --quiet "${account_options[@]}" \
        >"$bench_dir/storm.json" 2>"$bench_dir/storm.err" || fail "the storm on $1 failed: $(tail -n 3 "$bench_dir/storm.err")"
    number rate "$bench_dir/storm.json"
}

nginx_url='' nginx_pid=''

start_nginx() {
    local nginx port dir=$bench_dir/nginx
    nginx=$(command -v nginx || echo /usr/sbin/nginx)
    if [[ ! -x $nginx ]]; then
        say 'nginx is not installed: its line stays empty'
        return 0
    fi
    mkdir -p "$dir"
    port=$((20000 + SRANDOM % 12000))
    sed -e "s|@DIR@|$dir|g; s|@PORT@|$port|" "$bench/nginx.conf.in" >"$dir/nginx.conf"
    "$nginx" -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf" >"$dir/out" 2>&1 &
    nginx_pid=$!
    nginx_url=http://127.0.0.1:$port
    local tries
    for tries in {1..50}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    fail "nginx doesn't answer after $tries tries: $(tail -n 3 "$dir/error.log")"
}

end_nginx() {
    [[ $nginx_pid ]] || return 0
    kill "$nginx_pid" 2>/dev/null || true
    wait "$nginx_pid" 2>/dev/null || true
    nginx_pid=''
}
