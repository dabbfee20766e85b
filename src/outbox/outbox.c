#include "outbox/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/map.h"
#include "outbox/database.h"

#define TOPIC_BYTES 65535 /* MQTT's own limit */
#define KEY_PART_BYTES 65535
/* Events that the disk does not take wait in memory: within the limit on their number,
 * and within this. */
#define MEMORY_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define RETRY_US (250 * US_PER_MS)  /* between two attempts at a write that failed */
#define SYNC_US (800 * US_PER_MS)   /* sync: normal promises a second at most */
#define REMOVE_US (100 * US_PER_MS) /* acknowledged events wait for company this long */
/* With sync: always a removal of its own would cost another wait for the disk; what a
 * power cut brings back is only delivered twice. */
#define REMOVE_SYNC_US US_PER_S
#define SLOTS_MIN 64

enum slot_state {
    SLOT_STORED,  /* in the file */
    SLOT_MEMORY,  /* not yet */
    SLOT_LEAVING, /* in the file, acknowledged or pushed out: to be removed */
    SLOT_GONE,
};

/* One event, in the order of ids. */
struct slot {
    uint64_t id;
    enum slot_state state;
    struct outbox_event *memory; /* SLOT_MEMORY: topic and payload follow it */
};

struct pending_state {
    struct pending_state *next;
    struct text key, rule, tenant, device; /* follow it */
    struct text value;                     /* of its own: it may change */
};

struct outbox {
    struct database *db;
    char *dir;
    int lock_fd;
    bool sync_always;
    uint32_t limit;

    struct slot *slots; /* slots[head] to slots[end - 1] */
    size_t head, end, capacity;
    size_t n_live, n_leaving, n_gone; /* live: stored or in memory */
    size_t n_memory, memory_bytes;
    uint64_t last_id, written_id; /* above written_id all is in memory */
    uint64_t shown_id; /* events up to here were committed, or at least tried */

    struct pending_state *states;
    struct map states_by_key;

    bool
        collecting; /* since the last commit: what belongs together is not complete yet */
    bool failing, damaged, unsynced, removal_due;
    struct mono retry_at, sync_at, remove_at;
    uint64_t n_pushed_out; /* not yet told */
    struct log_limit failure_limit, full_limit;
};

/* ---- Slots ---- */

static bool is_live(const struct slot *s)
{
    return s->state == SLOT_STORED || s->state == SLOT_MEMORY;
}

