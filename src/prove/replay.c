#include "prove/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/number.h"
#include "model/alert.h"
#include "model/glob.h"
#include "prove/offline.h"
#include "prove/reader.h"
#include "prove/recording.h"
#include "prove/summary.h"

#define BATCH_MAX 512
#define FAULTS_TOLD 3 /* of each kind, with their lines */
#define STORE_FLUSH_US (10 * US_PER_S)
#define PROGRESS_EVERY_US (250 * US_PER_MS)

struct replay {
    const struct replay_options *o;
    FILE *out, *err;
    struct config *config;
    struct ruleset *rules;
    struct history *history;
    struct offline *offline;
    struct summary *summary;
    struct line_reader reader;
    struct recording_clock clock;
    size_t waiting; /* messages added and not applied */
    uint64_t lines, messages, alerts, turned_back;
    uint64_t faults[RECORDING_FAULTS];
    int64_t size; /* of the recording, bytes; 0: not known */
    struct mono began, told;
    bool write_failed, out_of_memory;
};

static struct mono now_mono(void)
{
    return clock_system.mono(clock_system.ctx);
}

/* --- what is wanted --- */

static bool is_wanted_rule(void *ctx, struct text rule)
{
    const struct replay_options *o = ((struct replay *)ctx)->o;
    for (size_t i = 0; i < o->n_rules; i++) {
        if (text_equal(text_of(o->rules[i]), rule)) {
            return true;
        }
    }
    return o->n_rules == 0;
}

static bool is_wanted_device(const struct replay *r, struct text tenant,
                             struct text device)
{
    for (size_t i = 0; i < r->o->n_devices; i++) {
        struct text pattern = text_of(r->o->devices[i]);
        const char *slash = memchr(pattern.p, '/', pattern.n);
        if (!slash && glob_match(pattern, device)) {
            return true;
        }
        if (slash) {
            struct text first = {pattern.p, (size_t)(slash - pattern.p)};
            struct text second = {slash + 1, pattern.n - first.n - 1};
            if (glob_match(first, tenant) && glob_match(second, device)) {
                return true;
            }
        }
    }
    return r->o->n_devices == 0;
}

static bool is_wanted_now(const struct replay *r)
{
    return !r->o->has_from || offline_now(r->offline).us >= r->o->from.us;
}

/* --- the engine's sink --- */

static void sink_event(void *ctx, const struct outgoing *event)
{
    struct replay *r = ctx;
    const struct alert_facts *f = event->facts;
    if (!f || !is_wanted_now(r) || !is_wanted_rule(r, text_of(f->rule)) ||
        !is_wanted_device(r, text_of(f->tenant), text_of(f->device))) {
        return;
    }
    r->alerts++;
    if (r->summary) {
        r->out_of_memory = r->out_of_memory || !summary_event(r->summary, f);
        return;
    }
    r->write_failed =
        r->write_failed ||
        fwrite(event->payload.p, 1, event->payload.n, r->out) != event->payload.n ||
        putc('\n', r->out) == EOF;
}

static void sink_state(void *ctx, struct text rule, struct text tenant,
                       struct text device, struct text value)
{
    (void)ctx, (void)rule, (void)tenant, (void)device, (void)value;
}

static void sink_commit(void *ctx, struct mono now)
{
    (void)ctx, (void)now;
}

static void sink_evaluated(void *ctx, const struct rule *rule,
                           const struct device *device, const struct evaluation *e)
{
    struct replay *r = ctx;
    if (is_wanted_now(r) && is_wanted_rule(r, text_of(rule->id)) &&
        is_wanted_device(r, text_of(device->owner->name), text_of(device->id))) {
        r->out_of_memory = r->out_of_memory || !summary_evaluated(r->summary, rule, e);
    }
}

static void no_wake(void *ctx)
{
    (void)ctx;
}

/* --- playing --- */

static void apply(struct replay *r)
{
    if (r->waiting > 0) {
        offline_apply(r->offline);
        r->waiting = 0;
    }
}

