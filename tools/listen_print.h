/* listen_print.h - a reply as a line: the value as it is, or words for people. */
#ifndef PAY_TOOLS_LISTEN_PRINT_H
#define PAY_TOOLS_LISTEN_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum listen_format { LISTEN_JSON, LISTEN_HUMAN };

void listen_print(FILE *file, enum listen_format format, bool color, const char *value, size_t length);

#endif
