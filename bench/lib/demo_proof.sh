# shellcheck shell=bash
# demo_proof.sh - waits until everything is settled and answered, looks for differences in three ways that share no code
# (the storm's own list against the reply log; plain SQL; `paybuf audit`), and prints the table.

differences=0
differences_found=()

found() { # COUNT TEXT
    (($1 > 0)) || return 0
    differences=$((differences + $1))
    differences_found+=("$2")
}

# Nothing left to settle in any lane, and the answered offsets stand still: they are written once a second.
wait_until_answered() {
    local limit_ms=$(($(elapsed_ms) + 60000)) status=$demo_dir/status.json now before='' lag=''
    say 'waiting until every lane is at its end'
    while (($(elapsed_ms) < limit_ms)); do
        if paybuf status -o json >"$status" 2>"$demo_dir/status.err" || [[ -s $status ]]; then
            if grep -q '"halted_reason":"' "$status"; then
                fail "a lane is halted: $(grep -o '"halted_reason":"[^"]*"' "$status" | sort | uniq -c | tr '\n' ' ')" "$PAYBUF_CLI status shows which, and what to do"
            fi
            lag=$(number lag_records "$status")
            now=$(grep -o '"\(processed\|replied\)":[0-9]*' "$status" | tr '\n' ' ')
            if [[ $lag == 0 && $now && $now == "$before" ]]; then return 0; fi
            before=$now
        fi
        sleep 1.2
        show_picture
    done
    fail "the lanes didn't come to their end within 60 s (lag ${lag:-unknown})" "look with: $PAYBUF_CLI status; logs are in $run_dir/log/"
}

prove() {
    printf '\nthe proof\n' >&2
    check_storm
    check_books
    check_audit
    print_table
    print_verdict
}

step_ok() { printf '  %sok%s   %s\n' "$green" "$off" "$1" >&2; }
step_bad() { printf '  %sBAD%s  %s\n' "$red" "$off" "$1" >&2; }

# What the storm was told, and what it read in the reply log meanwhile.
check_storm() {
    local before=$differences json=$demo_dir/storm.json accepted answered line
    accepted=$(number accepted "$json")
    answered=$(number answered "$json")
    found $((requests - accepted)) "$((requests - accepted)) payments never got their 202"
    found $((accepted - answered)) "$((accepted - answered)) accepted payments got no answer"
    found "$(number wrong_order "$json")" "$(number wrong_order "$json") answers name another order than the payment at their position"
    found "$(number doubly_accepted "$json")" "$(number doubly_accepted "$json") positions were given to two payments"
    found "$(number gaps "$json")" "$(number gaps "$json") gaps in the reply log"
    if ((differences == before)); then
        grouped accepted "$accepted"
        step_ok "the storm: each of $accepted accepted payments got its own answer, once"
    else
        step_bad "the storm's promises against the reply log"
        while read -r line; do differences_found+=("    $line"); done < <(head -n 10 "$demo_dir/storm.err")
    fi
}

# The tables alone, by plain SQL.
check_books() {
    local before=$differences count text paid declined
    if ! { sed '/^COPY line/q' "$bench/lib/proof.sql" && cat "$demo_dir/accepted.ndjson" && echo '\.' &&
        sed '1,/^COPY line/d' "$bench/lib/proof.sql"; } |
        psql -XqAt -v ON_ERROR_STOP=1 -v prefix="$prefix" "$PAYBUF_DATABASE_URL" >"$demo_dir/books" 2>"$demo_dir/books.err"; then
        found 1 "the tables couldn't be checked: $(head -n 3 "$demo_dir/books.err")"
    fi
    while IFS='|' read -r count text; do
        case $text in
        paid) paid=$count ;;
        declined) declined=$count ;;
        *) found "$count" "$count $text" ;;
        esac
    done <"$demo_dir/books"
    compare "${paid:-0}" "$(number paid "$demo_dir/storm.json")" 'payments on file as paid'
    compare "${declined:-0}" "$(number declined "$demo_dir/storm.json")" 'payments on file as declined'
    if ((differences == before)); then step_ok 'the tables, by plain SQL: every balance, every version, every accepted payment'; else step_bad 'the tables'; fi
}

compare() {
    local off_by=$(($1 - $2))
    found "${off_by#-}" "$1 $3, but the reply log has $2"
}

check_audit() {
    local status=0
    paybuf audit >"$demo_dir/audit" 2>"$demo_dir/audit.err" || status=$?
    case $status in
    0) step_ok "paybuf audit: requests = decisions = answers, partition by partition" ;;
    4)
        step_bad 'paybuf audit'
        found 1 "paybuf audit found differences:"
        while read -r line; do differences_found+=("    $line"); done < <(head -n 40 "$demo_dir/audit")
        ;;
    *) fail "paybuf audit couldn't be carried through (exit $status): $(tail -n 3 "$demo_dir/audit.err")" ;;
    esac
}

row() { # NAME NUMBER TEXT
    local text
    grouped text "$2"
    printf '%-11s %10s   %s\n' "$1" "$text" "$3"
}

print_table() {
    local json=$demo_dir/storm.json sent accepted paid declined p99 reply_p50 reply_p99
    sent=$(number sent "$json") accepted=$(number accepted "$json") paid=$(number paid "$json") declined=$(number declined "$json")
    milliseconds p99 "$(number p99_us "$json")"
    milliseconds reply_p50 "$(number reply_p50_us "$json")"
    milliseconds reply_p99 "$(number reply_p99_us "$json")"
    printf '\n'
    row sent "$sent" "requests over HTTP; $((sent - requests)) of them again, after 503, 504 or a broken connection"
    row accepted "$accepted" "got their 202"
    row unique $((paid + declined)) "decided, each once:"
    row paid "$paid" "  with a debit"
    row declined "$declined" "  too poor, unknown, frozen, closed or another currency"
    row duplicates "$(number duplicates "$json")" "answered with the decision on file"
    row conflicts "$(number conflicts "$json")" "known order, other content; nothing moved"
    row invalid "$(number invalid "$json")" "refused: $(garbage_sent) lines of garbage, and attempts out of turn"
    row rate "$(number rate "$json" | cut -d. -f1)" "accepted a second, all outages included"
    printf '%-11s %10s   %s\n' p99 "$p99" "from request to 202; to the answer: half within $reply_p50, 99% within $reply_p99, outages included"
    printf '%-11s %10s   %s\n' blows "$(blows)" "$(blows_text)"
    printf '\n'
}

blows() { local name sum=0; for name in "${actors[@]}"; do sum=$((sum + ${killed_times[$name]} + ${frozen_times[$name]})); done; echo "$sum"; }
blows_text() {
    echo "worker-1 killed ${killed_times[worker-1]}x, worker-2 frozen ${frozen_times[worker-2]}x, Kafka killed ${killed_times[kafka]}x, PostgreSQL killed ${killed_times[postgres]}x"
}

print_verdict() {
    local line
    if ((differences == 0)); then
        printf '%s0 differences%s\n' "$bold$green" "$off"
        return 0
    fi
    printf '%s%d differences%s\n' "$bold$red" "$differences" "$off"
    for line in "${differences_found[@]}"; do printf '  %s\n' "$line"; done
    printf 'what was sent, accepted and found: %s\n' "$demo_dir"
    exit 4
}
