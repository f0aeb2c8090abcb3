# shellcheck shell=bash
# conformance.sh - ./dev conformance: is the intake as docs/ describe it? docs/http.md says more; tests/conformance has the settings.

conformance_help() {
    cat <<'END'
./dev conformance                           schemathesis (PyPI) against an intake of its own: 50 examples of each rule
./dev conformance --examples 500            longer
./dev conformance --url http://host:8080    an intake that runs already, and may get payments
./dev conformance --lint                    redocly, spectral, AsyncAPI's parser and ajv (npm) over docs/openapi.yaml, asyncapi.yaml and schemas

Needs PyPI, or npm, the first time: both go to run/cache, in the versions that tests/conformance pins. Exit code 1 when something was found.
END
}

verb_conformance() {
    local examples=50 url='' lint=''
    while (($# > 0)); do
        case $1 in
        --lint) lint=1 ;;
        --examples | --url)
            [[ ${2:-} ]] || usage_error "conformance: $1 wants a value"
            if [[ $1 == --url ]]; then url=$2; else examples=$2; fi
            shift
            ;;
        *) usage_error "conformance: '$1' isn't understood" ;;
        esac
        shift
    done
    if [[ $lint ]]; then lint_descriptions; return; fi
    have_schemathesis
    if [[ $url ]]; then try_intake "$url" "$examples"; return; fi
    conformance_dir=$run_dir/conformance
    trap end_conformance EXIT
    PAYBUF_RUN_DIR=$conformance_dir PAYBUF_CACHE_DIR=$cache_dir "$root/dev" up
    # shellcheck source=/dev/null
    (
        source "$conformance_dir/env"
        "$PAYBUF_CLI" --config "$conformance_dir/paybuf.conf" account open alice --currency EUR --opening-minor 1000000000 >/dev/null
        try_intake "$PAYBUF_HTTP_URL" "$examples"
    )
}

end_conformance() { PAYBUF_RUN_DIR=$conformance_dir "$root/dev" down --wipe; }

try_intake() {
    (
        cd "$cache_dir/schemathesis"
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/tests/conformance "$cache_dir/schemathesis/bin/schemathesis" \
            --config-file "$root/tests/conformance/schemathesis.toml" run "$1/openapi.json" --max-examples "$2"
    )
}

# A virtual environment with exactly what requirements.txt pins; made again when that changes.
have_schemathesis() {
    local folder=$cache_dir/schemathesis pins=$root/tests/conformance/requirements.txt
    need conformance
    if cmp -s "$pins" "$folder/requirements.txt"; then return; fi
    step "fetching schemathesis from PyPI"
    rm -rf -- "$folder"
    if ! { /usr/bin/python3 -m venv "$folder" && "$folder/bin/pip" install --quiet --no-deps --require-virtualenv -r "$pins"; } >"$run_dir/log/pip.log" 2>&1; then
        step_failed "pip could not install it"
        show_end "$run_dir/log/pip.log"
        exit 1
    fi
    cp -- "$pins" "$folder/requirements.txt"
    step_done "schemathesis is in $folder"
}

have_linters() {
    local folder=$cache_dir/linters pins=$root/tests/conformance/package.json
    need lint
    if cmp -s "$pins" "$folder/package.json" && [[ -d $folder/node_modules ]]; then return; fi
    step "fetching the linters from npm"
    rm -rf -- "$folder"
    mkdir -p "$folder"
    cp -- "$pins" "$folder/package.json"
    if ! (cd "$folder" && npm install --no-fund --no-audit --ignore-scripts) >"$run_dir/log/npm.log" 2>&1; then
        rm -rf -- "$folder"
        step_failed "npm could not install them"
        show_end "$run_dir/log/npm.log"
        exit 1
    fi
    step_done "the linters are in $folder"
}

lint_descriptions() {
    local failed='' schema bin=$cache_dir/linters/node_modules/.bin settings=$root/tests/conformance docs=$root/docs
    have_linters
    # In one piece, as it is served: redocly can't try examples of schemas that refer to other files.
    /usr/bin/python3 -B "$root/producer/embed_openapi.py" "$docs/openapi.yaml" >"$cache_dir/linters/openapi.json"
    "$bin/redocly" lint --config "$settings/redocly.yaml" "$cache_dir/linters/openapi.json" || failed=1
    "$bin/spectral" lint --fail-severity warn --ruleset "$settings/spectral.yaml" "$docs/openapi.yaml" "$docs/asyncapi.yaml" || failed=1
    cp -- "$settings/asyncapi.mjs" "$cache_dir/linters/"        # finds its module beside itself
    node "$cache_dir/linters/asyncapi.mjs" "$docs/asyncapi.yaml" || failed=1
    for schema in "$docs"/schemas/*.json; do
        "$bin/ajv" compile --spec=draft2020 -c ajv-formats -s "$schema" -r "$docs/schemas/!(${schema##*/})" || failed=1
    done
    [[ ! $failed ]] || die "the linters found something; see above"
    note "ok  nothing found"
}
