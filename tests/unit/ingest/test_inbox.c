/* The inbox: what is put comes out, in order and whole; who waits, and until when
 * (SPEC 7.3). */
#include "../tap.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/counters.h"
#include "ingest/inbox.h"

#define PATIENCE_S 20 /* a condition that takes longer never comes */

static struct inbox *inbox_of(uint32_t limit, uint32_t payload_bytes_max)
{
    struct inbox *i = NULL;
    ck_assert_int_eq(inbox_new(limit, payload_bytes_max, &i), BRINK_OK);
    return i;
}

static void put(struct inbox *i, const char *topic, const char *payload)
{
    ck_assert_int_eq(
        inbox_put(i, text_of(topic), text_of(payload), 1, false, (struct mono){1}),
        BRINK_OK);
}

static bool readable(const struct inbox *i, int timeout_ms)
{
    struct pollfd p = {.fd = inbox_fd(i), .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define WAIT_FOR(condition)                                                              \
    do {                                                                                 \
        double until = seconds_now() + PATIENCE_S;                                       \
        while (!(condition)) {                                                           \
            ck_assert_msg(seconds_now() < until, "never came: " #condition);             \
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);                      \
        }                                                                                \
    } while (0)

START_TEST(test_message_comes_out_as_it_was_put)
{
    struct inbox *i = inbox_of(10, 100);
    struct inbox_message m;
    ck_assert(!inbox_take(i, &m));
    ck_assert_int_eq(inbox_put(i, TEXT("a/b"), TEXT("x\0y"), 2, true, (struct mono){-77}),
                     BRINK_OK);
    ck_assert_int_eq(inbox_put(i, TEXT(""), TEXT(""), 0, false, (struct mono){78}),
                     BRINK_OK);
    ck_assert_uint_eq(inbox_waiting(i), 2);
    ck_assert(inbox_take(i, &m));
    ck_assert(text_equal(m.topic, TEXT("a/b")));
    ck_assert(text_equal(m.payload, TEXT("x\0y")));
    ck_assert_int_eq(m.qos, 2);
    ck_assert_int_eq(m.arrived.us, -77);
    ck_assert(m.retained && !m.too_large);
    ck_assert(inbox_take(i, &m));
    ck_assert_uint_eq(m.topic.n + m.payload.n, 0);
    ck_assert(!m.retained && !m.too_large);
    ck_assert(!inbox_take(i, &m));
    ck_assert_uint_eq(inbox_waiting(i), 2);
    inbox_applied(i);
    ck_assert_uint_eq(inbox_waiting(i), 0);
    inbox_free(i);
}
END_TEST

START_TEST(test_payload_above_its_limit_is_not_kept)
{
    struct inbox *i = inbox_of(10, 4);
    struct inbox_message m;
    put(i, "t", "1234");
    put(i, "t", "12345");
    ck_assert(inbox_take(i, &m) && !m.too_large && m.payload.n == 4);
    ck_assert(inbox_take(i, &m) && m.too_large && m.payload.n == 0 && m.topic.n == 1);
    inbox_free(i);
}
END_TEST

START_TEST(test_payload_limit_above_mqtts_own_is_refused)
{
    struct inbox *i = NULL;
    ck_assert_int_eq(inbox_new(10, INBOX_PAYLOAD_BYTES_MAX + 1, &i), BRINK_E_RANGE);
    ck_assert_ptr_null(i);
}
END_TEST

static void grow(struct inbox *i, uint32_t payload_bytes_max)
{
    ck_assert_int_eq(inbox_reserve(i, payload_bytes_max), BRINK_OK);
    inbox_set_payload_max(i, payload_bytes_max);
}

START_TEST(test_payload_limit_grows_and_shrinks)
{
    static char room[300000];
    struct inbox *i = inbox_of(1000, 100);
    struct inbox_message m;
    ck_assert_int_eq(inbox_reserve(i, INBOX_PAYLOAD_BYTES_MAX + 1), BRINK_E_RANGE);
    for (uint32_t most = 1000; most <= sizeof room; most += 29900) {
        grow(i, most);
        /* Wherever in the ring the largest begins, it finds room: nobody else would make
         * any. */
        for (size_t shift = 0; shift < 300; shift++) {
            for (int k = 0; k < 3; k++) {
                struct text payload = {room, k == 0 ? shift % 700 : most + (k == 2)};
                ck_assert_int_eq(
                    inbox_put(i, TEXT("t"), payload, 0, false, (struct mono){0}),
                    BRINK_OK);
                expect(inbox_take(i, &m) && m.too_large == (k == 2) &&
                           (m.too_large || m.payload.n == payload.n),
                       "%zu", payload.n);
                inbox_applied(i);
            }
        }
    }
    inbox_set_payload_max(i, 10);
    put(i, "t", "12345678901");
    ck_assert(inbox_take(i, &m) && m.too_large);
    inbox_free(i);
}
END_TEST

START_TEST(test_what_waits_in_a_ring_stays_when_it_grows)
{
    static char room[100000];
    struct inbox *i = inbox_of(1000, 100);
    struct inbox_message first, second, third;
    put(i, "t", "first");
    grow(i, 50000);
    grow(i, 90000); /* before any message moved to the one between */
    put(i, "t", "second");
    ck_assert(inbox_take(i, &first) && inbox_take(i, &second));
    grow(i, sizeof room); /* and with messages taken but not applied */
    ck_assert_int_eq(inbox_put(i, TEXT("t"), (struct text){room, sizeof room}, 0, false,
                               (struct mono){0}),
                     BRINK_OK);
    ck_assert(inbox_take(i, &third) && !third.too_large);
    ck_assert_uint_eq(third.payload.n, sizeof room);
    ck_assert(text_equal(first.payload, TEXT("first")));
    ck_assert(text_equal(second.payload, TEXT("second")));
    inbox_applied(i);
    ck_assert_uint_eq(inbox_waiting(i), 0);
    put(i, "t", "left in it");
    grow(i, 600000); /* and freed with one that nobody moved to */
    inbox_free(i);
}
END_TEST

START_TEST(test_sleep_is_refused_while_something_waits)
{
    struct inbox *i = inbox_of(10, 100);
    struct inbox_message m;
    put(i, "t", "1");
    ck_assert(!inbox_sleep(i));
    ck_assert(inbox_take(i, &m));
    ck_assert(inbox_sleep(i)); /* taken, though not applied: nothing new is there */
    inbox_free(i);
}
END_TEST

START_TEST(test_put_wakes_a_sleeper_and_only_a_sleeper)
{
    struct inbox *i = inbox_of(10, 100);
    put(i, "t", "1");
    ck_assert(!readable(i, 0));
    struct inbox_message m;
    ck_assert(inbox_take(i, &m));
    ck_assert(inbox_sleep(i));
    put(i, "t", "2");
    ck_assert(readable(i, 0));
    inbox_awake(i);
    ck_assert(!readable(i, 0));
    put(i, "t", "3");
    ck_assert(!readable(i, 0));
    inbox_wake(i);
    ck_assert(readable(i, 0));
    inbox_awake(i);
    ck_assert(!readable(i, 0));
    inbox_free(i);
}
END_TEST

/* A producer of its own thread that puts `n` messages and says how far it is. */
struct producer {
    struct inbox *inbox;
    unsigned n, together; /* so many before it settles */
    atomic_uint returned;
    enum brink_status status; /* of the last one */
    pthread_t thread;
};

static void *produce(void *ctx)
{
    struct producer *p = ctx;
    for (unsigned k = 0; k < p->n && p->status == BRINK_OK; k++) {
        p->status =
            inbox_put(p->inbox, TEXT("t"), TEXT("payload"), 1, false, (struct mono){k});
        if (p->status == BRINK_OK && (k + 1) % p->together == 0) {
            p->status = inbox_settle(p->inbox);
        }
        atomic_fetch_add(&p->returned, 1);
    }
    return NULL;
}

static void producer_start(struct producer *p)
{
    ck_assert_int_eq(pthread_create(&p->thread, NULL, produce, p), 0);
}

START_TEST(test_settles_once_no_more_than_the_limit_are_unapplied)
{
    struct producer p = {.inbox = inbox_of(3, 100), .n = 5, .together = 1};
    struct inbox_message m;
    uint64_t waits = counter_value(COUNT_INBOX_FULL);
    producer_start(&p);
    WAIT_FOR(counter_value(COUNT_INBOX_FULL) == waits + 1);
    ck_assert_uint_eq(atomic_load(&p.returned), 3);
    ck_assert_uint_eq(inbox_waiting(p.inbox), 4);
    ck_assert(inbox_take(p.inbox, &m) && m.arrived.us == 0);
    inbox_applied(p.inbox);
    /* The fourth goes on; the fifth is in the ring, and waits in its turn. */
    WAIT_FOR(counter_value(COUNT_INBOX_FULL) == waits + 2);
    ck_assert_uint_eq(atomic_load(&p.returned), 4);
    for (unsigned k = 1; k < 5; k++) {
        ck_assert(inbox_take(p.inbox, &m) && m.arrived.us == k);
    }
    ck_assert_uint_eq(atomic_load(&p.returned), 4); /* taken is not applied */
    inbox_applied(p.inbox);
    pthread_join(p.thread, NULL);
    ck_assert_int_eq(p.status, BRINK_OK);
    ck_assert_uint_eq(atomic_load(&p.returned), 5);
    inbox_free(p.inbox);
}
END_TEST

START_TEST(test_limit_0_settles_when_its_own_message_is_applied)
{
    struct producer p = {.inbox = inbox_of(0, 100), .n = 2, .together = 1};
    uint64_t waits = counter_value(COUNT_INBOX_FULL);
    producer_start(&p);
    for (unsigned k = 0; k < 2; k++) {
        struct inbox_message m;
        WAIT_FOR(counter_value(COUNT_INBOX_FULL) == waits + k + 1);
        ck_assert_uint_eq(atomic_load(&p.returned), k);
        ck_assert(inbox_take(p.inbox, &m));
        ck_assert(!inbox_take(p.inbox, &m));
        ck_assert_uint_eq(atomic_load(&p.returned), k);
        inbox_applied(p.inbox);
        WAIT_FOR(atomic_load(&p.returned) == k + 1);
    }
    pthread_join(p.thread, NULL);
    ck_assert_int_eq(p.status, BRINK_OK);
    inbox_free(p.inbox);
}
END_TEST

START_TEST(test_messages_that_came_together_settle_together)
{
    struct producer p = {.inbox = inbox_of(0, 100), .n = 6, .together = 3};
    uint64_t waits = counter_value(COUNT_INBOX_FULL);
    producer_start(&p);
    for (unsigned round = 0; round < 2; round++) {
        struct inbox_message m;
        WAIT_FOR(counter_value(COUNT_INBOX_FULL) == waits + round + 1);
        ck_assert_uint_eq(inbox_waiting(p.inbox), 3);
        ck_assert(!inbox_is_settled(p.inbox));
        for (unsigned k = 0; k < 3; k++) {
            ck_assert_uint_eq(atomic_load(&p.returned), 3 * round + 2);
            ck_assert(inbox_take(p.inbox, &m));
            if (k < 2) {
                inbox_applied(p.inbox);
            }
        }
        inbox_applied(p.inbox);
        WAIT_FOR(atomic_load(&p.returned) >= 3 * round + 3);
    }
    pthread_join(p.thread, NULL);
    ck_assert_int_eq(p.status, BRINK_OK);
    ck_assert(inbox_is_settled(p.inbox));
    inbox_free(p.inbox);
}
END_TEST

START_TEST(test_full_ring_holds_the_producer_before_its_limit_does)
{
    enum { BIG = 60000 };
    static char big[BIG];
    struct inbox *i = inbox_of(100000, BIG);
    uint64_t waits = counter_value(COUNT_INBOX_FULL);
    unsigned n = 0;
    /* At least four of the largest go in without any wait. */
    for (; n < 4; n++) {
        ck_assert_int_eq(
            inbox_put(i, TEXT("t"), (struct text){big, BIG}, 1, false, (struct mono){0}),
            BRINK_OK);
    }
    ck_assert_uint_eq(counter_value(COUNT_INBOX_FULL), waits);
    struct producer p = {.inbox = i, .n = 10000, .together = 1};
    producer_start(&p);
    WAIT_FOR(counter_value(COUNT_INBOX_FULL) == waits + 1);
    struct inbox_message m;
    for (unsigned got = 0; got < n + p.n; got++) {
        WAIT_FOR(inbox_take(i, &m));
        inbox_applied(i);
    }
    pthread_join(p.thread, NULL);
    ck_assert_int_eq(p.status, BRINK_OK);
    inbox_free(i);
}
END_TEST

START_TEST(test_close_releases_the_producer_and_keeps_what_was_put)
{
    struct producer p = {.inbox = inbox_of(1, 100), .n = 5, .together = 1};
    struct inbox_message m;
    uint64_t waits = counter_value(COUNT_INBOX_FULL);
    producer_start(&p);
    WAIT_FOR(counter_value(COUNT_INBOX_FULL) == waits + 1);
    ck_assert(!inbox_is_closed(p.inbox));
    inbox_close(p.inbox);
    pthread_join(p.thread, NULL);
    ck_assert_int_eq(p.status, BRINK_E_STATE);
    ck_assert(inbox_is_closed(p.inbox));
    ck_assert(readable(p.inbox, 0));
    ck_assert_int_eq(
        inbox_put(p.inbox, TEXT("t"), TEXT("late"), 1, false, (struct mono){9}),
        BRINK_E_STATE);
    ck_assert(inbox_take(p.inbox, &m) && m.arrived.us == 0);
    ck_assert(inbox_take(p.inbox, &m) && m.arrived.us == 1);
    ck_assert(!inbox_take(p.inbox, &m));
    inbox_applied(p.inbox);
    inbox_free(p.inbox);
}
END_TEST

/* Message number k: both sides can make it, so the consumer knows what must come. */
static struct text nth(uint64_t k, size_t bytes_max, char *out, size_t *ret_topic_bytes)
{
    uint64_t r = (k + 1) * UINT64_C(0x9e3779b97f4a7c15);
    next_random(&r);
    size_t n = (size_t)(next_random(&r) % (bytes_max + 1));
    if (next_random(&r) % 4 != 0) {
        n %= 64; /* mostly small ones */
    }
    for (size_t b = 0; b < n; b++) {
        out[b] = (char)(r >> (8 * (b % 7)));
    }
    *ret_topic_bytes = n ? (size_t)(next_random(&r) % n) : 0;
    return (struct text){out, n};
}

static void check_nth(const struct inbox_message *m, uint64_t k, size_t bytes_max,
                      char *room)
{
    size_t topic_bytes;
    struct text all = nth(k, bytes_max, room, &topic_bytes);
    expect(m->arrived.us == (int64_t)k, "message %llu", (unsigned long long)k);
    struct text payload = {all.p + topic_bytes, all.n - topic_bytes};
    expect(text_equal(m->topic, (struct text){all.p, topic_bytes}), "topic %llu",
           (unsigned long long)k);
    expect(text_equal(m->payload, payload), "payload %llu", (unsigned long long)k);
}

static enum brink_status put_nth(struct inbox *i, uint64_t k, size_t bytes_max,
                                 char *room)
{
    size_t topic_bytes;
    struct text all = nth(k, bytes_max, room, &topic_bytes);
    return inbox_put(i, (struct text){all.p, topic_bytes},
                     (struct text){all.p + topic_bytes, all.n - topic_bytes}, 1, false,
                     (struct mono){(int64_t)k});
}

START_TEST(test_any_sizes_come_out_whole_at_the_rings_end)
{
    enum { BYTES = 30000, HELD = 6 };
    static char room[BYTES];
    struct inbox *i = inbox_of(UINT32_MAX, BYTES);
    struct inbox_message m;
    uint64_t random = 12345, put_n = 0, taken_n = 0;
    for (unsigned round = 0; round < 20000; round++) {
        /* Held back to what surely has room: this thread cannot wait for itself. */
        while (inbox_waiting(i) < HELD && next_random(&random) % 3 != 0) {
            ck_assert_int_eq(put_nth(i, put_n++, BYTES, room), BRINK_OK);
        }
        while (next_random(&random) % 4 != 0 && inbox_take(i, &m)) {
            check_nth(&m, taken_n++, BYTES, room);
        }
        if (next_random(&random) % 2 == 0) {
            inbox_applied(i);
        }
    }
    while (inbox_take(i, &m)) {
        check_nth(&m, taken_n++, BYTES, room);
    }
    ck_assert_uint_eq(put_n, taken_n);
    ck_assert_uint_gt(put_n, 10000);
    inbox_free(i);
}
END_TEST

struct hammer {
    struct inbox *inbox;
    uint64_t n;
    size_t bytes_max;
    enum brink_status status;
};

static void *hammer(void *ctx)
{
    struct hammer *h = ctx;
    char *room = malloc(h->bytes_max);
    for (uint64_t k = 0; room && k < h->n && h->status == BRINK_OK; k++) {
        h->status = put_nth(h->inbox, k, h->bytes_max, room);
        /* Alone or several together. */
        if (h->status == BRINK_OK && (k % 3 != 0 || k + 1 == h->n)) {
            h->status = inbox_settle(h->inbox);
        }
    }
    free(room);
    return NULL;
}

static const struct {
    uint32_t limit;
    size_t bytes_max;
    uint64_t n;
} hammers[] = {{0, 200, 5000},     {1, 200, 10000},      {7, 60, 30000},
               {1024, 60, 200000}, {1024, 60000, 10000}, {UINT32_MAX, 60, 200000}};

START_TEST(test_no_wake_up_is_lost_between_two_threads)
{
    struct hammer h = {.inbox = inbox_of(hammers[_i].limit, 60000),
                       .n = hammers[_i].n,
                       .bytes_max = hammers[_i].bytes_max};
    static char room[60000];
    pthread_t thread;
    uint64_t taken = 0, random = 99;
    ck_assert_int_eq(pthread_create(&thread, NULL, hammer, &h), 0);
    while (taken < h.n) {
        struct inbox_message m;
        /* Batches of many sizes, some applied only in part. */
        uint64_t batch = 1 + next_random(&random) % 100, got = 0;
        while (got < batch && inbox_take(h.inbox, &m)) {
            check_nth(&m, taken++, h.bytes_max, room);
            got++;
        }
        inbox_applied(h.inbox);
        if (got == 0 && inbox_sleep(h.inbox)) {
            ck_assert_msg(readable(h.inbox, PATIENCE_S * 1000),
                          "slept through a message");
            inbox_awake(h.inbox);
        }
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(h.status, BRINK_OK);
    ck_assert_uint_eq(inbox_waiting(h.inbox), 0);
    inbox_free(h.inbox);
}
END_TEST

START_TEST(test_ring_grows_between_two_threads)
{
    enum { N = 20000 };
    struct hammer h = {.inbox = inbox_of(50, 100), .n = N, .bytes_max = 60000};
    static char room[60000];
    pthread_t thread;
    uint64_t random = 7, large = 0;
    uint32_t limit = 100;
    ck_assert_int_eq(pthread_create(&thread, NULL, hammer, &h), 0);
    for (uint64_t taken = 0; taken < N;) {
        struct inbox_message m;
        for (uint64_t batch = next_random(&random) % 40; batch > 0 && taken < N;
             batch--) {
            if (!inbox_take(h.inbox, &m)) {
                break;
            }
            if (m.too_large) {
                /* What was put before the last limit is through by then. */
                expect(taken < N / 2 + 100, "message %llu", (unsigned long long)taken);
                large++;
                expect(m.arrived.us == (int64_t)taken, "message %llu",
                       (unsigned long long)taken);
                taken++;
            } else {
                check_nth(&m, taken++, h.bytes_max, room);
            }
        }
        uint32_t due =
            taken < N / 2 ? 100 + (uint32_t)(taken / 200) * 997 : (uint32_t)h.bytes_max;
        if (due > limit) {
            limit = due;
            grow(h.inbox, limit);
        }
        inbox_applied(h.inbox);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(h.status, BRINK_OK);
    ck_assert_uint_gt(large, 0);
    inbox_free(h.inbox);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("inbox");
    TCase *t = tcase_create("inbox");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_message_comes_out_as_it_was_put);
    tcase_add_test(t, test_payload_above_its_limit_is_not_kept);
    tcase_add_test(t, test_payload_limit_above_mqtts_own_is_refused);
    tcase_add_test(t, test_payload_limit_grows_and_shrinks);
    tcase_add_test(t, test_what_waits_in_a_ring_stays_when_it_grows);
    tcase_add_test(t, test_sleep_is_refused_while_something_waits);
    tcase_add_test(t, test_put_wakes_a_sleeper_and_only_a_sleeper);
    tcase_add_test(t, test_settles_once_no_more_than_the_limit_are_unapplied);
    tcase_add_test(t, test_limit_0_settles_when_its_own_message_is_applied);
    tcase_add_test(t, test_messages_that_came_together_settle_together);
    tcase_add_test(t, test_full_ring_holds_the_producer_before_its_limit_does);
    tcase_add_test(t, test_close_releases_the_producer_and_keeps_what_was_put);
    tcase_add_test(t, test_any_sizes_come_out_whole_at_the_rings_end);
    tcase_add_loop_test(t, test_no_wake_up_is_lost_between_two_threads, 0,
                        (int)(sizeof hammers / sizeof *hammers));
    tcase_add_test(t, test_ring_grows_between_two_threads);
    suite_add_tcase(s, t);
    return run_tap(s);
}
