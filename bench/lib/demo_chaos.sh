# shellcheck shell=bash
# demo_chaos.sh - who is broken when. The plan is a table of "seconds verb name": a line is carried out when so many seconds have
# passed in calm since the one before: whoever was killed is back, and what was accepted meanwhile is answered. Calm isn't waited for
# longer than CALM_LIMIT_MS, nor when the storm nears its end. `now` instead of seconds waits for no calm; a thaw, for none either.
# What takes time happens in the background.
#
# state/NAME says how NAME is: ready, killed, starting, frozen, gone.

actors=(worker-1 worker-2 kafka postgres)
declare -A killed_times=([worker-1]=0 [worker-2]=0 [kafka]=0 [postgres]=0)
declare -A frozen_times=([worker-1]=0 [worker-2]=0 [kafka]=0 [postgres]=0)
declare -A chaos_job=()                 # pid of the background work on NAME
plan=()
frozen_pid=''
last_blow_ms=0
calm_since_ms=0                         # 0: not yet

CALM_LIMIT_MS=20000

# A worker's hold on its lanes ends after 10 s without a poll (session.timeout.ms): 14 s of frost are well past it.
plan_chaos() {
    local name
    for name in "${actors[@]}"; do echo ready >"$demo_dir/state/$name"; done
    plan=("2 garbage topic" "2 kill worker-1" "2 freeze worker-2" "14 thaw worker-2" "1 kill worker-1" "2 kill postgres" "2 kill kafka")
    if [[ ! $quick ]]; then plan+=("2 garbage topic" "1 kill worker-1" "now kill worker-1"); fi
}

chaos_goes_on() { ((${#plan[@]} > 0 || ${#chaos_job[@]} > 0)); }

break_things() {
    local seconds verb name
    collect_jobs
    while ((${#plan[@]} > 0)); do
        read -r seconds verb name <<<"${plan[0]}"
        its_turn "$seconds" "$verb" || return 0
        plan=("${plan[@]:1}")
        "do_$verb" "$name"
        last_blow_ms=$(elapsed_ms) calm_since_ms=0
    done
}

its_turn() { # SECONDS VERB
    local now
    now=$(elapsed_ms)
    if [[ $2 == thaw ]]; then ((now >= last_blow_ms + $1 * 1000)); return; fi
    ((${#chaos_job[@]} == 0)) || return 1
    if [[ $1 == now ]]; then return 0; fi
    if ((calm_since_ms == 0)) && is_calm "$now"; then calm_since_ms=$now; fi
    ((calm_since_ms > 0 && now >= calm_since_ms + $1 * 1000))
}

# The backlog is no more than what comes in within two seconds.
is_calm() {
    ((storm_says[accepted] - storm_says[answered] <= 2 * rate || $1 >= last_blow_ms + CALM_LIMIT_MS || storm_says[accepted] * 5 >= requests * 4))
}

# Background work that has ended is forgotten; what it has to say it left in state/NAME.said.
collect_jobs() {
    local name
    for name in "${!chaos_job[@]}"; do
        if kill -0 "${chaos_job[$name]}" 2>/dev/null; then continue; fi
        wait "${chaos_job[$name]}" || true
        unset "chaos_job[$name]"
        if [[ -s $demo_dir/state/$name.said ]]; then say "$(<"$demo_dir/state/$name.said")"; fi
        rm -f "$demo_dir/state/$name.said"
    done
}

do_kill() {
    local name=$1
    killed_times[$name]=$((killed_times[$name] + 1))
    say "$red$name killed$off (SIGKILL)"
    kill_and_start "$name" >>"$demo_dir/chaos.log" 2>&1 &
    chaos_job[$name]=$!
}

kill_and_start() {
    local name=$1 began ended
    echo killed >"$demo_dir/state/$name"
    "$dev" kill "$name" || true
    sleep 1.5
    echo starting >"$demo_dir/state/$name"
    now_ms began
    if "$dev" start "$name"; then
        now_ms ended
        echo ready >"$demo_dir/state/$name"
        printf '%s%s is back%s, ready %d.%d s after its start\n' "$green" "$name" "$off" $(((ended - began) / 1000)) $(((ended - began) / 100 % 10)) \
            >"$demo_dir/state/$name.said"
    else
        echo gone >"$demo_dir/state/$name"
        printf '%s%s does not come back%s: see %s\n' "$red" "$name" "$off" "$run_dir/log/$name.log" >"$demo_dir/state/$name.said"
    fi
}

do_freeze() {
    local name=$1
    frozen_pid=$(<"$run_dir/$name.pid")
    frozen_times[$name]=$((frozen_times[$name] + 1))
    echo frozen >"$demo_dir/state/$name"
    kill -s STOP "$frozen_pid"
    say "$blue$name frozen$off (SIGSTOP), longer than it may own its lanes"
}

do_thaw() {
    kill -s CONT "$frozen_pid"
    frozen_pid=''
    echo ready >"$demo_dir/state/$1"
    say "$green$1 thawed$off (SIGCONT): it still believes that it owns its lanes"
}

do_garbage() {
    send_garbage >>"$demo_dir/chaos.log" 2>&1 &
    chaos_job[$1]=$!
}

send_garbage() {
    local lines
    lines=$("$bench/garbage" "$PAYBUF_KAFKA_BOOTSTRAP" "$PAYBUF_REQUEST_TOPIC" "$storm")
    echo "$lines" >>"$demo_dir/garbage"
    echo "${yellow}garbage${off} on the topic: $lines records that are no payments, and a transaction that is aborted" >"$demo_dir/state/topic.said"
}

garbage_sent() { local lines sum=0; while read -r lines; do sum=$((sum + lines)); done < <(cat "$demo_dir/garbage" 2>/dev/null || true); echo "$sum"; }

end_chaos() {
    local name
    if [[ $frozen_pid ]]; then kill -s CONT "$frozen_pid" 2>/dev/null || true; fi
    for name in "${!chaos_job[@]}"; do
        kill "${chaos_job[$name]}" 2>/dev/null || true
        wait "${chaos_job[$name]}" 2>/dev/null || true
    done
}
