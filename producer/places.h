/*
 * places.h - how far a stream of results has come in every partition, and the same as an opaque event id that a client can hand back.
 *
 * A place is the reader's one integer (core/reader.h): the next source offset that is wanted, with its generation. The id holds all
 * places, so that a resume is exact whatever the partitions' order was; it is the same on every intake of one reply topic.
 * Written: base64url of a version byte, then in 7 bit groups: count, common generation, and per partition 2 * (next + 1), plus 1 and
 * followed by the generation where that is another one; at the end the CRC32C of topic and all before, 4 bytes.
 * Promises: format and parse are each other's inverse; parse takes nothing that format doesn't make, nor another topic's.
 * Pure. Memory: plain values. Threads: any.
 */
#ifndef PAY_PRODUCER_PLACES_H
#define PAY_PRODUCER_PLACES_H

#include "core/position.h"
#include "core/reader.h"

#define PAY_PLACES_MAX 512 /* partitions: then the longest ids that are usual (4 KiB) still fit into a request's head */
#define PAY_PLACE_NEXT_MAX (INT64_MAX / 4) /* no log has so many records: what lies beyond is made up */
#define PAY_EVENT_ID_MAX (4 * (PAY_PLACES_MAX * 19 + 16) / 3 + 2) /* with a NUL */

struct pay_place {
    int64_t generation;
    int64_t next; /* -1: nothing is known, the log's beginning is as good as any */
};

struct pay_places {
    uint32_t count; /* partitions; those that came later begin at generation's first offset */
    struct pay_place at[PAY_PLACES_MAX];
};

/* The reader's rule with places: a reply to (generation, s) that covers from c. A later generation begins with 0. */
enum pay_reader_move pay_place_take(struct pay_place *place, int64_t generation, int64_t source_offset,
                                    int64_t covers_from);
/* Is `place` at or behind `other`? An unknown other is behind nothing. */
bool pay_place_reached(const struct pay_place *place, const struct pay_place *other);
/* All of them; partitions that `places` doesn't know are at their beginning. */
bool pay_places_reached(const struct pay_places *places, const struct pay_places *others);
/* Room for `count` partitions; new ones begin at 0 of `generation`. */
void pay_places_grow(struct pay_places *places, uint32_t count, int64_t generation);

/* With a NUL; answers the length. */
size_t pay_event_id_format(const char *topic, const struct pay_places *places, char ret_text[PAY_EVENT_ID_MAX]);
bool pay_event_id_parse(const char *topic, const char *text, struct pay_places *ret_places);

#endif
