#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../tap.h"
#include "outbox/queue.h"

static struct queue *q;
static struct mono now;

static void setup(void)
{
    ck_assert_int_eq(queue_new(&q), BRINK_OK);
    now.us = 1000 * US_PER_S;
}

static void teardown(void)
{
    queue_free(q);
}

static void add_event(uint64_t id, const char *topic, bool retain)
{
    struct outbox_event e = {.id = id,
                             .topic = text_of(topic),
                             .payload = TEXT("p"),
                             .qos = 1,
                             .retain = retain};
    ck_assert_int_eq(queue_add(q, &e), BRINK_OK);
}

static void add(uint64_t id, const char *topic)
{
    add_event(id, topic, false);
}

/* The next one must be that. */
static struct queued *next(uint64_t id)
{
    struct queued *e = queue_next(q, now);
    ck_assert_msg(e, "nothing to send, expected %d", (int)id);
    ck_assert_uint_eq(queue_event(e)->id, id);
    return e;
}

static void nothing(void)
{
    struct queued *e = queue_next(q, now);
    ck_assert_msg(!e, "unexpected %d", (int)queue_event(e)->id);
}

START_TEST(test_events_go_in_order_and_a_window_at_a_time)
{
    struct queued *sent[QUEUE_WINDOW];
    for (uint64_t i = 1; i <= QUEUE_WINDOW + 2; i++) {
        add(i, "t");
    }
    for (uint64_t i = 0; i < QUEUE_WINDOW; i++) {
        sent[i] = next(i + 1);
    }
    nothing();
    queue_delivered(q, sent[1]); /* the broker may answer in any order */
    struct queued *last = next(QUEUE_WINDOW + 1);
    nothing();
    queue_delivered(q, sent[0]);
    queue_delivered(q, last);
    (void)next(QUEUE_WINDOW + 2);
    ck_assert_uint_eq(queue_in_flight(q), QUEUE_WINDOW - 1);
    ck_assert_int_eq(queue_due(q).us, INT64_MAX);
}
END_TEST

START_TEST(test_topic_is_a_copy_with_an_end)
{
    char topic[] = "abc";
    struct outbox_event e = {
        .id = 1, .topic = {topic, 2}, .payload = {NULL, 0}, .qos = 0};
    ck_assert_int_eq(queue_add(q, &e), BRINK_OK);
    topic[0] = 'x';
    ck_assert_str_eq(queue_event(next(1))->topic.p, "ab");
}
END_TEST

START_TEST(test_refused_topic_waits_and_others_go_on)
{
    add(1, "bad");
    add(2, "good");
    add(3, "bad");
    struct queued *bad = next(1), *good = next(2);
    queue_refused(q, bad, now);
    ck_assert_uint_eq(queue_blocked(q), 1);
    nothing(); /* 3 waits behind 1 */
    ck_assert_uint_eq(queue_blocked(q), 2);
    add(4, "good");
    queue_delivered(q, good);
    good = next(4);
    queue_delivered(q, good);
    nothing();

    int64_t pause = queue_due(q).us - now.us;
    ck_assert_int_ge(pause, QUEUE_REFUSED_MIN_US / 2);
    ck_assert_int_le(pause, QUEUE_REFUSED_MIN_US);
    now = queue_due(q);
    bad = next(1);
    ck_assert(queue_is_retry(bad));
    nothing();
    queue_refused(q, bad, now); /* again: the pause grows */
    pause = queue_due(q).us - now.us;
    ck_assert_int_ge(pause, QUEUE_REFUSED_MIN_US);
    now = queue_due(q);
    queue_delivered(q, next(1));
    ck_assert_uint_eq(queue_blocked(q), 0);
    struct queued *third = next(3);
    ck_assert(!queue_is_retry(third));
    queue_delivered(q, third);
    nothing();
}
END_TEST

START_TEST(test_refusals_of_one_topic_in_flight_together_keep_their_order)
{
    add(1, "bad");
    add(2, "bad");
    add(3, "bad");
    struct queued *a = next(1), *b = next(2), *c = next(3);
    queue_refused(q, b, now);
    queue_refused(q, c, now);
    queue_refused(q, a, now);
    ck_assert_uint_eq(queue_blocked(q), 3);
    now.us += QUEUE_REFUSED_MAX_US;
    queue_delivered(q, next(1));
    queue_delivered(q, next(2));
    queue_delivered(q, next(3));
    nothing();
}
END_TEST

