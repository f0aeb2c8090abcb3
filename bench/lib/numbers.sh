# shellcheck shell=bash
# numbers.sh - times and numbers for demo and bench. Functions that answer into a variable take its name first, so that nothing
# forks; their own locals begin with _ so as not to hide the caller's.

# now_ms NAME: into the variable, without a process.
now_ms() { local _us=${EPOCHREALTIME/[.,]/}; printf -v "$1" %s "$((_us / 1000))"; }

# grouped NAME NUMBER: 1234567 -> 1,234,567
grouped() {
    local _number=$2 _text=''
    while ((${#_number} > 3)); do _text=,${_number: -3}$_text _number=${_number::-3}; done
    printf -v "$1" %s "$_number$_text"
}

# milliseconds NAME MICROSECONDS: "4.2 ms", "123 ms", "56 s"
milliseconds() {
    if (($2 < 10000)); then printf -v "$1" '%d.%d ms' $(($2 / 1000)) $(($2 / 100 % 10))
    elif (($2 < 10000000)); then printf -v "$1" '%d ms' $(($2 / 1000))
    else printf -v "$1" '%d s' $(($2 / 1000000)); fi
}

# number NAME FILE: a number in a line of JSON; names are unique in it. 0 when it isn't there.
number() {
    local found
    found=$(sed -n "s/.*\"$1\":\([0-9][0-9.]*\).*/\1/p" "$2" | head -n 1)
    echo "${found:-0}"
}
