#include "tools/listen_deliver.h"

#include "base/clock.h"
#include "core/retry.h"
#include "tools/listen_open.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STOP_WAIT_MS 10000 /* what is under way may still be taken */
#define NOTE_INTERVAL_MS 10000

struct lane {
    struct listen_item waiting[LISTEN_WAITING_MAX]; /* a ring; the first one is the one that is handed over */
    size_t first, count;
    void *job;
    int64_t tries, again_ms, noted_ms;
};

struct run {
    struct listen_delivery *delivery;
    struct lane **lanes; /* by partition; NULL: nothing came of it yet */
    int32_t lane_count;
    struct state done;
    bool dirty;
    int64_t waiting, full; /* replies in all lanes; lanes without room */
    int64_t accepted;      /* by the filter */
    int64_t saved_ms, moved_ms;
    enum pay_exit status;
    bool over;
};

/* ---- what was taken ---- */

static void mark_done(struct run *run, const struct paybuf_listener_position *position) {
    struct state *done = &run->done;
    run->dirty = true;
    for (size_t i = 0; i < done->count; i++) {
        struct paybuf_listener_position *entry = &done->entries[i];
        bool first_of_partition = entry->generation == 0; /* it gets its generation now */
        if (entry->partition != position->partition) continue;
        if (!first_of_partition && entry->generation != position->generation) continue;
        *entry = *position;
        return;
    }
    state_add(done, position);
}

static void save(struct run *run) {
    char why[512];
    run->saved_ms = pay_clock_ms();
    if (!run->dirty || run->delivery->state_path == NULL) return;
    run->dirty = false;
    snprintf(run->done.ledger_id, sizeof run->done.ledger_id, "%s", paybuf_listener_ledger_id(run->delivery->listener));
    if (state_save(run->delivery->state_path, &run->done, why, sizeof why)) return;
    run->status = tool_fail(run->delivery->tool, PAY_EXIT_FAILURE, "%s; what was taken since comes again", why);
    run->over = true;
}

/* ---- a partition ---- */

static struct lane *lane_of(struct run *run, int32_t partition) {
    if (partition >= run->lane_count) {
        run->lanes = realloc(run->lanes, ((size_t)partition + 1) * sizeof *run->lanes);
        if (run->lanes == NULL) abort();
        while (run->lane_count <= partition) run->lanes[run->lane_count++] = NULL;
    }
    if (run->lanes[partition] == NULL) {
        run->lanes[partition] = calloc(1, sizeof *run->lanes[partition]);
        if (run->lanes[partition] == NULL) abort();
    }
    return run->lanes[partition];
}

/* With what is handed over. */
static void fill(struct listen_item *item, const struct listen_template *template,
                 const struct paybuf_listener_reply *reply) {
    FILE *text = open_memstream(&item->value, &item->length);
    if (text == NULL) abort();
    if (template == NULL || !listen_template_print(template, reply, text))
        fwrite(reply->value, 1, reply->value_length, text);
    if (fclose(text) != 0) abort(); /* out of memory */
}

static void add(struct run *run, const struct paybuf_listener_reply *reply) {
    const struct paybuf_listener_position *position = &reply->position;
    struct lane *lane = lane_of(run, position->partition);
    bool wanted = listen_filter_wants(run->delivery->filter, reply->value, reply->value_length);
    if (!wanted && lane->count == 0) {
        mark_done(run, position);
        return;
    }
    struct listen_item *item = &lane->waiting[(lane->first + lane->count) % LISTEN_WAITING_MAX];
    *item = (struct listen_item){.position = *position, .passed_over = !wanted};
    snprintf(item->id, sizeof item->id, "%s-%" PRId64 "-%" PRId32 "-%" PRId64, reply->ledger_id, position->generation,
             position->partition, reply->source_offset);
    if (wanted) fill(item, run->delivery->template, reply);
    run->accepted += wanted;
    run->waiting++;
    run->full += ++lane->count == LISTEN_WAITING_MAX;
}

static void pop(struct run *run, struct lane *lane) {
    struct listen_item *item = &lane->waiting[lane->first];
    run->delivery->taken += !item->passed_over;
    mark_done(run, &item->position);
    free(item->value);
    run->full -= lane->count == LISTEN_WAITING_MAX;
    lane->first = (lane->first + 1) % LISTEN_WAITING_MAX;
    lane->count--;
    lane->tries = lane->again_ms = 0;
    run->waiting--;
}

static void try_again(struct run *run, struct lane *lane, const char *why, int64_t pause_ms) {
    const struct listen_port *port = run->delivery->port;
    const struct listen_item *item = &lane->waiting[lane->first];
    int64_t now_ms = pay_clock_ms();
    uint32_t random = 0;
    lane->tries++;
    if (port->tries_most > 0 && lane->tries >= port->tries_most) {
        run->status = tool_fail(run->delivery->tool, PAY_EXIT_FAILURE,
                                "%s: %s; %" PRId64 " tries of %s, so this is the end. Nothing was skipped: the next "
                                "start begins with it",
                                port->name, why, lane->tries, item->id);
        run->over = true;
        return;
    }
    (void)!getrandom(&random, sizeof random, 0);
    uint32_t doublings = lane->tries > 20 ? 20 : (uint32_t)lane->tries;
    int64_t own_ms = pay_backoff_ms(doublings, port->pause_ms, port->pause_most_ms, random);
    lane->again_ms = now_ms + (own_ms > pause_ms ? own_ms : pause_ms);
    if (lane->noted_ms != 0 && now_ms - lane->noted_ms < NOTE_INTERVAL_MS) return;
    lane->noted_ms = now_ms;
    tool_note(run->delivery->tool,
              "%s: %s; %s waits, and its partition with it (try %" PRId64 ", the next in %" PRId64 " ms)", port->name,
              why, item->id, lane->tries, lane->again_ms - now_ms);
}

