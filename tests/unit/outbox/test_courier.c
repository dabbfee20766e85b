/* From the outbox to a real broker, through the sender's process: this program, started
 * anew. */
#include <check.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../mqtt/broker.h"
#include "../tap.h"
#include "base/counters.h"
#include "outbox/courier.h"
#include "outbox/outbox.h"

#define SECRET "s3cret-of-the-test"

static struct broker broker;
static const char *url;
static struct outbox *outbox;
static struct courier *courier;
static struct peer *peer; /* sees what arrives */

static struct mono now(void)
{
    return clock_system.mono(clock_system.ctx);
}

static void start_broker(const char *lines)
{
    broker_prepare(&broker, "mqtt", lines);
    broker_start(&broker);
    url = broker.url;
}

static void start_peer(void)
{
    struct mqtt_options o = peer_options(&url, "observer", 5);
    o.session_expiry_us = 3600 * US_PER_S;
    peer = peer_new(&o);
    peer_await_events(peer, MQTT_CONNECTED, 1);
    peer_subscribe(peer, "#", 1);
}

static void open_outbox(void)
{
    char dir[128], why[256];
    (void)snprintf(dir, sizeof(dir), "%s/state", broker.dir);
    enum brink_status st = outbox_open(dir, false, 100000, why, sizeof(why), &outbox);
    ck_assert_msg(st == BRINK_OK, "%s", why);
}

static void start_courier(int version)
{
    struct mqtt_options o = peer_options(&url, "gw-alerts", version);
    o.username = "gw";
    o.password = SECRET;
    o.will_topic = "never"; /* the courier takes none along */
    o.will_payload = "never";
    o.session_expiry_us = 3600 * US_PER_S;
    ck_assert_int_eq(courier_new(&o, outbox, &courier), BRINK_OK);
}

static void start_all(const char *lines, int version)
{
    start_broker(lines);
    start_peer();
    open_outbox();
    start_courier(version);
}

static void stop_all(void)
{
    courier_free(courier, 0);
    outbox_close(outbox);
    peer_free(peer, 0);
    broker_finish(&broker);
}

static void put(const char *topic, const char *payload)
{
    struct outbox_event e = {
        .topic = text_of(topic), .payload = text_of(payload), .qos = 1};
    uint64_t id;
    ck_assert_int_eq(outbox_put(outbox, &e, &id), BRINK_OK);
}

static void put_numbers(const char *topic, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%d", i);
        put(topic, text);
    }
    ck_assert_int_eq(outbox_commit(outbox, now()), BRINK_OK);
}

static void turn(void)
{
    struct mono wake;
    outbox_step(outbox, now(), &wake);
    courier_step(courier, now(), &wake);
    struct pollfd fd = {.fd = courier_fd(courier), .events = POLLIN};
    int64_t ms = wake.us == INT64_MAX ? 10 : (wake.us - now().us) / US_PER_MS + 1;
    if (poll(&fd, 1, ms < 0 ? 0 : ms < 10 ? (int)ms : 10) > 0) {
        courier_ready(courier);
    }
    if (peer) {
        peer_turn(peer, 0);
    }
}

#define await(condition, ...)                                                            \
    do {                                                                                 \
        for (int64_t until_ = now().us + 2 * WAIT_MS * US_PER_MS; !(condition);) {       \
            ck_assert_msg(now().us < until_, __VA_ARGS__);                               \
            turn();                                                                      \
        }                                                                                \
    } while (0)

static void await_empty(void)
{
    await(outbox_count(outbox) == 0, "%zu events left", outbox_count(outbox));
}

/* How many of 0, 1, 2... were seen on a topic; each for the first time in order. */
static int numbers_on(const char *topic)
{
    int seen = 0;
    size_t count = peer_count(peer);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(peer->messages[i].topic, topic) == 0) {
            int v = atoi(peer->messages[i].payload);
            expect(v <= seen, "%d before %d", v, seen);
            seen += v == seen;
        }
    }
    return seen;
}

static size_t count_on(const char *topic)
{
    size_t n = 0, count = peer_count(peer);
    for (size_t i = 0; i < count; i++) {
        n += strcmp(peer->messages[i].topic, topic) == 0;
    }
    return n;
}

