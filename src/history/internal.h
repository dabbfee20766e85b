/* The inside of history/: batch.c (stage, admit), plan.c (what to send for a series),
 * exchange.c (rounds with Valkey), series.c (what an answer makes of a series), history.c
 * (the connection, steps), keep.c (what Valkey did not take). Nobody else includes it.
 *
 * Of each series, memory holds its window and a guard: length and ends of the value as
 * Valkey last had it. The window is what the value holds, less what fell out of it, plus
 * readings not yet written: those from `unconfirmed_from` on. An exchange opens a series,
 * sends an operation for it, and either settles it or, at the exchange's end, fails it.
 */
#ifndef BRINK_HISTORY_INTERNAL_H
#define BRINK_HISTORY_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "history/backlog.h"
#include "history/history.h"
#include "history/points.h"
#include "history/script.h"
#include "history/side.h"
#include "history/store.h"
#include "history/wbuf.h"

#define TTL_MIN_MS INT64_C(120000)
#define TTL_COUNT_MS (INT64_C(7) * 86400 * 1000)
#define VALUE_BYTES_MIN                                                                  \
    ((size_t)1024 * 1024) /* of what is read back, at least; and for each */
#define VALUE_POINT_BYTES                                                                \
    112                  /* of points_per_window so much: twice an entry, and spaces */
#define SLACK_BYTES 4096 /* a value may have twice its live bytes and this (SPEC 5.2) */
#define DUE_FIRST 16     /* series restored in one exchange: grows while exchanges */
#define DUE_MAX 256      /* stay well below the timeout */
#define INFO_EVERY_US (10 * US_PER_S)
#define PEEK_EVERY_US US_PER_S /* looks whether an idle connection was closed */

struct link { /* of a circular list; a head that points to itself is an empty one */
    struct link *prev, *next;
};

enum form {            /* of the value in Valkey */
            FORM_NONE, /* no key */
            FORM_CANONICAL,
            FORM_OTHER,
            FORM_NOT_A_LIST,
            FORM_WRONG_TYPE,
            FORM_TOO_LARGE,
};

enum {
    S_LOADED =
        1 << 0, /* the window is what Valkey held when last asked, plus what is pending */
    S_KNOWN = 1 << 1,   /* so is the guard */
    S_EXACT = 1 << 2,   /* the value is canonical, its live part is exactly the window,
                           `live` its bytes */
    S_RESTART = 1 << 3, /* the list starts anew: what the value holds does not count */
    S_WANTED = 1 << 4,
    S_VERIFY = 1 << 5, /* the server is another one: does it still hold the value? */
    S_MIXED =
        1
        << 6, /* what is unconfirmed lies among what is stored: rewrite, do not append */
    S_OPEN = 1 << 7, /* in the present exchange, not settled */
};

/* One a rule, metric and device, so it is kept small: 196 bytes and the key. */
struct series {
    struct history *h;
    struct window *window;
    const struct window_spec *spec;
    void *user;
    struct link all, due, changed;
    int64_t unconfirmed_from; /* time of the oldest reading not yet written; INT64_MAX:
                                 none */
    int64_t restart_newest;   /* the newest of the list that ended; INT64_MIN: any */
    int64_t shift_us; /* not S_LOADED: by so much the value's readings are to move */
    uint32_t live;    /* of each reading in the window its text and a comma: bytes */
    uint32_t pending; /* readings not yet written */
    uint32_t run;     /* the server (history.run) that last confirmed */
    int32_t staged_first, staged_last; /* of the batch; -1: none */
    uint16_t key_n;
    uint8_t flags, form;
    struct script_guard guard;
    char key[];
};

enum staged_state {
    STAGED_OPEN,
    STAGED_CONFIRMED,
    STAGED_FAILED, /* will be pending */
    STAGED_VOID,   /* its list was restarted since */
    STAGED_DONE,   /* admitted */
};

struct staged {
    struct series *s;
    struct point p;
    int32_t next; /* of the same series; -1: last */
    uint8_t state;
    bool stored; /* the value read back holds it already, the window does not */
    bool noted;  /* keep_begin() did */
    bool waits;  /* admitted while Valkey is away: for the backlog */
};

/* A list as it should become; where each reading came from. */
struct merged {
    struct point p;
    bool stored; /* in the value that the guard describes */
    bool held; /* in the window, or to be in it, before the batch's readings are admitted
                */
};

enum op_kind { OP_COMPARE, OP_APPEND, OP_REPLACE, OP_DELETE };

struct op {
    struct series *s;
    size_t text_at, text_n; /* in history.texts */
    uint32_t live;
    uint8_t kind;
    bool writes_back;
};

struct op_list {
    struct op *p;
    size_t n, cap;
};

