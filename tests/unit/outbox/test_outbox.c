#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"
#include "base/counters.h"
#include "outbox/outbox.h"

static char root[32], dir[64];
static struct mono now;
static char why[256];

static void setup(void)
{
    (void)snprintf(root, sizeof(root), "/tmp/brink-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    (void)snprintf(dir, sizeof(dir), "%s/state", root);
    now.us = 1000 * US_PER_S;
}

static void teardown(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

static struct outbox *open_outbox(bool sync_always, uint32_t limit)
{
    struct outbox *o = NULL;
    enum brink_status st = outbox_open(dir, sync_always, limit, why, sizeof(why), &o);
    ck_assert_msg(st == BRINK_OK, "%d: %s", (int)st, why);
    return o;
}

static uint64_t put(struct outbox *o, const char *topic, const char *payload)
{
    struct outbox_event e = {
        .topic = text_of(topic), .payload = text_of(payload), .qos = 1, .retain = true};
    uint64_t id = 0;
    ck_assert_int_eq(outbox_put(o, &e, &id), BRINK_OK);
    return id;
}

static void put_state(struct outbox *o, const char *device, const char *value)
{
    ck_assert_int_eq(
        outbox_put_state(o, TEXT("r"), TEXT("t"), text_of(device), text_of(value)),
        BRINK_OK);
}

static void step(struct outbox *o, int64_t by_us)
{
    struct mono wake;
    now.us += by_us;
    outbox_step(o, now, &wake);
}

/* All payloads that outbox_next gives, in order, each followed by a comma. */
static const char *payloads(struct outbox *o)
{
    static char all[4096];
    size_t n = 0;
    struct outbox_event e;
    all[0] = '\0';
    for (uint64_t after = 0; outbox_next(o, after, &e); after = e.id) {
        ck_assert_uint_gt(e.id, after);
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%.*s,", (int)e.payload.n,
                              e.payload.p);
    }
    return all;
}

static void add_state(void *ctx, struct text rule, struct text tenant, struct text device,
                      struct text value)
{
    char *all = ctx;
    size_t n = strlen(all);
    (void)snprintf(all + n, 4096 - n, "%.*s/%.*s/%.*s=%.*s,", (int)rule.n, rule.p,
                   (int)tenant.n, tenant.p, (int)device.n, device.p, (int)value.n,
                   value.p);
}

static const char *states(struct outbox *o)
{
    static char all[4096];
    all[0] = '\0';
    ck_assert_int_eq(outbox_each_state(o, add_state, all), BRINK_OK);
    return all;
}

static bool exists(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

START_TEST(test_events_come_in_order_and_survive_a_restart)
{
    struct outbox *o = open_outbox(_i, 100);
    struct outbox_event e;
    uint64_t first = put(o, "a/1", "one");
    ck_assert(!outbox_next(o, 0, &e)); /* not before the commit */
    (void)put(o, "a/2", "two");
    (void)put(o, "a/1", "");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    ck_assert_uint_eq(outbox_count(o), 3);
    ck_assert_str_eq(payloads(o), "one,two,,");
    ck_assert(outbox_next(o, 0, &e));
    ck_assert_uint_eq(e.id, first);
    ck_assert(text_equal(e.topic, TEXT("a/1")));
    ck_assert_int_eq(e.qos, 1);
    ck_assert(e.retain);
    outbox_close(o);
    o = open_outbox(_i, 100);
    ck_assert_str_eq(payloads(o), "one,two,,");
    ck_assert_uint_gt(put(o, "t", "four"), first + 2);
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    ck_assert_str_eq(payloads(o), "one,two,,four,");
    outbox_close(o);
}
END_TEST

/* Puts the files as they are now in the place of those that a close leaves: as after a
 * crash. */
static struct outbox *crash_and_open(struct outbox *o)
{
    char command[512];
    (void)snprintf(command, sizeof(command), "cp -r '%s' '%s-copy'", dir, dir);
    ck_assert_int_eq(system(command), 0);
    outbox_close(o);
    (void)snprintf(command, sizeof(command), "rm -r '%s' && mv '%s-copy' '%s'", dir, dir,
                   dir);
    ck_assert_int_eq(system(command), 0);
    return open_outbox(false, 100);
}

START_TEST(test_acknowledged_events_leave_and_stay_away)
{
    struct outbox *o = open_outbox(false, 100);
    uint64_t id[5];
    for (size_t i = 0; i < 5; i++) {
        char text[2] = {(char)('a' + i), 0};
        id[i] = put(o, "t", text);
    }
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    outbox_acknowledged(o, id[1]);
    outbox_acknowledged(o, id[3]);
    outbox_acknowledged(o, id[3]); /* twice, and never given: no matter */
    outbox_acknowledged(o, 0);
    outbox_acknowledged(o, 99);
    ck_assert_uint_eq(outbox_count(o), 3);
    ck_assert_str_eq(payloads(o), "a,c,e,");
    step(o, 0);
    step(o, US_PER_S); /* written by now */
    o = crash_and_open(o);
    ck_assert_str_eq(payloads(o), "a,c,e,");
    outbox_close(o);
}
END_TEST

START_TEST(test_one_event_that_stays_does_not_hold_up_thousands)
{
    /* One event stays at the head while thousands pass it. */
    struct outbox *o = open_outbox(false, 100000);
    (void)put(o, "stays", "x");
    for (int i = 0; i < 20000; i++) {
        uint64_t id = put(o, "t", "y");
        ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
        outbox_acknowledged(o, id);
        step(o, 10 * US_PER_MS);
    }
    ck_assert_uint_eq(outbox_count(o), 1);
    ck_assert_str_eq(payloads(o), "x,");
    outbox_close(o);
}
END_TEST

START_TEST(test_past_the_limit_the_oldest_leave_and_are_counted)
{
    uint64_t dropped = counter_value(COUNT_ALERTS_OUTBOX_FULL);
    struct outbox *o = open_outbox(false, 3);
    for (char c = 'a'; c <= 'e'; c++) {
        char text[2] = {c, 0};
        (void)put(o, "t", text);
        if (c != 'd') {
            ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
        }
    }
    ck_assert_uint_eq(outbox_count(o), 3);
    ck_assert_str_eq(payloads(o), "c,d,e,");
    outbox_close(o);
    ck_assert_uint_eq(counter_value(COUNT_ALERTS_OUTBOX_FULL), dropped + 2);
    o = open_outbox(false, 3);
    ck_assert_str_eq(payloads(o), "c,d,e,");
    outbox_configure(o, true, 1);
    ck_assert_str_eq(payloads(o), "e,");
    (void)put(o, "t", "f");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    outbox_close(o);
    o = open_outbox(false, 2);
    ck_assert_str_eq(payloads(o), "f,");
    outbox_close(o);
}
END_TEST

/* The sender holds the first three: two of them leave the outbox there. */
START_TEST(test_what_leaves_while_it_is_being_sent_counts_once)
{
    uint64_t dropped = counter_value(COUNT_ALERTS_OUTBOX_FULL), id[6];
    struct outbox *o = open_outbox(false, 3);
    for (int i = 0; i < 3; i++) {
        id[i] = put(o, "t", "x");
    }
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    outbox_handed_over(o, id[2]);
    for (int i = 3; i < 5; i++) {
        id[i] = put(o, "t", "x");
    }
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    step(o, US_PER_S);
    ck_assert_uint_eq(counter_value(COUNT_ALERTS_OUTBOX_FULL), dropped);
    outbox_acknowledged(o, id[0]); /* delivered all the same */
    outbox_acknowledged(o, id[2]);
    ck_assert_uint_eq(outbox_count(o), 2);
    outbox_handed_over(o, 0); /* the sender died with id[1] */
    step(o, US_PER_S);
    ck_assert_uint_eq(counter_value(COUNT_ALERTS_OUTBOX_FULL), dropped + 1);
    outbox_handed_over(o, 0);
    step(o, US_PER_S);
    ck_assert_uint_eq(counter_value(COUNT_ALERTS_OUTBOX_FULL), dropped + 1);
    outbox_close(o);
}
END_TEST

static off_t file_bytes(void)
{
    static const char *const parts[] = {"", "-wal"};
    off_t sum = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/outbox.db%s", dir, parts[i]);
        sum += stat(path, &st) == 0 ? st.st_size : 0;
    }
    return sum;
}

START_TEST(test_file_shrinks_once_an_outage_is_over)
{
    enum { EVENTS = 3000 };
    static char payload[4001];
    struct outbox *o = open_outbox(_i == 1, EVENTS);
    uint64_t last = 0;
    memset(payload, 'x', sizeof(payload) - 1);
    for (int i = 0; i < EVENTS; i++) {
        last = put(o, "t", payload);
        if (i % 100 == 99) {
            ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
        }
    }
    ck_assert_int_gt(file_bytes(), EVENTS * 4000);
    for (uint64_t id = last; id > last - EVENTS; id--) {
        outbox_acknowledged(o, id);
    }
    struct mono wake = now;
    for (int steps = 0; wake.us != INT64_MAX; steps++) {
        ck_assert_int_lt(steps, 1000);
        now = wake.us > now.us ? wake : now;
        outbox_step(o, now, &wake);
    }
    ck_assert_int_lt(file_bytes(), 1024 * 1024);
    (void)put(o, "t", "after it");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    outbox_close(o);
    o = open_outbox(false, EVENTS);
    ck_assert_str_eq(payloads(o), "after it,");
    outbox_close(o);
}
END_TEST

START_TEST(test_states_are_written_replaced_and_deleted_with_the_event)
{
    struct outbox *o = open_outbox(false, 10);
    put_state(o, "d1", "firing");
    put_state(o, "d2", "pending");
    put_state(o, "d1", "firing 2");
    (void)put(o, "t", "x");
    ck_assert_str_eq(states(o), ""); /* not before the commit */
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    ck_assert_str_eq(states(o), "r/t/d1=firing 2,r/t/d2=pending,");
    put_state(o, "d1", "");
    put_state(o, "d3", "x");
    put_state(o, "d3", "");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    outbox_close(o);
    o = open_outbox(false, 10);
    ck_assert_str_eq(states(o), "r/t/d2=pending,");
    /* No two triples are taken for one. */
    ck_assert_int_eq(outbox_put_state(o, TEXT("a"), TEXT("bc"), TEXT("d"), TEXT("1")),
                     BRINK_OK);
    ck_assert_int_eq(outbox_put_state(o, TEXT("ab"), TEXT("c"), TEXT("d"), TEXT("2")),
                     BRINK_OK);
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    ck_assert_str_eq(states(o), "a/bc/d=1,ab/c/d=2,r/t/d2=pending,");
    outbox_close(o);
}
END_TEST

START_TEST(test_bytes_of_any_kind_come_back_as_they_were)
{
    char bytes[OUTBOX_PAYLOAD_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(unsigned char)(i * 7);
    }
    struct outbox *o = open_outbox(false, 10);
    struct outbox_event e = {
        .topic = {"a\0b", 3}, .payload = {bytes, sizeof(bytes)}, .qos = 2};
    uint64_t id;
    ck_assert_int_eq(outbox_put(o, &e, &id), BRINK_E_LIMIT);
    e.payload.n--;
    ck_assert_int_eq(outbox_put(o, &e, &id), BRINK_OK);
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    outbox_close(o);
    o = open_outbox(false, 10);
    struct outbox_event got;
    ck_assert(outbox_next(o, 0, &got));
    ck_assert(text_equal(got.topic, e.topic));
    ck_assert(text_equal(got.payload, e.payload));
    ck_assert_int_eq(got.qos, 2);
    ck_assert(!got.retain);
    outbox_close(o);
}
END_TEST

START_TEST(test_folder_and_files_are_private_whatever_the_umask)
{
    (void)umask(_i ? 0777 : 0);
    struct outbox *o = open_outbox(false, 10);
    (void)put(o, "t", "x");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    struct stat st;
    ck_assert_int_eq(stat(dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    DIR *d = opendir(dir);
    ck_assert_ptr_nonnull(d);
    int files = 0;
    for (struct dirent *f; (f = readdir(d));) {
        char path[384];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
        if (f->d_name[0] != '.' && strcmp(f->d_name, "outbox.lock") != 0) {
            ck_assert_int_eq(stat(path, &st), 0);
            ck_assert_msg((st.st_mode & 0777) == 0600, "%s: %o", f->d_name,
                          st.st_mode & 0777);
            files++;
        }
    }
    (void)closedir(d);
    ck_assert_int_eq(files, 2); /* the file and its log: the log's index is in memory */
    outbox_close(o);
    (void)umask(022);
}
END_TEST

START_TEST(test_second_process_is_refused)
{
    struct outbox *o = open_outbox(false, 10);
    struct outbox *second = NULL;
    ck_assert_int_eq(outbox_open(dir, false, 10, why, sizeof(why), &second),
                     BRINK_E_STATE);
    ck_assert_ptr_nonnull(strstr(why, "another process"));
    outbox_close(o);
    o = open_outbox(false, 10);
    outbox_close(o);
}
END_TEST

/* As that of a run that was killed while it started its child. */
START_TEST(test_lock_that_is_about_to_be_given_back_is_waited_for)
{
    char path[96], ready;
    int pipe_fds[2];
    outbox_close(open_outbox(false, 10));
    (void)snprintf(path, sizeof(path), "%s/outbox.lock", dir);
    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid_t pid = fork_unheard();
    if (pid == 0) {
        int fd = open(path, O_RDWR);
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(pipe_fds[1], "", 1) != 1) {
            _exit(1);
        }
        (void)poll(NULL, 0, 300);
        _exit(0);
    }
    ck_assert_int_eq((int)read(pipe_fds[0], &ready, 1), 1);
    outbox_close(open_outbox(false, 10));
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}
END_TEST

START_TEST(test_place_that_cannot_be_used_is_told)
{
    struct outbox *o = NULL;
    ck_assert_int_eq(outbox_open("/proc/brink", false, 10, why, sizeof(why), &o),
                     BRINK_E_IO);
    ck_assert_ptr_nonnull(strstr(why, "/proc/brink"));
    ck_assert_int_eq(outbox_open("/dev/null", false, 10, why, sizeof(why), &o),
                     BRINK_E_IO);
    ck_assert_ptr_nonnull(strstr(why, "not writable"));
    (void)snprintf(dir, sizeof(dir), "%s/no/such", root);
    ck_assert_int_eq(outbox_open(dir, false, 10, why, sizeof(why), &o), BRINK_E_IO);
    ck_assert_ptr_nonnull(strstr(why, "No such file"));
}
END_TEST

static void overwrite(const char *name, off_t at, const char *bytes, size_t n)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
    (void)close(fd);
}

START_TEST(test_damaged_file_is_put_aside_and_begun_anew)
{
    char junk[8192];
    memset(junk, 'x', sizeof(junk));
    static const off_t places[] = {0, 100, 4096, 8192};
    for (unsigned i = 0; i < 4; i++) {
        struct outbox *o = open_outbox(false, 1000);
        for (int j = 0; j < 200; j++) {
            (void)put(o, "some/topic/of/some/length",
                      "some payload of some length as well");
        }
        put_state(o, "d", "v");
        ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
        outbox_close(o);
        overwrite("outbox.db", places[i], junk, sizeof(junk));
        o = open_outbox(false, 1000);
        ck_assert_uint_eq(outbox_count(o), 0);
        ck_assert_str_eq(states(o), "");
        char aside[64];
        (void)snprintf(aside, sizeof(aside), "outbox.db.damaged-%u", i + 1);
        ck_assert(exists(aside));
        (void)put(o, "t", "works");
        ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
        ck_assert_str_eq(payloads(o), "works,");
        outbox_acknowledged(o, 1);
        outbox_close(o);
    }
}
END_TEST

START_TEST(test_newer_file_is_refused_and_left_alone)
{
    struct outbox *o = open_outbox(false, 10);
    outbox_close(o);
    overwrite("outbox.db", 60, "\0\0\0\x63", 4); /* user_version 99 */
    ck_assert_int_eq(outbox_open(dir, false, 10, why, sizeof(why), &o), BRINK_E_IO);
    ck_assert_ptr_nonnull(strstr(why, "newer"));
    ck_assert(!exists("outbox.db.damaged-1"));
}
END_TEST

START_TEST(test_file_that_goes_bad_while_open_is_begun_anew)
{
    struct outbox *o = open_outbox(false, 100000);
    char big[4096];
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    for (int i = 0; i < 3000; i++) { /* more than SQLite's cache holds */
        (void)put(o, "t", big);
    }
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    char command[512];
    (void)snprintf(
        command, sizeof(command),
        "for f in '%s'/outbox.db '%s'/outbox.db-wal; do head -c 16000000 /dev/zero |"
        " tr '\\0' x | dd of=$f conv=notrunc status=none; done",
        dir, dir);
    ck_assert_int_eq(system(command), 0);
    struct outbox_event e;
    for (uint64_t after = 0; outbox_next(o, after, &e); after = e.id) {}
    (void)put(o, "t", "after");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    ck_assert_str_eq(payloads(o), "after,");
    ck_assert(exists("outbox.db.damaged-1"));
    outbox_close(o);
    o = open_outbox(false, 10);
    ck_assert_str_eq(payloads(o), "after,");
    outbox_close(o);
}
END_TEST

/* Runs a commit or a step while no file of ours may grow. Only that: libcheck writes
 * files. */
static enum brink_status on_full_disk(struct outbox *o, bool commit)
{
    struct rlimit was, r;
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    r = was;
    r.rlim_cur = 512;
    enum brink_status st = BRINK_OK;
    if (setrlimit(RLIMIT_FSIZE, &r) != 0) {
        _exit(1);
    }
    if (commit) {
        st = outbox_commit(o, now);
    } else {
        struct mono wake;
        outbox_step(o, now, &wake);
    }
    if (setrlimit(RLIMIT_FSIZE, &was) != 0) {
        _exit(1);
    }
    return st;
}

START_TEST(test_full_disk_keeps_events_in_memory_and_writes_them_later)
{
    uint64_t failures = counter_value(COUNT_OUTBOX_FAILURES);
    struct outbox *o = open_outbox(_i, 5);
    (void)put(o, "t", "on disk");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    (void)put(o, "t", "a");
    put_state(o, "d", "1");
    ck_assert_int_eq(on_full_disk(o, true), BRINK_E_IO);
    ck_assert_uint_gt(counter_value(COUNT_OUTBOX_FAILURES), failures);
    put_state(o, "d", "2");
    (void)put(o, "t", "b");
    ck_assert_int_eq(on_full_disk(o, true), BRINK_E_IO);
    now.us += US_PER_S;
    (void)on_full_disk(o, false);
    /* A full disk does not silence them. */
    ck_assert_str_eq(payloads(o), "on disk,a,b,");
    ck_assert_str_eq(states(o), "");
    /* One is delivered meanwhile: it is never written. */
    outbox_acknowledged(o, 2);
    ck_assert_str_eq(payloads(o), "on disk,b,");
    step(o, US_PER_S);
    ck_assert_str_eq(states(o), "r/t/d=2,");
    ck_assert_str_eq(payloads(o), "on disk,b,");
    outbox_close(o);
    o = open_outbox(false, 5);
    ck_assert_str_eq(payloads(o), "on disk,b,");
    ck_assert_str_eq(states(o), "r/t/d=2,");
    outbox_close(o);
}
END_TEST

START_TEST(test_full_disk_never_holds_more_than_the_limit)
{
    struct outbox *o = open_outbox(false, 3);
    for (char c = 'a'; c <= 'f'; c++) {
        char text[2] = {c, 0};
        (void)put(o, "t", text);
        ck_assert_int_eq(on_full_disk(o, true), BRINK_E_IO);
        now.us += US_PER_S;
    }
    ck_assert_str_eq(payloads(o), "d,e,f,");
    outbox_close(o); /* the last chance */
    o = open_outbox(false, 3);
    ck_assert_str_eq(payloads(o), "d,e,f,");
    outbox_close(o);
}
END_TEST

START_TEST(test_full_disk_is_bounded_in_bytes_too)
{
    static char big[OUTBOX_PAYLOAD_BYTES_MAX];
    struct outbox *o = open_outbox(false, 100000);
    for (int i = 0; i < 600; i++) { /* 75 MiB */
        struct outbox_event e = {.topic = TEXT("t"), .payload = {big, sizeof(big)}};
        uint64_t id;
        ck_assert_int_eq(outbox_put(o, &e, &id), BRINK_OK);
    }
    ck_assert_uint_lt(outbox_count(o), 512);
    ck_assert_uint_gt(outbox_count(o), 500);
    ck_assert_int_eq(on_full_disk(o, true), BRINK_E_IO);
    outbox_close(o);
}
END_TEST

START_TEST(test_step_never_tears_what_is_being_collected)
{
    struct outbox *o = open_outbox(false, 10);
    uint64_t id = put(o, "t", "x");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    outbox_acknowledged(o, id); /* a reason to write */
    (void)put(o, "t", "half");
    step(o, 0);
    step(o, 10 * US_PER_S);
    o = crash_and_open(o);
    ck_assert_str_eq(payloads(o), "x,");
    (void)put(o, "t", "whole");
    step(o, 10 * US_PER_S);
    put_state(o, "d", "v");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    o = crash_and_open(o);
    ck_assert_str_eq(payloads(o), "x,whole,");
    ck_assert_str_eq(states(o), "r/t/d=v,");
    outbox_close(o);
}
END_TEST

/* A child writes, tells through a pipe what was committed, and is killed at any moment.
 */
START_TEST(test_kill_loses_no_committed_event)
{
    uint64_t random = 42;
    for (int round = 0; round < 10; round++) {
        int fds[2];
        ck_assert_int_eq(pipe(fds), 0);
        pid_t pid = fork_unheard();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            struct outbox *o = open_outbox(_i, 100000);
            for (;;) {
                uint64_t id = 0;
                for (int i = 0; i < 3; i++) {
                    id = put(o, "t", "payload");
                }
                put_state(o, "d", "v");
                if (outbox_commit(o, now) != BRINK_OK ||
                    write(fds[1], &id, sizeof(id)) != sizeof(id)) {
                    _exit(1);
                }
                step(o, 50 * US_PER_MS);
            }
        }
        (void)close(fds[1]);
        uint64_t last = 0;
        for (uint64_t n = 20 + next_random(&random) % 200; n > 0; n--) {
            ck_assert_int_eq(read(fds[0], &last, sizeof(last)), sizeof(last));
        }
        (void)kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        while (read(fds[0], &last, sizeof(last)) == sizeof(last)) {}
        (void)close(fds[0]);
        struct outbox *o = open_outbox(_i, 100000);
        ck_assert_uint_ge(outbox_count(o), last);
        ck_assert_uint_eq(outbox_count(o) % 3, 0); /* whole transactions */
        struct outbox_event e;
        uint64_t expected = 0;
        while (outbox_next(o, expected, &e)) {
            expect(e.id == expected + 1, "a gap after %d", (int)expected);
            expected = e.id;
        }
        ck_assert_uint_ge(expected, last);
        outbox_close(o);
    }
}
END_TEST

