/*
 * fuzz.h - what every fuzz target stands on: one entry, a reader that turns bytes into values, an oracle that can say no.
 *
 * A target is one file target_NAME.c with LLVMFuzzerTestOneInput: no sockets, no threads, nothing kept between two inputs.
 * libFuzzer calls it (./dev fuzz), or replay.c does, over the files of corpus/NAME (ctest -L fuzz; any compiler).
 * Memory: what fuzz_copy and fuzz_text answer is the caller's to free, and exactly as large as said, so that ASan sees each byte too far.
 */
#ifndef PAY_TESTS_FUZZ_H
#define PAY_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The oracle. What it says ends the program, and is what the self-test of planted bugs looks for. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_says_no(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_says_no(const char *condition, const char *file, int line);

/* What is left of an input; every take answers zeros or nothing once it is used up. */
struct fuzz_input {
    const uint8_t *next;
    size_t left;
};

uint8_t fuzz_byte(struct fuzz_input *in);
/* 0..bound-1. */
uint32_t fuzz_below(struct fuzz_input *in, uint32_t bound);
/* Small numbers mostly, now and then a large or a negative one or a neighbour of a power of two. */
int64_t fuzz_number(struct fuzz_input *in);
/* The bytes up to the next newline, which is taken too; all that is left when there is none. */
const char *fuzz_line(struct fuzz_input *in, size_t *ret_length);

/* Exactly `length` bytes, without and with a NUL behind them (and cut at the first NUL within). */
char *fuzz_copy(const void *bytes, size_t length);
char *fuzz_text(const void *bytes, size_t length);

#endif
