#include "prove/feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/map.h"
#include "base/number.h"

#define SHOWN_PAYLOAD_BYTES 100 /* of a message as it is */

/* How far one input has come. */
struct source {
    struct heap_item due; /* in us since the test's start */
    const struct test_input *input;
    size_t number; /* among the inputs */
    size_t lead;   /* the first input whose messages this one's readings join */
    size_t item;   /* of its series */
    uint32_t k;    /* within the item; of a message: how often it came */
};

struct feed {
    struct wall start;
    struct source *sources;
    struct heap heap;
    struct source **now; /* those that are due at the time at hand */
    size_t n_now, next;
    struct buffer topic, payload, shown;
};

/* Moves past readings that do not come. False: the series is over. */
static bool skip_missing(struct source *s)
{
    const struct values *v = &s->input->values;
    while (s->item < v->n_items && v->items[s->item].missing) {
        s->due.due += (int64_t)(v->items[s->item].n) * s->input->interval_us;
        s->item++;
    }
    return s->item < v->n_items;
}

/* To the one after this; false: there is none. */
static bool advance(struct source *s)
{
    const struct test_input *in = s->input;
    s->due.due += in->interval_us;
    s->k++;
    if (in->kind == TEST_MESSAGE) {
        return s->k < in->times;
    }
    if (s->k == in->values.items[s->item].n) {
        s->k = 0;
        s->item++;
    }
    return skip_missing(s);
}

static enum brink_status schedule(struct feed *f, struct source *s)
{
    return heap_set(&f->heap, &s->due, s->due.due);
}

/* Which inputs speak of one device with one delay? */
static enum brink_status find_leads(struct feed *f, const struct test_case *c)
{
    struct map leads = {0};
    struct buffer *keys = calloc(c->n_inputs + 1, sizeof *keys);
    enum brink_status status = keys ? BRINK_OK : BRINK_E_NOMEM;
    for (size_t i = 0; status == BRINK_OK && i < c->n_inputs; i++) {
        const struct test_input *in = &c->inputs[i];
        struct source *s = &f->sources[i];
        if (in->kind != TEST_READINGS) {
            continue;
        }
        buffer_format(&keys[i], "%s/%s/%lld/%s", in->tenant.s, in->device.s,
                      (long long)in->delay_us, in->site.s ? in->site.s : "");
        const struct source *lead =
            buffer_ok(&keys[i]) ? map_get(&leads, buffer_view(&keys[i])) : NULL;
        if (lead) {
            s->lead = lead->number;
        } else if (!buffer_ok(&keys[i]) || map_put(&leads, buffer_view(&keys[i]), s)) {
            status = BRINK_E_NOMEM;
        }
    }
    for (size_t i = 0; keys && i < c->n_inputs; i++) {
        buffer_finish(&keys[i]);
    }
    free(keys);
    map_finish(&leads);
    return status;
}

enum brink_status feed_new(const struct test_case *c, struct wall start,
                           struct feed **ret_feed)
{
    struct feed *f = calloc(1, sizeof *f);
    enum brink_status status = BRINK_E_NOMEM;
    if (!f || !(f->sources = calloc(c->n_inputs + 1, sizeof *f->sources)) ||
        !(f->now = calloc(c->n_inputs + 1, sizeof(struct source *)))) {
        feed_free(f);
        return status;
    }
    f->start = start;
    for (size_t i = 0; i < c->n_inputs; i++) {
        f->sources[i] = (struct source){.input = &c->inputs[i],
                                        .number = i,
                                        .lead = i,
                                        .due.due = c->inputs[i].start_us};
    }
    status = find_leads(f, c);
    for (size_t i = 0; status == BRINK_OK && i < c->n_inputs; i++) {
        struct source *s = &f->sources[i];
        if (s->input->kind == TEST_MESSAGE || skip_missing(s)) {
            status = schedule(f, s);
        }
    }
    if (status) {
        feed_free(f);
        return status;
    }
    *ret_feed = f;
    return BRINK_OK;
}

void feed_free(struct feed *f)
{
    if (f) {
        heap_finish(&f->heap);
        free(f->sources);
        free(f->now);
        buffer_finish(&f->topic);
        buffer_finish(&f->payload);
        buffer_finish(&f->shown);
        free(f);
    }
}

int64_t feed_due(const struct feed *f)
{
    const struct heap_item *first = heap_first(&f->heap);
    return first ? first->due : INT64_MAX;
}

static int by_lead(const void *a, const void *b)
{
    const struct source *x = *(struct source *const *)a, *y = *(struct source *const *)b;
    if (x->lead != y->lead) {
        return x->lead < y->lead ? -1 : 1;
    }
    return x->number < y->number ? -1 : 1;
}

