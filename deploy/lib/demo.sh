# shellcheck shell=bash
# demo.sh - ./dev demo: start what isn't running, bench/demo, and leave things as they were found: what ran before runs on,
# and data that only the demo made goes with it.

verb_demo() {
    if is_running kafka; then export PAYBUF_DEMO_KEEP=1; fi
    if [[ ! -e $run_dir/kafka/formatted && ! -e $run_dir/postgres.dir ]]; then export PAYBUF_DEMO_WIPE=1; fi
    if ! with_lock up bring_up ""; then return 1; fi
    # shellcheck source=/dev/null
    source "$run_dir/env"
    export PAYBUF_DEV="$root/dev" PAYBUF_RUN_DIR="$run_dir"
    exec "$root/bench/demo" "$@"
}