/* The first slot whose id is above `id`. */
static size_t slot_after(const struct outbox *o, uint64_t id)
{
    size_t low = o->head, high = o->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (o->slots[middle].id > id) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Drops what is gone: from the head at once, from between when it is the larger part. */
static void slots_tidy(struct outbox *o)
{
    while (o->head < o->end && o->slots[o->head].state == SLOT_GONE) {
        o->head++;
        o->n_gone--;
    }
    if (o->head == o->end) {
        o->head = o->end = 0;
    } else if (o->n_gone > SLOTS_MIN && o->n_gone > (o->end - o->head) / 2) {
        size_t to = o->head;
        for (size_t i = o->head; i < o->end; i++) {
            if (o->slots[i].state != SLOT_GONE) {
                o->slots[to++] = o->slots[i];
            }
        }
        o->end = to;
        o->n_gone = 0;
    }
}

static enum brink_status slots_append(struct outbox *o, struct slot slot)
{
    if (o->end == o->capacity && o->head > o->capacity / 2) {
        memmove(o->slots, o->slots + o->head, (o->end - o->head) * sizeof(*o->slots));
        o->end -= o->head;
        o->head = 0;
    }
    if (o->end == o->capacity) {
        if (o->capacity > SIZE_MAX / 2 / sizeof(*o->slots)) {
            return BRINK_E_NOMEM;
        }
        size_t capacity = o->capacity ? o->capacity * 2 : SLOTS_MIN;
        struct slot *slots = realloc(o->slots, capacity * sizeof(*slots));
        if (!slots) {
            return BRINK_E_NOMEM;
        }
        o->slots = slots;
        o->capacity = capacity;
    }
    o->slots[o->end++] = slot;
    return BRINK_OK;
}

static size_t event_bytes(const struct outbox_event *e)
{
    return sizeof(*e) + e->topic.n + e->payload.n;
}

static void forget_memory(struct outbox *o, struct slot *s)
{
    o->n_memory--;
    o->memory_bytes -= event_bytes(s->memory);
    free(s->memory);
    s->memory = NULL;
}

/* Takes a live slot out: now, or with the next commit when the file has it. */
static void slot_leave(struct outbox *o, struct slot *s)
{
    o->n_live--;
    if (s->state == SLOT_MEMORY) {
        forget_memory(o, s);
        s->state = SLOT_GONE;
        o->n_gone++;
    } else {
        s->state = SLOT_LEAVING;
        o->n_leaving++;
    }
}

/* Pushes out the oldest until both limits hold, with room for `n` more of `bytes`. */
static void make_room(struct outbox *o, size_t n, size_t bytes)
{
    for (size_t i = o->head; i < o->end && o->n_live > 0 && o->n_live + n > o->limit;
         i++) {
        if (is_live(&o->slots[i])) {
            slot_leave(o, &o->slots[i]);
            o->n_pushed_out++;
        }
    }
    for (size_t i = slot_after(o, o->written_id);
         i < o->end && o->n_memory > 0 && o->memory_bytes + bytes > MEMORY_BYTES_MAX;
         i++) {
        if (o->slots[i].state == SLOT_MEMORY) {
            slot_leave(o, &o->slots[i]);
            o->n_pushed_out++;
        }
    }
    slots_tidy(o);
}

/* ---- Pending states ---- */

static void states_finish(struct outbox *o)
{
    for (struct pending_state *s = o->states, *next; s; s = next) {
        next = s->next;
        free((char *)(uintptr_t)s->value.p);
        free(s);
    }
    o->states = NULL;
    map_finish(&o->states_by_key);
    o->states_by_key = (struct map){0};
}

static char *put_part(char *at, struct text part, struct text *ret_copy)
{
    /* Its length before it: no two triples share a key, whatever bytes they hold. */
    *at++ = (char)(unsigned char)(part.n >> 8);
    *at++ = (char)(unsigned char)(part.n & 0xff);
    if (part.n > 0) {
        memcpy(at, part.p, part.n);
    }
    *ret_copy = (struct text){at, part.n};
    return at + part.n;
}

static struct pending_state *state_new(struct text rule, struct text tenant,
                                       struct text device)
{
    size_t bytes = 6 + rule.n + tenant.n + device.n;
    struct pending_state *s = calloc(1, sizeof(*s) + bytes);
    if (!s) {
        return NULL;
    }
    char *at = (char *)(s + 1);
    s->key = (struct text){at, bytes};
    at = put_part(at, rule, &s->rule);
    at = put_part(at, tenant, &s->tenant);
    (void)put_part(at, device, &s->device);
    return s;
}

enum brink_status outbox_put_state(struct outbox *o, struct text rule, struct text tenant,
                                   struct text device, struct text value)
{
    if (rule.n > KEY_PART_BYTES || tenant.n > KEY_PART_BYTES ||
        device.n > KEY_PART_BYTES) {
        return BRINK_E_LIMIT;
    }
    char *copy = value.n > 0 ? text_dup(value) : NULL;
    struct pending_state *fresh = state_new(rule, tenant, device);
    if (!fresh || (value.n > 0 && !copy)) {
        goto no_memory;
    }
    struct pending_state *s = map_get(&o->states_by_key, fresh->key);
    if (s) {
        free(fresh); /* only the newest of a triple is worth writing */
        free((char *)(uintptr_t)s->value.p);
    } else {
        s = fresh;
        if (map_put(&o->states_by_key, s->key, s) != BRINK_OK) {
            goto no_memory;
        }
        s->next = o->states;
        o->states = s;
    }
    s->value = (struct text){copy, value.n};
    o->collecting = true;
    return BRINK_OK;
no_memory:
    free(fresh);
    free(copy);
    return BRINK_E_NOMEM;
}

/* ---- Writing ---- */

/* Calls do_slot for what the next commit changes. */
static enum brink_status each_change(struct outbox *o,
                                     enum brink_status (*do_slot)(struct outbox *o,
                                                                  struct slot *s))
{
    enum brink_status st = BRINK_OK;
    size_t left = o->n_leaving;
    for (size_t i = o->head; st == BRINK_OK && left > 0 && i < o->end; i++) {
        if (o->slots[i].state == SLOT_LEAVING) {
            st = do_slot(o, &o->slots[i]);
            left--;
        }
    }
    left = o->n_memory;
    for (size_t i = slot_after(o, o->written_id);
         st == BRINK_OK && left > 0 && i < o->end; i++) {
        if (o->slots[i].state == SLOT_MEMORY) {
            st = do_slot(o, &o->slots[i]);
            left--;
        }
    }
    return st;
}

static enum brink_status write_slot(struct outbox *o, struct slot *s)
{
    return s->state == SLOT_MEMORY ? database_insert(o->db, s->memory)
                                   : database_delete(o->db, s->id);
}

static enum brink_status slot_written(struct outbox *o, struct slot *s)
{
    if (s->state == SLOT_MEMORY) {
        forget_memory(o, s);
        s->state = SLOT_STORED;
    } else {
        s->state = SLOT_GONE;
        o->n_leaving--;
        o->n_gone++;
    }
    return BRINK_OK;
}

/* One transaction. */
static enum brink_status write_all(struct outbox *o)
{
    enum brink_status st = database_begin(o->db);
    if (st == BRINK_OK) {
        st = each_change(o, write_slot);
    }
    for (struct pending_state *s = o->states; st == BRINK_OK && s; s = s->next) {
        st = database_put_state(o->db, s->rule, s->tenant, s->device, s->value);
    }
    if (st == BRINK_OK) {
        st = database_commit(o->db);
    }
    if (st != BRINK_OK) {
        database_rollback(o->db);
        return st;
    }
    st = each_change(o, slot_written);
    o->written_id = o->last_id;
    o->removal_due = false;
    slots_tidy(o);
    states_finish(o);
    return st;
}

/* The file went bad under us. What it held is out of reach; what memory holds is not. */
static enum brink_status begin_anew(struct outbox *o)
{
    char why[LOG_VALUE_BYTES];
    (void)snprintf(why, sizeof(why), "%s", database_error(o->db));
    unsigned n = 0;
    database_close(o->db);
    o->db = NULL;
    enum brink_status st = database_put_aside(o->dir, &n);
    uint64_t lost = 0;
    if (st == BRINK_OK) {
        o->damaged = false;
        for (size_t i = o->head; i < o->end; i++) {
            struct slot *s = &o->slots[i];
            lost += s->state == SLOT_STORED;
            o->n_live -= s->state == SLOT_STORED;
            if (s->state == SLOT_STORED || s->state == SLOT_LEAVING) {
                s->state = SLOT_GONE;
                o->n_gone++;
            }
        }
        o->n_leaving = 0;
        slots_tidy(o);
        log_event(LOG_LEVEL_ERROR, "outbox damaged", LOG_S("state_dir", o->dir),
                  LOG_S("why", why), LOG_I("events_lost", lost),
                  LOG_S("action", "put aside and begun anew"), LOG_I("damaged", n));
    }
    enum brink_status opened =
        database_open(o->dir, o->sync_always, why, sizeof(why), &o->db);
    return st == BRINK_OK ? opened : st;
}

static void tell_failure(struct outbox *o, struct mono now, const char *why)
{
    count(COUNT_OUTBOX_FAILURES);
    log_limited(&o->failure_limit, now, LOG_LEVEL_ERROR, "outbox not written",
                LOG_S("state_dir", o->dir), LOG_S("why", why),
                LOG_S("action", "kept in memory and tried again"),
                LOG_I("events_in_memory", o->n_memory));
}

static void tell_pushed_out(struct outbox *o, struct mono now)
{
    if (o->n_pushed_out > 0) {
        count_add(COUNT_ALERTS_OUTBOX_FULL, o->n_pushed_out);
        log_limited(&o->full_limit, now, LOG_LEVEL_ERROR, "outbox full",
                    LOG_S("action", "oldest alerts dropped"),
                    LOG_I("dropped", o->n_pushed_out), LOG_I("limit", o->limit));
        o->n_pushed_out = 0;
    }
}

static enum brink_status write_now(struct outbox *o, struct mono now)
{
    enum brink_status st = BRINK_E_IO;
    char why[LOG_VALUE_BYTES] = "";
    if (!o->db) {
        st = database_open(o->dir, o->sync_always, why, sizeof(why), &o->db);
    }
    if (o->db) {
        st = o->damaged ? BRINK_E_SYNTAX : write_all(o);
        if (st == BRINK_E_SYNTAX && begin_anew(o) == BRINK_OK) {
            st = write_all(o);
        }
        if (st != BRINK_OK && o->db) {
            (void)snprintf(why, sizeof(why), "%s", database_error(o->db));
        }
    }
    if (st == BRINK_OK) {
        if (o->failing) {
            log_event(LOG_LEVEL_INFO, "outbox written again", LOG_S("state_dir", o->dir));
        }
        if (!o->sync_always && !o->unsynced) {
            o->unsynced = true;
            o->sync_at.us = now.us + SYNC_US;
        }
    } else {
        tell_failure(o, now, why[0] ? why : "cannot open it");
        o->retry_at.us = now.us + RETRY_US;
    }
    o->failing = st != BRINK_OK;
    return st == BRINK_OK ? BRINK_OK : BRINK_E_IO;
}

/* ---- Life ---- */

static void tell_why(char *why, size_t why_bytes, const char *what, const char *path,
                     int error)
{
    (void)snprintf(why, why_bytes, "%s %s: %s", what, path, strerror(error));
}

/* The folder and the lock. */
static enum brink_status take_place(struct outbox *o, char *why, size_t why_bytes)
{
    if (mkdir(o->dir, 0700) == 0) {
        (void)chmod(o->dir, 0700); /* a umask can only have made it narrower */
    } else if (errno != EEXIST) {
        tell_why(why, why_bytes, "cannot make state_dir", o->dir, errno);
        return BRINK_E_IO;
    }
    size_t bytes = strlen(o->dir) + sizeof("/outbox.lock");
    char *path = malloc(bytes);
    if (!path) {
        return BRINK_E_NOMEM;
    }
    (void)snprintf(path, bytes, "%s/outbox.lock", o->dir);
    enum brink_status st = BRINK_OK;
    o->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (o->lock_fd < 0) {
        tell_why(why, why_bytes, "state_dir is not writable:", path, errno);
        st = BRINK_E_IO;
    } else if (flock(o->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            (void)snprintf(why, why_bytes, "another process uses state_dir %s", o->dir);
            st = BRINK_E_STATE;
        } else {
            tell_why(why, why_bytes, "cannot lock", path, errno);
            st = BRINK_E_IO;
        }
    }
    free(path);
    return st;
}

static enum brink_status add_stored(void *ctx, uint64_t id)
{
    struct outbox *o = ctx;
    enum brink_status st = slots_append(o, (struct slot){.id = id, .state = SLOT_STORED});
    if (st == BRINK_OK) {
        o->n_live++;
        o->last_id = id;
    }
    return st;
}

enum brink_status outbox_open(const char *state_dir, bool sync_always, uint32_t limit,
                              char *why, size_t why_bytes, struct outbox **ret_outbox)
{
    struct outbox *o = calloc(1, sizeof(*o));
    if (!o) {
        return BRINK_E_NOMEM;
    }
    (void)snprintf(why, why_bytes, "out of memory");
    o->lock_fd = -1;
    o->sync_always = sync_always;
    o->limit = limit;
    enum brink_status st = BRINK_E_NOMEM;
    o->dir = text_dup(text_of(state_dir));
    if (!o->dir) {
        goto failed;
    }
    st = take_place(o, why, why_bytes);
    if (st != BRINK_OK) {
        goto failed;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        st = database_open(o->dir, sync_always, why, why_bytes, &o->db);
        if (st == BRINK_OK) {
            o->head = o->end = o->n_live = 0;
            st = database_each_id(o->db, add_stored, o);
            if (st != BRINK_OK) {
                (void)snprintf(why, why_bytes, "%s", database_error(o->db));
                database_close(o->db);
                o->db = NULL;
            }
        }
        unsigned n = 0;
        if (st != BRINK_E_SYNTAX || attempt > 0 ||
            database_put_aside(o->dir, &n) != BRINK_OK) {
            break;
        }
        log_event(LOG_LEVEL_ERROR, "outbox damaged", LOG_S("state_dir", o->dir),
                  LOG_S("why", why), LOG_S("action", "put aside and begun anew"),
                  LOG_I("damaged", n));
    }
    if (st != BRINK_OK) {
        st = st == BRINK_E_SYNTAX || st == BRINK_E_STATE ? BRINK_E_IO : st;
        goto failed;
    }
    o->shown_id = o->written_id = o->last_id;
    make_room(o, 0, 0);
    *ret_outbox = o;
    return BRINK_OK;
failed:
    outbox_close(o);
    return st;
}

void outbox_close(struct outbox *o)
{
    if (!o) {
        return;
    }
    if (o->db && (o->n_memory > 0 || o->n_leaving > 0 || o->states)) {
        if (write_all(o) != BRINK_OK) {
            log_event(LOG_LEVEL_ERROR, "outbox not written", LOG_S("state_dir", o->dir),
                      LOG_S("why", database_error(o->db)),
                      LOG_I("events_lost", o->n_memory));
        }
    }
    database_close(o->db);
    for (size_t i = o->head; i < o->end; i++) {
        free(o->slots[i].memory);
    }
    free(o->slots);
    states_finish(o);
    if (o->lock_fd >= 0) {
        (void)close(
            o->lock_fd); /* and so unlocks; the file stays, or two could hold it */
    }
    free(o->dir);
    free(o);
}

void outbox_configure(struct outbox *o, bool sync_always, uint32_t limit)
{
    o->limit = limit;
    if (o->db && sync_always != o->sync_always &&
        database_set_sync(o->db, sync_always) != BRINK_OK) {
        log_event(LOG_LEVEL_ERROR, "outbox keeps its old sync",
                  LOG_S("state_dir", o->dir), LOG_S("why", database_error(o->db)));
        sync_always = o->sync_always;
    }
    o->sync_always = sync_always;
    make_room(o, 0, 0);
}

enum brink_status outbox_put(struct outbox *o, const struct outbox_event *event,
                             uint64_t *ret_id)
{
    if (event->topic.n > TOPIC_BYTES || event->payload.n > OUTBOX_PAYLOAD_BYTES_MAX) {
        return BRINK_E_LIMIT;
    }
    struct outbox_event *copy = malloc(event_bytes(event));
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
    *copy = (struct outbox_event){.id = o->last_id + 1,
                                  .topic = {bytes, event->topic.n},
                                  .payload = {bytes + event->topic.n, event->payload.n},
                                  .qos = event->qos,
                                  .retain = event->retain};
    make_room(o, 1, event_bytes(copy));
    enum brink_status st = slots_append(
        o, (struct slot){.id = copy->id, .state = SLOT_MEMORY, .memory = copy});
    if (st != BRINK_OK) {
        free(copy);
        return st;
    }
    o->n_live++;
    o->n_memory++;
    o->memory_bytes += event_bytes(copy);
    o->last_id = copy->id;
    o->collecting = true;
    *ret_id = copy->id;
    return BRINK_OK;
}

enum brink_status outbox_commit(struct outbox *o, struct mono now)
{
    tell_pushed_out(o, now);
    o->collecting = false;
    if (o->n_memory == 0 && !o->states) {
        return BRINK_OK; /* removals alone wait for step */
    }
    o->shown_id = o->last_id;
    if (o->failing && now.us < o->retry_at.us) {
        return BRINK_E_IO;
    }
    return write_now(o, now);
}

static void wake_at(struct mono *wake, struct mono at)
{
    wake->us = at.us < wake->us ? at.us : wake->us;
}

void outbox_step(struct outbox *o, struct mono now, struct mono *ret_wake)
{
    ret_wake->us = INT64_MAX;
    tell_pushed_out(o, now);
    if (o->n_leaving > 0 && !o->removal_due) {
        o->removal_due = true;
        o->remove_at.us = now.us + (o->sync_always ? REMOVE_SYNC_US : REMOVE_US);
    }
    bool due = o->failing ? now.us >= o->retry_at.us
                          : o->removal_due && now.us >= o->remove_at.us;
    if (due && !o->collecting) {
        (void)write_now(o, now); /* told there */
    }
    if (o->unsynced && now.us >= o->sync_at.us) {
        o->unsynced = false;
        if (o->db && database_sync(o->db) != BRINK_OK) {
            tell_failure(o, now, database_error(o->db));
            o->unsynced = true;
            o->sync_at.us = now.us + SYNC_US;
        }
    }
    if (o->collecting) {
        /* A commit is about to come, and does it all. */
    } else if (o->failing) {
        wake_at(ret_wake, o->retry_at);
    } else if (o->removal_due) {
        wake_at(ret_wake, o->remove_at);
    }
    if (o->unsynced) {
        wake_at(ret_wake, o->sync_at);
    }
}

enum brink_status outbox_each_state(struct outbox *o,
                                    void (*visit)(void *ctx, struct text rule,
                                                  struct text tenant, struct text device,
                                                  struct text value),
                                    void *ctx)
{
    return o->db ? database_each_state(o->db, visit, ctx) : BRINK_E_IO;
}

bool outbox_next(struct outbox *o, uint64_t after, struct outbox_event *ret_event)
{
    for (size_t i = slot_after(o, after); i < o->end && o->slots[i].id <= o->shown_id;
         i++) {
        struct slot *s = &o->slots[i];
        if (s->state == SLOT_MEMORY) {
            *ret_event = *s->memory;
            return true;
        }
        if (s->state != SLOT_STORED) {
            continue;
        }
        enum brink_status st =
            o->db ? database_read(o->db, s->id, ret_event) : BRINK_E_IO;
        if (st == BRINK_OK) {
            return true;
        }
        if (st != BRINK_E_RANGE) {
            /* A disk that fails now may read later; what is damaged is begun anew by the
             * next step. Those behind wait meanwhile, so that the order holds. */
            o->damaged = o->damaged || st == BRINK_E_SYNTAX;
            o->failing = o->failing || st == BRINK_E_SYNTAX;
            return false;
        }
        log_event(LOG_LEVEL_ERROR, "alert not readable", LOG_I("id", s->id),
                  LOG_S("why", "it is not in the file"), LOG_S("action", "dropped"));
        slot_leave(o, s);
    }
    return false;
}

void outbox_acknowledged(struct outbox *o, uint64_t id)
{
    size_t i = id > 0 ? slot_after(o, id - 1) : o->end;
    if (i < o->end && o->slots[i].id == id && is_live(&o->slots[i])) {
        slot_leave(o, &o->slots[i]);
        slots_tidy(o);
    }
}

size_t outbox_count(const struct outbox *o)
{
    return o->n_live;
}