static void tell_fault(struct replay *r, uint64_t line, enum recording_fault fault)
{
    if (r->faults[fault]++ < FAULTS_TOLD) {
        fprintf(r->err, "%s:%llu: %s, left out\n",
                r->o->recording ? r->o->recording : "-", (unsigned long long)line,
                recording_fault_text(fault));
    }
}

static bool begin(struct replay *r, struct wall at)
{
    const struct pipeline_sink sink = {
        .ctx = r,
        .event = sink_event,
        .state = sink_state,
        .commit = sink_commit,
        .evaluated = r->summary ? sink_evaluated : NULL,
    };
    if (offline_new(r->config, r->rules, r->history, &sink, at, &r->offline) !=
        BRINK_OK) {
        r->out_of_memory = true;
        return false;
    }
    r->rules = NULL; /* the engine's now */
    return true;
}

/* False: the replay is over, at `to` or because it cannot go on. */
static bool play(struct replay *r, const struct recorded *m)
{
    if (!r->offline && !begin(r, m->at)) {
        return false;
    }
    struct wall at = m->at, now = offline_now(r->offline);
    if (at.us < now.us) { /* the clock never goes back: it arrived no earlier */
        r->turned_back++;
        at = now;
    }
    if (r->o->has_to && at.us > r->o->to.us) {
        return false;
    }
    if (r->waiting == BATCH_MAX || offline_is_due(r->offline, at) ||
        offline_is_full(r->offline)) {
        apply(r);
    }
    offline_until(r->offline, at);
    offline_add(r->offline, m->topic, m->payload, m->retained);
    r->waiting++;
    r->messages++;
    return true;
}

static void tell_progress(struct replay *r)
{
    struct mono now = now_mono();
    char at[CLOCK_ISO_BYTES] = "";
    if (!r->o->progress || now.us - r->told.us < PROGRESS_EVERY_US) {
        return;
    }
    r->told = now;
    if (r->offline) {
        wall_format_iso(offline_now(r->offline), at);
    }
    fprintf(r->err, "\r\033[K");
    if (r->size > 0) {
        fprintf(r->err, "%3d %%  ", (int)(r->reader.bytes * 100 / (uint64_t)r->size));
    }
    fprintf(r->err, "%s  %llu messages, %llu alerts", at, (unsigned long long)r->messages,
            (unsigned long long)r->alerts);
    fflush(r->err);
}

/* Plays the lines that are at hand. */
static bool play_block(struct replay *r)
{
    struct reader_line line;
    struct recorded m;
    while (line_reader_next(&r->reader, &line)) {
        r->lines++;
        enum recording_fault fault = line.too_long
                                         ? RECORDING_TOO_LONG
                                         : recording_parse(&r->clock, line.p, line.n, &m);
        if (fault == RECORDING_BLANK) {
            r->faults[fault]++;
        } else if (fault != RECORDING_FINE) {
            tell_fault(r, line.number, fault);
        } else if (!play(r, &m)) {
            return false;
        }
    }
    return true;
}

static enum brink_status play_all(struct replay *r)
{
    bool end = false, goes_on = true;
    while (goes_on && !end && !r->write_failed && !r->out_of_memory) {
        enum brink_status status = line_reader_fill(&r->reader, &end);
        if (status) {
            return status;
        }
        goes_on = play_block(r);
        if (r->offline) {
            apply(r); /* the block's bytes are about to go */
        }
        tell_progress(r);
    }
    if (r->offline) {
        if (!goes_on && r->o->has_to) {
            offline_until(r->offline, r->o->to);
        }
        offline_settle(r->offline);
    }
    return r->out_of_memory ? BRINK_E_NOMEM : BRINK_OK;
}

/* --- telling --- */

static void count_still_firing(void *ctx, struct text rule, struct text tenant,
                               struct text device, const struct alert_state *alert,
                               struct wall now)
{
    struct replay *r = ctx;
    if (is_wanted_device(r, tenant, device)) {
        r->out_of_memory =
            !summary_still_firing(r->summary, rule, tenant, device, alert, now) ||
            r->out_of_memory;
    }
}

