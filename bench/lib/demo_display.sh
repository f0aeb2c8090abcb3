# shellcheck shell=bash
# demo_display.sh - what people see of the demo: a calm picture on a terminal, lines otherwise. All of it on standard error,
# so that the table at the end can be piped.
#
#   say TEXT            something happened
#   show_picture        the picture again (terminal), or a line of progress every few seconds
#   pause               a fifth of a second, without a process

picture_lines=0
happened=()
happened_shown=9
began_ms=0
said_ms=0
said_payments=''
bold='' dim='' red='' green='' yellow='' blue='' off=''
on_terminal=''
exec {nothing}<> <(:)

choose_display() {
    [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]] && bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' blue=$'\e[36m' off=$'\e[0m'
    local size=0
    if [[ -t 2 && ${TERM:-dumb} != dumb && -z ${plain:-} ]]; then size=$(stty size <&2 2>/dev/null || echo '0 0'); fi
    [[ $size =~ ^([0-9]+)\ ([0-9]+)$ ]] && ((BASH_REMATCH[1] >= 24 && BASH_REMATCH[2] >= 80)) && on_terminal=1
    now_ms began_ms
}

elapsed_ms() { local now; now_ms now; echo $((now - began_ms)); }
pause() { read -r -t 0.2 -u "$nothing" || true; }

clock_text() { local _now; now_ms _now; printf -v "$1" '%5.1f s' "$(((_now - began_ms) / 100))e-1"; }

say() {
    local at line
    clock_text at
    line="$dim$at$off  $*"
    happened+=("$line")
    if [[ ! $on_terminal || $picture_lines == 0 ]]; then printf '%s\n' "$line" >&2; fi
}

begin_display() {
    now_ms began_ms
    said_ms=$began_ms
    happened=()
    if [[ $on_terminal ]]; then
        printf '\e[?25l\n' >&2
        picture_lines=-1
    fi
}

end_display() {
    if [[ $on_terminal && $picture_lines != 0 ]]; then printf '\e[?25h\n' >&2; fi
    picture_lines=0
}

# The storm's own numbers; zeros before its first report.
read_storm() {
    local name value
    declare -gA storm_says=([phase]=storm [payments]=0 [accepted]=0 [answered]=0 [rate]=0 [p99_us]=0 [sent]=0)
    if [[ -s $demo_dir/storm.status ]]; then
        while IFS='=' read -r name value; do storm_says[$name]=$value; done <"$demo_dir/storm.status"
    fi
}

bar() { # NAME PART WHOLE
    local _full=$(($2 * 32 / $3)) _text='' _i
    ((_full <= 32)) || _full=32
    for ((_i = 0; _i < 32; _i++)); do if ((_i < _full)); then _text+=█; else _text+=░; fi; done
    printf -v "$1" %s "$_text"
}

show_picture() {
    read_storm
    if [[ $on_terminal ]]; then draw; else tell_progress; fi
}

tell_progress() {
    local now accepted answered speed p99
    now_ms now
    ((now - said_ms >= 5000)) || return 0
    [[ ${storm_says[accepted]}/${storm_says[answered]} != "$said_payments" ]] || return 0
    said_ms=$now said_payments=${storm_says[accepted]}/${storm_says[answered]}
    grouped accepted "${storm_says[accepted]}"
    grouped answered "${storm_says[answered]}"
    grouped speed "${storm_says[rate]}"
    milliseconds p99 "${storm_says[p99_us]}"
    say "accepted $accepted, answered $answered, $speed/s, p99 $p99"
}

# One picture of always the same height, written over the last one in one go.
draw() {
    local lines=() whole accepted answered speed p99 bar name line at i
    grouped whole "$requests"
    grouped accepted "${storm_says[accepted]}"
    grouped answered "${storm_says[answered]}"
    grouped speed "${storm_says[rate]}"
    milliseconds p99 "${storm_says[p99_us]}"
    clock_text at
    lines+=("${bold}paybuf demo${off}   $whole payments, 30% of them repeated, while things break  $dim$at$off" '')
    bar bar "${storm_says[accepted]}" "$requests"
    printf -v line '  %-9s %s  %9s  %7s/s  p99 %s' accepted "$bar" "$accepted" "$speed" "$p99"
    lines+=("$line")
    bar bar "${storm_says[answered]}" "$requests"
    printf -v line '  %-9s %s%s%s  %9s' answered "$green" "$bar" "$off" "$answered"
    lines+=("$line" '')
    for name in "${actors[@]}"; do
        actor_line line "$name"
        lines+=("$line")
    done
    lines+=('')
    local first=$((${#happened[@]} > happened_shown ? ${#happened[@]} - happened_shown : 0))
    for ((i = first; i < first + happened_shown; i++)); do lines+=("${happened[i]:+  ${happened[i]}}"); done
    local text=''
    ((picture_lines <= 0)) || text=$'\e['${picture_lines}A
    for line in "${lines[@]}"; do text+=$'\r\e[2K'$line$'\n'; done
    picture_lines=${#lines[@]}
    printf %s "$text" >&2
}

# "  worker-1  ready       killed 3 times"
actor_line() {
    local _name=$2 _state _colour=$green _note=''
    _state=$(<"$demo_dir/state/$_name")
    case $_state in
    killed | starting | gone) _colour=$red ;;
    frozen) _colour=$blue ;;
    esac
    if ((${killed_times[$_name]} > 0)); then _note="killed ${killed_times[$_name]}x"; fi
    if ((${frozen_times[$_name]} > 0)); then _note+="${_note:+, }frozen ${frozen_times[$_name]}x"; fi
    printf -v "$1" '  %-9s %s%-9s%s  %s%s%s' "$_name" "$_colour" "$_state" "$off" "$dim" "$_note" "$off"
}
