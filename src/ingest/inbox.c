#include "ingest/inbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/counters.h"
#include "model/topic.h"

#define RING_BYTES_MIN ((size_t)256 * 1024)
#define RING_RECORDS_MIN 4u
#define CACHE_LINE 64

/* A record: this, the topic, the payload, up to a multiple of RECORD_ALIGN. A record
 * never wraps: what is left at the ring's end is filled by a record of kind PAD, of which
 * only the first RECORD_ALIGN bytes are sure to have room. A record of kind MOVE, of
 * RECORD_ALIGN bytes, is a ring's last: what follows stands in the next ring. */
#define RECORD_ALIGN 8u
enum {
    RECORD_PAD = 1 << 0,
    RECORD_RETAINED = 1 << 1,
    RECORD_TOO_LARGE = 1 << 2,
    RECORD_MOVE = 1 << 3
};

struct record_start {
    uint32_t flags;
    uint32_t qos;
};

struct record {
    struct record_start start;
    uint32_t topic_bytes, payload_bytes;
    int64_t arrived_us;
};

struct ring {
    struct ring *next; /* the larger one that took over */
    size_t size;
    unsigned char bytes[];
};

static_assert(sizeof(struct record_start) <= RECORD_ALIGN, "a pad must fit");
static_assert(sizeof(struct record) % RECORD_ALIGN == 0, "topics start aligned");
static_assert(offsetof(struct ring, bytes) % RECORD_ALIGN == 0, "records are aligned");

/* How nobody sleeps through a wake-up: who is about to sleep first says so (a flag), then
 * looks once more; who has news first publishes it, then looks at the flag. All four are
 * sequentially consistent, so at least one of the two sees the other. */
struct inbox {
    uint32_t limit;
    _Atomic uint32_t payload_bytes_max;
    _Atomic(struct ring *) larger; /* for the producer to move to; NULL: none */
    size_t reserved; /* size of the newest ring; of the thread that reserves */
    int fd;
    atomic_bool closed;

    /* The slow path of a producer that must wait. */
    pthread_mutex_t lock;
    pthread_cond_t went_on;

    /* Positions and numbers only grow; they wrap around with size_t and are only ever
     * subtracted from each other. */
    alignas(CACHE_LINE) atomic_size_t head; /* bytes ever written */
    atomic_size_t put;                      /* messages ever put */
    struct ring *write_to;                  /* these two: producer only */
    size_t write_at;                        /* offset in the ring */

    alignas(CACHE_LINE) atomic_size_t tail; /* bytes ever given back */
    atomic_size_t applied;                  /* messages ever applied */
    struct ring *oldest, *read_from;        /* these six: consumer only */
    size_t read_at;                         /* offset in the ring */
    size_t seen_head, taken_bytes, taken;

    alignas(CACHE_LINE) atomic_bool consumer_sleeps;
    atomic_bool producer_waits;
};

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t record_size(size_t topic_bytes, size_t payload_bytes)
{
    return round_up(sizeof(struct record) + topic_bytes + payload_bytes, RECORD_ALIGN);
}

static struct ring *ring_new(uint32_t payload_bytes_max)
{
    /* Just above 1 GiB at most. */
    size_t size = RING_RECORDS_MIN * record_size(TOPIC_BYTES_MAX, payload_bytes_max);
    size = size < RING_BYTES_MIN ? RING_BYTES_MIN : size;
    /* Not cleared: a page that no message ever reached costs nothing. */
    struct ring *r = malloc(sizeof *r + size);
    if (r) {
        r->next = NULL;
        r->size = size;
    }
    return r;
}

enum brink_status inbox_new(uint32_t limit, uint32_t payload_bytes_max,
                            struct inbox **ret_inbox)
{
    if (payload_bytes_max > INBOX_PAYLOAD_BYTES_MAX) {
        return BRINK_E_RANGE;
    }
    enum brink_status status = BRINK_E_NOMEM;
    struct inbox *i = aligned_alloc(CACHE_LINE, sizeof *i);
    if (!i) {
        return status;
    }
    memset(i, 0, sizeof *i);
    i->limit = limit;
    atomic_store(&i->payload_bytes_max, payload_bytes_max);
    struct ring *ring = ring_new(payload_bytes_max);
    if (!ring) {
        goto no_ring;
    }
    i->write_to = i->read_from = i->oldest = ring;
    i->reserved = ring->size;
    i->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (i->fd < 0) {
        status = BRINK_E_IO;
        goto no_fd;
    }
    if (pthread_mutex_init(&i->lock, NULL) != 0) {
        goto no_lock;
    }
    if (pthread_cond_init(&i->went_on, NULL) != 0) {
        goto no_cond;
    }
    *ret_inbox = i;
    return BRINK_OK;

no_cond:
    pthread_mutex_destroy(&i->lock);
no_lock:
    close(i->fd);
no_fd:
    free(ring);
no_ring:
    free(i);
    return status;
}

/* The oldest rings, up to this one. */
static void free_rings(struct inbox *i, const struct ring *end)
{
    while (i->oldest != end) {
        struct ring *next = i->oldest->next;
        free(i->oldest);
        i->oldest = next;
    }
}

