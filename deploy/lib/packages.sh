# shellcheck shell=bash
# packages.sh - install what is missing, and only that. With nothing missing there is no network and no root needed.

packages_build=(build-essential cmake ninja-build pkg-config librdkafka-dev libpq-dev libjansson-dev libcmocka-dev
    libmicrohttpd-dev libinih-dev libssl-dev libcurl4-openssl-dev libsqlite3-dev python3-yaml)
packages_servers=(postgresql kcat default-jre-headless)
packages_tests=(python3 python3-pytest python3-confluent-kafka python3-psycopg2 python3-jsonschema curl openssl spin
    default-jdk-headless libpostgresql-jdbc-java)
packages_bench=(nginx)                   # the intake's yardstick
packages_chaos=(iproute2 nftables libfaketime)
packages_format=(clang-format-14)
packages_fuzz=(clang libclang-rt-dev)
packages_conformance=(python3-venv)
packages_lint=(nodejs npm)

# need GROUP...: build, servers, tests, bench, chaos, format, fuzz, conformance, lint
need() {
    local wanted=() missing=() group package
    for group in "$@"; do
        local -n packages=packages_$group
        wanted+=("${packages[@]}")
        # Maven only fetches Kafka's jars: not needed where they are.
        if [[ $group == servers && ! -d $(kafka_jars) ]]; then wanted+=(maven); fi
    done
    command -v dpkg-query >/dev/null ||
        die "this is no Debian: ./dev installs what it needs with apt" "on another system install the like of: ${wanted[*]}"
    local installed
    installed=" $(dpkg-query -W -f '${db:Status-Abbrev}|${Package} ' "${wanted[@]}" 2>/dev/null || true)"
    for package in "${wanted[@]}"; do
        [[ $installed == *" ii |$package "* ]] || provided_otherwise "$package" || missing+=("$package")
    done
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# Java and Maven often come from elsewhere than Debian.
provided_otherwise() {
    case $1 in
    default-jre-headless) command -v java >/dev/null ;;
    default-jdk-headless) command -v javac >/dev/null ;;
    maven) command -v mvn >/dev/null ;;
    nodejs) command -v node >/dev/null ;;
    npm) command -v npm >/dev/null ;;
    nginx) [[ -x /usr/sbin/nginx ]] || command -v nginx >/dev/null ;;
    *) return 1 ;;
    esac
}

install_packages() {
    local log=$run_dir/log/apt.log as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "missing packages, and no sudo to install them with" "as root: apt-get install $*"
        as_root=(sudo)
    fi
    note "    missing, so installing: $*"
    step "installing ${#} of Debian's packages"
    if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@"; } </dev/null >"$log" 2>&1; then
        step_failed "apt-get could not install them"
        show_end "$log"
        die "packages are missing: $*" "install them by hand (see $log for what went wrong) and repeat the command"
    fi
    step_done "installed what was missing (see $log)"
}
