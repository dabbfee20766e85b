#include "outbox/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "outbox/database.h"
#include "outbox/slots.h"
#include "outbox/states.h"

#define TOPIC_BYTES 65535 /* MQTT's own limit */
/* Events that the disk does not take wait in memory: within the limit on their number,
 * and within this. */
#define MEMORY_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define RETRY_US (250 * US_PER_MS) /* between two attempts at a write that failed */
#define SYNC_US (800 * US_PER_MS)  /* sync: normal promises a second at most */
#define REMOVE_US (20 * US_PER_MS) /* acknowledged events wait for company this long */
/* With sync: always a removal of its own would cost another wait for the disk; what a
 * power cut brings back is only delivered twice. */
#define REMOVE_SYNC_US US_PER_S
/* What an outage made of the file goes back to the disk once it is over, a part at a
 * time, so that no alert waits for long. */
#define SHRINK_PAGES 256
#define SHRINK_PAUSE_US (20 * US_PER_MS)
/* A run that was killed while it started its child may hold the lock for a moment longer:
 * until that child is what it was made for. */
#define LOCK_TRIES 100
#define LOCK_TRY_MS 20

struct outbox {
    struct database *db;
    char *dir;
    int lock_fd;
    bool sync_always;
    uint32_t limit;

    struct slots slots;
    struct states states;
    uint64_t shown_id; /* events up to here were committed, or at least tried */

    bool collecting; /* since the last commit: what belongs together is not complete */
    bool failing, damaged, unsynced, removal_due, shrinking;
    struct mono retry_at, sync_at, remove_at, shrink_at;
    uint64_t handed_id;    /* events up to here are with who delivers them */
    uint64_t n_pushed_out; /* not yet told */
    uint64_t n_doubtful;   /* pushed out while there, and not yet answered for */
    struct log_limit failure_limit, full_limit;
};

/* ---- Writing ---- */

static enum brink_status write_slot(void *ctx, const struct slot *slot)
{
    struct outbox *o = ctx;
    return slot->state == SLOT_MEMORY ? database_insert(o->db, slot->memory)
                                      : database_delete(o->db, slot->id);
}

/* One transaction. */
static enum brink_status write_all(struct outbox *o)
{
    enum brink_status st = database_begin(o->db);
    if (st == BRINK_OK) {
        st = slots_each_change(&o->slots, write_slot, o);
    }
    for (struct state *s = o->states.first; st == BRINK_OK && s; s = s->next) {
        st = database_put_state(o->db, s->rule, s->tenant, s->device, s->value);
    }
    if (st == BRINK_OK) {
        st = database_commit(o->db);
    }
    if (st != BRINK_OK) {
        database_rollback(o->db);
        return st;
    }
    o->shrinking = o->shrinking || o->slots.n_leaving > 0;
    slots_written(&o->slots);
    states_clear(&o->states);
    o->removal_due = false;
    return BRINK_OK;
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
    if (st == BRINK_OK) {
        o->damaged = false;
        size_t lost = slots_forget_stored(&o->slots);
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
                LOG_I("events_in_memory", o->slots.n_memory));
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

/* 0, or errno. */
static int lock(int fd)
{
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK || i >= LOCK_TRIES) {
            return errno;
        }
        (void)poll(NULL, 0, LOCK_TRY_MS);
    }
    return 0;
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
    } else {
        int error = lock(o->lock_fd);
        if (error == EWOULDBLOCK) {
            (void)snprintf(why, why_bytes, "another process uses state_dir %s", o->dir);
            st = BRINK_E_STATE;
        } else if (error) {
            tell_why(why, why_bytes, "cannot lock", path, error);
            st = BRINK_E_IO;
        }
    }
    free(path);
    return st;
}

static enum brink_status add_stored(void *ctx, uint64_t id)
{
    return slots_add_stored(ctx, id);
}

