#include "core/reader.h"

void pay_reader_start_at(struct pay_reader *reader, int64_t next) {
    *reader = (struct pay_reader){.next = next, .started = true, .synced = true};
}

void pay_reader_start_in_the_middle(struct pay_reader *reader, int64_t request_high_watermark) {
    *reader = (struct pay_reader){.resync_until = request_high_watermark};
}

static enum pay_reader_move take(struct pay_reader *reader, int64_t source_offset) {
    reader->started = true;
    reader->next = source_offset + 1;
    if (source_offset >= reader->resync_until) reader->synced = true;
    return PAY_READER_TAKE;
}

enum pay_reader_move pay_reader_take(struct pay_reader *reader, int64_t source_offset, int64_t covers_from) {
    if (source_offset < reader->next) return PAY_READER_DROP;
    if (covers_from > source_offset || source_offset == INT64_MAX) return PAY_READER_GAP; /* malformed */
    if (!reader->started || covers_from <= reader->next) return take(reader, source_offset);
    if (reader->synced) return PAY_READER_GAP;
    reader->resync_count++; /* a zombie's repeats end in the middle of the log; what follows is no gap */
    return take(reader, source_offset);
}
