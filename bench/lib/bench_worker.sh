# shellcheck shell=bash
# bench_worker.sh - settle and reply on a preloaded topic, against the same statements in bare SQL, in turns.
#
# The worker's rate is taken from the broker's own times of the replies (LogAppendTime): from the first reply to the last one, all of
# them acknowledged. Claim and group join aren't in it; nobody reads along.

bench_worker() {
    requests_appended=0
    local round count=$worker_records rates=() ratios=() bare=() mixed=()
    fresh_servers
    dev stop worker-2
    open_bench_accounts
    for ((round = 1; round <= rounds; round++)); do
        say "worker, round $round of $rounds: bare SQL"
        bare+=("$(bare_sql_rate)")
        say "worker, round $round of $rounds: $count payments, each new"
        worker_round plain "$round" "$count"
        rates+=("$worker_rate")
        ratios+=("$(ratio "$worker_rate" "${bare[-1]}")")
        say "worker, round $round of $rounds: $count payments, 30% repeated"
        worker_round mixed "$round" "$count"
        mixed+=("$worker_rate")
    done
    figure worker 'bare SQL, the same statements' "$(median "${bare[@]}")/s" ''
    figure worker 'settle + reply, preloaded topic' "$(median "${rates[@]}")/s" "$(median "${ratios[@]}") of bare SQL (rounds: ${ratios[*]})"
    figure worker '  with 30% duplicates, conflicts' "$(median "${mixed[@]}")/s" "$(ratio "$(median "${mixed[@]}")" "$(median "${bare[@]}")") of bare SQL"
    figure worker "  CPU per payment: worker" "$worker_cpu us" ''
    figure worker "  CPU per payment: PostgreSQL" "$postgres_cpu us" ''
    figure worker "  CPU per payment: Kafka" "$kafka_cpu us" ''
    figure worker '  resident memory at full load' "$((worker_kib / 1024)) MiB" 'the most it ever had'
}

bare_sql_rate() {
    local out=$bench_dir/bench_sql.out
    PAYBUF_TEST_DATABASE_URL=$PAYBUF_DATABASE_URL timeout 300 "$bin_dir/bench_sql" --batches="$bare_batches" >"$out" 2>&1 ||
        fail "bench_sql failed: $(tail -n 3 "$out")"
    awk '$1 == "bare" { print int($2); found = 1 } END { exit !found }' "$out" || fail "bench_sql printed no rate: $(tail -n 3 "$out")"
}

# worker_round plain|mixed ROUND COUNT: preload while the worker stands still, then time its replies. Sets worker_rate, *_cpu, worker_kib.
worker_round() {
    local options=(--count "$3" --seed "$2" --append "${account_options[@]}") before after ticks pid
    local postgres kafka postgres_ticks kafka_ticks
    if [[ $1 == plain ]]; then options+=(--plain); fi
    dev stop worker-1
    "$storm" "${options[@]}" >"$bench_dir/preload.json" 2>"$bench_dir/preload.err" || fail "the preload failed: $(tail -n 3 "$bench_dir/preload.err")"
    requests_appended=$((requests_appended + $3))
    before=$(reply_ends)
    postgres=$(pid_file postgres) kafka=$(pid_file kafka)
    kafka_ticks=$(cpu_ticks "$kafka")
    dev start worker-1
    pid=$(pid_file worker-1)
    postgres_ticks=$(postgres_busy)
    ticks=$(cpu_ticks "$pid")
    wait_until_settled
    after=$(reply_ends)
    worker_rate=$(rate_between "$before" "$after" "$3")
    if [[ $1 == plain ]]; then
        worker_cpu=$(us_each $(($(cpu_ticks "$pid"))) "$3")
        postgres_cpu=$(us_each $(($(postgres_busy) - postgres_ticks)) "$3")
        kafka_cpu=$(us_each $(($(cpu_ticks "$kafka") - kafka_ticks)) "$3")
        worker_kib=$(memory_kib "$pid")
    fi
}

# shellcheck disable=SC2046               # pids are words
postgres_busy() { cpu_ticks $(with_children "$(pid_file postgres)"); }

# reply_ends: "partition:end" words of the reply topic.
reply_ends() {
    local partition
    for ((partition = 0; partition < partitions; partition++)); do
        echo "$partition:$(kcat -Q -b "$PAYBUF_KAFKA_BOOTSTRAP" -t "$PAYBUF_REPLY_TOPIC:$partition:-1" | sed 's/.*offset //')"
    done | tr '\n' ' '
}

# Settled and answered: the database says so at most a second later.
wait_until_settled() {
    local deadline=$((SECONDS + 180)) left
    while ((SECONDS < deadline)); do
        left=$(lag)
        if [[ $left == 0 ]]; then return 0; fi
        sleep 0.5
    done
    fail "the worker didn't settle and answer everything within 180 s ($left left)" "see $bench_dir/log/worker-1.log"
}

# Records not yet answered. The preload is in the log as a whole, so its size is known.
lag() {
    psql -XqAt "$PAYBUF_DATABASE_URL" -c "SELECT $requests_appended - coalesce(sum(replied_offset), 0) FROM paybuf.processed_offset"
}

# rate_between BEFORE AFTER COUNT: by the broker's times of the replies appended between the two; all COUNT must be there.
rate_between() {
    local word partition from to
    for word in $2; do
        partition=${word%%:*} to=${word##*:}
        from=$(sed "s/.*\b$partition:\([0-9]*\) .*/\1/" <<<" $1")
        if ((to > from)); then timeout 120 kcat -q -C -b "$PAYBUF_KAFKA_BOOTSTRAP" -t "$PAYBUF_REPLY_TOPIC" -p "$partition" -o "$from" -c $((to - from)) -e -f '%T\n'; fi
    done | awk -v wanted="$3" '
        NR == 1 || $1 < first { first = $1 }
        $1 > last { last = $1 }
        END { if (NR != wanted) { print "replies: " NR " instead of " wanted >"/dev/stderr"; exit 1 } print int(NR * 1000 / (last - first)) }'
}
