#include "mqtt/ahead.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tap.h"

static int near_fd, far_fd; /* Paho's end, the broker's */

static void setup(void)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    near_fd = pair[0];
    far_fd = pair[1];
    ck_assert_int_eq(fcntl(near_fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(fcntl(far_fd, F_SETFL, O_NONBLOCK), 0);
}

static void teardown(void)
{
    (void)ahead_close(near_fd);
    (void)close(far_fd);
}

static void far_sends(const void *bytes, size_t n)
{
    ck_assert_int_eq(send(far_fd, bytes, n, 0), (ssize_t)n);
}

/* What the kernel has for the broker. */
static size_t far_gets(uint8_t *bytes, size_t n)
{
    ssize_t got = recv(far_fd, bytes, n, 0);
    if (got < 0) {
        ck_assert_int_eq(errno, EAGAIN);
        return 0;
    }
    return (size_t)got;
}

static ssize_t write_two(const void *a, size_t a_n, const void *b, size_t b_n)
{
    uint8_t first[8], second[64];
    memcpy(first, a, a_n);
    memcpy(second, b, b_n);
    const struct iovec parts[2] = {{first, a_n}, {second, b_n}};
    return ahead_writev(near_fd, parts, 2);
}

static void puback(uint8_t id)
{
    const uint8_t head[2] = {0x40, 2}, body[2] = {0, id};
    ck_assert_int_eq(write_two(head, 2, body, 2), 4);
}

static short poll_once(short events)
{
    struct pollfd p = {.fd = near_fd, .events = events};
    int n = ahead_poll(&p, 1, 0);
    ck_assert_int_eq(n, p.revents != 0);
    return p.revents;
}

static void take(size_t n)
{
    uint8_t bytes[64];
    ck_assert_int_eq(ahead_recv(near_fd, bytes, n, 0), (ssize_t)n);
}

/* Any sizes sent and asked for: the bytes are those of a plain socket, in order, and
 * poll tells of them until the last is taken. */
START_TEST(test_bytes_come_as_they_were_sent)
{
    uint8_t out[40000], in[40000];
    uint64_t seed = (uint64_t)_i;
    uint8_t sent = 0, expected = 0;
    size_t on_the_way = 0;
    for (int step = 0; step < 3000; step++) {
        uint64_t random = next_random(&seed);
        size_t n = (random >> 8) % (random % 16 == 0 ? sizeof(out) : 300);
        if (random >> 63 && on_the_way < 60000) {
            for (size_t k = 0; k < n; k++) {
                out[k] = sent++;
            }
            if (n > 0) {
                far_sends(out, n);
            }
            on_the_way += n;
            continue;
        }
        ck_assert_int_eq(poll_once(POLLIN), on_the_way > 0 ? POLLIN : 0);
        errno = 0;
        ssize_t got = ahead_recv(near_fd, in, n + 1, 0);
        if (on_the_way == 0) {
            ck_assert_int_eq(got, -1);
            ck_assert_int_eq(errno, EAGAIN);
            continue;
        }
        ck_assert(got > 0 && (size_t)got <= n + 1 && (size_t)got <= on_the_way);
        for (ssize_t k = 0; k < got; k++) {
            expect(in[k] == expected++, "step %d: another byte", step);
        }
        on_the_way -= (size_t)got;
    }
}
END_TEST

START_TEST(test_end_and_error_come_after_the_bytes)
{
    uint8_t byte;
    far_sends("ab", 2);
    ck_assert_int_eq(shutdown(far_fd, SHUT_WR), 0);
    take(1);
    ck_assert_int_eq(poll_once(POLLIN) & POLLIN, POLLIN);
    take(1);
    ck_assert_int_eq(poll_once(POLLIN) & POLLIN, POLLIN);
    ck_assert_int_eq(ahead_recv(near_fd, &byte, 1, 0), 0);
}
END_TEST

/* Paho reads a socket only if it could write to it, too. */
START_TEST(test_poll_tells_of_room_to_write)
{
    far_sends("abc", 3);
    ck_assert_int_eq(poll_once(POLLOUT), POLLOUT);
    take(1);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(poll_once(POLLOUT), POLLOUT);
        ck_assert_int_eq(poll_once(POLLIN | POLLNVAL), POLLIN);
    }
    /* Full: told soon, and then at once that there is room again. */
    static uint8_t fill[65536];
    while (send(near_fd, fill, sizeof(fill), 0) > 0) {}
    int told = 0;
    for (int i = 0; i < 32 && told == 0; i++) {
        told += poll_once(POLLOUT) == 0;
        (void)poll_once(POLLIN);
    }
    ck_assert_int_eq(told, 1);
    while (recv(far_fd, fill, sizeof(fill), 0) > 0) {}
    ck_assert_int_eq(poll_once(POLLOUT), POLLOUT);
}
END_TEST

