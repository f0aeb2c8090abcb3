# shellcheck shell=bash
# tests.sh - the rungs of tests, in order, on one or more presets, and a table of how each went.

test_rungs=(unit scenario mock fuzz model pg e2e)
declare -A rung_limit_s=([unit]=120 [scenario]=1200 [mock]=300 [model]=1500 [fuzz]=120 [pg]=300 [e2e]=1500)
test_failed=
test_rows=()

verb_test() {
    local rungs=() ctest_options=() quick='' word
    while (($# > 0)); do
        word=$1
        shift
        case $word in
        --quick) quick=1 ;;
        --) ctest_options=("$@"); break ;;
        unit | scenario | mock | fuzz | model | pg | e2e) rungs+=("$word") ;;
        *) usage_error "test: '$word' is no rung (unit, scenario, mock, fuzz, model, pg, e2e); what goes to ctest stands after --" ;;
        esac
    done
    # What a sourced run/env says about other servers must not reach the tests.
    unset PAYBUF_HTTP_URL PAYBUF_ADMIN_URL PAYBUF_KAFKA_BOOTSTRAP PAYBUF_DATABASE_URL PAYBUF_REQUEST_TOPIC \
        PAYBUF_REPLY_TOPIC PAYBUF_DLQ_TOPIC PAYBUF_CLI PAYBUF_CONFIG

    local began
    began=$(now_ms)
    need build servers tests
    fetch_kafka
    remove_old_test_dirs
    trap end_test_servers EXIT
    if ((${#rungs[@]} > 0)); then
        run_rungs "${PAYBUF_PRESET:-dev}" "${rungs[@]}"
    else
        run_rungs "${PAYBUF_PRESET:-dev}" "${test_rungs[@]}"
        if [[ ! $quick && -z ${PAYBUF_PRESET:-} ]]; then
            run_rungs asan unit scenario mock fuzz pg
            run_some_end_to_end asan 'test_worker_faults|test_records|test_intake_answers'
            run_rungs tsan unit mock # the scenarios are of one thread: fibers
            run_some_end_to_end tsan 'test_records|test_intake_answers'
        fi
    fi
    test_table "$began"
    [[ ! $test_failed ]]
}

# run_some_end_to_end PRESET EXPRESSION: those that take the programs through most of their code; all of them: PAYBUF_PRESET=asan ./dev test e2e
run_some_end_to_end() {
    ctest_options=(-R "$2")
    run_rung "$1" e2e
    ctest_options=()
}

# run_rungs PRESET RUNG...
run_rungs() {
    local preset=$1 rung
    shift
    build "$preset"
    for rung; do run_rung "$preset" "$rung"; done
}

run_rung() {
    local preset=$1 rung=$2 log=$run_dir/log/test-$1-$2.log began status=0 passed failed word
    if [[ ! -e $root/tests/$rung/CMakeLists.txt ]]; then
        test_rows+=("$rung|$preset|none yet|0|-")
        return 0
    fi
    began=$(now_ms)
    if [[ $rung == pg || $rung == e2e ]] && ! start_test_servers "$preset"; then
        test_failed=1
        test_rows+=("$rung|$preset|no servers|-|$(seconds_since "$began")")
        return 0
    fi
    step "$rung ($preset)"
    # In the background and waited for, so that Ctrl-C is heard at once; in a session of its own, so that all of it can be ended.
    in_test_environment "$preset" setsid timeout -k 10 "${rung_limit_s[$rung]}" \
        ctest --test-dir "$root/build/$preset" -L "^$rung\$" --no-tests=error --output-on-failure --timeout 300 \
        -j "$(rung_jobs "$rung")" "${ctest_options[@]}" </dev/null >"$log" 2>&1 &
    test_pid=$!
    wait "$test_pid" || status=$?
    test_pid=
    passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log") || true
    failed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*(\*\*\*|Not Run)' "$log") || true
    word=passed
    if ((status != 0)); then
        test_failed=1
        word=FAILED
        ((status != 124 && status != 137)) || word="TOO LONG"
        step_failed "$rung ($preset): $passed passed, $failed failed"
        failed_tests "$log"
    else
        step_done "$rung ($preset): $passed passed"
        [[ " ${ctest_options[*]} " != *" -V"* ]] || cat "$log" >&2
    fi
    test_rows+=("$rung|$preset|$word|$passed/$((passed + failed))|$(seconds_since "$began")")
}

# End-to-end tests mostly wait, for groups, locks and deadlines: six of their files run at once.
rung_jobs() { case $1 in pg) echo 1 ;; e2e) echo 6 ;; *) nproc ;; esac; }

