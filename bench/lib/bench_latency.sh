# shellcheck shell=bash
# bench_latency.sh - from POST to reply at a given rate: the storm reads the reply log beside sending, and matches by position.

bench_latency() {
    local rate json=$bench_dir/storm.json
    fresh_servers
    open_bench_accounts
    say 'latency: warming up'
    "$storm" --plain --rate 2000 --seconds 5 --count 0 --quiet "${account_options[@]}" >/dev/null || fail 'the warm-up failed'
    for rate in 500 2000 5000; do
        say "latency at $rate/s for $latency_seconds s"
        "$storm" --plain --rate "$rate" --seconds "$latency_seconds" --count 0 --listen --quiet --seed "$rate" "${account_options[@]}" >"$json" 2>"$bench_dir/storm.err" ||
            fail "the storm failed: $(tail -n 3 "$bench_dir/storm.err")"
        figure latency "POST -> reply at $rate/s" "p50 $(latency reply_p50_us), p99 $(latency reply_p99_us)" \
            "two workers; 202 after p50 $(latency p50_us), p99 $(latency p99_us)"
    done
    figure latency '  resident memory: intake' "$(($(memory_kib "$(pid_file producer)") / 1024)) MiB" ''
    figure latency '  resident memory: worker' "$(($(memory_kib "$(pid_file worker-1)") / 1024)) MiB" ''
}