/* True when something of it moved. */
static bool look_at_job(struct run *run, struct lane *lane, bool may_try_again) {
    const struct listen_port *port = run->delivery->port;
    char why[512] = "";
    int64_t pause_ms = 0;
    enum listen_taken taken = port->look(port->self, lane->job, why, sizeof why, &pause_ms);
    if (taken == LISTEN_UNDER_WAY) return false;
    lane->job = NULL;
    if (taken == LISTEN_TAKEN) {
        pop(run, lane);
    } else if (taken == LISTEN_NOT_TAKEN) {
        if (may_try_again) try_again(run, lane, why, pause_ms);
    } else {
        run->status =
            tool_fail(run->delivery->tool, PAY_EXIT_FAILURE, "%s: %s; nothing more goes there", port->name, why);
        run->over = true;
    }
    return true;
}

static bool work(struct run *run, bool may_begin) {
    const struct listen_port *port = run->delivery->port;
    bool moved = false;
    for (int32_t p = 0; p < run->lane_count; p++) {
        struct lane *lane = run->lanes[p];
        if (lane == NULL) continue;
        if (lane->job != NULL) moved = look_at_job(run, lane, may_begin) || moved;
        while (lane->job == NULL && lane->count > 0 && lane->waiting[lane->first].passed_over) pop(run, lane);
        if (lane->job != NULL || lane->count == 0 || !may_begin || run->over || pay_clock_ms() < lane->again_ms)
            continue;
        lane->job = port->begin(port->self, &lane->waiting[lane->first]);
        moved = true;
    }
    if (moved) run->moved_ms = pay_clock_ms();
    return moved;
}

/* ---- all of it ---- */

static void take(struct run *run, enum paybuf_listener_result result, const struct paybuf_listener_reply *reply) {
    struct listen_delivery *delivery = run->delivery;
    if (result == PAYBUF_LISTENER_NOTHING) return;
    if (result == PAYBUF_LISTENER_REPLY) {
        run->moved_ms = pay_clock_ms();
        add(run, reply);
    } else if (result == PAYBUF_LISTENER_REFUSED) {
        run->status = tool_fail(delivery->tool, PAY_EXIT_CONFIG, "%s", paybuf_listener_why(delivery->listener));
        run->over = true;
    } else {
        tool_note(delivery->tool, "%s", paybuf_listener_why(delivery->listener));
    }
}

static bool enough(const struct run *run) { return run->delivery->max > 0 && run->accepted >= run->delivery->max; }

static bool finished(struct run *run) {
    const struct listen_delivery *delivery = run->delivery;
    if (run->over || atomic_load(delivery->stopping)) return true;
    if (run->waiting > 0) return false;
    return enough(run) || listen_is_idle(delivery->tool, delivery->listener, pay_clock_ms() - run->moved_ms,
                                         delivery->idle_ms, &run->status);
}

static void go_on(struct run *run) {
    struct listen_delivery *delivery = run->delivery;
    const struct paybuf_listener_reply *reply = NULL;
    bool room = run->full == 0 && !enough(run);
    bool idle = run->waiting == 0;
    enum paybuf_listener_result result =
        room ? paybuf_listener_next(delivery->listener, idle ? LISTEN_WAIT_MS : 0, &reply) : PAYBUF_LISTENER_NOTHING;
    take(run, result, reply);
    bool moved = work(run, true);
    if (result == PAYBUF_LISTENER_NOTHING && !moved && run->waiting > 0) delivery->port->wait(delivery->port->self, 20);
    if (pay_clock_ms() - run->saved_ms >= LISTEN_SAVE_INTERVAL_MS) save(run);
}

static void end(struct run *run) {
    const struct listen_port *port = run->delivery->port;
    int64_t until_ms = pay_clock_ms() + STOP_WAIT_MS;
    for (;;) {
        int32_t under_way = 0;
        for (int32_t p = 0; p < run->lane_count; p++) under_way += run->lanes[p] != NULL && run->lanes[p]->job != NULL;
        if (under_way == 0 || pay_clock_ms() >= until_ms) break;
        if (!work(run, false)) port->wait(port->self, 20);
    }
    for (int32_t p = 0; p < run->lane_count; p++) {
        struct lane *lane = run->lanes[p];
        if (lane == NULL) continue;
        if (lane->job != NULL) port->drop(port->self, lane->job);
        for (size_t i = 0; i < lane->count; i++) free(lane->waiting[(lane->first + i) % LISTEN_WAITING_MAX].value);
        free(lane);
    }
    free(run->lanes);
}

enum pay_exit listen_deliver(struct listen_delivery *delivery) {
    struct run run = {.delivery = delivery, .status = PAY_EXIT_OK};
    run.moved_ms = run.saved_ms = pay_clock_ms();
    listen_state(delivery->listener, &run.done);
    run.dirty = true; /* where it begins is kept before the first reply: "now" must stay the same now */
    save(&run);
    while (!finished(&run)) go_on(&run);
    end(&run);
    run.dirty = true;
    save(&run);
    state_free(&run.done);
    return run.status;
}