START_TEST(test_pubacks_wait_while_there_is_more)
{
    uint8_t got[64];
    far_sends("abcdef", 6);
    take(1);
    puback(1);
    take(1);
    puback(2);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 0);
    take(4);
    (void)poll_once(POLLIN); /* nothing at hand: the kernel is asked, and they go */
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 8);
    ck_assert_mem_eq(got, "\x40\x02\x00\x01\x40\x02\x00\x02", 8);
    puback(3); /* nothing to wait for */
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 4);
}
END_TEST

/* A recv that has to ask the kernel lets them go as well. */
START_TEST(test_pubacks_go_before_more_is_read)
{
    uint8_t got[64];
    far_sends("ab", 2);
    take(1);
    puback(1);
    take(1);
    far_sends("c", 1);
    take(1);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 4);
}
END_TEST

START_TEST(test_other_packets_do_not_overtake)
{
    uint8_t got[64];
    far_sends("ab", 2);
    take(1);
    puback(1);
    ck_assert_int_eq(write_two("\xc0", 1, "\0", 1), 2); /* PINGREQ */
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 6);
    ck_assert_mem_eq(got, "\x40\x02\x00\x01\xc0\x00", 6);
}
END_TEST

/* More PUBACKs than are kept: all arrive, in order. */
START_TEST(test_many_pubacks)
{
    uint8_t got[4 * 2000 + 1];
    size_t n = 0;
    far_sends("ab", 2);
    take(1);
    for (int i = 0; i < 2000; i++) {
        puback((uint8_t)i);
    }
    ck_assert_int_eq(ahead_shutdown(near_fd, SHUT_WR), 0);
    for (size_t more; (more = far_gets(got + n, sizeof(got) - n)) > 0; n += more) {}
    ck_assert_uint_eq(n, 4 * 2000);
    for (size_t i = 0; i < 2000; i++) {
        expect(got[4 * i + 3] == (uint8_t)i, "PUBACK %zu is another", i);
    }
}
END_TEST

