/* Questions from other threads: each is answered once, on the one thread that may. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "../tap.h"
#include "gateway/ask.h"

struct desk {
    struct ask ask;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken, stop;
};

static void wake(void *ctx)
{
    struct desk *d = ctx;
    pthread_mutex_lock(&d->lock);
    d->woken = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void *answer(void *ctx)
{
    struct desk *d = ctx;
    for (;;) {
        pthread_mutex_lock(&d->lock);
        while (!d->woken && !d->stop) {
            pthread_cond_wait(&d->changed, &d->lock);
        }
        d->woken = false;
        bool stop = d->stop;
        pthread_mutex_unlock(&d->lock);
        if (stop) {
            return NULL;
        }
        ask_answer(&d->ask, NULL, (struct instant){{7}, {8}});
    }
}

static void desk_open(struct desk *d)
{
    *d = (struct desk){.woken = false};
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    ck_assert_int_eq(ask_init(&d->ask, wake, d), BRINK_OK);
    ask_open(&d->ask);
}

static void desk_serve(struct desk *d)
{
    ck_assert_int_eq(pthread_create(&d->thread, NULL, answer, d), 0);
}

static void desk_close(struct desk *d, bool serving)
{
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (serving) {
        pthread_join(d->thread, NULL);
    }
    ask_close(&d->ask);
    ask_finish(&d->ask);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
}

/* Plain memory: only one thread may be at it at a time. */
struct tally {
    int64_t sum;
    bool within;
};

struct item {
    struct tally *tally;
    int64_t add, seen_mono;
};

static void count_up(void *ctx, struct pipeline *p, struct instant now)
{
    struct item *item = ctx;
    (void)p;
    ck_assert(!item->tally->within);
    item->tally->within = true;
    item->tally->sum += item->add;
    item->seen_mono = now.mono.us;
    item->tally->within = false;
}

struct asker {
    struct desk *desk;
    struct tally *tally;
    int64_t asked;
};

static void *ask_often(void *ctx)
{
    struct asker *a = ctx;
    for (int n = 1; n <= 500; n++) {
        struct item item = {a->tally, n, 0};
        ck_assert_int_eq(ask_run(&a->desk->ask, count_up, &item, 60 * US_PER_S),
                         BRINK_OK);
        ck_assert_int_eq(item.seen_mono, 7);
        a->asked += n;
    }
    return NULL;
}

START_TEST(test_each_question_is_answered_once_and_alone)
{
    struct desk desk;
    struct tally tally = {0};
    struct asker askers[8];
    pthread_t threads[8];
    int64_t asked = 0;
    desk_open(&desk);
    desk_serve(&desk);
    for (size_t i = 0; i < 8; i++) {
        askers[i] = (struct asker){&desk, &tally, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        asked += askers[i].asked;
    }
    desk_close(&desk, true);
    ck_assert_int_eq(tally.sum, asked);
}
END_TEST

START_TEST(test_question_that_nobody_answers_in_time_never_runs)
{
    struct desk desk;
    struct tally tally = {0};
    struct item item = {&tally, 1, 0};
    desk_open(&desk);
    for (int n = 0; n < 3; n++) {
        ck_assert_int_eq(ask_run(&desk.ask, count_up, &item, 1000), BRINK_E_TIMEOUT);
    }
    ask_answer(&desk.ask, NULL, (struct instant){{7}, {8}});
    ck_assert_int_eq(tally.sum, 0);
    desk_close(&desk, false);
}
END_TEST

static void *ask_once(void *ctx)
{
    struct asker *a = ctx;
    struct item item = {a->tally, 1, 0};
    a->asked = ask_run(&a->desk->ask, count_up, &item, 60 * US_PER_S);
    return NULL;
}

static size_t waiting(struct desk *d)
{
    pthread_mutex_lock(&d->ask.lock);
    size_t n = d->ask.n;
    pthread_mutex_unlock(&d->ask.lock);
    return n;
}

START_TEST(test_those_who_wait_are_bounded_and_sent_away_at_the_end)
{
    struct desk desk;
    struct tally tally = {0};
    struct asker askers[ASK_WAITING_MAX], late;
    pthread_t threads[ASK_WAITING_MAX];
    desk_open(&desk);
    for (size_t i = 0; i < ASK_WAITING_MAX; i++) {
        askers[i] = (struct asker){&desk, &tally, -1};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_once, &askers[i]), 0);
    }
    for (int n = 0; waiting(&desk) < ASK_WAITING_MAX; n++) {
        ck_assert_int_lt(n, 10000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    late = (struct asker){&desk, &tally, -1};
    ask_once(&late);
    ck_assert_int_eq(late.asked, BRINK_E_LIMIT);
    ask_close(&desk.ask);
    for (size_t i = 0; i < ASK_WAITING_MAX; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(askers[i].asked, BRINK_E_STATE);
    }
    ask_once(&late);
    ck_assert_int_eq(late.asked, BRINK_E_STATE);
    ck_assert_int_eq(tally.sum, 0);
    desk_close(&desk, false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ask");
    TCase *t = tcase_create("questions");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_each_question_is_answered_once_and_alone);
    tcase_add_test(t, test_question_that_nobody_answers_in_time_never_runs);
    tcase_add_test(t, test_those_who_wait_are_bounded_and_sent_away_at_the_end);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
