#!/usr/bin/env bash
# coverage.sh [BUILD_DIR] - the unit tests on the coverage preset; fails below 100% branches of common/core and common/codec.
#
# The branches of asserts don't count (a line that begins with assert): each stands for a programmer's error that no input
# reaches; those that a caller could make are seen to abort in a child process, which leaves no counts.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=${1:-$root/build/coverage}
command -v gcovr >/dev/null || { echo "coverage.sh: gcovr isn't installed (Debian: apt-get install gcovr)" >&2; exit 69; }

cd "$root"
cmake --preset coverage -B "$build" >/dev/null
mapfile -t tests < <(ctest --test-dir "$build" -N -L '^unit$' | sed -n 's|.* unit/\(test_[a-z0-9_]*\)$|\1|p')
((${#tests[@]} > 0)) || { echo "coverage.sh: no unit tests in $build" >&2; exit 1; }
cmake --build "$build" --target "${tests[@]}" >/dev/null
find "$build" -name '*.gcda' -delete
ctest --test-dir "$build" -L '^unit$' -R '^unit/test_' --output-on-failure --no-tests=error -j "$(nproc)" >"$build/coverage-tests.log" 2>&1 ||
    { tail -n 60 "$build/coverage-tests.log" >&2; exit 1; }

gcovr --root "$root" --filter "$root/common/core/" --filter "$root/common/codec/" --branches \
    --exclude-throw-branches --exclude-branches-by-pattern '^\s*assert\(' --fail-under-branch 100 "$build"
