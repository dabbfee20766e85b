/* Which events there are, in the order of their ids, and where each one is: in the file,
 * only in memory yet, or on its way out. One thread; outbox.c alone uses it. */
#ifndef BRINK_OUTBOX_SLOTS_H
#define BRINK_OUTBOX_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "outbox/outbox.h"

enum slot_state {
    SLOT_STORED,  /* in the file */
    SLOT_MEMORY,  /* not yet */
    SLOT_LEAVING, /* in the file, acknowledged or pushed out: to be removed */
    SLOT_GONE,
};

struct slot {
    uint64_t id;
    enum slot_state state;
    struct outbox_event *memory; /* SLOT_MEMORY: topic and payload follow it */
};

struct slots {
    struct slot *all; /* all[head] to all[end - 1]; ids rise */
    size_t head, end, capacity;
    size_t n_live; /* stored or in memory */
    size_t n_leaving, n_gone;
    size_t n_memory, memory_bytes;
    uint64_t last_id;
    uint64_t written_id; /* above it nothing is stored */
};

void slots_finish(struct slots *s);
/* The index of the first whose id is above `id`; s->end: none. */
size_t slots_after(const struct slots *s, uint64_t id);
bool slot_is_live(const struct slot *slot);
/* Both only with rising ids. */
enum brink_status slots_add_stored(struct slots *s, uint64_t id) BRINK_MUST_CHECK;
/* Copies the event and gives it the next id. */
enum brink_status slots_add(struct slots *s,
                            const struct outbox_event *event) BRINK_MUST_CHECK;
/* Takes a live one out: at once, or with the next commit when the file has it. */
void slots_leave(struct slots *s, struct slot *slot);
/* Takes the oldest out until n_live + n <= limit and memory_bytes + bytes <= bytes_max.
 * The result counts them; *ret_up_to those whose id is at most `up_to`. */
size_t slots_make_room(struct slots *s, size_t n, size_t limit, size_t bytes,
                       size_t bytes_max, uint64_t up_to, size_t *ret_up_to);
size_t slots_event_bytes(const struct outbox_event *event); /* in memory */
/* Calls visit for what the next commit changes: those in memory, those leaving. */
enum brink_status slots_each_change(const struct slots *s,
                                    enum brink_status (*visit)(void *ctx,
                                                               const struct slot *slot),
                                    void *ctx) BRINK_MUST_CHECK;
void slots_written(struct slots *s); /* that commit succeeded */
/* The file is lost, and all that only it had. The result counts those that were live. */
size_t slots_forget_stored(struct slots *s);

#endif