START_TEST(test_dropped_event_frees_its_topic)
{
    add(1, "t");
    add(2, "t");
    queue_refused(q, next(1), now);
    nothing();
    now.us += QUEUE_REFUSED_MAX_US;
    queue_dropped(q, next(1));
    queue_delivered(q, next(2));
    nothing();
}
END_TEST

START_TEST(test_after_a_loss_all_unanswered_go_again_in_order)
{
    for (uint64_t i = 1; i <= 5; i++) {
        add(i, "t");
    }
    struct queued *e[4];
    for (uint64_t i = 0; i < 4; i++) {
        e[i] = next(i + 1);
    }
    queue_delivered(q, e[1]);
    ck_assert_uint_eq(queue_connection_lost(q, now), 0);
    ck_assert_uint_eq(queue_in_flight(q), 0);
    struct queued *first = next(1);
    nothing(); /* one at a time until an answer comes */
    queue_delivered(q, first);
    (void)next(3);
    (void)next(4);
    (void)next(5);
    nothing();
}
END_TEST

START_TEST(test_event_not_sent_goes_to_its_place)
{
    add(1, "a");
    add(2, "b");
    struct queued *a = next(1);
    queue_not_sent(q, a);
    a = next(1);
    ck_assert(!queue_is_retry(a));
    (void)next(2);
}
END_TEST

/* Breaks the connection with whatever is in flight; the first must be `id`. */
static size_t break_with(uint64_t id)
{
    (void)next(id);
    while (queue_next(q, now)) {}
    return queue_connection_lost(q, now);
}

START_TEST(test_one_that_broke_the_connection_five_times_yields_to_the_next)
{
    add_event(1, "poison", true);
    add(2, "t");
    add(3, "poison");
    for (int i = 1; i < QUEUE_STRIKES_MAX; i++) {
        ck_assert_uint_eq(break_with(1), 0);
    }
    ck_assert_uint_eq(break_with(1), 1);
    ck_assert_uint_eq(queue_blocked(q), 1);
    queue_delivered(q, next(2));
    queue_delivered(q, next(3));
    nothing();
    /* Later it goes again: alone, after what is in flight. */
    add(4, "t");
    struct queued *four = next(4);
    now = queue_due(q);
    nothing();
    queue_delivered(q, four);
    struct queued *poison = next(1);
    /* What was retained after it stays. */
    ck_assert(!queue_event(poison)->retain);
    add(5, "t");
    nothing();
    ck_assert_uint_eq(queue_connection_lost(q, now), 0); /* told once */
    int64_t pause = queue_due(q).us - now.us;
    ck_assert_int_gt(pause, QUEUE_YIELD_MIN_US / 2);
    queue_delivered(q, next(5));
    now = queue_due(q);
    queue_delivered(q, next(1)); /* and in the end it got through */
    nothing();
    ck_assert_int_eq(queue_due(q).us, INT64_MAX);
}
END_TEST

START_TEST(test_innocent_events_behind_get_no_strike)
{
    add(1, "poison");
    add(2, "t");
    for (int i = 0; i < QUEUE_STRIKES_MAX; i++) {
        (void)break_with(1);
    }
    /* 2 was in flight each time; four further breaks of its own do not make it yield. */
    for (int i = 1; i < QUEUE_STRIKES_MAX; i++) {
        ck_assert_uint_eq(break_with(2), 0);
    }
    ck_assert_uint_eq(break_with(2), 1);
}
END_TEST

START_TEST(test_loss_with_a_refused_event_in_flight_keeps_its_topic_in_order)
{
    add(1, "t");
    add(2, "t");
    queue_refused(q, next(1), now);
    nothing();
    now.us += QUEUE_REFUSED_MAX_US;
    (void)next(1);
    (void)queue_connection_lost(q, now);
    struct queued *e = next(1);
    nothing();
    queue_delivered(q, e);
    queue_delivered(q, next(2));
}
END_TEST

