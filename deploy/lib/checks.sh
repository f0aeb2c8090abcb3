# shellcheck shell=bash
# checks.sh - ./dev format and ./dev check.

# The version is pinned, as each formats a little differently.
clang_format=clang-format-14

our_c_files() {
    local folder folders=()
    for folder in common producer worker tools bench tests; do
        [[ ! -d $root/$folder ]] || folders+=("$root/$folder")
    done
    find "${folders[@]}" -name '*.[ch]' -type f | sort
}

# have_clang_format: installs it where the distribution has it; says plainly where it hasn't.
have_clang_format() {
    command -v "$clang_format" >/dev/null && return 0
    if ! apt-cache show "$clang_format" >/dev/null 2>&1; then
        warn "$clang_format isn't in this distribution's packages: formatting is neither done nor checked here (CI does, on Debian 12)"
        return 1
    fi
    need format
}

verb_format() {
    local files
    have_clang_format || return 1
    mapfile -t files < <(our_c_files)
    ((${#files[@]} == 0)) || "$clang_format" -i "${files[@]}"
    note "ok  formatted ${#files[@]} files"
}

# verb_check: everything a change must pass before review, except the tests themselves.
verb_check() {
    local failed=
    need build tests
    check_format || failed=1
    check_dependencies || failed=1
    check_warnings || failed=1
    [[ ! $failed ]] || die "the check failed; see above"
    note "${green}check passed${plain}"
}

check_format() {
    local files log=$run_dir/log/format.log
    have_clang_format || return 0
    mapfile -t files < <(our_c_files)
    ((${#files[@]} > 0)) || return 0
    step "format"
    if "$clang_format" --dry-run -Werror "${files[@]}" >"$log" 2>&1; then
        step_done "format: ${#files[@]} files"
        return 0
    fi
    step_failed "format: $(grep -c 'clang-format-violations' "$log") places differ; ./dev format repairs them"
    grep -oE '^/[^:]*:[0-9]+' "$log" | cut -d: -f1 | sort | uniq -c | head -n 20 | sed 's/^/       | /' >&2
    return 1
}

check_dependencies() {
    local log=$run_dir/log/dependencies.log
    step "dependencies"
    if "$root/tests/unit/check_dependencies.py" "$root" >"$log" 2>&1; then
        step_done "dependencies: nobody includes upwards"
        return 0
    fi
    step_failed "dependencies"
    show_end "$log" 30
    return 1
}

# In a folder of its own, so that the dev build isn't configured back and forth.
check_warnings() {
    local log=$run_dir/log/build-check.log
    step "building with warnings as errors"
    if (cd "$root" && cmake --preset dev -B build/check -DPAY_WERROR=ON && cmake --build build/check) </dev/null >"$log" 2>&1; then
        step_done "build without warnings"
        return 0
    fi
    step_failed "build with warnings as errors"
    grep -E -A 4 '(error|warning):' "$log" | head -n 60 >&2 || show_end "$log"
    return 1
}
