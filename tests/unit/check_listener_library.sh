#!/usr/bin/env bash
# check_listener_library.sh SOURCE BUILD [FLAGS]: libpaybuf-listener as its users meet it: installed, found by pkg-config, linked
# shared and static, from C and C++; it shows its own names and no others.
set -euo pipefail
source=$1 build=$2 flags=${3:-}
header=$source/common/listener/paybuf/listener.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

# Instrumented builds have names of their own, which begin with an underscore.
shown() { nm "$@" --defined-only | awk 'NF == 3 && $3 !~ /^_/ {print $3}' | LC_ALL=C sort -u; }

declared=$(grep -oE '\*?paybuf_listener_[a-z_]+\(' "$header" | tr -d '*(' | LC_ALL=C sort -u)
[[ $(wc -l <<<"$declared") -ge 9 ]] || fail "the header's functions weren't found"
[[ $(shown -D "$build/lib/libpaybuf-listener.so") == "$declared" ]] || fail "the shared library shows other names than the header's"
[[ $(shown --extern-only "$build/lib/libpaybuf-listener.a") == "$declared" ]] || fail "the static library shows other names than the header's"
for name in $declared; do
    grep -q "$name" "$source/common/listener/paybuf-listener.3" || fail "the man page doesn't have $name"
done

cmake --install "$build" --prefix "$work/usr" --component listener >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$work/usr" -name paybuf-listener.pc)")
export PKG_CONFIG_PATH
libraries=$(pkg-config --variable=libdir paybuf-listener)
example=$source/docs/examples/listener-c/listener.c
read -ra options <<<"$(pkg-config --cflags --libs paybuf-listener sqlite3)"
read -ra static <<<"$(pkg-config --cflags paybuf-listener sqlite3) $libraries/libpaybuf-listener.a $(pkg-config --libs rdkafka sqlite3) -pthread"
read -ra flags <<<"$flags"
cc -Wall -Wextra -Werror "${flags[@]}" "$example" -o "$work/shared" "${options[@]}" -Wl,-rpath,"$libraries"
cc "${flags[@]}" "$example" -o "$work/static" "${static[@]}"
c++ -Wall -Wextra -Werror -fsyntax-only -x c++ "$work/usr/include/paybuf/listener.h"
for program in shared static; do
    said=$(env -u PAYBUF_KAFKA_BOOTSTRAP "$work/$program" 2>&1) && fail "$program: no arguments, and it didn't fail"
    [[ $said == *usage* ]] || fail "$program said: $said"
done
echo "ok: $(wc -l <<<"$declared") functions, installed, linked and run"
