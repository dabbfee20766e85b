/* load drive ... : publishes the workload (work.h) and checks every alert that comes
 * back; SIGTERM ends the publishing early. load null ...  : a gateway that does nothing
 * but answer each 99 with an alert: what broker and generator cost by themselves.
 * load flood --rate R ... : one more device that sends as fast as that, until SIGTERM.
 * load print ... : the readings that `drive` would publish, "topic payload" a line.
 *
 * Closed loop (no --rate): never more than --window readings ahead of the newest one that
 * was answered by an alert, so the rate is what the gateway keeps up with, and nothing
 * queues without end. With --rate: a tick a millisecond; latency counts from the tick at
 * which a reading was due, so a late generator hides nothing. */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"
#include "work.h"

#define CONNECTIONS_MAX 64
#define PROCESSES_MAX 8
#define UNACKNOWLEDGED_MAX 500             /* QoS 1, of one connection */
#define ALERT_TOPIC "bench-alert/%s/%s/%s" /* device, rule, event */
#define NAMES_MAX 48

static struct {
    struct work work;
    const char *id;
    int port, qos, connections, patience_s;
    uint64_t messages;
    double rate;
    uint64_t window;
    uint32_t first;
} o = {.work = {.devices = 1000, .warm = 60, .window = 60},
       .id = "load",
       .port = 1883,
       .connections = 16,
       .patience_s = 10,
       .messages = 100000,
       .window = 4000};

/* --- the gateway's processes --- */

static struct process {
    char name[16];
    int pid;
    double cpu_s, cpu_before_s;
    long rss_kib, peak_kib;
} processes[PROCESSES_MAX];
static int n_processes;

static void look_at(struct process *p)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", p->pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    unsigned long user = 0, system = 0;
    const char *end = strrchr(text, ')');
    if (!end || sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                       &user, &system) != 2) {
        errno = ESRCH;
        fail(p->name);
    }
    fclose(f);
    p->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    snprintf(path, sizeof path, "/proc/%d/status", p->pid);
    f = fopen(path, "r");
    while (f && fgets(text, sizeof text, f)) {
        (void)sscanf(text, "VmRSS: %ld", &p->rss_kib);
        (void)sscanf(text, "VmHWM: %ld", &p->peak_kib);
    }
    if (f) {
        fclose(f);
    }
}

/* --- what comes back --- */

/* Of each reading sent: when, and which of its alerts are still to come. */
static struct sent {
    _Atomic int64_t at_ns;
    atomic_uchar awaited;
} * sent;
static uint64_t n_readings; /* warm-up included; reading i is k * devices + device */
static _Atomic uint64_t answered;
static _Atomic uint64_t awaited, unexpected;
static _Atomic int64_t last_alert_ns;
static _Atomic int64_t measured_from_ns;
static int64_t *latencies;
static size_t n_latencies;
static atomic_bool stop;
static volatile sig_atomic_t enough; /* SIGTERM came */
static uint64_t n_published;         /* warm-up included */

#define OF_SIDE_RULE 128u /* beside the bits of work.h: a rule that only makes work */

static unsigned event_of(const char *rule, const char *event)
{
    if (strncmp(rule, "side", 4) == 0) {
        return OF_SIDE_RULE;
    }
    bool humid = strncmp(rule, "humid/", 6) == 0;
    if (!humid && strncmp(rule, "hot/", 4) != 0) {
        return 0;
    }
    if (strcmp(event, "OPEN") == 0) {
        return humid ? OPENS_HUMID : OPENS_HOT;
    }
    return strcmp(event, "CLOSED") != 0 ? 0 : humid ? CLOSES_HUMID : CLOSES_HOT;
}

static const char *find(const struct wire_message *m, const char *what)
{
    const char *at = memmem(m->payload, m->payload_bytes, what, strlen(what));
    return at ? at + strlen(what) : NULL;
}

static void on_alert(void *ctx, const struct wire_message *m)
{
    (void)ctx;
    int64_t now = now_ns();
    char topic[128];
    unsigned device = 0;
    int rule = 0, event = 0;
    if (m->topic_bytes < sizeof topic) {
        memcpy(topic, m->topic, m->topic_bytes);
        topic[m->topic_bytes] = '\0';
        (void)sscanf(topic, "bench-alert/d%u/%n%*[a-z0-9]/%n", &device, &rule, &event);
    }
    unsigned what = event > 0 ? event_of(topic + rule, topic + event) : 0;
    if (what == OF_SIDE_RULE) {
        return;
    }
    const char *stamp = find(m, "\"event_at\":\"");
    int64_t k =
        stamp ? work_parse_stamp(stamp, (size_t)(m->payload + m->payload_bytes - stamp))
              : -1;
    uint64_t i = (uint64_t)k * o.work.devices + device;
    if (what == 0 || k < 0 || device >= o.work.devices || i >= n_readings ||
        !(atomic_fetch_and(&sent[i].awaited, (unsigned char)~what) & what)) {
        atomic_fetch_add(&unexpected, 1);
        return;
    }
    int64_t at = atomic_load(&sent[i].at_ns);
    if (what & (OPENS_HUMID | OPENS_HOT) && at >= atomic_load(&measured_from_ns)) {
        latencies[n_latencies++] = now - at;
    }
    uint64_t before = atomic_load(&answered);
    if (i > before) {
        atomic_store(&answered, i);
    }
    atomic_store(&last_alert_ns, now);
    atomic_fetch_sub(&awaited, 1);
}

