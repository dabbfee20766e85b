/* The book of subscriptions against brokers that keep one themselves: after whatever
 * losses, refusals, reloads and crashes, the session becomes what is wanted (SPEC 7.2).
 */
#include "../tap.h"

#include <stdio.h>
#include <string.h>

#include "gateway/subscriptions.h"

#define FILTERS 6
#define SERVERS 2

/* A configuration's telemetry: bit f of `wanted` is filter "f/+", at QoS qos[f]. */
static void configure(struct config *c, struct telemetry_config entries[FILTERS],
                      char names[FILTERS][8], unsigned wanted, const int qos[FILTERS])
{
    memset(c, 0, sizeof *c);
    memset(entries, 0, FILTERS * sizeof *entries);
    c->telemetry = entries;
    for (int f = 0; f < FILTERS; f++) {
        if (wanted >> f & 1) {
            snprintf(names[f], 8, "%d/+", f);
            entries[c->n_telemetry].pattern.filter = names[f];
            entries[c->n_telemetry++].qos = qos[f];
        }
    }
}

static void want(struct subscriptions *s, unsigned wanted, const int qos[FILTERS])
{
    struct config c;
    struct telemetry_config entries[FILTERS];
    char names[FILTERS][8];
    configure(&c, entries, names, wanted, qos);
    ck_assert_int_eq(subscriptions_want(s, &c), BRINK_OK);
}

static const int ones[FILTERS] = {1, 1, 1, 1, 1, 1};
static const struct mono now = {1000};

/* Takes the next request, which must be this one; its tag. */
static uint64_t request(struct subscriptions *s, const char *filter, bool leaving)
{
    const struct subscription *next = subscriptions_next(s, now);
    ck_assert_ptr_nonnull(next);
    ck_assert_str_eq(next->filter, filter);
    ck_assert_int_eq(next->leaving, leaving);
    return next->tag;
}

static void answer(struct subscriptions *s, uint64_t tag, int reason)
{
    ck_assert_ptr_nonnull(subscriptions_answered(s, tag, reason, now));
}

static const char *lines(const struct subscriptions *s)
{
    static char text[256];
    struct buffer out = {0};
    subscriptions_lines(s, &out);
    snprintf(text, sizeof text, "%s", buffer_cstr(&out));
    buffer_finish(&out);
    return text;
}

START_TEST(test_link_cut_before_suback_asks_again_in_a_resumed_session)
{
    struct subscriptions s = {0};
    want(&s, 3, ones);
    subscriptions_connected(&s, 0, false);
    answer(&s, request(&s, "0/+", false), 1);
    uint64_t lost = request(&s, "1/+", false);
    ck_assert(!subscriptions_complete(&s));
    subscriptions_lost(&s);
    subscriptions_connected(&s, 0, true);
    ck_assert_ptr_null(subscriptions_answered(&s, lost, 1, now));
    answer(&s, request(&s, "1/+", false), 1);
    ck_assert_ptr_null(subscriptions_next(&s, now));
    ck_assert(subscriptions_complete(&s));
    /* And a session that was whole is not asked for anything. */
    subscriptions_lost(&s);
    ck_assert(!subscriptions_complete(&s));
    subscriptions_connected(&s, 0, true);
    ck_assert_ptr_null(subscriptions_next(&s, now));
    ck_assert(subscriptions_complete(&s));
    subscriptions_finish(&s);
}
END_TEST

START_TEST(test_link_cut_in_a_reload_asks_for_the_rest)
{
    struct subscriptions s = {0};
    want(&s, 1, ones);
    subscriptions_connected(&s, 0, false);
    answer(&s, request(&s, "0/+", false), 1);
    want(&s, 6, ones);
    (void)request(&s, "0/+", true);
    answer(&s, request(&s, "1/+", false), 1);
    (void)request(&s, "2/+", false);
    subscriptions_lost(&s);
    ck_assert_str_eq(lines(&s), "0/+\n1/+\n2/+\n");
    subscriptions_connected(&s, 0, true);
    answer(&s, request(&s, "0/+", true), 0);
    answer(&s, request(&s, "2/+", false), 1);
    ck_assert(subscriptions_complete(&s));
    ck_assert_str_eq(lines(&s), "1/+\n2/+\n");
    subscriptions_finish(&s);
}
END_TEST

START_TEST(test_refused_filter_is_asked_for_again_later_and_it_alone)
{
    struct subscriptions s = {0};
    want(&s, 3, ones);
    subscriptions_connected(&s, 0, false);
    uint64_t refused = request(&s, "0/+", false), granted = request(&s, "1/+", false);
    ck_assert(subscriptions_busy(&s));
    const struct subscription *of = subscriptions_answered(&s, refused, 0x87, now);
    ck_assert(of->refused);
    answer(&s, granted, 1);
    ck_assert(!subscriptions_busy(&s) && !subscriptions_complete(&s));
    ck_assert_ptr_null(subscriptions_next(&s, now));
    struct mono due = subscriptions_due(&s);
    ck_assert_int_eq(due.us, now.us + SUBSCRIPTIONS_RETRY_US);
    ck_assert_str_eq(subscriptions_next(&s, due)->filter, "0/+");
    ck_assert_ptr_null(subscriptions_next(&s, due));
    subscriptions_finish(&s);
}
END_TEST

