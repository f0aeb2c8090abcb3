/*
 * listen_output.h - where the lines of `paybuf listen` go: stdout, or a file whose length is part of the state.
 *
 * Lines are gathered and written whole. With a file nothing is ever there twice: what a killed listener wrote after its last saved
 * state is cut off before the next one goes on. With stdout that can't be taken back, and comes again.
 * Threads: one. Memory: listen_output_close.
 */
#ifndef PAY_TOOLS_LISTEN_OUTPUT_H
#define PAY_TOOLS_LISTEN_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LISTEN_BUFFER_BYTES (256 * 1024) /* gathered lines are written beyond this, whatever the clock says */

struct listen_output {
    int descriptor;
    bool own;       /* a file of ours */
    int64_t length; /* of the file, with everything that was written */
    FILE *lines;    /* print here */
    char *text;
    size_t size;
};

void listen_output_stdout(struct listen_output *output);
/* Appends to `path`, cut to `length` bytes (-1: as it is). False: *ret_why. */
bool listen_output_file(struct listen_output *output, const char *path, int64_t length, char *ret_why, size_t why_size);

bool listen_output_is_full(struct listen_output *output);
/* Writes what was gathered, and to the disk where there is one. False: errno says why. */
bool listen_output_write(struct listen_output *output);
void listen_output_close(struct listen_output *output); /* drops what wasn't written */

#endif
