# shellcheck shell=bash
# measure.sh - what the kernel knows of processes: CPU time and memory, by pid. A bare Debian has no ps.

ticks_per_second=$(getconf CLK_TCK)

# cpu_ticks PID...: user and system time of them all, in clock ticks; gone ones count nothing.
cpu_ticks() {
    local pid line sum=0
    for pid; do
        { read -r line <"/proc/$pid/stat"; } 2>/dev/null || continue
        line=${line##*) }                   # the name before it may hold blanks and brackets
        # shellcheck disable=SC2086         # split on purpose
        set -- $line
        sum=$((sum + ${12} + ${13}))
    done
    echo "$sum"
}

# with_children PID: it and its children, as PostgreSQL works in these.
with_children() {
    local stat line fields pids=("$1")
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        read -ra fields <<<"${line##*) }"
        if [[ ${fields[1]} == "$1" ]]; then pids+=("${line%% *}"); fi
    done
    echo "${pids[@]}"
}

# memory_kib PID: the most that it ever had resident.
memory_kib() { sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$1/status" 2>/dev/null || echo 0; }

pid_file() { cat "$bench_dir/$1.pid"; }

# us_each TICKS COUNT: CPU time of each of COUNT, "9.8" microseconds.
us_each() { awk -v t="$1" -v n="$2" -v hz="$ticks_per_second" 'BEGIN { printf("%.1f", (n > 0) ? t * 1e6 / hz / n : 0) }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf("%.2f", (b > 0) ? a / b : 0) }'; }
# median NUMBER...: the middle one; of two the lower.
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