START_TEST(test_pubacks_that_find_no_room_are_kept)
{
    static uint8_t fill[65536];
    uint8_t got[64];
    far_sends("ab", 2);
    take(1);
    while (send(near_fd, fill, sizeof(fill), 0) > 0) {}
    while (send(near_fd, fill, 1, 0) > 0) {}
    puback(7);
    errno = 0;
    ck_assert_int_eq(write_two("\xc0", 1, "\0", 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    while (recv(far_fd, fill, sizeof(fill), 0) > 0) {}
    ck_assert_int_eq(write_two("\xc0", 1, "\0", 1), 2);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 6);
    ck_assert_mem_eq(got, "\x40\x02\x00\x07\xc0\x00", 6);
}
END_TEST

START_TEST(test_another_socket_of_the_same_number)
{
    far_sends("ab", 2);
    take(1);
    int number = near_fd;
    ck_assert_int_eq(ahead_close(near_fd), 0);
    (void)close(far_fd);
    setup();
    if (near_fd != number) {
        ck_assert_int_eq(dup2(near_fd, number), number);
        (void)close(near_fd);
        near_fd = number;
    }
    ck_assert_int_eq(poll_once(POLLIN), 0);
    uint8_t byte;
    ck_assert_int_eq(ahead_recv(near_fd, &byte, 1, 0), -1);
}
END_TEST

/* --- what is owed --- */

static struct {
    int calls;
    bool answer;
    size_t left_before; /* bytes that had left by the last call */
} settlement;

static bool settle(void *ctx)
{
    uint8_t got[64];
    ck_assert_ptr_eq(ctx, &settlement);
    settlement.calls++;
    settlement.left_before += far_gets(got, sizeof(got));
    return settlement.answer;
}

static void owe(void)
{
    ck_assert(ahead_owe(settle, &settlement));
}

static void begin_to_owe(bool answer)
{
    memset(&settlement, 0, sizeof(settlement));
    settlement.answer = answer;
    far_sends("ab", 2);
    take(1);
    owe();
    puback(1);
    take(1);
    owe();
    ck_assert_int_eq(settlement.calls, 0);
}

START_TEST(test_what_came_together_is_settled_once_before_any_puback)
{
    uint8_t got[64], byte;
    begin_to_owe(true);
    puback(2); /* nothing more is at hand: it would leave */
    ck_assert_int_eq(settlement.calls, 1);
    ck_assert_uint_eq(settlement.left_before, 0);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 8);
    ck_assert_mem_eq(got, "\x40\x02\x00\x01\x40\x02\x00\x02", 8);
    ck_assert_int_eq(ahead_recv(near_fd, &byte, 1, 0), -1);
    ck_assert_int_eq(poll_once(POLLIN), 0);
    puback(3);
    ck_assert_int_eq(settlement.calls, 1); /* nothing is owed any more */
}
END_TEST

START_TEST(test_settled_before_the_kernel_is_asked_for_more)
{
    uint8_t got[64], byte;
    memset(&settlement, 0, sizeof(settlement));
    settlement.answer = true;
    far_sends("abc", 3);
    for (uint8_t k = 1; k <= 2; k++) {
        take(1);
        owe();
        puback(k);
    }
    take(1); /* the beginning of a message whose rest is yet to come */
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 0);
    if (_i) {
        ck_assert_int_eq(poll_once(POLLIN), 0);
    } else {
        ck_assert_int_eq(ahead_recv(near_fd, &byte, 1, 0), -1);
    }
    ck_assert_int_eq(settlement.calls, 1);
    ck_assert_uint_eq(settlement.left_before, 0);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 8);
}
END_TEST

START_TEST(test_what_cannot_be_settled_is_never_acknowledged)
{
    uint8_t got[64], byte;
    begin_to_owe(false);
    ck_assert_int_eq(ahead_recv(near_fd, &byte, 1, 0), -1);
    ck_assert_int_eq(settlement.calls, 1);
    puback(2); /* as if written */
    ck_assert_int_eq(ahead_shutdown(near_fd, SHUT_WR), 0);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 0);
}
END_TEST

static void *write_elsewhere(void *ret_errno)
{
    errno = 0;
    *(int *)ret_errno = write_two("\xc0", 1, "\0", 1) == 2 ? 0 : errno;
    return NULL;
}

static int errno_of_another_thread(void)
{
    pthread_t thread;
    int error = -1;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_elsewhere, &error), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return error;
}

/* As Paho's sending thread does, with a DISCONNECT at the end of a clean stop. */
START_TEST(test_another_thread_that_writes_settles_first)
{
    uint8_t got[64];
    begin_to_owe(true);
    ck_assert_int_eq(errno_of_another_thread(), 0);
    ck_assert_int_eq(settlement.calls, 1);
    ck_assert_uint_eq(settlement.left_before, 0);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 6);
    ck_assert_mem_eq(got, "\x40\x02\x00\x01\xc0\0", 6);
}
END_TEST

static bool settle_beside_another(void *ctx)
{
    settlement.calls++;
    ck_assert_int_eq(errno_of_another_thread(), EAGAIN);
    return settle(ctx);
}