/* The sender that is a child of `parent`; 0: none. */
static pid_t find_sender(pid_t parent)
{
    DIR *d = opendir("/proc");
    ck_assert_ptr_nonnull(d);
    pid_t found = 0;
    for (struct dirent *e; !found && (e = readdir(d));) {
        if (!isdigit((unsigned char)e->d_name[0])) {
            continue;
        }
        char path[300], name[64];
        int pid = atoi(e->d_name), ppid = 0;
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%*d (%63[^)]) %*c %d", name, &ppid) == 2 && ppid == parent &&
            strcmp(name, "brink-alerts") == 0) {
            found = pid;
        }
        if (f) {
            (void)fclose(f);
        }
    }
    (void)closedir(d);
    return found;
}

static const int versions[] = {3, 5};

START_TEST(test_alerts_arrive_in_order_and_leave_the_outbox)
{
    uint64_t delivered = counter_value(COUNT_ALERTS_DELIVERED);
    start_all("allow_anonymous true\n", versions[_i]);
    put_numbers("a", 0, 1000);
    await_empty();
    ck_assert(courier_is_connected(courier));
    await(numbers_on("a") == 1000, "%d", numbers_on("a"));
    ck_assert_uint_eq(counter_value(COUNT_ALERTS_DELIVERED), delivered + 1000);
    stop_all();
}
END_TEST

START_TEST(test_retain_qos_and_empty_payload_are_kept)
{
    start_all("allow_anonymous true\n", versions[_i]);
    struct outbox_event e = {
        .topic = TEXT("kept"), .payload = TEXT("v"), .qos = _i ? 2 : 0, .retain = true};
    uint64_t id;
    ck_assert_int_eq(outbox_put(outbox, &e, &id), BRINK_OK);
    ck_assert_int_eq(outbox_commit(outbox, now()), BRINK_OK);
    await_empty();
    struct mqtt_options o = peer_options(&url, "late", 3);
    struct peer *late = peer_new(&o);
    peer_await_events(late, MQTT_CONNECTED, 1);
    peer_subscribe(late, "kept", 1);
    peer_await_messages(late, 1);
    ck_assert(late->messages[0].retained);
    e.payload.n = 0;
    ck_assert_int_eq(outbox_put(outbox, &e, &id), BRINK_OK);
    ck_assert_int_eq(outbox_commit(outbox, now()), BRINK_OK);
    await_empty();
    peer_free(late, 0);
    late = peer_new(&o);
    peer_await_events(late, MQTT_CONNECTED, 1);
    peer_subscribe(late, "kept", 1);
    peer_publish(late, "kept", "after", 1, false);
    peer_await_messages(late, 1);
    ck_assert_str_eq(late->messages[0].payload, "after"); /* the topic was cleared */
    peer_free(late, 0);
    stop_all();
}
END_TEST

START_TEST(test_alerts_wait_for_a_broker_that_was_killed)
{
    start_all("allow_anonymous true\n", versions[_i]);
    put_numbers("a", 0, 10);
    await_empty();
    await(count_on("a") == 10, "not all");
    broker_kill(&broker, SIGKILL);
    put_numbers("a", 10, 400);
    await(!courier_is_connected(courier), "still connected");
    broker_start(&broker);
    /* It was killed, so it forgot the observer's session. */
    peer_await_events(peer, MQTT_LOST, 1);
    await(courier_is_connected(courier), "does not come back");
    await_empty();
    put_numbers("b", 0, 10);
    peer_await_events(peer, MQTT_CONNECTED, 2);
    peer_subscribe(peer, "#", 1);
    put_numbers("b", 0, 10);
    await_empty();
    await(count_on("b") >= 10, "not all");
    stop_all();
}
END_TEST

START_TEST(test_alerts_decided_before_the_first_connect_are_sent)
{
    start_broker("allow_anonymous true\npersistence true\npersistence_location %s/\n");
    start_peer();
    broker_kill(&broker, SIGTERM);
    open_outbox();
    put_numbers("a", 0, 300);
    start_courier(versions[_i]);
    for (int i = 0; i < 50; i++) {
        turn();
    }
    ck_assert(!courier_is_connected(courier));
    ck_assert_uint_eq(outbox_count(outbox), 300);
    broker_start(&broker);
    await_empty();
    await(numbers_on("a") == 300, "%d", numbers_on("a"));
    stop_all();
}
END_TEST

