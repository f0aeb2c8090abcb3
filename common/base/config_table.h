/* config_table.h - the table of settings itself; private to config*.c and its tests. */
#ifndef PAY_BASE_CONFIG_TABLE_H
#define PAY_BASE_CONFIG_TABLE_H

#include "base/settings.h"

enum pay_config_type { PAY_CONFIG_TEXT, PAY_CONFIG_NAME, PAY_CONFIG_INTEGER, PAY_CONFIG_BOOLEAN, PAY_CONFIG_ADDRESS };

struct pay_config_row {
    const char *section;
    const char *key;
    const char *variable; /* NULL: PAYBUF_<SECTION>_<KEY> */
    enum pay_config_type type;
    size_t offset;       /* in struct pay_config */
    size_t size;         /* of texts: room, with the NUL */
    int64_t least, most; /* of integers */
    const char *initial; /* default, as it would be written */
    bool secret;
    const char *help; /* one line; with the unit */
};

extern const struct pay_config_row pay_config_rows[];
extern const size_t pay_config_row_count;

void pay_config_row_variable(const struct pay_config_row *row, char *ret_variable, size_t size);
const struct pay_config_row *pay_config_row_find(const char *section, const char *key);

/* Judges and stores one value. False: *ret_message is a clause that says why and what would be right, without the key's name. */
bool pay_config_row_store(const struct pay_config_row *row, struct pay_config *config, const char *value,
                          char *ret_message, size_t message_size);
/* The value as text, secrets hidden if asked. */
void pay_config_row_text(const struct pay_config_row *row, const struct pay_config *config, bool hide, char *ret_text,
                         size_t size);

#endif