static enum brink_status print_summary(struct replay *r)
{
    struct buffer text = {0};
    if (r->offline) {
        offline_each_alert(r->offline, count_still_firing, r);
    }
    enum brink_status status = summary_print(r->summary, is_wanted_rule, r, &text);
    if (status == BRINK_OK) {
        r->write_failed = fwrite(text.p, 1, text.n, r->out) != text.n;
    }
    buffer_finish(&text);
    return r->out_of_memory ? BRINK_E_NOMEM : status;
}

/* "not_json 3" of reason="not_json". */
static void print_reasons(FILE *err, const char *name, const char *what)
{
    const char *between = what;
    const char *family = ""; /* a counter's further rows have the name of the first */
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        family = counter_info[i].name[0] ? counter_info[i].name : family;
        uint64_t n = counter_value((enum counter)i);
        if (n > 0 && strcmp(family, name) == 0) {
            const char *reason = strchr(counter_info[i].label, '"');
            reason = reason ? reason + 1 : counter_info[i].label;
            fprintf(err, "%s%.*s %llu", between, (int)strcspn(reason, "\""), reason,
                    (unsigned long long)n);
            between = ", ";
        }
    }
    if (between != what) {
        fputc('\n', err);
    }
}

static uint64_t faulty_lines(const struct replay *r)
{
    uint64_t n = 0;
    for (size_t f = RECORDING_FINE + 1; f < RECORDING_FAULTS; f++) {
        n += f == RECORDING_BLANK ? 0 : r->faults[f];
    }
    return n;
}

static void print_totals(const struct replay *r)
{
    double seconds = (double)(now_mono().us - r->began.us) / (double)US_PER_S;
    uint64_t readings = counter_value(COUNT_READINGS), faulty = faulty_lines(r);
    if (r->o->progress) {
        fprintf(r->err, "\r\033[K");
    }
    if (faulty > 0) {
        const char *between = "lines left out: ";
        for (size_t f = 0; f < RECORDING_FAULTS; f++) {
            if (r->faults[f] > 0 && f != RECORDING_BLANK) {
                fprintf(r->err, "%s%llu %s", between, (unsigned long long)r->faults[f],
                        recording_fault_text((enum recording_fault)f));
                between = ", ";
            }
        }
        fputc('\n', r->err);
    }
    print_reasons(r->err, "messages_dropped_total", "messages dropped: ");
    print_reasons(r->err, "readings_dropped_total", "readings dropped: ");
    if (r->turned_back > 0) {
        fprintf(r->err,
                "%llu lines are older than the line before: taken at that one's time\n",
                (unsigned long long)r->turned_back);
    }
    fprintf(r->err,
            "%llu messages, %llu readings, %llu alerts in %.3f s (%.0f readings/s)\n",
            (unsigned long long)r->messages, (unsigned long long)readings,
            (unsigned long long)r->alerts, seconds,
            seconds > 0 ? (double)readings / seconds : 0);
}

/* --- a replay --- */

static bool load(struct replay *r)
{
    struct problems problems = {0};
    enum brink_status status =
        ruleset_load(r->o->config, &problems, &r->config, &r->rules);
    problems_print(&problems, r->err);
    problems_finish(&problems);
    if (status == BRINK_E_NOMEM) {
        fprintf(r->err, "brink replay: out of memory\n");
    }
    for (size_t i = 0; status == BRINK_OK && i < r->o->n_rules; i++) {
        const char *id = r->o->rules[i];
        if (map_get(&r->rules->by_id, text_of(id)) ||
            map_get(&r->rules->disabled, text_of(id))) {
            continue;
        }
        fprintf(r->err, "brink replay: there is no rule %s in %s\n", id, r->o->config);
        status = BRINK_E_SYNTAX;
    }
    return status == BRINK_OK;
}