static void *receive(void *ctx)
{
    struct wire *w = ctx;
    while (!atomic_load(&stop)) {
        if (wire_read(w, 50, on_alert, NULL)) {
            wire_flush(w);
        }
    }
    return NULL;
}

/* --- what goes out --- */

static void flush_all(struct wire *wires, int n)
{
    for (int c = 0; c < n; c++) {
        wire_flush(&wires[c]);
        while (wires[c].unacknowledged > 0 && wire_read(&wires[c], 0, NULL, NULL)) {}
    }
}

static void pause_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    (void)nanosleep(&t, NULL);
}

/* False: no answer for too long. */
static bool wait_below(uint64_t i, struct wire *wires)
{
    int64_t began = now_ns();
    for (bool flushed = false; i > atomic_load(&answered) + o.window; flushed = true) {
        if (!flushed) {
            flush_all(wires, o.connections);
        }
        pause_us(50);
        if (now_ns() - began > o.patience_s * INT64_C(1000000000)) {
            return false;
        }
    }
    return true;
}

#define TOPIC_BYTES 24

/* d000123, without printf. */
static void print_topic(uint32_t device, char out[TOPIC_BYTES + 1])
{
    memcpy(out, "bench/d0000000/telemetry", TOPIC_BYTES + 1);
    for (uint32_t v = device, at = 13; v > 0; v /= 10, at--) {
        out[at] = (char)('0' + v % 10);
    }
}

static void publish(struct wire *wires, uint64_t i, int64_t due_ns)
{
    uint32_t device = (uint32_t)(i % o.work.devices), k = (uint32_t)(i / o.work.devices);
    struct wire *w = &wires[device % (uint32_t)o.connections];
    char topic[TOPIC_BYTES + 1], payload[WORK_PAYLOAD_BYTES];
    unsigned events = work_events(&o.work, device, k);
    if (events) {
        atomic_store(&sent[i].at_ns, due_ns ? due_ns : now_ns());
        atomic_store(&sent[i].awaited, (unsigned char)events);
        atomic_fetch_add(&awaited, (uint64_t)__builtin_popcount(events));
    }
    print_topic(device, topic);
    while (o.qos > 0 && w->unacknowledged >= UNACKNOWLEDGED_MAX) {
        wire_flush(w);
        (void)wire_read(w, 100, NULL, NULL);
    }
    struct wire_message m = {topic, payload, TOPIC_BYTES,
                             work_payload(&o.work, device, k, payload)};
    wire_publish(w, &m, o.qos);
    n_published++;
}