START_TEST(test_refused_event_that_breaks_connections_frees_its_topic_as_it_yields)
{
    add(1, "t");
    add(2, "t");
    queue_refused(q, next(1), now);
    nothing();
    now.us += QUEUE_REFUSED_MAX_US;
    for (int i = 0; i < QUEUE_STRIKES_MAX; i++) {
        (void)next(1);
        (void)queue_connection_lost(q, now);
    }
    queue_delivered(q, next(2));
    now = queue_due(q);
    queue_delivered(q, next(1));
}
END_TEST

/* A broker that answers, refuses, drops and breaks at random. In the end everything was
 * delivered exactly once as far as the queue can tell, and each topic in its order as
 * long as nothing yielded. */
START_TEST(test_everything_is_delivered_whatever_happens)
{
    enum { N = 400, TOPICS = 7 };
    uint64_t random = (uint64_t)_i + 1;
    bool breaks = _i % 2;
    unsigned delivered[N + 1] = {0};
    uint64_t last_of[TOPICS] = {0};
    struct queued *flight[QUEUE_WINDOW];
    size_t n_flight = 0, n_done = 0;
    uint64_t added = 0;
    for (int turns = 0; n_done < N; turns++) {
        expect(turns < 1000000, "only %zu delivered", n_done);
        now.us += (int64_t)(next_random(&random) % (2 * US_PER_S));
        for (uint64_t n = next_random(&random) % 4; n > 0 && added < N; n--) {
            char topic[8];
            added++;
            (void)snprintf(topic, sizeof(topic), "%d",
                           (int)(next_random(&random) % TOPICS));
            add(added, topic);
        }
        struct queued *e;
        while ((e = queue_next(q, now))) {
            expect(n_flight < QUEUE_WINDOW, "window");
            flight[n_flight++] = e;
        }
        expect(queue_in_flight(q) == n_flight, "count");
        if (breaks && next_random(&random) % 8 == 0) {
            (void)queue_connection_lost(q, now);
            n_flight = 0;
        }
        for (uint64_t n = next_random(&random) % 5; n > 0 && n_flight > 0; n--) {
            e = flight[0];
            memmove(flight, flight + 1, --n_flight * sizeof(e));
            const struct outbox_event *event = queue_event(e);
            if (next_random(&random) % 4 == 0) {
                queue_refused(q, e, now);
                continue;
            }
            expect(delivered[event->id]++ == 0, "%d twice", (int)event->id);
            size_t topic = (size_t)(event->topic.p[0] - '0');
            /* In flight together, a later one may pass one that is refused; never
             * otherwise. */
            expect(breaks || event->id > last_of[topic] || queue_is_retry(e), "order");
            last_of[topic] = event->id > last_of[topic] ? event->id : last_of[topic];
            n_done++;
            queue_delivered(q, e);
        }
    }
    nothing();
    ck_assert_uint_eq(queue_blocked(q), 0);
}
END_TEST

static Suite *queue_suite(void)
{
    Suite *s = suite_create("sender's queue");
    TCase *t = tcase_create("queue");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_events_go_in_order_and_a_window_at_a_time);
    tcase_add_test(t, test_topic_is_a_copy_with_an_end);
    tcase_add_test(t, test_refused_topic_waits_and_others_go_on);
    tcase_add_test(t, test_refusals_of_one_topic_in_flight_together_keep_their_order);
    tcase_add_test(t, test_dropped_event_frees_its_topic);
    tcase_add_test(t, test_after_a_loss_all_unanswered_go_again_in_order);
    tcase_add_test(t, test_event_not_sent_goes_to_its_place);
    tcase_add_test(t, test_one_that_broke_the_connection_five_times_yields_to_the_next);
    tcase_add_test(t, test_innocent_events_behind_get_no_strike);
    tcase_add_test(t, test_loss_with_a_refused_event_in_flight_keeps_its_topic_in_order);
    tcase_add_test(
        t, test_refused_event_that_breaks_connections_frees_its_topic_as_it_yields);
    tcase_add_loop_test(t, test_everything_is_delivered_whatever_happens, 0, 40);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(queue_suite());
}
