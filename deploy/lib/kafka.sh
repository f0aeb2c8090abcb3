# shellcheck shell=bash
# kafka.sh - a real Kafka broker of one node: jars, storage, start, readiness.

kafka_version() { echo "${PAYBUF_KAFKA_VERSION:-4.3.1}"; }
kafka_jars() { echo "$cache_dir/kafka-$(kafka_version)"; }

# fetch_kafka: the jars through Maven, once per version. Maven's own files stay beside them and are removed again, so
# that ~/.m2 isn't touched; a ~/.m2/settings.xml (mirrors, proxies) is honoured as always.
fetch_kafka() {
    local jars version
    jars=$(kafka_jars)
    version=$(kafka_version)
    [[ ! -d $jars ]] || return 0
    mkdir -p "$cache_dir"
    (
        flock 9                             # the cache may be shared between run directories
        fetch_kafka_locked "$jars" "$version"
    ) 9>"$cache_dir/lock"
}

fetch_kafka_locked() {
    local jars=$1 version=$2 new=$1.new log=$run_dir/log/maven.log
    [[ ! -d $jars ]] || return 0
    step "fetching Kafka $version through Maven (45 MB)"
    rm -rf "$new"
    if ! mvn -q -B -f "$root/deploy/kafka/pom.xml" -P "kafka-${version%%.*}" -Dkafka.version="$version" \
        -Dmaven.repo.local="$cache_dir/maven" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$new" </dev/null >"$log" 2>&1; then
        step_failed "Maven could not fetch Kafka $version"
        show_end "$log"
        die "no Kafka jars" "check the network (Maven Central, or the mirror in ~/.m2/settings.xml) and repeat the command"
    fi
    mv "$new" "$jars"
    rm -rf "$cache_dir/maven"
    step_done "kafka: $(find "$jars" -name '*.jar' | wc -l) jars of $version in $jars"
}

kafka_java() { # CLASS ARGUMENTS..., as words for spawn
    local config=deploy/kafka/log4j2.properties property=log4j2.configurationFile
    if [[ $(kafka_version) == 3.* ]]; then config=deploy/kafka/log4j.properties property=log4j.configuration; fi
    java_command=(java "-Xms${PAYBUF_KAFKA_HEAP:-512m}" "-Xmx${PAYBUF_KAFKA_HEAP:-512m}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError
        -XX:-UsePerfData "-Djava.io.tmpdir=$run_dir/kafka/tmp" "-D$property=file:$root/$config" -Djava.awt.headless=true -cp "$(kafka_jars)/*" "$@")
}

start_kafka() {
    local dir=$run_dir/kafka address
    address=$(kafka_address)
    if ! is_running kafka; then
        fetch_kafka
        rm -rf "$dir/tmp"                   # what a killed one unpacked, and nobody else removes
        mkdir -p "$dir/tmp"
        sed -e "s|@PORT@|$(port_of kafka)|; s|@CONTROLLER_PORT@|$(port_of kafka-controller)|; s|@DATA_DIR@|$dir/data|" \
            "$root/deploy/kafka/server.properties.in" >"$dir/server.properties"
        [[ -e $dir/formatted ]] || format_kafka "$dir"
        step "starting Kafka $(kafka_version)"
        kafka_java kafka.Kafka "$dir/server.properties"
        spawn kafka "${java_command[@]}"
    else
        step "waiting for Kafka"
    fi
    if ! wait_until 180 kafka kafka_answers "$address"; then
        step_failed "kafka doesn't serve on $address"
        show_end "$run_dir/log/kafka.log"
        return 1
    fi
    step_done "kafka: serving on $address"
}

# A broker that isn't registered yet answers with an empty list of brokers.
kafka_answers() {
    accepts_tcp "$1" && timeout 10 kcat -q -b "$1" -L -m 5 2>/dev/null | grep -q "at $1"
}

format_kafka() {
    local dir=$1 log=$run_dir/log/kafka-format.log id
    step "formatting Kafka's storage"
    rm -rf "$dir/data"                      # left by an interrupted attempt, or else there would be a file `formatted`
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab')   # a cluster id is 16 bytes in base64, unpadded
    kafka_java kafka.tools.StorageTool format -t "${id%==}" -c "$dir/server.properties"
    if ! "${java_command[@]}" </dev/null >"$log" 2>&1; then
        step_failed "could not format Kafka's storage in $dir/data"
        show_end "$log"
        exit 1
    fi
    kafka_version >"$dir/formatted"
    step_done "kafka: new storage in $dir/data"
}
