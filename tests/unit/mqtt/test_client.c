#include <arpa/inet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tap.h"
#include "broker.h"

#define PERSISTENT (3600 * US_PER_S)

static const char *const open_lines = "allow_anonymous true\n";

static struct broker broker;
static const char *url;

static void setup(void)
{
    broker_prepare(&broker, "mqtt", open_lines);
    broker_start(&broker);
    url = broker.url;
}

static void teardown(void)
{
    broker_finish(&broker);
}

static struct peer *connect_peer(const char *client_id, int version, int64_t expiry_us)
{
    struct mqtt_options o = peer_options(&url, client_id, version);
    o.session_expiry_us = expiry_us;
    struct peer *p = peer_new(&o);
    peer_await_events(p, MQTT_CONNECTED, 1);
    return p;
}

static const int versions[] = {3, 5};

START_TEST(test_messages_of_every_qos_arrive_as_published)
{
    int version = versions[_i];
    struct peer *a = connect_peer("a", version, 0);
    struct peer *b = connect_peer("b", version, 0);
    ck_assert_str_eq(peer_event(a, MQTT_CONNECTED, 0)->why, url);
    for (int qos = 0; qos <= 2; qos++) {
        char topic[8];
        (void)snprintf(topic, sizeof(topic), "t/%d", qos);
        peer_subscribe(a, topic, qos);
        peer_publish(b, topic, "one", qos, false);
        peer_publish(b, topic, "", qos, false);
        peer_await_messages(a, (size_t)qos * 2 + 2);
        const struct peer_message *m = &a->messages[qos * 2];
        ck_assert_str_eq(m[0].topic, topic);
        ck_assert_str_eq(m[0].payload, "one");
        ck_assert_int_eq(m[0].qos, qos);
        ck_assert(!m[0].retained);
        ck_assert_str_eq(m[1].payload, "");
    }
    ck_assert(mqtt_is_connected(a->client));
    peer_free(a, US_PER_S);
    peer_free(b, US_PER_S);
}
END_TEST

/* What may not be taken yet is asked for once more, or nobody knows that it was taken. */
START_TEST(test_every_message_joins_those_before_it)
{
    struct peer *a = connect_peer("a", versions[_i], 0);
    struct peer *b = connect_peer("b", versions[_i], 0);
    peer_subscribe(a, "t", 1);
    for (size_t n = 1; n <= 20; n++) {
        a->reluctant = n > 10; /* nothing is on its way */
        peer_publish(b, "t", "x", 1, false);
        peer_await_messages(a, n);
    }
    ck_assert_uint_eq(a->n_strays, 0);
    peer_free(a, US_PER_S);
    peer_free(b, US_PER_S);
}
END_TEST

START_TEST(test_unsubscribed_filter_brings_no_more)
{
    struct peer *a = connect_peer("a", versions[_i], 0);
    peer_subscribe(a, "gone", 1);
    peer_subscribe(a, "here", 1);
    ck_assert_int_eq(mqtt_unsubscribe(a->client, "gone", 77), BRINK_OK);
    peer_publish(a, "gone", "x", 1, false); /* the same connection: behind the request */
    peer_publish(a, "here", "y", 1, false);
    peer_await_messages(a, 1);
    ck_assert_str_eq(a->messages[0].payload, "y");
    peer_await_events(a, MQTT_UNSUBSCRIBED, 1);
    ck_assert_uint_eq(peer_event(a, MQTT_UNSUBSCRIBED, 0)->tag, 77);
    ck_assert_int_eq(peer_event(a, MQTT_UNSUBSCRIBED, 0)->reason, 0);
    peer_free(a, US_PER_S);
}
END_TEST

START_TEST(test_retained_message_is_marked)
{
    struct peer *a = connect_peer("a", versions[_i], 0);
    peer_publish(a, "kept", "v", 1, true);
    peer_subscribe(a, "kept", 1);
    peer_await_messages(a, 1);
    ck_assert(a->messages[0].retained);
    peer_free(a, US_PER_S);
}
END_TEST

START_TEST(test_blocked_callback_pushes_back_and_loses_nothing)
{
    enum { N = 500 };
    struct peer *a = connect_peer("a", versions[_i], 0);
    peer_subscribe(a, "t", 1);
    peer_block(a, true);
    /* Another process: a blocked callback holds every client of its own. */
    char command[128];
    (void)snprintf(command, sizeof(command), "mosquitto_pub -p %u -t t -q 1 -l",
                   broker.port);
    FILE *f = popen(command, "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < N; i++) {
        ck_assert_int_gt(fprintf(f, "%d\n", i), 0);
    }
    ck_assert_int_eq(pclose(f), 0);      /* the broker has all of them */
    ck_assert_uint_eq(a->n_messages, 0); /* its callback waits */
    peer_block(a, false);
    peer_await_messages(a, N);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(atoi(a->messages[i].payload), i);
    }
    peer_free(a, US_PER_S);
}
END_TEST