# What the failed ones wrote, without the passed ones' lines; at most 80 lines of it.
failed_tests() {
    grep -vE 'Test +#?[0-9]+: .* Passed |^ *Start +[0-9]+:' "$1" | tail -n 80 | sed 's/^/       | /' >&2
    note "       all of it: $1"
}

# in_test_environment PRESET COMMAND...
in_test_environment() {
    local preset=$1
    shift
    export PAYBUF_TEST_BIN_DIR=$root/build/$preset/bin PAYBUF_TEST_DEV=$root/dev PAYBUF_TEST_PYTHON=/usr/bin/python3
    export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1 # a program that goes on would hide its race in a log
    if [[ $test_dir ]]; then
        export PAYBUF_TEST_RUN_DIR=$test_dir
        # The same names as in run/env, as PAYBUF_TEST_*.
        # shellcheck source=/dev/null
        source <(sed 's/^export PAYBUF_/export PAYBUF_TEST_/' "$test_dir/env")
    fi
    # gcc 12's TSan runtime stops where the kernel randomises addresses widely ("unexpected memory mapping").
    if [[ $preset == tsan ]] && setarch -R true 2>/dev/null; then set -- setarch -R "$@"; fi
    exec "$@"
}

test_dir=
test_pid=

# start_test_servers PRESET: a Kafka and a PostgreSQL for this test run alone; those of the next preset start from nothing.
start_test_servers() {
    [[ $test_dir && $test_dir == *-"$1" ]] && return 0
    end_test_servers
    test_dir=$run_dir/test-$$-$1
    PAYBUF_RUN_DIR=$test_dir PAYBUF_CACHE_DIR=$cache_dir PAYBUF_BIN_DIR=$root/build/$1/bin "$root/dev" up --servers
}

end_test_servers() {
    if [[ $test_pid ]]; then
        kill -s KILL -- "-$test_pid" 2>/dev/null || true
        wait "$test_pid" 2>/dev/null || true
        test_pid=
    fi
    [[ $test_dir ]] || return 0
    if [[ $test_failed ]]; then
        rm -rf "$run_dir/log/test-servers"
        cp -r "$test_dir/log" "$run_dir/log/test-servers" 2>/dev/null || true
        note "    logs of the servers: $run_dir/log/test-servers"
    fi
    step "removing the test servers"
    wipe_test_dir "$test_dir"
    test_dir=
    step_done "test servers removed"
}

wipe_test_dir() {
    PAYBUF_RUN_DIR=$1 "$root/dev" down --wipe 2>/dev/null || warn "could not stop everything in $1"
    rm -rf -- "$1"
}

# A test run that was killed with SIGKILL left its servers behind.
remove_old_test_dirs() {
    local dir owner
    for dir in "$run_dir"/test-*-*; do
        [[ -d $dir ]] || continue
        owner=${dir##*/test-}
        owner=${owner%%-*}
        if ! grep -qsz '/dev$\|^\./dev$\|^dev$' "/proc/$owner/cmdline"; then wipe_test_dir "$dir"; fi
    done
}

test_table() {
    local row rung preset word counts seconds
    end_test_servers
    note ""
    note "$(printf '%-10s %-10s %-11s %-9s %s' RUNG PRESET RESULT PASSED SECONDS)"
    for row in "${test_rows[@]}"; do
        IFS='|' read -r rung preset word counts seconds <<<"$row"
        note "$(printf '%-10s %-10s %-11s %-9s %s' "$rung" "$preset" "$word" "$counts" "${seconds% s}")"
    done
    if [[ $test_failed ]]; then
        note "${red}tests failed${plain} ($(seconds_since "$1")); logs: $run_dir/log/test-PRESET-RUNG.log"
    else
        note "${green}all passed${plain} ($(seconds_since "$1"))"
    fi
}
