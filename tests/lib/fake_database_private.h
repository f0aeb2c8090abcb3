/* fake_database_private.h - what the two files of fake_database share. Not for anybody else. */
#ifndef PAY_TESTS_FAKE_DATABASE_PRIVATE_H
#define PAY_TESTS_FAKE_DATABASE_PRIVATE_H

#include "fake_database.h"

/* Indexes; UINT32_MAX: no such row. */
uint32_t fake_tables_find_lane(const struct fake_tables *tables, int32_t partition);
uint32_t fake_tables_find_account(const struct fake_tables *tables, const char *tenant, const char *account_id);

/* The connection with this id (0: a free slot); NULL: none. */
struct fake_connection *fake_connection_find(struct fake_database *database, uint32_t id);

/* As far as locks let it: to READY, FAILED, or waiting. */
void fake_transaction_run_first_half(struct fake_database *database, struct fake_connection *connection);
void fake_transaction_release(struct fake_database *database, const struct fake_connection *connection);
void fake_transaction_free(struct fake_transaction *transaction);

/* malloc and friends that don't fail. */
void *fake_must(void *memory);
void *fake_copy(const void *from, size_t size);
/* One more zeroed element at the end of an array that is grown by one each time: small tables, simple code. */
void *fake_grow(void *array, uint32_t *count, size_t size);

#endif
