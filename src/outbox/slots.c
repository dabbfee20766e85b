#include "outbox/slots.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 64

void slots_finish(struct slots *s)
{
    for (size_t i = s->head; i < s->end; i++) {
        free(s->all[i].memory);
    }
    free(s->all);
    *s = (struct slots){0};
}

bool slot_is_live(const struct slot *slot)
{
    return slot->state == SLOT_STORED || slot->state == SLOT_MEMORY;
}

size_t slots_event_bytes(const struct outbox_event *event)
{
    return sizeof(*event) + event->topic.n + event->payload.n;
}

size_t slots_after(const struct slots *s, uint64_t id)
{
    size_t low = s->head, high = s->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->all[middle].id > id) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Drops what is gone: from the head at once, from between when it is the larger part. */
static void tidy(struct slots *s)
{
    while (s->head < s->end && s->all[s->head].state == SLOT_GONE) {
        s->head++;
        s->n_gone--;
    }
    if (s->head == s->end) {
        s->head = s->end = 0;
    } else if (s->n_gone > CAPACITY_MIN && s->n_gone > (s->end - s->head) / 2) {
        size_t to = s->head;
        for (size_t i = s->head; i < s->end; i++) {
            if (s->all[i].state != SLOT_GONE) {
                s->all[to++] = s->all[i];
            }
        }
        s->end = to;
        s->n_gone = 0;
    }
}

static enum brink_status append(struct slots *s, struct slot slot)
{
    if (s->end == s->capacity && s->head > s->capacity / 2) {
        memmove(s->all, s->all + s->head, (s->end - s->head) * sizeof(*s->all));
        s->end -= s->head;
        s->head = 0;
    }
    if (s->end == s->capacity) {
        if (s->capacity > SIZE_MAX / 2 / sizeof(*s->all)) {
            return BRINK_E_NOMEM;
        }
        size_t capacity = s->capacity ? s->capacity * 2 : CAPACITY_MIN;
        struct slot *all = realloc(s->all, capacity * sizeof(*all));
        if (!all) {
            return BRINK_E_NOMEM;
        }
        s->all = all;
        s->capacity = capacity;
    }
    s->all[s->end++] = slot;
    s->last_id = slot.id;
    s->n_live++;
    return BRINK_OK;
}

enum brink_status slots_add_stored(struct slots *s, uint64_t id)
{
    enum brink_status st = append(s, (struct slot){.id = id, .state = SLOT_STORED});
    if (st == BRINK_OK) {
        s->written_id = id;
    }
    return st;
}

enum brink_status slots_add(struct slots *s, const struct outbox_event *event)
{
    struct outbox_event *copy = malloc(slots_event_bytes(event));
    if (!copy) {
        return BRINK_E_NOMEM;
    }
    char *bytes = (char *)(copy + 1);
    if (event->topic.n > 0) {
        memcpy(bytes, event->topic.p, event->topic.n);
    }
    if (event->payload.n > 0) {
        memcpy(bytes + event->topic.n, event->payload.p, event->payload.n);
    }
    *copy = (struct outbox_event){.id = s->last_id + 1,
                                  .topic = {bytes, event->topic.n},
                                  .payload = {bytes + event->topic.n, event->payload.n},
                                  .qos = event->qos,
                                  .retain = event->retain};
    enum brink_status st =
        append(s, (struct slot){.id = copy->id, .state = SLOT_MEMORY, .memory = copy});
    if (st != BRINK_OK) {
        free(copy);
        return st;
    }
    s->n_memory++;
    s->memory_bytes += slots_event_bytes(copy);
    return BRINK_OK;
}

static void forget_memory(struct slots *s, struct slot *slot)
{
    s->n_memory--;
    s->memory_bytes -= slots_event_bytes(slot->memory);
    free(slot->memory);
    slot->memory = NULL;
}

static void leave(struct slots *s, struct slot *slot)
{
    s->n_live--;
    if (slot->state == SLOT_MEMORY) {
        forget_memory(s, slot);
        slot->state = SLOT_GONE;
        s->n_gone++;
    } else {
        slot->state = SLOT_LEAVING;
        s->n_leaving++;
    }
}

void slots_leave(struct slots *s, struct slot *slot)
{
    leave(s, slot);
    tidy(s);
}

size_t slots_make_room(struct slots *s, size_t n, size_t limit, size_t bytes,
                       size_t bytes_max, uint64_t up_to, size_t *ret_up_to)
{
    size_t n_left = 0;
    *ret_up_to = 0;
    for (size_t i = s->head; i < s->end && s->n_live > 0 && s->n_live + n > limit; i++) {
        if (slot_is_live(&s->all[i])) {
            leave(s, &s->all[i]);
            n_left++;
            *ret_up_to += s->all[i].id <= up_to;
        }
    }
    for (size_t i = slots_after(s, s->written_id);
         i < s->end && s->n_memory > 0 && s->memory_bytes + bytes > bytes_max; i++) {
        if (s->all[i].state == SLOT_MEMORY) {
            leave(s, &s->all[i]);
            n_left++;
            *ret_up_to += s->all[i].id <= up_to;
        }
    }
    tidy(s);
    return n_left;
}

enum brink_status slots_each_change(const struct slots *s,
                                    enum brink_status (*visit)(void *ctx,
                                                               const struct slot *slot),
                                    void *ctx)
{
    enum brink_status st = BRINK_OK;
    size_t left = s->n_leaving;
    for (size_t i = s->head; st == BRINK_OK && left > 0 && i < s->end; i++) {
        if (s->all[i].state == SLOT_LEAVING) {
            st = visit(ctx, &s->all[i]);
            left--;
        }
    }
    left = s->n_memory;
    for (size_t i = slots_after(s, s->written_id);
         st == BRINK_OK && left > 0 && i < s->end; i++) {
        if (s->all[i].state == SLOT_MEMORY) {
            st = visit(ctx, &s->all[i]);
            left--;
        }
    }
    return st;
}

void slots_written(struct slots *s)
{
    for (size_t i = s->head; s->n_leaving > 0 && i < s->end; i++) {
        if (s->all[i].state == SLOT_LEAVING) {
            s->all[i].state = SLOT_GONE;
            s->n_leaving--;
            s->n_gone++;
        }
    }
    for (size_t i = slots_after(s, s->written_id); s->n_memory > 0 && i < s->end; i++) {
        if (s->all[i].state == SLOT_MEMORY) {
            forget_memory(s, &s->all[i]);
            s->all[i].state = SLOT_STORED;
        }
    }
    s->written_id = s->last_id;
    tidy(s);
}

size_t slots_forget_stored(struct slots *s)
{
    size_t lost = 0;
    for (size_t i = s->head; i < s->end; i++) {
        struct slot *slot = &s->all[i];
        if (slot->state == SLOT_STORED || slot->state == SLOT_LEAVING) {
            lost += slot->state == SLOT_STORED;
            s->n_live -= slot->state == SLOT_STORED;
            slot->state = SLOT_GONE;
            s->n_gone++;
        }
    }
    s->n_leaving = 0;
    tidy(s);
    return lost;
}