START_TEST(test_nothing_collected_costs_no_write)
{
    struct outbox *o = open_outbox(true, 10);
    (void)put(o, "t", "x");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    char path[256];
    struct stat before, after;
    (void)snprintf(path, sizeof(path), "%s/outbox.db-wal", dir);
    ck_assert_int_eq(stat(path, &before), 0);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
        step(o, US_PER_S);
    }
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_int_eq(before.st_size, after.st_size);
    struct mono wake;
    outbox_step(o, now, &wake);
    ck_assert_int_eq(wake.us, INT64_MAX);
    outbox_close(o);
}
END_TEST

START_TEST(test_log_is_made_durable_within_a_second)
{
    struct outbox *o = open_outbox(false, 10);
    (void)put(o, "t", "x");
    ck_assert_int_eq(outbox_commit(o, now), BRINK_OK);
    struct mono wake;
    outbox_step(o, now, &wake);
    ck_assert_int_gt(wake.us, now.us);
    ck_assert_int_le(wake.us, now.us + US_PER_S);
    outbox_step(o, wake, &wake);
    ck_assert_int_eq(wake.us, INT64_MAX);
    outbox_close(o);
}
END_TEST

/* Against a list that does the same without a file. */
START_TEST(test_random_use_agrees_with_a_plain_list)
{
    enum { N = 3000, LIMIT = 40 };
    uint64_t random = (uint64_t)_i + 7, list[LIMIT + 1];
    size_t n = 0;
    struct outbox *o = open_outbox(false, LIMIT);
    for (int turns = 0; turns < N; turns++) {
        now.us += (int64_t)(next_random(&random) % (200 * US_PER_MS));
        switch (next_random(&random) % 8) {
        case 0:
        case 1:
        case 2:
            if (n == LIMIT) {
                memmove(list, list + 1, --n * sizeof(*list));
            }
            list[n++] = put(o, "t", "x");
            break;
        case 3:
            expect(outbox_commit(o, now) == BRINK_OK, "commit");
            break;
        case 4:
        case 5:
            if (n > 0) {
                size_t i = (size_t)(next_random(&random) % n);
                outbox_acknowledged(o, list[i]);
                memmove(list + i, list + i + 1, (--n - i) * sizeof(*list));
            }
            break;
        case 6:
            step(o, 0);
            break;
        default:
            if (next_random(&random) % 10 == 0) {
                outbox_close(o);
                o = open_outbox(false, LIMIT);
            }
        }
        expect(outbox_count(o) == n, "%zu instead of %zu", outbox_count(o), n);
        if (turns % 3 == 0) {
            expect(outbox_commit(o, now) == BRINK_OK, "commit");
            struct outbox_event e;
            uint64_t after = 0;
            for (size_t i = 0; i < n; i++, after = e.id) {
                expect(outbox_next(o, after, &e) && e.id == list[i], "not %d",
                       (int)list[i]);
            }
            expect(!outbox_next(o, after, &e), "more than there are");
        }
    }
    outbox_close(o);
}
END_TEST