START_TEST(test_lower_qos_than_asked_for_counts_and_is_not_asked_for_again)
{
    struct subscriptions s = {0};
    want(&s, 1, ones);
    subscriptions_connected(&s, 0, false);
    answer(&s, request(&s, "0/+", false), 0);
    ck_assert(subscriptions_complete(&s));
    ck_assert_ptr_null(subscriptions_next(&s, now));
    subscriptions_finish(&s);
}
END_TEST

START_TEST(test_gone_filter_is_noted_until_the_broker_confirmed)
{
    struct subscriptions s = {.n_servers = 2};
    ck_assert_int_eq(subscriptions_remember(&s, TEXT("5/+\n0/+\n")), BRINK_OK);
    want(&s, 1, ones);
    ck_assert_str_eq(lines(&s), "5/+\n0/+\n");
    subscriptions_connected(&s, 0, true);
    uint64_t tag = request(&s, "5/+", true);
    ck_assert_str_eq(lines(&s), "5/+\n0/+\n");
    answer(&s, tag, 0x87); /* refused: not gone */
    answer(&s, request(&s, "0/+", false), 1);
    ck_assert_str_eq(lines(&s), "5/+\n0/+\n");
    ck_assert(subscriptions_complete(&s));
    struct mono due = subscriptions_due(&s);
    answer(&s, subscriptions_next(&s, due)->tag, 0x11);
    /* Another server's session may still have it. */
    ck_assert_str_eq(lines(&s), "5/+\n0/+\n");
    subscriptions_lost(&s);
    s.changed = false;
    subscriptions_connected(&s, 1, false);
    ck_assert(s.changed);
    ck_assert_str_eq(lines(&s), "0/+\n");
    subscriptions_finish(&s);
}
END_TEST

START_TEST(test_gone_filters_are_bounded)
{
    struct subscriptions s = {0};
    struct buffer many = {0};
    for (int k = 0; k < SUBSCRIPTIONS_GONE_MAX + 5; k++) {
        buffer_format(&many, "old/%d\n", k);
    }
    ck_assert_int_eq(subscriptions_remember(&s, buffer_view(&many)), BRINK_OK);
    want(&s, 1, ones);
    ck_assert_uint_eq(s.n, SUBSCRIPTIONS_GONE_MAX + 1);
    ck_assert_uint_eq(s.given_up, 5);
    ck_assert_str_eq(s.items[0].filter, "old/5");
    buffer_finish(&many);
    subscriptions_finish(&s);
}
END_TEST

/* --- any order of events --- */

struct request_seen {
    uint64_t tag;
    int filter, qos;
    bool leaving;
};

struct broker {
    bool session;
    int qos[FILTERS]; /* -1: not subscribed */
};

struct world {
    struct subscriptions book;
    struct broker brokers[SERVERS];
    struct request_seen sent[FILTERS]; /* not yet at the broker */
    size_t n_sent;
    struct {
        uint64_t tag;
        int reason;
    } answers[FILTERS]; /* not yet at the client */
    size_t n_answers;
    bool connected;
    size_t server;
    unsigned wanted;
    int qos[FILTERS];
    char noted[256]; /* what a crash leaves */
};

static void note(struct world *w)
{
    if (w->book.changed) {
        w->book.changed = false;
        snprintf(w->noted, sizeof w->noted, "%s", lines(&w->book));
    }
}

/* All that is due is asked, in order. */
static void ask(struct world *w)
{
    const struct subscription *next;
    while ((next = subscriptions_next(&w->book, now))) {
        ck_assert_uint_lt(w->n_sent + w->n_answers, FILTERS);
        w->sent[w->n_sent++] = (struct request_seen){next->tag, next->filter[0] - '0',
                                                     next->asked_qos, next->leaving};
    }
}

/* The broker takes the first request and answers. */
static void serve(struct world *w, bool refuses)
{
    if (w->n_sent == 0) {
        return;
    }
    struct request_seen r = w->sent[0];
    memmove(w->sent, w->sent + 1, --w->n_sent * sizeof *w->sent);
    if (!refuses) {
        w->brokers[w->server].qos[r.filter] = r.leaving ? -1 : r.qos;
    }
    w->answers[w->n_answers].tag = r.tag;
    w->answers[w->n_answers++].reason = refuses ? 0x80 : r.leaving ? 0 : r.qos;
}

