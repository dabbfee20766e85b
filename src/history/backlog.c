#include "history/backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/number.h"
#include "history/wbuf.h"

#define FILE_NAME "backlog"
#define NEW_SUFFIX ".new"
#define SYNC_US (800 * US_PER_MS) /* a power cut takes at most the last second */
#define RETRY_US US_PER_S         /* between two attempts at a write that failed */
/* The buffer of a renewal is given back, that of a batch is kept. */
#define KEPT_BYTES ((size_t)1024 * 1024)

static void tell(struct backlog *b, struct mono now, const char *what)
{
    int error = errno;
    count(COUNT_BACKLOG_FAILURES);
    log_limited(&b->limit, now, LOG_LEVEL_ERROR,
                "what waits for valkey is in memory alone, a kill would lose it",
                LOG_S("file", b->path), LOG_S("failed", what),
                LOG_S("why", error ? strerror(error) : "too large"));
}

/* --- reading --- */

static struct text cut(struct text *rest, char at)
{
    const char *end = rest->n ? memchr(rest->p, at, rest->n) : NULL;
    struct text head = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t skip = head.n + (end != NULL);
    rest->p += skip;
    rest->n -= skip;
    return head;
}

void left_points_free(struct left_points *l)
{
    if (l) {
        points_finish(&l->points);
        free(l);
    }
}

static void free_points(struct map *left)
{
    struct left_points *l;
    for (size_t i = 0; (l = map_next(left, &i));) {
        left_points_free(l);
    }
    map_finish(left);
}

static struct text key_of(const struct left_points *l)
{
    return (struct text){l->key, l->key_n};
}

static struct left_points *left_for(struct map *left, struct text key)
{
    struct left_points *l = map_get(left, key);
    if (l) {
        return l;
    }
    l = calloc(1, sizeof *l + key.n);
    if (l) {
        l->key_n = key.n;
        memcpy(l->key, key.p, key.n);
        if (map_put(left, key_of(l), l) != BRINK_OK) {
            free(l);
            return NULL;
        }
    }
    return l;
}

static bool read_points(struct map *left, struct text key, struct text list)
{
    struct points points = {0};
    enum wbuf_form form;
    bool ok = wbuf_parse(list, &points, &form) == BRINK_OK && points.n > 0;
    struct left_points *l = ok ? left_for(left, key) : NULL;
    for (size_t i = 0; l && i < points.n; i++) {
        ok = ok && points_put(&l->points, points.p[i]) == BRINK_OK;
    }
    points_finish(&points);
    return l && ok;
}

static bool read_batch(struct text line, uint64_t *ret_batch)
{
    struct text number = line, kind = cut(&number, '\t');
    return kind.n == 1 && kind.p[0] == 'b' &&
           number_parse_u64(number, ret_batch) == BRINK_OK;
}

bool backlog_read_line(struct backlog *b, struct text line,
                       void (*device)(void *ctx, struct text field, struct text value),
                       void *ctx)
{
    struct text value = line, kind = cut(&value, '\t');
    struct text name = cut(&value, '\t');
    if (name.n == 0 || kind.n != 1) {
        return false;
    }
    uint64_t batch;
    if (read_batch(line, &batch)) {
        b->batch = batch > b->batch ? batch : b->batch;
        return true;
    }
    if (kind.p[0] == 'd') {
        device(ctx, name, value);
        return true;
    }
    if (kind.p[0] == 'e') {
        backlog_end_all(b);
        return true;
    }
    if (kind.p[0] == 'i') {
        return read_points(&b->begun, name, value);
    }
    bool ok = kind.p[0] == 'w' && read_points(&b->left, name, value);
    b->has_points = b->has_points || b->left.n > 0;
    return ok;
}

/* Up to the last whole line: a power cut may have torn the one behind it; and up to a
 * batch that was not committed. */
static enum brink_status
read_all(struct backlog *b, uint64_t committed,
         void (*device)(void *ctx, struct text field, struct text value), void *ctx)
{
    int copy = dup(b->fd);
    FILE *f = copy >= 0 ? fdopen(copy, "r") : NULL;
    if (!f) {
        if (copy >= 0) {
            (void)close(copy);
        }
        return BRINK_E_IO;
    }
    char *line = NULL;
    size_t cap = 0, unread = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n') {
        const struct text t = {line, (size_t)n - 1};
        uint64_t batch;
        if (read_batch(t, &batch) && batch > committed) {
            break;
        }
        b->bytes += (uint64_t)n;
        unread += !backlog_read_line(b, t, device, ctx);
    }
    bool failed = ferror(f) != 0;
    free(line);
    (void)fclose(f);
    if (unread > 0) {
        log_event(LOG_LEVEL_WARNING, "lines of the backlog are unreadable, ignoring them",
                  LOG_S("file", b->path), LOG_I("lines", unread));
    }
    return failed || ftruncate(b->fd, (off_t)b->bytes) != 0 ? BRINK_E_IO : BRINK_OK;
}