static void push_out(struct outbox *o, size_t n, size_t bytes)
{
    size_t handed;
    size_t all = slots_make_room(&o->slots, n, o->limit, bytes, MEMORY_BYTES_MAX,
                                 o->handed_id, &handed);
    o->n_pushed_out += all - handed;
    o->n_doubtful += handed;
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
            st = database_each_id(o->db, add_stored, &o->slots);
            if (st != BRINK_OK) {
                (void)snprintf(why, why_bytes, "%s", database_error(o->db));
                database_close(o->db);
                o->db = NULL;
                slots_finish(&o->slots);
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
    o->shown_id = o->slots.last_id;
    push_out(o, 0, 0);
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
    if (o->slots.n_memory > 0 || o->slots.n_leaving > 0 || o->states.first) {
        if (!o->db || write_all(o) != BRINK_OK) {
            log_event(LOG_LEVEL_ERROR, "outbox not written", LOG_S("state_dir", o->dir),
                      LOG_S("why", o->db ? database_error(o->db) : "cannot open it"),
                      LOG_I("events_lost", o->slots.n_memory));
        }
    }
    database_close(o->db);
    slots_finish(&o->slots);
    states_clear(&o->states);
    if (o->lock_fd >= 0) {
        /* And so unlocks. The file stays: were it removed, two could hold a lock. */
        (void)close(o->lock_fd);
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
    push_out(o, 0, 0);
}

enum brink_status outbox_put(struct outbox *o, const struct outbox_event *event,
                             uint64_t *ret_id)
{
    if (event->topic.n > TOPIC_BYTES || event->payload.n > OUTBOX_PAYLOAD_BYTES_MAX) {
        return BRINK_E_LIMIT;
    }
    push_out(o, 1, slots_event_bytes(event));
    enum brink_status st = slots_add(&o->slots, event);
    if (st == BRINK_OK) {
        o->collecting = true;
        *ret_id = o->slots.last_id;
    }
    return st;
}

enum brink_status outbox_put_state(struct outbox *o, struct text rule, struct text tenant,
                                   struct text device, struct text value)
{
    enum brink_status st = states_put(&o->states, rule, tenant, device, value);
    o->collecting = o->collecting || st == BRINK_OK;
    return st;
}

bool outbox_is_due(const struct outbox *o)
{
    return o->slots.n_memory > 0 || o->states.first;
}

enum brink_status outbox_commit(struct outbox *o, struct mono now)
{
    tell_pushed_out(o, now);
    o->collecting = false;
    if (!outbox_is_due(o)) {
        return BRINK_OK; /* removals alone wait for step */
    }
    o->shown_id = o->slots.last_id;
    if (o->failing && now.us < o->retry_at.us) {
        return BRINK_E_IO;
    }
    return write_now(o, now);
}

/* Not while alerts come or wait: what they free, the next ones use. */
static void shrink(struct outbox *o, struct mono now)
{
    bool quiet = o->slots.n_live == 0 && !o->collecting && !o->failing && o->db;
    if (!quiet || now.us < o->shrink_at.us) {
        return;
    }
    o->shrink_at.us = now.us + SHRINK_PAUSE_US;
    o->shrinking = database_shrink(o->db, SHRINK_PAGES);
}

static void wake_at(struct mono *wake, struct mono at)
{
    wake->us = at.us < wake->us ? at.us : wake->us;
}

void outbox_step(struct outbox *o, struct mono now, struct mono *ret_wake)
{
    ret_wake->us = INT64_MAX;
    tell_pushed_out(o, now);
    if (o->slots.n_leaving > 0 && !o->removal_due) {
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
    if (o->shrinking) {
        shrink(o, now);
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
    if (o->shrinking && o->slots.n_live == 0) {
        wake_at(ret_wake, o->shrink_at);
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

/* The first that may be shown; NULL: none. */
static struct slot *first_shown(const struct outbox *o, uint64_t after)
{
    const struct slots *s = &o->slots;
    for (size_t i = slots_after(s, after); i < s->end && s->all[i].id <= o->shown_id;
         i++) {
        if (slot_is_live(&s->all[i])) {
            return &s->all[i];
        }
    }
    return NULL;
}

bool outbox_next(struct outbox *o, uint64_t after, struct outbox_event *ret_event)
{
    struct slot *s;
    while ((s = first_shown(o, after))) {
        if (s->state == SLOT_MEMORY) {
            *ret_event = *s->memory;
            return true;
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
        after = s->id;
        slots_leave(&o->slots, s);
    }
    return false;
}

void outbox_acknowledged(struct outbox *o, uint64_t id)
{
    size_t i = id > 0 ? slots_after(&o->slots, id - 1) : o->slots.end;
    if (i < o->slots.end && o->slots.all[i].id == id && slot_is_live(&o->slots.all[i])) {
        slots_leave(&o->slots, &o->slots.all[i]);
    } else {
        o->n_doubtful -= o->n_doubtful > 0; /* it went before its answer came */
    }
}

void outbox_handed_over(struct outbox *o, uint64_t id)
{
    o->handed_id = id;
    if (id == 0) {
        o->n_pushed_out += o->n_doubtful;
        o->n_doubtful = 0;
    }
}

size_t outbox_count(const struct outbox *o)
{
    return o->slots.n_live;
}
