/* What waits for Valkey, on disk: the file `backlog` in state_dir (SPEC 5.4, 7.3).
 *
 * A journal of lines, each of them something that Valkey did not take:
 *   w TAB key TAB list     readings of a series, the list as wbuf.h writes it
 *   d TAB field TAB value  a device's state; the last line of a field counts
 *   i TAB key TAB list     with `inbox: 0`: what is about to be appended to a series in
 *                          Valkey and is yet to be decided on
 *   e TAB -                all of that was decided on
 *   b TAB number           the lines behind it, of the same write, are the outcome of a
 *                          batch with alerts: they count only if the outbox has committed
 *                          that batch (it numbers them). If not, this is the last write
 *                          before a kill, and it never was.
 * Lines are put together in memory and appended with one write(2), which a kill -9 cannot
 * take back; within a second they survive a power cut, too. Once nothing waits any more
 * the file is emptied; when it is more than twice what waited at its last renewal, plus
 * BACKLOG_SLACK_BYTES, it is renewed: written anew with what waits now. A write that
 * failed is told and counted; the next is a renewal, so that nothing is left out.
 *
 * One owner, the pipeline's thread; state_dir belongs to one process (the outbox locks
 * it). */
#ifndef BRINK_HISTORY_BACKLOG_H
#define BRINK_HISTORY_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/status.h"
#include "history/points.h"

#define BACKLOG_SLACK_BYTES ((uint64_t)1024 * 1024)
/* Of the file; what is beyond is kept in memory alone. */
#define BACKLOG_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)

/* Readings that the last run left for a series; or began with and did not decide on. */
struct left_points {
    struct points points; /* in the order in which they came */
    size_t key_n;
    char key[];
};

struct backlog {
    char *path; /* NULL: not open, all of it does nothing */
    int fd;
    uint64_t bytes, base; /* of the file; when it was last renewed */
    struct buffer out;    /* lines put and not yet written */
    struct buffer begins; /* lines of what is begun, not yet written */
    uint64_t batch;       /* the highest number read */
    bool stale;           /* the file lacks some of what was put: a renewal is due */
    bool has_points;      /* or readings were put since it was renewed */
    bool unsynced;
    struct mono sync_at, retry_at;
    struct map
        left; /* key to struct left_points, as read at the start and not yet taken */
    struct map begun; /* the same of what is in Valkey and was not decided on */
    struct log_limit limit;
};

#define BACKLOG_COMMITTED_UNKNOWN UINT64_MAX /* every batch counts */

/* Opens or makes dir/backlog, mode 0600, and reads what is there, up to the first batch
 * behind `committed`, which is cut off: a series' readings to
 * `left`, a device's line to `device` (field may come again: the later is the newer). A
 * line that is none is left out, counted in the one that is logged. E_IO: told; the
 * backlog stays closed. E_NOMEM. */
enum brink_status backlog_open(struct backlog *b, const char *dir, uint64_t committed,
                               void (*device)(void *ctx, struct text field,
                                              struct text value),
                               void *ctx) BRINK_MUST_CHECK;
void backlog_close(struct backlog *b); /* what was put is not written; zeroed is fine */

/* One line, without its newline. False: it is none. */
bool backlog_read_line(struct backlog *b, struct text line,
                       void (*device)(void *ctx, struct text field, struct text value),
                       void *ctx);
/* Hands over what the last run left for a series: left_points_free(). NULL: nothing. */
struct left_points *backlog_take(struct backlog *b, struct text key);
void left_points_free(struct left_points *l);

/* What a killed run had begun with and did not decide on. A reading leaves when it is
 * admitted, all of them when no more redeliveries are to come. */
bool backlog_is_begun(const struct backlog *b, struct text key, struct point p);
void backlog_end(struct backlog *b, struct text key, struct point p);
void backlog_end_series(struct backlog *b, struct text key);
void backlog_end_all(struct backlog *b);

/* Adds a line to be written. */
void backlog_put_points(struct backlog *b, struct text key, const struct point *points,
                        size_t n);
void backlog_put_device(struct backlog *b, struct text field, struct text value);
/* Of what is to be begun with; written at once, apart from what was put before. */
void backlog_put_begin(struct backlog *b, struct text key, const struct point *points,
                       size_t n);
void backlog_write_begins(struct backlog *b, struct mono now);
/* All that was begun was decided on, but for what is left of the last run. */
void backlog_put_end(struct backlog *b);
void backlog_put_begun(struct backlog *b); /* what is left of the last run */

/* Is the next write to be a renewal? Then put all that waits, and backlog_renew(). */
bool backlog_is_renewal(const struct backlog *b, struct mono now);
void backlog_begin_renewal(struct backlog *b);
void backlog_renew(struct backlog *b, struct mono now);
/* Appends what was put, as the outcome of that batch (0: of none); after a failure it
 * waits for a renewal. */
void backlog_write(struct backlog *b, struct mono now, uint64_t batch);
/* Nothing waits. */
void backlog_empty(struct backlog *b, struct mono now);
/* Makes the file survive a power cut if that is due. */
void backlog_sync(struct backlog *b, struct mono now);

static inline bool backlog_is_open(const struct backlog *b)
{
    return b->path != NULL;
}

/* Has the file, or what is to be written, anything? */
static inline bool backlog_holds(const struct backlog *b)
{
    return b->bytes > 0 || b->out.n > 0 || b->stale;
}

#endif