/* --- life --- */

enum brink_status
backlog_open(struct backlog *b, const char *dir, uint64_t committed,
             void (*device)(void *ctx, struct text field, struct text value), void *ctx)
{
    size_t bytes = strlen(dir) + sizeof("/" FILE_NAME);
    *b = (struct backlog){.fd = -1};
    b->path = malloc(bytes);
    if (!b->path) {
        return BRINK_E_NOMEM;
    }
    (void)snprintf(b->path, bytes, "%s/" FILE_NAME, dir);
    b->fd = open(b->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (b->fd < 0 || fchmod(b->fd, 0600) != 0 ||
        read_all(b, committed, device, ctx) != BRINK_OK) {
        log_event(LOG_LEVEL_ERROR,
                  "backlog cannot be used, what waits for valkey is in memory alone",
                  LOG_S("file", b->path), LOG_S("why", strerror(errno)));
        backlog_close(b);
        return BRINK_E_IO;
    }
    b->base = b->bytes;
    return BRINK_OK;
}

void backlog_close(struct backlog *b)
{
    if (!b->path) {
        return;
    }
    free_points(&b->left);
    free_points(&b->begun);
    buffer_finish(&b->out);
    buffer_finish(&b->begins);
    if (b->fd >= 0) {
        if (b->unsynced) {
            (void)fdatasync(b->fd);
        }
        (void)close(b->fd);
    }
    free(b->path);
    *b = (struct backlog){.fd = -1};
}

struct left_points *backlog_take(struct backlog *b, struct text key)
{
    return b->left.n > 0 ? map_remove(&b->left, key) : NULL;
}

/* --- what was begun --- */

static size_t place_of(const struct left_points *l, struct point p)
{
    size_t i = 0;
    while (l && i < l->points.n && !point_same(l->points.p[i], p)) {
        i++;
    }
    return l && i < l->points.n ? i : SIZE_MAX;
}

bool backlog_is_begun(const struct backlog *b, struct text key, struct point p)
{
    return b->begun.n > 0 && place_of(map_get(&b->begun, key), p) != SIZE_MAX;
}

void backlog_end(struct backlog *b, struct text key, struct point p)
{
    struct left_points *l = b->begun.n > 0 ? map_get(&b->begun, key) : NULL;
    size_t i;
    while ((i = place_of(l, p)) != SIZE_MAX) {
        l->points.p[i] = l->points.p[--l->points.n];
    }
    if (l && l->points.n == 0) {
        backlog_end_series(b, key);
    }
}

void backlog_end_series(struct backlog *b, struct text key)
{
    left_points_free(b->begun.n > 0 ? map_remove(&b->begun, key) : NULL);
}

void backlog_end_all(struct backlog *b)
{
    free_points(&b->begun);
}

/* --- writing --- */

static void put_list(struct buffer *out, const char *kind, struct text key,
                     const struct point *points, size_t n)
{
    buffer_cstring(out, kind);
    buffer_text(out, key);
    for (size_t i = 0; i < n; i++) {
        buffer_cstring(out, i == 0 ? "\t[" : ",");
        char *at = buffer_reserve(out, WBUF_ENTRY_BYTES);
        if (at) {
            buffer_advance(out, wbuf_print_entry(points[i], at));
        }
    }
    buffer_cstring(out, "]\n");
}

void backlog_put_points(struct backlog *b, struct text key, const struct point *points,
                        size_t n)
{
    if (backlog_is_open(b) && n > 0) {
        b->has_points = true;
        put_list(&b->out, "w\t", key, points, n);
    }
}

void backlog_put_begin(struct backlog *b, struct text key, const struct point *points,
                       size_t n)
{
    if (backlog_is_open(b) && n > 0) {
        put_list(&b->begins, "i\t", key, points, n);
    }
}

void backlog_put_begun(struct backlog *b)
{
    struct left_points *l;
    for (size_t i = 0; (l = map_next(&b->begun, &i));) {
        put_list(&b->out, "i\t", key_of(l), l->points.p, l->points.n);
    }
}

void backlog_put_end(struct backlog *b)
{
    buffer_cstring(&b->out, "e\t-\n");
    backlog_put_begun(b);
}

void backlog_put_device(struct backlog *b, struct text field, struct text value)
{
    if (!backlog_is_open(b)) {
        return;
    }
    buffer_cstring(&b->out, "d\t");
    buffer_text(&b->out, field);
    buffer_char(&b->out, '\t');
    buffer_text(&b->out, value);
    buffer_char(&b->out, '\n');
}

static void empty(struct buffer *out)
{
    buffer_clear(out);
    if (out->cap > KEPT_BYTES) {
        buffer_finish(out);
    }
}

static void give_back(struct backlog *b)
{
    empty(&b->out);
}

static void mark_unsynced(struct backlog *b, struct mono now)
{
    if (!b->unsynced) {
        b->unsynced = true;
        b->sync_at.us = now.us + SYNC_US;
    }
}

/* All of it, at `at`; errno says what went wrong. */
static bool write_at(int fd, struct text t, uint64_t at)
{
    while (t.n > 0) {
        ssize_t n = pwrite(fd, t.p, t.n, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        t.p += n;
        t.n -= (size_t)n;
        at += (uint64_t)n;
    }
    return true;
}

static void failed(struct backlog *b, struct mono now, const char *what)
{
    tell(b, now, what);
    b->stale = true;
    b->retry_at.us = now.us + RETRY_US;
    give_back(b);
}

bool backlog_is_renewal(const struct backlog *b, struct mono now)
{
    return b->stale ? now.us >= b->retry_at.us
                    : b->bytes + b->out.n > 2 * b->base + BACKLOG_SLACK_BYTES;
}

void backlog_begin_renewal(struct backlog *b)
{
    b->has_points = false;
    buffer_clear(&b->out);
}

void backlog_renew(struct backlog *b, struct mono now)
{
    size_t bytes = strlen(b->path) + sizeof(NEW_SUFFIX);
    char *path = malloc(bytes);
    errno = ENOMEM;
    if (!path || !buffer_ok(&b->out)) {
        free(path);
        failed(b, now, "renewing it");
        return;
    }
    (void)snprintf(path, bytes, "%s" NEW_SUFFIX, b->path);
    int fd = -1;
    errno = 0;
    if (b->out.n <= BACKLOG_BYTES_MAX) {
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    /* On disk before it takes the old one's place: what that held must not be lost to a
     * power cut. */
    if (fd >= 0 && write_at(fd, buffer_view(&b->out), 0) && fdatasync(fd) == 0 &&
        rename(path, b->path) == 0) {
        (void)close(b->fd);
        b->fd = fd;
        b->bytes = b->base = b->out.n;
        b->stale = b->unsynced = false;
        give_back(b);
    } else {
        failed(b, now, "renewing it");
        if (fd >= 0) {
            (void)close(fd);
            (void)unlink(path);
        }
    }
    free(path);
}

static void write_out(struct backlog *b, struct buffer *out, struct mono now)
{
    if (b->stale) {
        empty(out); /* the renewal will have it */
        return;
    }
    errno = ENOMEM;
    bool ok = buffer_ok(out);
    if (ok && b->bytes + out->n > BACKLOG_BYTES_MAX) {
        errno = 0;
        ok = false;
    }
    if (!ok || !write_at(b->fd, buffer_view(out), b->bytes)) {
        failed(b, now, "writing it");
        empty(out);
        (void)!ftruncate(b->fd, (off_t)b->bytes); /* else the torn line ends the next */
        return;
    }
    b->bytes += out->n;
    empty(out);
    mark_unsynced(b, now);
}

void backlog_write(struct backlog *b, struct mono now, uint64_t batch)
{
    char line[8 + NUMBER_BYTES];
    size_t n =
        batch > 0 ? (size_t)snprintf(line, sizeof line, "b\t%" PRIu64 "\n", batch) : 0;
    if (n > 0 && buffer_reserve(&b->out, n)) {
        memmove(b->out.p + n, b->out.p, b->out.n);
        memcpy(b->out.p, line, n);
        buffer_advance(&b->out, n);
    }
    write_out(b, &b->out, now);
}

void backlog_write_begins(struct backlog *b, struct mono now)
{
    if (b->begins.n > 0) {
        write_out(b, &b->begins, now);
    }
}

void backlog_empty(struct backlog *b, struct mono now)
{
    give_back(b);
    if (b->bytes > 0 && ftruncate(b->fd, 0) != 0) {
        tell(b, now, "emptying it");
        return;
    }
    b->bytes = b->base = 0;
    b->stale = b->has_points = false;
    b->unsynced = false; /* what a power cut brings back of it, Valkey has already */
}

void backlog_sync(struct backlog *b, struct mono now)
{
    if (b->unsynced && now.us >= b->sync_at.us) {
        b->unsynced = false;
        if (fdatasync(b->fd) != 0) {
            failed(b, now, "syncing it");
        }
    }
}