static Suite *outbox_suite(void)
{
    Suite *s = suite_create("outbox");
    TCase *t = tcase_create("outbox");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_events_come_in_order_and_survive_a_restart, 0, 2);
    tcase_add_test(t, test_acknowledged_events_leave_and_stay_away);
    tcase_add_test(t, test_one_event_that_stays_does_not_hold_up_thousands);
    tcase_add_test(t, test_past_the_limit_the_oldest_leave_and_are_counted);
    tcase_add_test(t, test_what_leaves_while_it_is_being_sent_counts_once);
    tcase_add_loop_test(t, test_file_shrinks_once_an_outage_is_over, 0, 2);
    tcase_add_test(t, test_states_are_written_replaced_and_deleted_with_the_event);
    tcase_add_test(t, test_bytes_of_any_kind_come_back_as_they_were);
    tcase_add_loop_test(t, test_folder_and_files_are_private_whatever_the_umask, 0, 2);
    tcase_add_test(t, test_second_process_is_refused);
    tcase_add_test(t, test_lock_that_is_about_to_be_given_back_is_waited_for);
    tcase_add_test(t, test_place_that_cannot_be_used_is_told);
    tcase_add_test(t, test_damaged_file_is_put_aside_and_begun_anew);
    tcase_add_test(t, test_newer_file_is_refused_and_left_alone);
    tcase_add_test(t, test_file_that_goes_bad_while_open_is_begun_anew);
    tcase_add_loop_test(t, test_full_disk_keeps_events_in_memory_and_writes_them_later, 0,
                        2);
    tcase_add_test(t, test_full_disk_never_holds_more_than_the_limit);
    tcase_add_test(t, test_full_disk_is_bounded_in_bytes_too);
    tcase_add_test(t, test_step_never_tears_what_is_being_collected);
    tcase_add_loop_test(t, test_kill_loses_no_committed_event, 0, 2);
    tcase_add_test(t, test_nothing_collected_costs_no_write);
    tcase_add_test(t, test_log_is_made_durable_within_a_second);
    tcase_add_loop_test(t, test_random_use_agrees_with_a_plain_list, 0, 5);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(outbox_suite());
}
