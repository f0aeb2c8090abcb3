#include "tools/out.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DUMP (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6))

bool out_format_from_name(const char *name, enum out_format *ret_format) {
    static const char *const names[] = {[OUT_TABLE] = "table", [OUT_JSON] = "json", [OUT_NDJSON] = "ndjson"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *ret_format = (enum out_format)i;
        return true;
    }
    return false;
}

bool out_wants_color(FILE *file) {
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return (no_color == NULL || no_color[0] == '\0') && terminal != NULL && strcmp(terminal, "dumb") != 0 &&
           isatty(fileno(file));
}

void out_open(struct out *out, FILE *file, enum out_format format, bool color) {
    *out = (struct out){.file = file, .format = format, .color = color && format == OUT_TABLE};
}

/* ---- cells ---- */

/* The text of a cell; *ret_free is to be freed. */
static const char *cell_text(const json_t *value, char **ret_free) {
    *ret_free = NULL;
    if (value == NULL || json_is_null(value)) return "-";
    if (json_is_string(value)) return json_string_value(value);
    if (json_is_boolean(value)) return json_is_true(value) ? "yes" : "no";
    *ret_free = json_dumps(value, DUMP);
    return *ret_free;
}

/* Characters, not bytes. */
static int text_width(const char *text) {
    int width = 0;
    for (; *text != '\0'; text++) width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static int cell_width(const json_t *value) {
    char *owned;
    int width = text_width(cell_text(value, &owned));
    free(owned);
    return width;
}

/* Control characters in a value must not drive the terminal. */
static void print_text(FILE *file, const char *text) {
    for (; *text != '\0'; text++) fputc((unsigned char)*text < ' ' ? ' ' : *text, file);
}

static void print_cell(struct out *out, const struct out_column *column, const json_t *value, int width, bool last) {
    char *owned;
    const char *text = cell_text(value, &owned);
    int padding = width - text_width(text);
    bool right = json_is_number(value), red = out->color && column->alarm && value != NULL && !json_is_null(value);
    if (right) fprintf(out->file, "%*s", padding > 0 ? padding : 0, "");
    if (red) fputs("\033[31m", out->file);
    print_text(out->file, text);
    if (red) fputs("\033[0m", out->file);
    if (!right && !last) fprintf(out->file, "%*s", padding > 0 ? padding : 0, "");
    if (!last) fputs("  ", out->file);
    free(owned);
}

/* ---- tables ---- */

static size_t last_shown(const struct out *out) {
    size_t last = 0;
    for (size_t c = 0; c < out->column_count; c++)
        if (out->columns[c].title != NULL) last = c;
    return last;
}

static void print_row(struct out *out, const json_t *row) {
    size_t last = last_shown(out);
    for (size_t c = 0; c < out->column_count; c++)
        if (out->columns[c].title != NULL)
            print_cell(out, &out->columns[c], json_object_get(row, out->columns[c].member), out->widths[c], c == last);
    fputc('\n', out->file);
}

static void measure(struct out *out) {
    for (size_t c = 0; c < out->column_count; c++) {
        if (out->columns[c].title == NULL) continue;
        out->widths[c] = text_width(out->columns[c].title);
        for (size_t i = 0; i < out->held_count; i++) {
            int width = cell_width(json_object_get(out->held[i], out->columns[c].member));
            if (width > out->widths[c]) out->widths[c] = width;
        }
    }
}

/* Titles stand over their values: right over numbers. */
static void print_titles(struct out *out) {
    size_t last = last_shown(out);
    if (out->color) fputs("\033[1m", out->file);
    for (size_t c = 0; c < out->column_count; c++) {
        const struct out_column *column = &out->columns[c];
        if (column->title == NULL) continue;
        bool right = out->held_count > 0 && json_is_number(json_object_get(out->held[0], column->member));
        int width = right || c < last ? out->widths[c] : 0;
        fprintf(out->file, right ? "%*s" : "%-*s", width, column->title);
        if (c < last) fputs("  ", out->file);
    }
    if (out->color) fputs("\033[0m", out->file);
    fputc('\n', out->file);
}

static void flush_table(struct out *out) {
    if (!out->rows_began) {
        measure(out);
        print_titles(out);
        out->rows_began = true;
    }
    for (size_t i = 0; i < out->held_count; i++) {
        print_row(out, out->held[i]);
        json_decref(out->held[i]);
    }
    out->held_count = 0;
}

static void table_row(struct out *out, json_t *row) {
    if (out->held_count == OUT_WIDTH_ROWS) flush_table(out);
    out->held[out->held_count++] = row;
    if (out->rows_began) flush_table(out);
}

static void table_object(struct out *out, const json_t *object) {
    int width = 0;
    for (size_t c = 0; c < out->column_count; c++) {
        int title = out->columns[c].title != NULL ? text_width(out->columns[c].title) : 0;
        if (title > width) width = title;
    }
    for (size_t c = 0; c < out->column_count; c++) {
        const struct out_column *column = &out->columns[c];
        if (column->title == NULL) continue;
        fprintf(out->file, "%-*s  ", width, column->title);
        char *owned;
        const json_t *value = json_object_get(object, column->member);
        bool red = out->color && column->alarm && value != NULL && !json_is_null(value);
        if (red) fputs("\033[31m", out->file);
        print_text(out->file, cell_text(value, &owned));
        if (red) fputs("\033[0m", out->file);
        fputc('\n', out->file);
        free(owned);
    }
}

/* ---- JSON ---- */

static void dump(struct out *out, const json_t *value) {
    if (json_dumpf(value, out->file, DUMP) != 0) abort(); /* out of memory, or a value that isn't UTF-8: ours all are */
}

static void json_section(struct out *out, const char *name) {
    if (name == NULL) return;
    fputs(out->named ? ",\n" : "{", out->file);
    out->named = true;
    fprintf(out->file, "\"%s\":", name);
}

static void ndjson_line(struct out *out, json_t *object) {
    if (out->section != NULL) {
        json_t *line = json_object();
        json_object_set_new(line, "section", json_string(out->section));
        json_object_update(line, object);
        dump(out, line);
        json_decref(line);
    } else {
        dump(out, object);
    }
    fputc('\n', out->file);
}

/* ---- sections ---- */

static void end_section(struct out *out) {
    if (!out->in_list) return;
    if (out->format == OUT_TABLE && (out->held_count > 0 || out->rows_began)) flush_table(out);
    if (out->format == OUT_JSON) fputs(out->rows_began ? "\n]" : "]", out->file);
    out->in_list = false;
}

static void begin_section(struct out *out, const char *name, const struct out_column *columns, size_t count) {
    assert(count <= OUT_COLUMNS_MAX);
    end_section(out);
    if (out->format == OUT_TABLE && out->began) fputc('\n', out->file);
    if (out->format == OUT_JSON) json_section(out, name);
    out->began = true;
    out->rows_began = false;
    out->section = name;
    out->columns = columns;
    out->column_count = count;
    memset(out->widths, 0, sizeof out->widths);
}

void out_object(struct out *out, const char *name, const struct out_column *columns, size_t count, json_t *object) {
    begin_section(out, name, columns, count);
    switch (out->format) {
    case OUT_TABLE: table_object(out, object); break;
    case OUT_JSON: dump(out, object); break;
    case OUT_NDJSON: ndjson_line(out, object); break;
    }
    json_decref(object);
}

void out_list(struct out *out, const char *name, const struct out_column *columns, size_t count) {
    begin_section(out, name, columns, count);
    out->in_list = true;
    if (out->format == OUT_JSON) fputc('[', out->file);
}

void out_row(struct out *out, json_t *row) {
    assert(out->in_list && row != NULL);
    switch (out->format) {
    case OUT_TABLE: table_row(out, row); return;
    case OUT_JSON:
        fputs(out->rows_began ? ",\n" : "\n", out->file);
        dump(out, row);
        out->rows_began = true;
        break;
    case OUT_NDJSON: ndjson_line(out, row); break;
    }
    json_decref(row);
}

void out_line(struct out *out, const char *format, ...) {
    if (out->format != OUT_TABLE) return;
    end_section(out);
    out->began = true;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(out->file, format, arguments);
    va_end(arguments);
    fputc('\n', out->file);
}

bool out_close(struct out *out) {
    end_section(out);
    if (out->format == OUT_JSON && out->began) fputs(out->named ? "}\n" : "\n", out->file);
    return fflush(out->file) == 0 && !ferror(out->file);
}
