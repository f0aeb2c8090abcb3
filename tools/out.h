/*
 * out.h - what a verb prints on stdout, in the format that was asked for: a table for people, JSON or NDJSON for programs.
 *
 * Sequence: out_open; any of out_object, out_list followed by out_row, out_line; out_close.
 * Values are jansson objects; a column shows one member. JSON: one nameless section is the document itself, named ones are
 * members of one object. NDJSON: a line per object or row, with the section's name in "section" unless it has none.
 * A table's widths come from its first OUT_WIDTH_ROWS rows, so that memory stays bounded however many there are.
 * Memory: json_t given are taken over. Threads: one.
 */
#ifndef PAY_TOOLS_OUT_H
#define PAY_TOOLS_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum out_format { OUT_TABLE, OUT_JSON, OUT_NDJSON };

#define OUT_WIDTH_ROWS 500
#define OUT_COLUMNS_MAX 24

struct out_column {
    const char *member;
    const char *title; /* NULL: not in tables */
    bool alarm;        /* shown in red on a terminal when it has a value */
};

struct out {
    FILE *file;
    enum out_format format;
    bool color;
    bool named; /* JSON: inside an object of named sections */
    bool began; /* JSON: something was printed on this level */
    bool in_list;
    bool rows_began;
    const char *section;
    const struct out_column *columns;
    size_t column_count;
    json_t *held[OUT_WIDTH_ROWS]; /* table rows whose widths aren't known yet */
    size_t held_count;
    int widths[OUT_COLUMNS_MAX]; /* 0: not known yet */
};

bool out_format_from_name(const char *name, enum out_format *ret_format);

/* Colour only on a terminal and without NO_COLOR. */
bool out_wants_color(FILE *file);

void out_open(struct out *out, FILE *file, enum out_format format, bool color);

/* One object. Table: a line per column, "title  value". `name` NULL: the only section. */
void out_object(struct out *out, const char *name, const struct out_column *columns, size_t count, json_t *object);

/* A list of rows, until the next section or out_close. */
void out_list(struct out *out, const char *name, const struct out_column *columns, size_t count);
void out_row(struct out *out, json_t *row);

/* A line of text, in tables only. */
void out_line(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* False when something couldn't be written (full disk, closed pipe). */
bool out_close(struct out *out);

#define OUT_COLUMNS(table) (table), sizeof(table) / sizeof(table)[0]

#endif
