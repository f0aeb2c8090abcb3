# shellcheck shell=bash
# output.sh - what ./dev says, and how: one line per step with its seconds, on standard error.
# Standard output is kept for data (env, psql, logs, status), so that it can be piped and sourced.

if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m' clear_line=$'\r\e[K'
else
    bold='' dim='' red='' green='' yellow='' plain='' clear_line=''
fi

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# seconds_since MS: "3.1 s"
seconds_since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

note() { printf '%s%s%s\n' "$clear_line" "$*" "$plain" >&2; }
warn() { note "${yellow}note:${plain} $*"; }

# A step that takes a while: `step TEXT` shows it on a terminal at once, `step_done TEXT` replaces it by the result.
step() {
    step_began=$(now_ms)
    [[ -z $clear_line ]] || printf '%s%s... %s%s' "$clear_line" "$dim" "$*" "$plain" >&2
}
step_done() { note "${green}ok${plain}  $* ${dim}($(seconds_since "$step_began"))"; }
step_failed() { note "${red}FAILED${plain}  $* ${dim}($(seconds_since "$step_began"))"; }

# die WHAT [WHAT TO DO...]: the end, with a sentence that helps.
die() {
    note "${red}error:${plain} $1"
    shift
    local line
    for line in "$@"; do note "       $line"; done
    exit 1
}

usage_error() {
    note "${red}error:${plain} $1"
    note "       ./dev --help shows what there is"
    exit 2
}

# show_end FILE [LINES]: the end of a log, indented, as the reason of a failure.
show_end() {
    [[ -s $1 ]] || { note "       (nothing in $1)"; return 0; }
    note "       the last lines of $1:"
    tail -n "${2:-12}" "$1" | sed 's/^/       | /' >&2
}