struct call { /* ops of one EVALSHA */
    size_t first, n;
};

struct history {
    const struct clock *clock;
    int64_t timeout_us;
    bool fallback_memory;
    size_t value_max; /* bytes of a value that are read back */

    struct store *store; /* NULL: store: {address: memory} */
    enum store_state state;
    char reason[CONNECTION_REASON_BYTES];
    struct mono since;
    struct connection_facts facts;
    bool server_known; /* facts.run_id is that of the server before, too */
    uint32_t run;      /* grows with each other server */
    struct log_limit limit_up, limit_down, limit_side;
    struct mono now; /* as last given */
    struct mono next_info, next_peek;

    struct link all, due, changed;
    size_t n_series, n_due, pending_points, due_at_once;

    struct staged *staged;
    size_t n_staged, cap_staged;
    struct series **touched;
    size_t n_touched, cap_touched;

    /* Of an exchange. */
    struct op_list ops, again; /* of this round and of the next */
    struct call *calls;
    size_t n_calls, cap_calls;
    struct buffer texts, request;
    struct points value, extra;
    struct merged *merged;
    size_t n_merged, cap_merged;
    bool load_script, script_loaded; /* the next round loads it; this exchange did */
    bool asks_info;
    bool refused, wrote; /* an error answer came; a write was confirmed */
    char refusal[CONNECTION_REASON_BYTES];

    struct side side;
    struct backlog backlog;
    uint64_t last_batch; /* of the last run that was committed */
    /* With `inbox: 0` the backlog has every device's line, Valkey or not. */
    bool keeps_all;
    bool began; /* the backlog's notes of what is being decided on are to be ended */
    void (*each_device)(void *ctx, struct history *h);
    void *each_device_ctx;
    bool keep_devices; /* the connection was lost: what `side` has waits for the next */
};

/* --- lists --- */
static inline void link_init(struct link *l)
{
    l->prev = l->next = l;
}
static inline bool link_linked(const struct link *l)
{
    return l->next != l;
}
static inline void link_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}
static inline void link_append(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
#define series_of(link_, member_)                                                        \
    ((struct series *)(void *)((char *)(link_)-offsetof(struct series, member_)))

static inline struct text series_key(const struct series *s)
{
    return s ? (struct text){s->key, s->key_n} : (struct text){0};
}

/* --- series.c --- */

bool series_has_work(
    const struct series *s); /* something to write or to read, but for what is staged */
void series_due(struct series *s);
void series_mark_changed(struct series *s);
void series_forget(
    struct series *s); /* window and guard: as if never read. What is pending stays */
void series_add_pending(struct series *s, struct point p, enum window_push push,
                        struct wall newest_before);
/* Valkey holds what it should. exact: see S_EXACT. */
void series_settle(struct series *s, bool exact);
/* What the server answered instead of doing it: the value becomes the window, and the
 * next operation goes to h->again. False: out of memory, it stays open. */
bool series_take(struct series *s, char kind, struct text what);
/* The server did it. */
void series_done(const struct op *op);

/* --- plan.c; false: out of memory --- */

/* Opens the series and puts the operation that it needs into h->ops, or settles it when
 * it needs none. */
bool series_plan(struct series *s);
/* The window's readings from `from` on to h->extra; with_value: those before to h->value.
 */
bool series_split_window(struct series *s, int64_t from, bool with_value);
/* h->value (stored), h->extra (in the window, not stored) and the batch's readings to
 * h->merged, by time. */
bool series_merge(struct series *s);
/* Settles the series, or puts to `list` what makes the value the merged list. */
bool series_plan_merged(struct series *s, struct op_list *list, bool may_append,
                        bool writes_back);
bool op_list_put(struct op_list *list, struct op op);

/* --- exchange.c --- */

/* Everything that is staged, and some of what is due. with_load: reading the devices'
 * hash goes on, too; never amid a batch, since what is read changes devices. Never longer
 * than the timeout. Without a connection all that is staged fails, at once. */
void exchange_run(struct history *h, struct mono now, bool with_load);
bool exchange_is_needed(const struct history *h, struct mono now); /* amid a batch */

/* --- keep.c --- */

/* Opens the backlog; devices' lines that it holds wait for Valkey again. E_NOMEM. */
enum brink_status keep_open(struct history *h, const char *state_dir, uint64_t committed);
/* Readings that the last run left for it are pending anew. */
void keep_take(struct series *s);
/* Notes what the exchange is about to write. */
void keep_begin(struct history *h);
/* Those of the batch that wait go to the backlog. */
void keep_batch(struct history *h);
/* A device's line, if Valkey cannot have it now. */
void keep_device(struct history *h, struct text field, struct text value);

/* --- history.c --- */
void history_give_up(struct history *h, const char *reason);

#endif