START_TEST(test_client_comes_back_after_the_broker_was_killed)
{
    struct peer *a = connect_peer("a", versions[_i], 0);
    broker_kill(&broker, SIGKILL);
    peer_await_events(a, MQTT_LOST, 1);
    ck_assert(!mqtt_is_connected(a->client));
    ck_assert_int_eq(mqtt_publish(a->client, "t", text_of("x"), 1, false, NULL, 0),
                     BRINK_E_STATE);
    peer_await_events(a, MQTT_CONNECT_FAILED, 1);
    broker_start(&broker);
    peer_await_events(a, MQTT_CONNECTED, 2);
    ck_assert(!peer_event(a, MQTT_CONNECTED, 1)->session_present);
    peer_subscribe(a, "t", 1);
    peer_publish(a, "t", "again", 1, false);
    peer_await_messages(a, 1);
    peer_free(a, US_PER_S);
}
END_TEST

/* Paho would free what it could not send twice (gone.c). */
START_TEST(test_publishing_to_a_connection_that_is_gone)
{
    struct peer *a = connect_peer("a", versions[_i % 2], _i < 2 ? 0 : 60 * US_PER_S);
    ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
    broker_break_sending(&broker);
    for (int qos = 1; qos <= 2; qos++) {
        ck_assert_int_eq(
            mqtt_publish(a->client, "t", text_of("in vain"), qos, false, NULL, 0),
            BRINK_OK);
    }
    peer_turn(a, 100);
    ck_assert_uint_eq(peer_events(a, MQTT_LOST), 0);
    broker_kill(&broker, SIGKILL);
    peer_await_events(a, MQTT_LOST, 1);
    broker_start(&broker);
    peer_await_events(a, MQTT_CONNECTED, 2);
    peer_publish(a, "t", "again", 1, false);
    peer_free(a, US_PER_S);
}
END_TEST

/* Nobody else would ever say that it did not arrive. */
START_TEST(test_what_cannot_be_sent_with_qos_0_is_told)
{
    struct peer *a = connect_peer("a", versions[_i], 0);
    ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
    broker_break_sending(&broker);
    ck_assert_int_eq(mqtt_publish(a->client, "t", text_of("in vain"), 0, false, NULL, 7),
                     BRINK_OK);
    peer_await_events(a, MQTT_REFUSED, 1);
    ck_assert_uint_eq(peer_event(a, MQTT_REFUSED, 0)->tag, 7);
    ck_assert_uint_eq(peer_events(a, MQTT_PUBLISHED), 0);
    peer_free(a, US_PER_S);
    ck_assert_int_eq(kill(broker.pid, SIGCONT), 0);
}
END_TEST

START_TEST(test_persistent_session_brings_what_was_queued)
{
    struct peer *a = connect_peer("a", versions[_i], PERSISTENT);
    ck_assert(!peer_event(a, MQTT_CONNECTED, 0)->session_present);
    peer_subscribe(a, "t", 1);
    peer_free(a, US_PER_S);
    struct peer *b = connect_peer("b", versions[_i], 0);
    peer_publish(b, "t", "while away", 1, false);
    a = connect_peer("a", versions[_i], PERSISTENT);
    ck_assert(peer_event(a, MQTT_CONNECTED, 0)->session_present);
    peer_await_messages(a, 1);
    ck_assert_str_eq(a->messages[0].payload, "while away");
    /* And without a session, nothing is. */
    peer_free(a, US_PER_S);
    a = connect_peer("a", versions[_i], 0);
    ck_assert(!peer_event(a, MQTT_CONNECTED, 0)->session_present);
    peer_free(a, US_PER_S);
    peer_free(b, US_PER_S);
}
END_TEST

START_TEST(test_dropped_connection_comes_back_with_its_session)
{
    struct peer *a = connect_peer("a", versions[_i], PERSISTENT);
    peer_subscribe(a, "t", 2);
    mqtt_client_drop(a->client);
    ck_assert(!mqtt_is_connected(a->client));
    peer_await_events(a, MQTT_LOST, 1);
    peer_await_events(a, MQTT_CONNECTED, 2);
    ck_assert(peer_event(a, MQTT_CONNECTED, 1)->session_present);
    peer_publish(a, "t", "x", 2, false);
    peer_await_messages(a, 1);
    peer_free(a, US_PER_S);
}
END_TEST

