# shellcheck shell=bash
# chaos.sh - ./dev chaos: what tests/chaos needs, and the namespaces it runs in. docs/chaos.md says what it does.

chaos_help() {
    cat <<'END'
./dev chaos                                 10 minutes: three brokers, everything breaks, and the judgement
./dev chaos --minutes 1 --seed 7            a short one with another plan; the same seed is the same plan
./dev chaos --plan --seed 7                 only print the plan
./dev chaos --kinds kill,freeze --pace 2    some kinds of faults, twice as often
./dev chaos --minutes 30 --save             ... and write its figures to docs/results

  --rate R (300 payments a second)   --count N (no more than so many)   --partitions N (6)   --disk-mb N (1024)
  --no-namespaces                    cuts by TCP gates on the loopback, as where namespaces aren't allowed
  --keep                             keep the run folder also when nothing was found

The last line is `chaos: N payments, K kills, V violations`; exit 0 without violations, 4 with them, 1 when it could not be carried through.
As root it uses network namespaces, small disks and clocks of its own; whatever it started ends with it.
END
}

# verb_chaos ARGUMENTS...: they go to tests/chaos/chaos.
verb_chaos() {
    local status=0 around=() word keep='' namespaces=1
    chaos_dir=$run_dir/chaos-$$
    need build servers tests chaos
    for word; do
        case $word in
        --plan) exec "$root/tests/chaos/chaos" "$@" ;;
        --keep) keep=1 ;;
        --no-namespaces) namespaces= ;;
        esac
    done
    fetch_kafka
    [[ ${PAYBUF_BIN_DIR:-} ]] || build "${PAYBUF_PRESET:-release}"
    if ((EUID == 0)) && [[ $namespaces ]] && unshare "${chaos_namespaces[@]}" true 2>/dev/null; then
        around=(unshare "${chaos_namespaces[@]}" bash -c "$chaos_init" --)
        chaos_end=KILL
    fi
    trap end_chaos EXIT
    # In the background and waited for, so that an interruption is heard at once.
    env CHAOS_BIN="$(program_dir)" CHAOS_JARS="$(kafka_jars)" CHAOS_RUN="$chaos_dir" CHAOS_UNSHARED="${around:+1}" \
        "${around[@]}" "$root/tests/chaos/chaos" "$@" </dev/null &
    chaos_pid=$!
    wait "$chaos_pid" || status=$?
    chaos_pid=
    if [[ $status == 0 || $status == 130 ]] && [[ ! $keep ]]; then
        rm -rf -- "$chaos_dir"
    elif [[ -d $chaos_dir ]]; then
        note "    kept: $chaos_dir (logs, the history, what clients were told; tests/e2e/check_history.py $chaos_dir/history judges it again)"
    fi
    return "$status"
}

chaos_namespaces=(--net --mount --pid --fork --kill-child --mount-proc)

# Process 1 of a namespace has to wait for orphans.
# shellcheck disable=SC2016                 # expanded by the inner shell
chaos_init='"$@" & child=$!
    while :; do
        status=0
        wait "$child" || status=$?
        kill -0 "$child" 2>/dev/null || exit "$status"
    done'

chaos_pid=
chaos_end=INT

# With namespaces, all ends with unshare (--kill-child), which hears nothing but SIGKILL; else chaos itself ends what it started.
end_chaos() {
    [[ $chaos_pid ]] || return 0
    note "interrupted: ending everything"
    kill -s "$chaos_end" "$chaos_pid" 2>/dev/null || true
    wait "$chaos_pid" 2>/dev/null || true
    rm -rf -- "$chaos_dir"
}