START_TEST(test_another_thread_neither_settles_twice_nor_overtakes)
{
    uint8_t got[64];
    begin_to_owe(true);
    ck_assert(ahead_owe(settle_beside_another, &settlement));
    ck_assert_int_eq(poll_once(POLLIN), 0);
    ck_assert_int_eq(settlement.calls, 2);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 4);
    ck_assert_int_eq(errno_of_another_thread(), 0);
}
END_TEST

START_TEST(test_settled_at_once_on_demand)
{
    uint8_t got[64];
    ahead_settle();
    begin_to_owe(true); /* one acknowledgement held, its message and the next owed */
    ahead_settle();
    ck_assert_int_eq(settlement.calls, 1);
    ck_assert_uint_eq(settlement.left_before, 0);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 4);
    puback(2);
    ck_assert_uint_eq(far_gets(got, sizeof(got)), 4);
    ahead_settle();
    ck_assert_int_eq(settlement.calls, 1);
}
END_TEST

static void *owe_elsewhere(void *ret_owes)
{
    *(bool *)ret_owes = ahead_owe(settle, &settlement);
    return NULL;
}

START_TEST(test_nothing_is_owed_for_what_came_another_way)
{
    pthread_t thread;
    bool owes = true;
    far_sends("a", 1);
    take(1);
    ck_assert_int_eq(pthread_create(&thread, NULL, owe_elsewhere, &owes), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(!owes);
    ck_assert_int_eq(ahead_close(near_fd), 0);
    ck_assert(!ahead_owe(settle, &settlement));
    (void)close(far_fd);
    setup();
}
END_TEST

/* More sockets than there are places: the kernel serves them. */
START_TEST(test_many_sockets)
{
    int pairs[20][2];
    for (size_t i = 0; i < 20; i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
        ck_assert_int_eq(send(pairs[i][1], "xy", 2, 0), 2);
    }
    for (size_t i = 0; i < 20; i++) {
        char got[2];
        ck_assert_int_eq(ahead_recv(pairs[i][0], got, 1, 0), 1);
        struct pollfd p = {.fd = pairs[i][0], .events = POLLIN};
        ck_assert_int_eq(ahead_poll(&p, 1, 0), 1);
        ck_assert_int_eq(ahead_recv(pairs[i][0], got + 1, 1, 0), 1);
        ck_assert_mem_eq(got, "xy", 2);
    }
    for (size_t i = 0; i < 20; i++) {
        (void)ahead_close(pairs[i][0]);
        (void)close(pairs[i][1]);
    }
}
END_TEST

static Suite *ahead_suite(void)
{
    Suite *s = suite_create("mqtt ahead");
    TCase *t = tcase_create("ahead");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_bytes_come_as_they_were_sent, 0, 20);
    tcase_add_test(t, test_end_and_error_come_after_the_bytes);
    tcase_add_test(t, test_poll_tells_of_room_to_write);
    tcase_add_test(t, test_pubacks_wait_while_there_is_more);
    tcase_add_test(t, test_pubacks_go_before_more_is_read);
    tcase_add_test(t, test_other_packets_do_not_overtake);
    tcase_add_test(t, test_many_pubacks);
    tcase_add_test(t, test_pubacks_that_find_no_room_are_kept);
    tcase_add_test(t, test_another_socket_of_the_same_number);
    tcase_add_test(t, test_what_came_together_is_settled_once_before_any_puback);
    tcase_add_loop_test(t, test_settled_before_the_kernel_is_asked_for_more, 0, 2);
    tcase_add_test(t, test_what_cannot_be_settled_is_never_acknowledged);
    tcase_add_test(t, test_another_thread_that_writes_settles_first);
    tcase_add_test(t, test_another_thread_neither_settles_twice_nor_overtakes);
    tcase_add_test(t, test_settled_at_once_on_demand);
    tcase_add_test(t, test_nothing_is_owed_for_what_came_another_way);
    tcase_add_test(t, test_many_sockets);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(ahead_suite());
}
