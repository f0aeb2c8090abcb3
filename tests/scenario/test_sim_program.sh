#!/usr/bin/env bash
# paybuf-sim as its callers see it: last line, exit code, a seed that dies in the middle. $1: the program.
set -euo pipefail
sim=$1
out=$(mktemp)
trap 'rm -f "$out"' EXIT

fail() {
    echo "test_sim_program: $1; its output:" >&2
    cat "$out" >&2
    exit 1
}

# Without a sanitizer's remarks, which name the process.
said() { grep -v '^==[0-9]*==' "$out"; }

# expect CODE LAST_LINE ARGS...: LAST_LINE is a pattern of the whole last line.
expect() {
    local code=0 wanted=$1 last=$2
    shift 2
    "$sim" "$@" >"$out" 2>&1 || code=$?
    [[ $code -eq $wanted ]] || fail "'$*' ends with $code, not $wanted"
    [[ $(tail -n 1 "$out") =~ ^${last}$ ]] || fail "'$*' doesn't end with '$last'"
}

never="partitions=1 script=w1.20:freeze-before=2000000 work=1:pay/0/1,2:garbage/0/2"

expect 0 'sim: 1 seeds, 0 violations' --seed 7
first=$(said)
expect 0 'sim: 1 seeds, 0 violations' --seed 7
[[ $first == "$(said)" ]] || fail "--seed 7 says something else the second time"

expect 0 'sim: 60 seeds, 0 violations' --from 1 --count 60
one=$(grep hash "$out")
expect 0 'sim: 60 seeds, 0 violations' --from 1 --count 60 --jobs 3
[[ $one == "$(grep hash "$out")" ]] || fail "three jobs see other runs than one"

expect 0 'sim: 1 seeds, 0 violations' --seed 7 --trace
grep -q 'w1\.[0-9]* *settle_begin .* ok$' "$out" || fail "the trace doesn't tell of a settle"
expect 0 'seed=7 partitions=.*' --seed 7 --print-plan
expect 0 'sim: 1 seeds, 0 violations' --plan "$(cat "$out")"
[[ $(grep hash <<<"$first") == "$(grep hash "$out")" ]] || fail "the printed plan of seed 7 is another run"
expect 0 'sim: 30 seeds, 0 violations' --from 1 --count 30 --coverage
grep -q '^never hit: ' "$out" || fail "the coverage doesn't name what was never hit"

expect 4 'sim: 1 seeds, 1 violations' --plan "$never"
grep -q 'not everything is answered' "$out" || fail "a violation isn't named"
expect 4 'sim: 1 seeds, 1 violations' --plan "$never" --minimize
grep -q '^2 entries and 1 faults became 1 and 1 in ' "$out" || fail "--minimize doesn't shrink"

# A process that dies in the middle of a seed: named, and the range goes on behind it.
"$sim" --from 1 --count 600 >"$out" 2>&1 &
parent=$!
child=
until [[ -n $child ]]; do read -r child _ <"/proc/$parent/task/$parent/children" || true; done
sleep 0.2
kill -KILL "$child"
code=0
wait "$parent" || code=$?
[[ $code -eq 4 && $(tail -n 1 "$out") == 'sim: 600 seeds, 1 violations' ]] || fail "a killed child isn't one violation"
grep -q '^seed [0-9]*: 1 violation(s)$' "$out" || fail "the seed that died isn't named"
grep -q '^  the process died: Killed$' "$out" || fail "a death isn't told"

expect 2 '.*' --seed x
expect 2 '.*' --seed 1 --from 2
expect 2 '.*' --from 1
expect 2 '.*' --plan 'partitions=0'
expect 2 '.*' --bogus
expect 0 'Last line: .*' --help
echo "paybuf-sim keeps its word"
