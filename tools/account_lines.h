/*
 * account_lines.h - one line of `account import`: a JSON object with the members of `account open`.
 *   {"account_id":"alice","currency":"EUR","tenant":"default","floor_minor":0,"opening_minor":100000,"id":"open:alice"}
 * Only account_id and currency are required. Unknown members are refused, so that a typing mistake doesn't open 50,000 wrong accounts.
 * Threads: any. Memory: none kept.
 */
#ifndef PAY_TOOLS_ACCOUNT_LINES_H
#define PAY_TOOLS_ACCOUNT_LINES_H

#include "tools/account_openings.h"

/* False: *ret_why, without the line's number. */
bool account_line_parse(const char *line, size_t length, struct opening *ret_opening, char *ret_why, size_t why_size);

#endif