static void hear(struct world *w)
{
    if (w->n_answers > 0) {
        (void)subscriptions_answered(&w->book, w->answers[0].tag, w->answers[0].reason,
                                     now);
        memmove(w->answers, w->answers + 1, --w->n_answers * sizeof *w->answers);
        note(w);
    }
}

static void lose(struct world *w)
{
    if (w->connected) {
        subscriptions_lost(&w->book);
    }
    w->connected = false;
    w->n_sent = w->n_answers = 0;
    note(w);
}

static void join(struct world *w, size_t server, bool session_kept)
{
    struct broker *b = &w->brokers[server];
    bool present = b->session && session_kept;
    for (int f = 0; f < FILTERS && !present; f++) {
        b->qos[f] = -1;
    }
    b->session = true;
    w->server = server;
    w->connected = true;
    subscriptions_connected(&w->book, server, present);
    note(w);
}

/* The new filters are noted before the book is told, as the gateway does. */
static void reload(struct world *w, uint64_t random)
{
    w->wanted = (unsigned)random % (1U << FILTERS);
    for (int f = 0; f < FILTERS; f++) {
        w->qos[f] = (int)(random >> (8 + 2 * f)) & 1;
    }
    want(&w->book, w->wanted, w->qos);
    note(w);
}

static void crash(struct world *w)
{
    lose(w);
    subscriptions_finish(&w->book);
    w->book.n_servers = SERVERS;
    ck_assert_int_eq(subscriptions_remember(&w->book, text_of(w->noted)), BRINK_OK);
    want(&w->book, w->wanted, w->qos);
    note(w);
}

/* Whatever a session has can be found again after a crash. */
static void check_noted(const struct world *w)
{
    for (size_t b = 0; b < SERVERS; b++) {
        for (int f = 0; f < FILTERS; f++) {
            char line[8];
            snprintf(line, sizeof line, "%d/+\n", f);
            expect(w->brokers[b].qos[f] < 0 || strstr(w->noted, line),
                   "filter %d of server %zu is not in the notes", f, b);
        }
    }
}

static void check_settled(struct world *w)
{
    if (!w->connected) {
        join(w, w->server, true);
    }
    for (int k = 0; k < 4 * FILTERS; k++) {
        for (size_t i = 0; i < w->book.n; i++) {
            w->book.items[i].retry.us = INT64_MIN; /* the time for it has come */
        }
        ask(w);
        serve(w, false);
        hear(w);
    }
    expect(subscriptions_complete(&w->book) && !subscriptions_busy(&w->book),
           "not settled");
    for (int f = 0; f < FILTERS; f++) {
        int qos = w->wanted >> f & 1 ? w->qos[f] : -1;
        expect(w->brokers[w->server].qos[f] == qos, "filter %d: %d in place of %d", f,
               w->brokers[w->server].qos[f], qos);
    }
}

START_TEST(test_any_order_of_events_ends_in_what_is_wanted)
{
    uint64_t random = (uint64_t)_i;
    struct world w = {.wanted = 3, .book = {.n_servers = SERVERS}};
    for (int b = 0; b < SERVERS; b++) {
        for (int f = 0; f < FILTERS; f++) {
            w.brokers[b].qos[f] = -1;
        }
    }
    want(&w.book, w.wanted, w.qos);
    note(&w);
    for (int step = 0; step < 2000; step++) {
        uint64_t r = next_random(&random);
        switch (r % 16) {
        case 0:
            lose(&w);
            break;
        case 1:
        case 2:
            if (!w.connected) {
                join(&w, (r >> 8) % SERVERS, (r >> 16) % 4 != 0);
            }
            break;
        case 3:
            reload(&w, r >> 8);
            break;
        case 4:
            if ((r >> 8) % 4 == 0) {
                crash(&w);
            }
            break;
        case 5:
        case 6:
        case 7:
        case 8:
            ask(&w);
            break;
        case 9:
        case 10:
        case 11:
            serve(&w, (r >> 8) % 5 == 0);
            break;
        default:
            hear(&w);
        }
        check_noted(&w);
        if ((r >> 32) % 50 == 0) {
            check_settled(&w);
        }
    }
    check_settled(&w);
    subscriptions_finish(&w.book);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("subscriptions");
    TCase *t = tcase_create("subscriptions");
    tcase_add_test(t, test_link_cut_before_suback_asks_again_in_a_resumed_session);
    tcase_add_test(t, test_link_cut_in_a_reload_asks_for_the_rest);
    tcase_add_test(t, test_refused_filter_is_asked_for_again_later_and_it_alone);
    tcase_add_test(t, test_lower_qos_than_asked_for_counts_and_is_not_asked_for_again);
    tcase_add_test(t, test_gone_filter_is_noted_until_the_broker_confirmed);
    tcase_add_test(t, test_gone_filters_are_bounded);
    tcase_add_loop_test(t, test_any_order_of_events_ends_in_what_is_wanted, 0, 50);
    suite_add_tcase(s, t);
    return run_tap(s);
}
