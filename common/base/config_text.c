/* config_text.c - what people see of the table: --print-config, --help's list, the sample file. */
#include "base/config.h"
#include "base/config_table.h"
#include "base/kafka_settings.h"

#include <inttypes.h>
#include <string.h>

static const char *const source_words[] = {"default", "file", "environment", "flag"};

/* In the file's own form, so that it can be loaded again (but for the secrets); libinih takes " ;" as the beginning of a comment. */
void pay_config_print(const struct pay_config *config, FILE *out) {
    const char *section = "";
    char text[1100];
    fprintf(out, "[kafka]\n");
    for (uint32_t i = 0; i < config->kafka_count; i++) {
        const struct pay_setting *setting = &config->kafka[i];
        const struct pay_kafka_setting *known = pay_kafka_settings_find(setting->name, NULL, 0);
        fprintf(out, "%s = %s ; %s\n", setting->name, known != NULL && known->secret ? "***" : setting->value,
                source_words[setting->source]);
    }
    for (size_t i = 0; i < pay_config_row_count; i++) {
        const struct pay_config_row *row = &pay_config_rows[i];
        if (strcmp(section, row->section) != 0) fprintf(out, "\n[%s]\n", section = row->section);
        pay_config_row_text(row, config, true, text, sizeof text);
        fprintf(out, "%s = %s ; %s\n", row->key, text, source_words[config->sources[i]]);
    }
}

static void print_rule(const struct pay_config_row *row, FILE *out) {
    if (row->type == PAY_CONFIG_INTEGER)
        fprintf(out, "%" PRId64 " to %" PRId64 ", ", row->least, row->most);
    else if (row->type == PAY_CONFIG_BOOLEAN)
        fprintf(out, "true or false, ");
    else if (row->type == PAY_CONFIG_ADDRESS)
        fprintf(out, "host:port, ");
    fprintf(out, "default %s", row->initial);
}

void pay_config_help(FILE *out) {
    const char *section = "";
    char variable[128];
    fprintf(out, "Settings: configuration file, then environment, then --section.key=value; the later wins.\n");
    for (size_t i = 0; i < pay_config_row_count; i++) {
        const struct pay_config_row *row = &pay_config_rows[i];
        if (strcmp(section, row->section) != 0) fprintf(out, "\n[%s]\n", section = row->section);
        pay_config_row_variable(row, variable, sizeof variable);
        fprintf(out, "  %-22s %s (", row->key, row->help);
        print_rule(row, out);
        fprintf(out, ")\n  %-22s %s\n", "", variable);
    }
    fprintf(out, "\n[kafka] passes through to librdkafka, as PAYBUF_KAFKA_... too (PAYBUF_KAFKA_BOOTSTRAP for "
                 "bootstrap.servers)\n");
    size_t count;
    const struct pay_kafka_setting *settings = pay_kafka_settings(&count);
    for (size_t i = 0; i < count; i++) fprintf(out, "  %-40s %s\n", settings[i].name, settings[i].help);
}

static void sample_kafka(FILE *out) {
    fprintf(out, "[kafka]\n"
                 "# Passed through to librdkafka; paybuf --help-settings lists what may stand here.\n"
                 "bootstrap.servers = 127.0.0.1:9092\n"
                 "# security.protocol = sasl_ssl\n# sasl.mechanisms = SCRAM-SHA-512\n# sasl.username = paybuf\n"
                 "# sasl.password: better in the environment, as PAYBUF_KAFKA_SASL_PASSWORD\n");
}

void pay_config_sample(FILE *out, const char *section_or_null) {
    const char *section = "";
    if (section_or_null == NULL || strcmp(section_or_null, "kafka") == 0) sample_kafka(out);
    for (size_t i = 0; i < pay_config_row_count; i++) {
        const struct pay_config_row *row = &pay_config_rows[i];
        if (section_or_null != NULL && strcmp(section_or_null, row->section) != 0) continue;
        if (strcmp(section, row->section) != 0)
            fprintf(out, "%s[%s]\n", section_or_null == NULL ? "\n" : "", section = row->section);
        fprintf(out, "# %s\n# %s = %s\n", row->help, row->key, row->initial);
    }
}