static bool open_store(struct replay *r)
{
    struct history_info info;
    if (!r->o->store) {
        r->config->store.kind = STORE_MEMORY;
    }
    if (history_new(r->config, &clock_system, no_wake, NULL, HISTORY_BATCH_UNKNOWN,
                    &r->history) != BRINK_OK) {
        fprintf(r->err, "brink replay: out of memory\n");
        return false;
    }
    if (!r->o->store || r->config->store.kind == STORE_MEMORY) {
        return true;
    }
    history_wait_connected(r->history, r->config->store.timeout_us * 2);
    history_info(r->history, &info);
    if (info.state != STORE_STATE_UP) {
        fprintf(r->err, "brink replay: cannot reach %s%s%s\n", r->config->store.address,
                info.reason[0] ? ": " : "", info.reason);
    }
    return info.state == STORE_STATE_UP;
}

static uint64_t store_failures(void)
{
    return counter_value(COUNT_STORE_FAIL_TIMEOUT) + counter_value(COUNT_STORE_FAIL_IO) +
           counter_value(COUNT_STORE_FAIL_CONNECT) +
           counter_value(COUNT_STORE_FAIL_ANSWER);
}

/* What the replay wrote must be there, or it was for nothing. */
static bool close_store(struct replay *r)
{
    struct history_info info;
    if (!history_is_kept(r->history)) {
        return true;
    }
    if (r->offline) {
        offline_flush(r->offline, STORE_FLUSH_US);
    }
    history_info(r->history, &info);
    if (store_failures() > 0 || info.pending_points > 0) {
        fprintf(r->err,
                "brink replay: valkey failed (%s): rules were unknown for a while, and "
                "%zu points are not written\n",
                info.reason[0] ? info.reason : "for a moment", info.pending_points);
        return false;
    }
    return true;
}

static int open_recording(struct replay *r)
{
    const char *path = r->o->recording;
    struct stat st;
    int fd = path && strcmp(path, "-") != 0 ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
                                            : STDIN_FILENO;
    if (fd < 0 || fstat(fd, &st) != 0) {
        fprintf(r->err, "brink replay: cannot read %s: %s\n", path ? path : "-",
                strerror(errno));
        return -1;
    }
    r->size = S_ISREG(st.st_mode) ? (int64_t)st.st_size : 0;
    return fd;
}

static bool run(struct replay *r, int fd)
{
    line_reader_init(&r->reader, fd,
                     RECORDING_LINE_BYTES(r->config->limits.payload_bytes));
    r->began = r->told = now_mono();
    enum brink_status status = BRINK_OK;
    if (r->o->summary) {
        status = summary_new(r->rules, &r->summary);
    }
    if (status == BRINK_OK) {
        status = play_all(r);
    }
    bool kept = close_store(r);
    if (status == BRINK_OK && r->summary) {
        status = print_summary(r);
    }
    r->write_failed = fflush(r->out) != 0 || r->write_failed;
    if (status == BRINK_E_IO) {
        fprintf(r->err, "brink replay: cannot read on: %s\n", strerror(errno));
    } else if (status) {
        fprintf(r->err, "brink replay: out of memory\n");
    } else if (r->write_failed) {
        fprintf(r->err, "brink replay: cannot write: %s\n", strerror(errno));
    }
    print_totals(r);
    if (r->messages == 0 && faulty_lines(r) > 0) {
        fprintf(r->err, "brink replay: not one line is a message; record with "
                        "mosquitto_sub -F %%J\n");
        return false;
    }
    return status == BRINK_OK && kept && !r->write_failed;
}

bool replay_run(const struct replay_options *options, FILE *out, FILE *err)
{
    struct replay r = {.o = options, .out = out, .err = err};
    map_fix_seed();
    bool done = load(&r) && open_store(&r);
    int fd = done ? open_recording(&r) : -1;
    done = done && fd >= 0 && run(&r, fd);
    if (fd > STDIN_FILENO) {
        close(fd);
    }
    offline_free(r.offline);
    history_free(r.history);
    ruleset_free(r.rules);
    summary_free(r.summary);
    config_free(r.config);
    line_reader_finish(&r.reader);
    return done;
}