static void collect(struct feed *f, int64_t at_us)
{
    struct heap_item *first;
    f->n_now = f->next = 0;
    while ((first = heap_first(&f->heap)) && first->due == at_us) {
        heap_remove(&f->heap, first);
        f->now[f->n_now++] =
            (struct source *)(void *)((char *)first - offsetof(struct source, due));
    }
    if (f->n_now > 1) {
        qsort(f->now, f->n_now, sizeof *f->now, by_lead);
    }
}

/* A topic of the built-in ones, for the device. */
static void put_topic(struct buffer *out, const char *pattern,
                      const struct test_input *in)
{
    for (const char *p = pattern; *p != '\0';) {
        size_t n = strcspn(p, "{");
        buffer_put(out, p, n);
        p += n;
        if (*p == '{') {
            buffer_cstring(out, p[1] == 't' ? in->tenant.s : in->device.s);
            p += strcspn(p, "}") + 1;
        }
    }
}

static void put_reading(struct feed *f, const struct source *s, bool first)
{
    char text[NUMBER_BYTES];
    double v = values_item_at(&s->input->values.items[s->item], s->k);
    if (!first) {
        buffer_char(&f->payload, ',');
    }
    buffer_json_string(&f->payload, text_of(s->input->metric.s));
    number_print(v, text);
    buffer_char(&f->payload, ':');
    buffer_cstring(&f->payload, text);
    number_print_plain(v, text);
    buffer_format(&f->shown, " %s=%s", s->input->metric.s, text);
}

/* The readings of all inputs that share the lead, as one message. */
static void make_readings(struct feed *f, int64_t at_us)
{
    const struct source *lead = f->now[f->next];
    const struct test_input *in = lead->input;
    char text[NUMBER_BYTES];
    put_topic(&f->topic, TEST_SERIES_TOPIC, in);
    buffer_format(&f->shown, "%s/%s", in->tenant.s, in->device.s);
    if (in->delay_us > 0) {
        number_print_duration(in->delay_us, text);
        buffer_format(&f->shown, " (%s late)", text);
    }
    number_print_seconds(f->start.us + at_us - in->delay_us, text);
    buffer_format(&f->payload, "{\"ts\":%s", text);
    if (in->site.s) {
        buffer_cstring(&f->payload, ",\"site\":");
        buffer_json_string(&f->payload, text_of(in->site.s));
    }
    buffer_cstring(&f->payload, ",\"metrics\":{");
    for (bool first = true; f->next < f->n_now && f->now[f->next]->lead == lead->lead;
         first = false) {
        put_reading(f, f->now[f->next++], first);
    }
    buffer_cstring(&f->payload, "}}");
}

static void make_heartbeat(struct feed *f)
{
    const struct test_input *in = f->now[f->next++]->input;
    put_topic(&f->topic, TEST_HEARTBEAT_TOPIC, in);
    buffer_format(&f->shown, "%s/%s heartbeat", in->tenant.s, in->device.s);
}

static void make_message(struct feed *f)
{
    const struct test_input *in = f->now[f->next++]->input;
    char shown[SHOWN_PAYLOAD_BYTES];
    struct text payload = text_of(in->payload.s);
    buffer_cstring(&f->topic, in->topic.s);
    buffer_text(&f->payload, payload);
    text_escape(payload, shown, sizeof shown);
    buffer_format(&f->shown, "%s %s", in->topic.s, shown);
}

bool feed_next(struct feed *f, int64_t at_us, struct feed_message *ret_message,
               bool *ret_failed)
{
    if (f->n_now == 0) {
        collect(f, at_us);
    }
    if (f->next == f->n_now) {
        /* All were handed out: each goes on to its next. */
        for (size_t i = 0; i < f->n_now; i++) {
            if (advance(f->now[i]) && schedule(f, f->now[i])) {
                *ret_failed = true;
            }
        }
        f->n_now = f->next = 0;
        return false;
    }
    const struct test_input *in = f->now[f->next]->input;
    buffer_clear(&f->topic);
    buffer_clear(&f->payload);
    buffer_clear(&f->shown);
    if (in->kind == TEST_READINGS) {
        make_readings(f, at_us);
    } else if (in->kind == TEST_HEARTBEATS) {
        make_heartbeat(f);
    } else {
        make_message(f);
    }
    *ret_failed =
        !buffer_ok(&f->topic) || !buffer_ok(&f->payload) || !buffer_ok(&f->shown);
    *ret_message = (struct feed_message){buffer_view(&f->topic), buffer_view(&f->payload),
                                         in->retained, buffer_view(&f->shown)};
    return !*ret_failed;
}