void inbox_free(struct inbox *i)
{
    if (!i) {
        return;
    }
    pthread_cond_destroy(&i->went_on);
    pthread_mutex_destroy(&i->lock);
    close(i->fd);
    free(atomic_load(&i->larger));
    free_rings(i, NULL);
    free(i);
}

/* The producer's. What is still in a ring it moved away from counts as well. */
static bool has_room(const struct inbox *i, size_t need)
{
    size_t used = atomic_load_explicit(&i->head, memory_order_relaxed) -
                  atomic_load_explicit(&i->tail, memory_order_seq_cst);
    return i->write_to->size - used >= need;
}

static bool within_limit(const struct inbox *i, size_t limit)
{
    return atomic_load_explicit(&i->put, memory_order_relaxed) -
               atomic_load_explicit(&i->applied, memory_order_seq_cst) <=
           limit;
}

/* Waits until ready(i, n) or until the inbox is closed; false: closed. */
static bool wait_until(struct inbox *i, bool (*ready)(const struct inbox *, size_t),
                       size_t n)
{
    if (ready(i, n)) {
        return true;
    }
    count(COUNT_INBOX_FULL);
    bool is_ready;
    pthread_mutex_lock(&i->lock);
    atomic_store(&i->producer_waits, true);
    while (!(is_ready = ready(i, n)) && !atomic_load(&i->closed)) {
        pthread_cond_wait(&i->went_on, &i->lock);
    }
    atomic_store(&i->producer_waits, false);
    pthread_mutex_unlock(&i->lock);
    return is_ready;
}

/* Where a record of `size` bytes goes; fills the ring's end if it does not fit there. The
 * room for both was waited for. */
static unsigned char *place_record(struct inbox *i, size_t size, size_t pad)
{
    if (pad > 0) {
        struct record_start start = {.flags = RECORD_PAD};
        memcpy(i->write_to->bytes + i->write_at, &start, sizeof start);
        i->write_at = 0;
    }
    unsigned char *to = i->write_to->bytes + i->write_at;
    i->write_at += size;
    if (i->write_at == i->write_to->size) {
        i->write_at = 0;
    }
    return to;
}

static void copy_text(unsigned char *to, struct text t)
{
    if (t.n > 0) {
        memcpy(to, t.p, t.n);
    }
}

enum brink_status inbox_reserve(struct inbox *i, uint32_t payload_bytes_max)
{
    if (payload_bytes_max > INBOX_PAYLOAD_BYTES_MAX) {
        return BRINK_E_RANGE;
    }
    /* A record and the pad before it must fit together: half the ring is the most. */
    if (record_size(TOPIC_BYTES_MAX, payload_bytes_max) <= i->reserved / 2) {
        return BRINK_OK;
    }
    struct ring *larger = ring_new(payload_bytes_max);
    if (!larger) {
        return BRINK_E_NOMEM;
    }
    i->reserved = larger->size;
    free(atomic_exchange(&i->larger, larger)); /* one that no message moved to */
    return BRINK_OK;
}

void inbox_set_payload_max(struct inbox *i, uint32_t payload_bytes_max)
{
    atomic_store(&i->payload_bytes_max, payload_bytes_max);
}

/* Goes on in a larger ring if there is one. The bytes that it took in the old one, to be
 * published with the message; false: closed. */
static bool move(struct inbox *i, size_t *ret_bytes)
{
    *ret_bytes = 0;
    if (!atomic_load_explicit(&i->larger, memory_order_relaxed)) {
        return true;
    }
    if (!wait_until(i, has_room, RECORD_ALIGN)) {
        return false;
    }
    struct record_start start = {.flags = RECORD_MOVE};
    memcpy(i->write_to->bytes + i->write_at, &start, sizeof start);
    i->write_to->next = atomic_exchange(&i->larger, NULL);
    i->write_to = i->write_to->next;
    i->write_at = 0;
    *ret_bytes = RECORD_ALIGN;
    return true;
}

enum brink_status inbox_put(struct inbox *i, struct text topic, struct text payload,
                            int qos, bool retained, struct mono now)
{
    if (topic.n > TOPIC_BYTES_MAX) {
        return BRINK_E_RANGE;
    }
    if (inbox_is_closed(i)) {
        return BRINK_E_STATE;
    }
    struct record record = {
        .start = {.flags = retained ? RECORD_RETAINED : 0, .qos = (uint32_t)qos},
        .topic_bytes = (uint32_t)topic.n,
        .arrived_us = now.us,
    };
    /* Before the move: whoever sees a new limit also sees the ring that goes with it. */
    if (payload.n > atomic_load_explicit(&i->payload_bytes_max, memory_order_acquire)) {
        record.start.flags |= RECORD_TOO_LARGE;
        payload.n = 0;
    }
    record.payload_bytes = (uint32_t)payload.n;

    size_t moved;
    if (!move(i, &moved)) {
        return BRINK_E_STATE;
    }
    size_t size = record_size(topic.n, payload.n);
    size_t left = i->write_to->size - i->write_at;
    size_t pad = size > left ? left : 0;
    if (!wait_until(i, has_room, moved + pad + size)) {
        return BRINK_E_STATE;
    }
    unsigned char *to = place_record(i, size, pad);
    memcpy(to, &record, sizeof record);
    copy_text(to + sizeof record, topic);
    copy_text(to + sizeof record + topic.n, payload);

    /* One writer: load and store instead of a locked addition. */
    size_t put = atomic_load_explicit(&i->put, memory_order_relaxed);
    atomic_store_explicit(&i->put, put + 1, memory_order_relaxed);
    size_t head = atomic_load_explicit(&i->head, memory_order_relaxed);
    atomic_store(&i->head, head + moved + pad + size);
    if (atomic_load(&i->consumer_sleeps) && atomic_exchange(&i->consumer_sleeps, false)) {
        inbox_wake(i);
    }
    return BRINK_OK;
}

