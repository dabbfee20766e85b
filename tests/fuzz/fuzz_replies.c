/* A server that answers with any bytes: a history that is connected to it over a socket
 * takes them for answers, neither crashes nor hangs, and its windows stay finite and in
 * order. Input: a byte, odd where the server also makes up its part of the handshake;
 * then answers with a NUL between them, each sent when something was asked. Behind the
 * last the server hangs up. */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "history/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TIMEOUT_US (20 * US_PER_MS) /* what an answer that stays incomplete costs */
#define INPUT_BYTES_MAX 65536
#define T0 INT64_C(1767225600)

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || defined __clang__
/* libFuzzer looks at single allocations, a sanitizer reserves terabytes of its own. */
static void check_memory(void)
{
}
#else
/* What an answer merely claims to bring is not reserved. */
static void check_memory(void)
{
    char line[256];
    unsigned long peak_kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f) &&
           sscanf(line, "VmPeak: %lu kB", &peak_kib) != 1) {}
    if (f) {
        fclose(f);
    }
    must(peak_kib < 1024UL * 1024);
}
#endif

/* --- the server --- */

static struct {
    pthread_mutex_t lock;
    char input[INPUT_BYTES_MAX];
    size_t n;
    int fd;
    char folder[32], path[48];
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .folder = "/tmp/brink-fuzz-XXXXXX"};

static const char *const handshake[] = {
    "$40\r\n0123456789012345678901234567890123456789\r\n",
    "$54\r\nrun_id:a\r\naof_enabled:0\r\nmaxmemory_policy:noeviction\r\n\r\n",
};

static void serve(int fd)
{
    static char input[INPUT_BYTES_MAX];
    char asked[16384];
    pthread_mutex_lock(&server.lock);
    struct text rest = {input, server.n};
    memcpy(input, server.input, server.n);
    pthread_mutex_unlock(&server.lock);
    size_t fixed = rest.n > 0 && (rest.p[0] & 1) ? 2 : 0; /* answers of the handshake */
    rest.p += rest.n > 0;
    rest.n -= rest.n > 0;
    while (read(fd, asked, sizeof asked) > 0) {
        if (fixed < 2) {
            struct text t = text_of(handshake[fixed++]);
            (void)!send(fd, t.p, t.n, MSG_NOSIGNAL);
            continue;
        }
        const char *nul = memchr(rest.p, '\0', rest.n);
        size_t n = nul ? (size_t)(nul - rest.p) : rest.n;
        (void)!send(fd, rest.p, n, MSG_NOSIGNAL);
        rest.p += n + (nul != NULL);
        rest.n -= n + (nul != NULL);
        if (rest.n == 0) {
            (void)shutdown(fd, SHUT_WR);
        }
    }
    close(fd);
}

static void *server_thread(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(server.fd, NULL, NULL);
        must(fd >= 0);
        serve(fd);
    }
    return NULL;
}

static void remove_folder(void)
{
    unlink(server.path);
    rmdir(server.folder);
}

static void start_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    must(mkdtemp(server.folder) != NULL);
    snprintf(server.path, sizeof server.path, "%s/s", server.folder);
    memcpy(address.sun_path, server.path, sizeof server.path);
    server.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    must(server.fd >= 0 &&
         bind(server.fd, (struct sockaddr *)&address, sizeof address) == 0 &&
         listen(server.fd, 16) == 0);
    atexit(remove_folder);
    must(pthread_create(&thread, NULL, server_thread, NULL) == 0);
    pthread_detach(thread);
}

/* --- the gateway's side --- */

static void no_wake(void *ctx)
{
    (void)ctx;
}

static void visit(void *ctx, struct text field, struct text value)
{
    size_t *bytes = ctx; /* each is there to be read */
    for (size_t i = 0; i < field.n; i++) {
        *bytes += (unsigned char)field.p[i];
    }
    for (size_t i = 0; i < value.n; i++) {
        *bytes += (unsigned char)value.p[i];
    }
}

static void check_window(const struct series *s)
{
    const struct window *w = series_window(s);
    for (size_t i = 0; i < window_count(w); i++) {
        must(isfinite(window_at(w, i).value));
        must(i == 0 || window_at(w, i - 1).at.us <= window_at(w, i).at.us);
    }
}

static void run_batch(struct history *h, struct series *const series[2], int64_t at_s)
{
    int staged[2];
    for (int i = 0; i < 2; i++) {
        staged[i] = history_stage(h, series[i],
                                  (struct point){{(T0 + at_s) * US_PER_S}, (double)i});
    }
    history_exchange(h, clock_system.mono(clock_system.ctx));
    for (int i = 0; i < 2; i++) {
        (void)history_admit(h, staged[i]);
        check_window(series[i]);
    }
    history_reset_batch(h);
}

static void run_history(struct history *h)
{
    static const struct span_spec by_count = {0, 3, 1u << FN_AVG},
                                  by_time = {60 * US_PER_S, 0, 1u << FN_AVG};
    static const struct window_spec specs[] = {
        {(struct span_spec *)(uintptr_t)&by_count, 1, 1000},
        {(struct span_spec *)(uintptr_t)&by_time, 1, 1000}};
    struct series *series[2] = {NULL, NULL};
    struct mono ignored;
    size_t bytes = 0;
    must(series_new(h, TEXT("wbuf:t:r:d"), &specs[0], &series[0], &series[0]) ==
         BRINK_OK);
    must(series_new(h, TEXT("wbuf:t:r:d/m"), &specs[1], &series[1], &series[1]) ==
         BRINK_OK);
    history_load_devices(h, "first", visit, &bytes);
    history_wait_connected(h, 50 * TIMEOUT_US);
    run_batch(h, series, 0);
    history_put_device(h, TEXT("t/d"), TEXT("line"));
    history_put_cooldown(h, TEXT("t"), TEXT("r"), TEXT("d"), 60 * US_PER_S);
    run_batch(h, series, 1);
    series_restart(series[0]);
    series_shift(series[1], US_PER_S);
    history_step(h, clock_system.mono(clock_system.ctx), &ignored);
    while (history_next_changed(h)) {}
    for (int i = 0; i < 2; i++) {
        check_window(series[i]);
        series_free(series[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char id[] = "gw";
    static bool started;
    if (!started) {
        started = true;
        log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        start_server();
    }
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    pthread_mutex_lock(&server.lock);
    memcpy(server.input, data, size);
    server.n = size;
    pthread_mutex_unlock(&server.lock);
    struct config config = {
        .gateway.id = id,
        .store = {.kind = STORE_UNIX, .path = server.path, .timeout_us = TIMEOUT_US},
        .limits = {.points_per_window = 1000, .devices = 1000},
    };
    struct history *h = NULL;
    must(history_new(&config, &clock_system, no_wake, NULL, HISTORY_BATCH_UNKNOWN, &h) ==
         BRINK_OK);
    run_history(h);
    history_free(h);
    check_memory();
    return 0;
}
