#include "base/kafka_settings.h"

#include "base/suggest.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct pay_kafka_setting allowed[] = {
    {"bootstrap.servers", false, "brokers to ask first: host:port,host:port"},
    {"security.protocol", false, "plaintext, ssl, sasl_plaintext or sasl_ssl"},
    {"sasl.mechanisms", false, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI or OAUTHBEARER"},
    {"sasl.mechanism", false, "the same as sasl.mechanisms"},
    {"sasl.username", false, "for PLAIN and SCRAM"},
    {"sasl.password", true, "for PLAIN and SCRAM; better in the environment than in a file"},
    {"sasl.kerberos.service.name", false, "the broker's principal without realm"},
    {"sasl.kerberos.principal", false, "this client's principal"},
    {"sasl.kerberos.keytab", false, "path of the keytab"},
    {"sasl.kerberos.kinit.cmd", false, "command that renews the ticket"},
    {"sasl.kerberos.min.time.before.relogin", false, "milliseconds between two renewals"},
    {"sasl.oauthbearer.method", false, "default or oidc"},
    {"sasl.oauthbearer.config", true, "for the method default"},
    {"sasl.oauthbearer.client.id", false, "for oidc"},
    {"sasl.oauthbearer.client.secret", true, "for oidc"},
    {"sasl.oauthbearer.scope", false, "for oidc"},
    {"sasl.oauthbearer.extensions", false, "for oidc: key=value,key=value"},
    {"sasl.oauthbearer.token.endpoint.url", false, "for oidc"},
    {"ssl.ca.location", false, "path of the certificates to trust"},
    {"ssl.ca.pem", false, "the certificates themselves"},
    {"ssl.certificate.location", false, "path of this client's certificate"},
    {"ssl.certificate.pem", false, "the certificate itself"},
    {"ssl.key.location", false, "path of its key"},
    {"ssl.key.pem", true, "the key itself"},
    {"ssl.key.password", true, "the key's password"},
    {"ssl.keystore.location", false, "path of a PKCS#12 store of both"},
    {"ssl.keystore.password", true, "its password"},
    {"ssl.crl.location", false, "path of revoked certificates"},
    {"ssl.cipher.suites", false, "as openssl ciphers writes them"},
    {"ssl.curves.list", false, "supported curves"},
    {"ssl.sigalgs.list", false, "supported signature algorithms"},
    {"client.rack", false, "where this client stands, to read from the nearest replica"},
    {"socket.send.buffer.bytes", false, "0: the system's default"},
    {"socket.receive.buffer.bytes", false, "0: the system's default"},
    {"socket.keepalive.enable", false, "true or false"},
    {"fetch.message.max.bytes", false, "bytes per partition of one fetch"},
    {"max.partition.fetch.bytes", false, "the same as fetch.message.max.bytes"},
    {"fetch.max.bytes", false, "bytes of one fetch"},
    {"fetch.min.bytes", false, "the broker waits for so many bytes"},
    {"fetch.wait.max.ms", false, "... but at most so long"},
    {"queued.min.messages", false, "messages kept ready per partition"},
    {"queued.max.messages.kbytes", false, "... and their kilobytes"},
    {"queue.buffering.max.messages", false, "messages a producer keeps"},
    {"queue.buffering.max.kbytes", false, "... and their kilobytes"},
    {"linger.ms", false, "how long a producer waits for company; see [producer] and [worker] linger_ms"},
    {"compression.type", false, "none, gzip, snappy, lz4 or zstd"},
    {"compression.codec", false, "the same as compression.type"},
    {"compression.level", false, "-1: the codec's default"},
    {"statistics.interval.ms", false, "librdkafka's own statistics; 0: none"},
};

/* Names that people try, with the reason why not. */
static const struct { const char *name, *why; } refused[] = {
    {"test.mock.num.brokers", "it would accept payments into memory"},
    {"socket.max.fails", "a connection that timed out must close, or two requests are in flight"},
    {"enable.ssl.certificate.verification", "the broker's identity is always checked; trust your own authority with ssl.ca.location"},
    {"ssl.endpoint.identification.algorithm", "the broker's identity is always checked; give brokers certificates for their host names"},
    {"metadata.broker.list", "write bootstrap.servers"},
    {"queue.buffering.max.ms", "write linger.ms"},
    {"acks", "acks=all is what 'accepted' means"},
    {"request.required.acks", "acks=all is what 'accepted' means"},
    {"enable.idempotence", "it is always on"},
    {"max.in.flight", "it is part of the protocol"},
    {"max.in.flight.requests.per.connection", "it is part of the protocol"},
    {"enable.auto.commit", "the position lies in the database"},
    {"auto.offset.reset", "the position lies in the database, and skipping is never right"},
    {"isolation.level", "records of aborted transactions are no requests"},
    {"partitioner", "it is murmur2, as Java's clients use"},
    {"message.timeout.ms", "see [producer] request_timeout_ms"},
    {"client.id", "the programs name themselves"},
    {"group.id", "see [worker] group"},
};
/* clang-format on */

const struct pay_kafka_setting *pay_kafka_settings(size_t *ret_count) {
    *ret_count = sizeof allowed / sizeof *allowed;
    return allowed;
}

static void write_hint(const char *name, char *ret_hint, size_t hint_size) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (strcmp(name, refused[i].name) != 0) continue;
        snprintf(ret_hint, hint_size, "it can't be set: %s", refused[i].why);
        return;
    }
    struct pay_suggestion suggestion = {.word = name};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) pay_suggestion_offer(&suggestion, allowed[i].name);
    const char *near = pay_suggestion_take(&suggestion);
    if (near != NULL)
        snprintf(ret_hint, hint_size, "did you mean %s?", near);
    else
        snprintf(ret_hint, hint_size,
                 "only settings that can't break a promise are passed on; paybuf --help-settings lists them");
}

const struct pay_kafka_setting *pay_kafka_settings_find(const char *name, char *ret_hint, size_t hint_size) {
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (strcmp(name, allowed[i].name) == 0) return &allowed[i];
    }
    if (ret_hint != NULL) write_hint(name, ret_hint, hint_size);
    return NULL;
}

void pay_kafka_settings_variable(const char *name, char *ret_variable, size_t size) {
    if (strcmp(name, "bootstrap.servers") == 0) name = "bootstrap";
    snprintf(ret_variable, size, "PAYBUF_KAFKA_%s", name);
    for (char *at = ret_variable; *at != '\0'; at++) {
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
        else if (*at == '.')
            *at = '_';
    }
}