START_TEST(test_will_is_published_when_the_process_dies_and_not_when_it_stops)
{
    struct mqtt_options o = peer_options(&url, "mortal", versions[_i]);
    o.will_topic = "status";
    o.will_payload = "offline";
    pid_t pid = fork_unheard();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct peer *p = peer_new(&o);
        peer_await_events(p, MQTT_CONNECTED, 1);
        peer_publish(p, "status", "online", 1, true);
        for (;;) {
            peer_turn(p, 1000);
        }
    }
    struct peer *a = connect_peer("a", versions[_i], 0);
    peer_subscribe(a, "status", 1);
    peer_await_messages(a, 1);
    ck_assert_str_eq(a->messages[0].payload, "online");
    (void)kill(pid, SIGKILL);
    peer_await_messages(a, 2);
    ck_assert_str_eq(a->messages[1].payload, "offline");

    struct peer *tidy = peer_new(&o);
    peer_await_events(tidy, MQTT_CONNECTED, 1);
    peer_free(tidy, US_PER_S);
    peer_publish(a, "status", "after", 1, false);
    peer_await_messages(a, 3);
    ck_assert_str_eq(a->messages[2].payload, "after");
    peer_free(a, US_PER_S);
}
END_TEST

START_TEST(test_second_server_is_tried_when_the_first_is_away)
{
    char away[64];
    (void)snprintf(away, sizeof(away), "mqtt://127.0.0.1:%u", free_port());
    const char *urls[] = {away, url};
    struct mqtt_options o = peer_options(urls, "a", versions[_i]);
    o.n_servers = 2;
    struct peer *a = peer_new(&o);
    peer_await_events(a, MQTT_CONNECTED, 1);
    ck_assert_str_eq(peer_event(a, MQTT_CONNECTED, 0)->why, url);
    ck_assert_uint_eq(peer_events(a, MQTT_CONNECT_FAILED), 1);
    ck_assert_ptr_nonnull(strstr(peer_event(a, MQTT_CONNECT_FAILED, 0)->why, away));
    peer_free(a, US_PER_S);
}
END_TEST

START_TEST(test_invalid_topics_and_filters_are_refused)
{
    struct peer *a = connect_peer("a", 5, 0);
    static const char *const topics[] = {"", "a/+", "a/#", "\xff", "a\xc0\x80"};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        ck_assert_int_eq(
            mqtt_publish(a->client, topics[i], text_of("x"), 1, false, NULL, 0),
            BRINK_E_RANGE);
    }
    ck_assert_int_eq(mqtt_subscribe(a->client, "", 0, 0), BRINK_E_RANGE);
    ck_assert(!mqtt_topic_is_valid((struct text){"a\0b", 3}));
    ck_assert(mqtt_topic_is_valid(TEXT("a b/\xc3\xa9")));
    peer_publish(a, "ok", "x", 1, false);
    peer_free(a, US_PER_S);
}
END_TEST

static Suite *client_suite(void)
{
    Suite *s = suite_create("mqtt client");
    TCase *t = tcase_create("client");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_messages_of_every_qos_arrive_as_published, 0, 2);
    tcase_add_loop_test(t, test_every_message_joins_those_before_it, 0, 2);
    tcase_add_loop_test(t, test_unsubscribed_filter_brings_no_more, 0, 2);
    tcase_add_loop_test(t, test_retained_message_is_marked, 0, 2);
    tcase_add_loop_test(t, test_blocked_callback_pushes_back_and_loses_nothing, 0, 2);
    tcase_add_loop_test(t, test_client_comes_back_after_the_broker_was_killed, 0, 2);
    tcase_add_loop_test(t, test_publishing_to_a_connection_that_is_gone, 0, 4);
    tcase_add_loop_test(t, test_what_cannot_be_sent_with_qos_0_is_told, 0, 2);
    tcase_add_loop_test(t, test_persistent_session_brings_what_was_queued, 0, 2);
    tcase_add_loop_test(t, test_dropped_connection_comes_back_with_its_session, 0, 2);
    tcase_add_loop_test(
        t, test_will_is_published_when_the_process_dies_and_not_when_it_stops, 0, 2);
    tcase_add_loop_test(t, test_second_server_is_tried_when_the_first_is_away, 0, 2);
    tcase_add_test(t, test_invalid_topics_and_filters_are_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(client_suite());
}