/* Readings [from, to). False: the gateway does not answer. */
static bool publish_all(struct wire *wires, uint64_t from, uint64_t to, double rate,
                        bool closed_loop, int64_t *ret_late_ns)
{
    int64_t began = now_ns();
    for (uint64_t i = from; i < to && !enough;) {
        if (rate <= 0) {
            if (closed_loop && !wait_below(i, wires)) {
                return false;
            }
            publish(wires, i++, 0);
            continue;
        }
        /* All that is due by this tick. */
        int64_t tick = (now_ns() - began) / 1000000;
        uint64_t due = from + (uint64_t)((double)tick / 1000 * rate);
        due = due < to ? due : to;
        for (; i < due; i++) {
            int64_t at = (int64_t)((double)(i - from + 1) / rate * 1000);
            int64_t due_ns = began + (at + 1) * 1000000;
            int64_t late = now_ns() - due_ns;
            *ret_late_ns = late > *ret_late_ns ? late : *ret_late_ns;
            publish(wires, i, due_ns < now_ns() ? due_ns : now_ns());
        }
        flush_all(wires, o.connections);
        int64_t next = began + (tick + 1) * 1000000;
        struct timespec until = {next / 1000000000, next % 1000000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    flush_all(wires, o.connections);
    return true;
}

static void wait_alerts(void)
{
    int64_t began = now_ns(), patience = o.patience_s * INT64_C(1000000000);
    while (atomic_load(&awaited) > 0) {
        int64_t last = atomic_load(&last_alert_ns);
        if (now_ns() - (last > began ? last : began) > patience) {
            return;
        }
        pause_us(200);
    }
}

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double latency_ms(double part)
{
    return n_latencies
               ? (double)latencies[(size_t)((double)(n_latencies - 1) * part)] / 1e6
               : 0;
}

static int drive(void)
{
    static struct wire alerts;
    pthread_t thread;
    char id[NAMES_MAX];
    uint64_t first = (uint64_t)o.first * o.work.devices;
    uint64_t warm = o.first > 0 ? 0 : (uint64_t)o.work.warm * o.work.devices;
    uint64_t begin = first + warm;
    n_readings = begin + o.messages;
    sent = calloc(n_readings, sizeof *sent);
    latencies = calloc(o.messages + 1, sizeof *latencies);
    struct wire *wires = calloc((size_t)o.connections, sizeof *wires);
    if (!sent || !latencies || !wires) {
        fail("memory");
    }
    snprintf(id, sizeof id, "%s-alerts", o.id);
    wire_open(&alerts, o.port, id);
    wire_subscribe(&alerts, "bench-alert/#", o.qos);
    for (int c = 0; c < o.connections; c++) {
        snprintf(id, sizeof id, "%s-%d", o.id, c);
        wire_open(&wires[c], o.port, id);
    }
    if (pthread_create(&thread, NULL, receive, &alerts) != 0) {
        fail("pthread_create");
    }
    int64_t late_ns = 0;
    atomic_store(&measured_from_ns, INT64_MAX);
    atomic_store(&answered, first);
    if (warm > 0) {
        (void)publish_all(wires, first, begin, 0, false, &late_ns);
        wait_alerts();
    }
    for (int p = 0; p < n_processes; p++) {
        look_at(&processes[p]);
        processes[p].cpu_before_s = processes[p].cpu_s;
    }
    int64_t began = now_ns();
    atomic_store(&measured_from_ns, began);
    atomic_store(&answered, begin);
    bool answering = publish_all(wires, begin, n_readings, o.rate, true, &late_ns);
    wait_alerts();
    int64_t ended = atomic_load(&last_alert_ns);
    double seconds = (double)(ended - began) / 1e9;
    uint64_t messages = n_published > warm ? n_published - warm : 1;
    for (int p = 0; p < n_processes; p++) {
        look_at(&processes[p]);
    }
    atomic_store(&stop, true);
    (void)pthread_join(thread, NULL);
    free(wires);
    qsort(latencies, n_latencies, sizeof *latencies, by_size);
    printf("{\"messages\": %llu, \"rate\": %.0f, \"lost\": %llu, \"false\": %llu, "
           "\"answering\": %s, "
           "\"alerts\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"late_ms\": %.3f, "
           "\"cpu_us\": {",
           (unsigned long long)n_published, (double)messages / seconds,
           (unsigned long long)atomic_load(&awaited),
           (unsigned long long)atomic_load(&unexpected), answering ? "true" : "false",
           n_latencies, latency_ms(0.5), latency_ms(0.99), (double)late_ns / 1e6);
    for (int p = 0; p < n_processes; p++) {
        printf("%s\"%s\": %.3f", p ? ", " : "", processes[p].name,
               (processes[p].cpu_s - processes[p].cpu_before_s) * 1e6 / (double)messages);
    }
    printf("}, \"rss_mib\": {");
    for (int p = 0; p < n_processes; p++) {
        printf("%s\"%s\": %.2f", p ? ", " : "", processes[p].name,
               (double)processes[p].rss_kib / 1024);
    }
    printf("}}\n");
    return answering && atomic_load(&awaited) == 0 && atomic_load(&unexpected) == 0 ? 0
                                                                                    : 1;
}

/* Raises no alert; says how many it sent and how fast. */
static int flood(void)
{
    static struct wire w;
    static const char topic[] = "bench/flood/telemetry";
    char payload[WORK_PAYLOAD_BYTES];
    const struct work calm = {.devices = 1, .warm = UINT32_MAX};
    int64_t began = now_ns(), taken = 0;
    wire_open(&w, o.port, o.id);
    while (!enough) {
        int64_t due = (int64_t)((double)(now_ns() - began) / 1e9 * o.rate);
        for (; taken < due && !enough; taken++) {
            struct wire_message m = {topic, payload, sizeof topic - 1,
                                     work_payload(&calm, 0, (uint32_t)taken, payload)};
            while (o.qos > 0 && w.unacknowledged >= UNACKNOWLEDGED_MAX && !enough) {
                wire_flush(&w);
                (void)wire_read(&w, 100, NULL, NULL);
            }
            wire_publish(&w, &m, o.qos);
        }
        flush_all(&w, 1);
        pause_us(500);
    }
    printf("{\"messages\": %lld, \"rate\": %.0f}\n", (long long)taken,
           (double)taken * 1e9 / (double)(now_ns() - began));
    return 0;
}

static void end_early(int signal_number)
{
    (void)signal_number;
    enough = 1;
}

static int print(void)
{
    char topic[TOPIC_BYTES + 1], payload[WORK_PAYLOAD_BYTES];
    uint64_t first = (uint64_t)o.first * o.work.devices;
    for (uint64_t i = first; i < first + o.messages; i++) {
        uint32_t device = (uint32_t)(i % o.work.devices);
        print_topic(device, topic);
        size_t n = work_payload(&o.work, device, (uint32_t)(i / o.work.devices), payload);
        printf("%s %.*s\n", topic, (int)n, payload);
    }
    return 0;
}

/* --- the null gateway --- */

static void answer(void *ctx, const struct wire_message *m)
{
    struct wire *out = ctx;
    const char *humidity = find(m, "\"humidity\":99"), *stamp = find(m, "\"ts\":\"");
    char topic[64], payload[64];
    if (humidity && stamp) {
        int t =
            snprintf(topic, sizeof topic, "bench-alert/%.*s/humid/OPEN", 8, m->topic + 6);
        int p = snprintf(payload, sizeof payload, "{\"event_at\":\"%.20s\"}", stamp);
        struct wire_message alert = {topic, payload, (size_t)t, (size_t)p};
        wire_publish(out, &alert, o.qos);
    }
}

static _Noreturn void be_null(void)
{
    static struct wire in, out;
    char id[NAMES_MAX];
    snprintf(id, sizeof id, "%s-out", o.id);
    wire_open(&out, o.port, id);
    wire_open(&in, o.port, o.id);
    wire_subscribe(&in, "bench/+/telemetry", o.qos);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        (void)wire_read(&in, -1, answer, &out);
        wire_flush(&in);
        wire_flush(&out);
        while (out.unacknowledged > 0 && wire_read(&out, 0, NULL, NULL)) {}
    }
}

/* --- the command --- */

static int usage(void)
{
    fputs(
        "usage: load drive|flood|print|null [--port P] [--qos 0|1] [--id CLIENT]\n"
        "  drive: [--messages N] [--devices N] [--warm READINGS] [--first K] [--rate R]\n"
        "         [--window READINGS] [--hot-window SECONDS] [--opens-only]\n"
        "         [--connections N] [--patience SECONDS] [--pid NAME=PID]...\n",
        stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", 1, NULL, 'p'},
                                            {"qos", 1, NULL, 'q'},
                                            {"id", 1, NULL, 'i'},
                                            {"messages", 1, NULL, 'n'},
                                            {"devices", 1, NULL, 'd'},
                                            {"warm", 1, NULL, 'w'},
                                            {"first", 1, NULL, 'f'},
                                            {"rate", 1, NULL, 'r'},
                                            {"window", 1, NULL, 'W'},
                                            {"hot-window", 1, NULL, 'h'},
                                            {"opens-only", 0, NULL, 'H'},
                                            {"connections", 1, NULL, 'c'},
                                            {"patience", 1, NULL, 'P'},
                                            {"pid", 1, NULL, 'x'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;
        switch (c) {
        case 'p':
            o.port = (int)n;
            break;
        case 'q':
            o.qos = (int)n;
            break;
        case 'i':
            o.id = optarg;
            break;
        case 'n':
            o.messages = n;
            break;
        case 'd':
            o.work.devices = (uint32_t)n;
            break;
        case 'w':
            o.work.warm = (uint32_t)n;
            break;
        case 'f':
            o.first = (uint32_t)n;
            break;
        case 'r':
            o.rate = strtod(optarg, NULL);
            break;
        case 'W':
            o.window = n;
            break;
        case 'h':
            o.work.window = (uint32_t)n;
            break;
        case 'H':
            o.work.opens_only = true;
            break;
        case 'c':
            o.connections = (int)n;
            break;
        case 'P':
            o.patience_s = (int)n;
            break;
        case 'x':
            if (n_processes == PROCESSES_MAX ||
                sscanf(optarg, "%15[^=]=%d", processes[n_processes].name,
                       &processes[n_processes].pid) != 2) {
                return usage();
            }
            n_processes++;
            break;
        default:
            return usage();
        }
    }
    if (optind != argc - 1 || o.work.devices < 1 || o.messages < 1 || o.connections < 1 ||
        o.connections > CONNECTIONS_MAX || strlen(o.id) > 32) {
        return usage();
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (strcmp(argv[optind], "drive") == 0) {
        (void)signal(SIGTERM, end_early);
        return drive();
    }
    if (strcmp(argv[optind], "flood") == 0) {
        (void)signal(SIGTERM, end_early);
        return flood();
    }
    if (strcmp(argv[optind], "print") == 0) {
        return print();
    }
    if (strcmp(argv[optind], "null") == 0) {
        be_null();
    }
    return usage();
}