START_TEST(test_sender_that_is_killed_comes_back_and_nothing_is_lost)
{
    start_all("allow_anonymous true\n", versions[_i]);
    int fed = 0;
    for (int round = 0; round < 4; round++) {
        put_numbers("a", fed, fed + 500);
        fed += 500;
        await(count_on("a") > (size_t)fed - 400, "not on its way");
        /* What the one before had delivered twice may count for this round already, while
         * the next one is not there yet. */
        pid_t sender;
        await((sender = find_sender(getpid())) > 0, "no sender");
        ck_assert_int_eq(kill(sender, SIGKILL), 0);
    }
    await_empty();
    await(numbers_on("a") == fed, "%d", numbers_on("a"));
    stop_all();
}
END_TEST

START_TEST(test_too_large_alert_is_dropped_and_counted)
{
    uint64_t dropped = counter_value(COUNT_ALERTS_TOO_LARGE);
    start_all("allow_anonymous true\nmax_packet_size 2000\n", 5);
    char big[3000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    put("a", "0");
    put("a", big);
    put_numbers("a", 1, 3);
    await_empty();
    await(numbers_on("a") == 3, "%d", numbers_on("a"));
    ck_assert_uint_eq(counter_value(COUNT_ALERTS_TOO_LARGE), dropped + 1);
    stop_all();
}
END_TEST

START_TEST(test_alert_that_breaks_the_connection_yields_to_the_next)
{
    /* MQTT 3.1.1 announces no limit: the broker just closes. */
    start_all("allow_anonymous true\nmax_packet_size 2000\n", 3);
    char big[3000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    put("a", "0");
    put("b", big);
    put_numbers("a", 1, 100);
    await(numbers_on("a") == 100, "%d", numbers_on("a"));
    await(outbox_count(outbox) == 1, "%zu",
          outbox_count(outbox)); /* it stays, for later */
    stop_all();
}
END_TEST

START_TEST(test_topic_that_can_never_be_valid_is_dropped_and_counted)
{
    uint64_t dropped = counter_value(COUNT_ALERTS_REFUSED);
    start_all("allow_anonymous true\n", 5);
    put("a/+/b", "x");
    put("", "x");
    put("\xff", "x");
    put_numbers("a", 0, 3);
    await_empty();
    await(count_on("a") == 3, "%zu", count_on("a"));
    ck_assert_uint_eq(counter_value(COUNT_ALERTS_REFUSED), dropped + 3);
    stop_all();
}
END_TEST

START_TEST(test_forbidden_topic_is_tried_again_and_holds_up_no_other)
{
    uint64_t retried = counter_value(COUNT_ALERTS_RETRIED);
    broker_prepare(&broker, "mqtt", "allow_anonymous true\nacl_file %s/acl\n");
    write_file(broker.dir, "acl", "topic readwrite #\nuser gw\ntopic write good\n");
    broker_start(&broker);
    url = broker.url;
    start_peer();
    open_outbox();
    start_courier(5);
    put_numbers("bad", 0, 400); /* more than are handed over at once */
    put_numbers("good", 0, 100);
    await(count_on("good") == 100, "%zu", count_on("good"));
    await(outbox_count(outbox) == 400, "%zu left", outbox_count(outbox));
    await(counter_value(COUNT_ALERTS_RETRIED) > retried, "not tried again");
    ck_assert_uint_eq(count_on("bad"), 0);
    write_file(broker.dir, "acl", "topic readwrite #\nuser gw\ntopic write #\n");
    ck_assert_int_eq(kill(broker.pid, SIGHUP), 0);
    await_empty();
    await(numbers_on("bad") == 400, "%d", numbers_on("bad"));
    stop_all();
}
END_TEST

START_TEST(test_stop_waits_until_all_is_sent)
{
    start_all("allow_anonymous true\n", versions[_i]);
    await(courier_is_connected(courier), "not connected");
    put_numbers("a", 0, 500);
    int64_t began = now().us;
    courier_free(courier, 10 * US_PER_S);
    courier = NULL;
    ck_assert_int_lt(now().us - began, 5 * US_PER_S);
    ck_assert_uint_eq(outbox_count(outbox), 0);
    ck_assert_int_eq(find_sender(getpid()), 0);
    peer_await_messages(peer, 500);
    ck_assert_int_eq(numbers_on("a"), 500);
    stop_all();
}
END_TEST

START_TEST(test_stop_without_a_broker_is_bounded_and_keeps_the_alerts)
{
    start_all("allow_anonymous true\n", versions[_i]);
    await(courier_is_connected(courier), "not connected");
    broker_kill(&broker, SIGKILL);
    put_numbers("a", 0, 5);
    int64_t began = now().us;
    courier_free(courier, 300 * US_PER_MS);
    courier = NULL;
    ck_assert_int_lt(now().us - began, 5 * US_PER_S);
    ck_assert_uint_eq(outbox_count(outbox), 5);
    stop_all();
}
END_TEST

START_TEST(test_sender_ends_with_its_parent_and_only_then)
{
    start_broker("allow_anonymous true\n");
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t parent = fork_unheard();
    ck_assert_int_ge(parent, 0);
    if (parent == 0) {
        open_outbox();
        start_courier(5);
        while (!courier_is_connected(courier)) {
            turn();
        }
        pid_t sender = find_sender(getpid());
        if (write(fds[1], &sender, sizeof(sender)) != sizeof(sender)) {
            _exit(1);
        }
        for (;;) {
            turn();
        }
    }
    pid_t sender = 0;
    ck_assert_int_eq(read(fds[0], &sender, sizeof(sender)), sizeof(sender));
    ck_assert_int_gt(sender, 0);
    /* Neither its arguments nor its environment tell the password. */
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "! grep -q '%s' /proc/%d/cmdline /proc/%d/environ", SECRET,
                   (int)sender, (int)sender);
    ck_assert_int_eq(system(command), 0);
    /* A terminal's Ctrl-C goes to all; the parent decides. */
    ck_assert_int_eq(kill(sender, SIGINT), 0);
    ck_assert_int_eq(kill(sender, SIGTERM), 0);
    for (int i = 0; i < 20; i++) {
        (void)poll(NULL, 0, 10);
        ck_assert_int_eq(kill(sender, 0), 0);
    }
    ck_assert_int_eq(kill(parent, SIGKILL), 0);
    ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
    for (int i = 0; kill(sender, 0) == 0; i++) {
        ck_assert_int_lt(i, WAIT_MS / 10);
        (void)poll(NULL, 0, 10);
    }
    ck_assert_int_eq(errno, ESRCH);
    broker_finish(&broker);
}
END_TEST

START_TEST(test_sender_started_by_hand_says_so)
{
    ck_assert_int_eq(sender_main(), 2);
}
END_TEST

static Suite *courier_suite(void)
{
    Suite *s = suite_create("courier");
    TCase *t = tcase_create("courier");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_alerts_arrive_in_order_and_leave_the_outbox, 0, 2);
    tcase_add_loop_test(t, test_retain_qos_and_empty_payload_are_kept, 0, 2);
    tcase_add_loop_test(t, test_alerts_wait_for_a_broker_that_was_killed, 0, 2);
    tcase_add_loop_test(t, test_alerts_decided_before_the_first_connect_are_sent, 0, 2);
    tcase_add_loop_test(t, test_sender_that_is_killed_comes_back_and_nothing_is_lost, 0,
                        2);
    tcase_add_test(t, test_too_large_alert_is_dropped_and_counted);
    tcase_add_test(t, test_alert_that_breaks_the_connection_yields_to_the_next);
    tcase_add_test(t, test_topic_that_can_never_be_valid_is_dropped_and_counted);
    tcase_add_test(t, test_forbidden_topic_is_tried_again_and_holds_up_no_other);
    tcase_add_loop_test(t, test_stop_waits_until_all_is_sent, 0, 2);
    tcase_add_loop_test(t, test_stop_without_a_broker_is_bounded_and_keeps_the_alerts, 0,
                        2);
    tcase_add_test(t, test_sender_ends_with_its_parent_and_only_then);
    tcase_add_test(t, test_sender_started_by_hand_says_so);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], SENDER_COMMAND) == 0) {
        return sender_main();
    }
    return run_tap(courier_suite());
}