bool inbox_is_settled(const struct inbox *i)
{
    return within_limit(i, i->limit);
}

enum brink_status inbox_settle(struct inbox *i)
{
    return wait_until(i, within_limit, i->limit) ? BRINK_OK : BRINK_E_STATE;
}

bool inbox_take(struct inbox *i, struct inbox_message *ret_message)
{
    if (i->seen_head == i->taken_bytes) {
        /* The other's cache line is touched only once what was known of is used up. */
        i->seen_head = atomic_load_explicit(&i->head, memory_order_acquire);
        if (i->seen_head == i->taken_bytes) {
            return false;
        }
    }
    struct record_start start;
    memcpy(&start, i->read_from->bytes + i->read_at, sizeof start);
    if (start.flags & RECORD_MOVE) {
        /* Published together with the message behind it, which is at the new one's start.
         */
        i->taken_bytes += RECORD_ALIGN;
        i->read_from = i->read_from->next;
        i->read_at = 0;
    } else if (start.flags & RECORD_PAD) {
        i->taken_bytes += i->read_from->size - i->read_at;
        i->read_at = 0;
    }
    struct record record;
    const unsigned char *from = i->read_from->bytes + i->read_at;
    memcpy(&record, from, sizeof record);
    const char *topic = (const char *)from + sizeof record;
    *ret_message = (struct inbox_message){
        .topic = {topic, record.topic_bytes},
        .payload = {topic + record.topic_bytes, record.payload_bytes},
        .arrived = {record.arrived_us},
        .qos = (int)record.start.qos,
        .retained = (record.start.flags & RECORD_RETAINED) != 0,
        .too_large = (record.start.flags & RECORD_TOO_LARGE) != 0,
    };
    size_t size = record_size(record.topic_bytes, record.payload_bytes);
    i->taken_bytes += size;
    i->taken++;
    i->read_at += size;
    if (i->read_at == i->read_from->size) {
        i->read_at = 0;
    }
    return true;
}

/* The lock is what makes sure that a producer that said it waits is inside its wait. */
static void wake_producer(struct inbox *i)
{
    pthread_mutex_lock(&i->lock);
    pthread_cond_signal(&i->went_on);
    pthread_mutex_unlock(&i->lock);
}

void inbox_applied(struct inbox *i)
{
    if (atomic_load_explicit(&i->applied, memory_order_relaxed) == i->taken) {
        return;
    }
    free_rings(i, i->read_from); /* nobody looks at those any more */
    atomic_store(&i->tail, i->taken_bytes);
    atomic_store(&i->applied, i->taken);
    if (atomic_load(&i->producer_waits)) {
        wake_producer(i);
    }
}

bool inbox_sleep(struct inbox *i)
{
    atomic_store(&i->consumer_sleeps, true);
    if (atomic_load(&i->head) == i->taken_bytes) {
        return true;
    }
    atomic_store(&i->consumer_sleeps, false);
    return false;
}

void inbox_awake(struct inbox *i)
{
    atomic_store(&i->consumer_sleeps, false);
    uint64_t wakes;
    while (read(i->fd, &wakes, sizeof wakes) < 0 && errno == EINTR) {}
}

int inbox_fd(const struct inbox *i)
{
    return i->fd;
}

void inbox_wake(struct inbox *i)
{
    const uint64_t one = 1;
    int error = errno;
    /* The only other failure is a counter at its maximum: then the fd is readable
     * already. */
    while (write(i->fd, &one, sizeof one) < 0 && errno == EINTR) {}
    errno = error;
}

void inbox_close(struct inbox *i)
{
    atomic_store(&i->closed, true);
    wake_producer(i);
    inbox_wake(i);
}

bool inbox_is_closed(const struct inbox *i)
{
    return atomic_load_explicit(&i->closed, memory_order_acquire);
}

size_t inbox_waiting(const struct inbox *i)
{
    /* In this order, so that the difference is never below 0. */
    size_t applied = atomic_load_explicit(&i->applied, memory_order_acquire);
    return atomic_load_explicit(&i->put, memory_order_relaxed) - applied;
}
