# shellcheck shell=bash
# fuzz.sh - ./dev fuzz: libFuzzer under ASan and UBSan over tests/fuzz, each target in turn. docs/fuzzing.md says how to read it.

fuzz_help() {
    cat <<'END'
./dev fuzz                                  every target for 60 s each
./dev fuzz core http --seconds 600          two of them, longer
./dev fuzz request --runs 1000000           until so many executions
./dev fuzz --seconds 120 --self-test        each target must find the bug that tests/fuzz/planted.c put around the product
./dev fuzz --seconds 300 --keep             afterwards the best of what was found goes to tests/fuzz/corpus

Installs Debian's clang when there is none with libFuzzer. What was found stays in run/fuzz; the next run goes on from there.
Exit code 1 when something was found; the input that shows it is named.
END
}

fuzz_targets() { sed -n 's/^fuzz_target(\([a-z]*\) .*/\1/p' "$root/tests/fuzz/CMakeLists.txt"; }

verb_fuzz() {
    local targets=() limit=-max_total_time=60 keep='' self_test='' target
    while (($# > 0)); do
        case $1 in
        --seconds | --runs)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage_error "fuzz: $1 wants a number"
            if [[ $1 == --seconds ]]; then limit=-max_total_time=$2; else limit=-runs=$2; fi
            shift
            ;;
        --keep) keep=1 ;;
        --self-test) self_test=1 ;;
        *)
            fuzz_targets | grep -qx -e "$1" || usage_error "fuzz: '$1' is no target ($(fuzz_targets | paste -sd ' '))"
            targets+=("$1")
            ;;
        esac
        shift
    done
    ((${#targets[@]} > 0)) || mapfile -t targets < <(fuzz_targets)
    need build
    build_fuzz
    fuzz_failed=
    if [[ $self_test ]]; then
        for target in "${targets[@]}"; do find_planted "$target" "$limit"; done
    else
        printf '%-8s %12s %8s %7s %7s  %s\n' target executions exec/s edges inputs findings
        for target in "${targets[@]}"; do
            fuzz_one "$target" "$limit"
            if [[ $keep ]]; then "$root/tests/fuzz/keep_corpus.py" "$fuzz_dir/fuzz_$target" "$root/tests/fuzz/corpus/$target" "$run_dir/fuzz/$target"; fi
        done
    fi
    [[ ! $fuzz_failed ]]
}

# The newest clang that can link libFuzzer; nothing when there is none.
clang_with_fuzzer() {
    local name
    for name in $(compgen -c clang- | grep -xE 'clang-[0-9]+' | sort -t- -k2,2nr -u) clang; do
        if command -v "$name" >/dev/null &&
            "$name" -fsanitize=fuzzer,address -x c -o /dev/null - <<<'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

build_fuzz() {
    local clang log=$run_dir/log/build-fuzz.log
    clang=$(clang_with_fuzzer)
    if [[ ! $clang ]]; then
        need fuzz
        clang=$(clang_with_fuzzer)
    fi
    [[ $clang ]] || die "no clang here can link libFuzzer" "apt-get install ${packages_fuzz[*]}"
    fuzz_dir=$root/build/fuzz-$clang/tests/fuzz
    step "building the fuzz targets with $clang"
    if ! { cmake -S "$root" -B "$root/build/fuzz-$clang" -G Ninja -DCMAKE_C_COMPILER="$clang" -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_C_FLAGS_DEBUG='-O1 -g' -DPAY_SANITIZE=address,undefined,fuzzer-no-link -DPAY_FUZZ=ON &&
        cmake --build "$root/build/fuzz-$clang" --target fuzz_targets; } </dev/null >"$log" 2>&1; then
        step_failed "the fuzz targets"
        show_end "$log" 30
        exit 1
    fi
    step_done "built the fuzz targets with $clang"
}

# libfuzzer TARGET PROGRAM LOG ARGS...: new inputs and artifacts go to run/fuzz/TARGET.
libfuzzer() {
    local target=$1 program=$2 log=$3 dictionary=$root/tests/fuzz/dict/${1#planted-}.dict
    shift 3
    mkdir -p "$run_dir/fuzz/$target"
    if [[ -e $dictionary ]]; then set -- -dict="$dictionary" "$@"; fi
    "$fuzz_dir/$program" -print_final_stats=1 "$@" </dev/null >"$log" 2>&1
}

fuzz_one() {
    local target=$1 log=$run_dir/log/fuzz-$1.log status=0 executions rate edges finding=none
    libfuzzer "$target" "fuzz_$target" "$log" "$2" -artifact_prefix="$run_dir/fuzz/$target-" \
        "$run_dir/fuzz/$target" "$root/tests/fuzz/corpus/$target" || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2) || true
    if ((status != 0)); then
        fuzz_failed=1
        finding=$(sed -n 's/.*Test unit written to //p' "$log")
    fi
    printf '%-8s %12s %8s %7s %7s  %s\n' "$target" "${executions:--}" "${rate:--}" "${edges:--}" \
        "$(find "$run_dir/fuzz/$target" -type f | wc -l)" "${finding:-failed}"
    if ((status != 0)); then
        grep -m 1 -E 'the oracle says no|ERROR: AddressSanitizer|runtime error|Assertion|ERROR: ' "$log" | sed 's/^/       | /' >&2 || true
        note "       all of it: $log"
    fi
}

# The committed inputs that show the bug by themselves are left out (merging steps over what crashes): mutation must find it again.
find_planted() {
    local target=$1 log=$run_dir/log/fuzz-planted-$1.log rest=$run_dir/fuzz/planted-$1
    step "planted bug of $target"
    rm -rf -- "$rest"*
    libfuzzer "planted-$target" "planted_$target" "$log" -merge=1 -artifact_prefix="$rest-" "$rest" "$root/tests/fuzz/corpus/$target" || true
    if libfuzzer "planted-$target" "planted_$target" "$log" "$2" -artifact_prefix="$rest-" "$rest" ||
        ! grep -q 'the oracle says no' "$log"; then
        fuzz_failed=1
        step_failed "the planted bug of $target wasn't found"
        show_end "$log"
    else
        step_done "planted bug of $target found after $(grep -oE '^#[0-9]+' "$log" | tail -n 1 | tr -d '#') executions"
    fi
    rm -rf -- "$rest"*
}
