#include "prove/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

#define NUMBERS_DIFFER 1e-9 /* relative; below, two numbers count as the same */
#define TOLD_MAX 20         /* differences of one kind at one time that are told */

/* --- what came --- */

static void free_came(struct came *c)
{
    for (size_t k = 0; k < TEST_TEXTS; k++) {
        free(c->texts[k]);
    }
}

static struct came *add(struct came_list *list)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct came *items = realloc(list->items, cap * sizeof *items);
        if (!items) {
            return NULL;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n] = (struct came){0};
    return &list->items[list->n];
}

static bool keep(char **field, struct text t)
{
    *field = t.p ? text_dup(t) : NULL;
    return !t.p || *field;
}

bool came_add(struct came_list *list, const struct alert_facts *f, int64_t at_us)
{
    char message[ALERT_MESSAGE_BYTES];
    struct came *c = add(list);
    if (!c) {
        return false;
    }
    const char *op = f->values_known ? alert_operator(f->comparison) : NULL;
    bool whole =
        keep(&c->texts[TEST_RULE], text_of(f->rule)) &&
        keep(&c->texts[TEST_TENANT], text_of(f->tenant)) &&
        keep(&c->texts[TEST_DEVICE], text_of(f->device)) &&
        keep(&c->texts[TEST_SITE], text_of(f->site)) &&
        keep(&c->texts[TEST_EVENT_TYPE], text_of(alert_event_name(f->event))) &&
        keep(&c->texts[TEST_SEVERITY], text_of(severity_name(f->severity))) &&
        keep(&c->texts[TEST_ALERT_TYPE], text_of(f->alert_type)) &&
        keep(&c->texts[TEST_MESSAGE_TEXT], text_of(alert_message_print(f, message))) &&
        keep(&c->texts[TEST_OPERATOR], text_of(op)) &&
        keep(&c->texts[TEST_REASON], text_of(f->reason));
    if (!whole) {
        free_came(c);
        return false;
    }
    if (op) {
        c->numbers[TEST_VALUE].value = f->left;
        c->numbers[TEST_THRESHOLD].value = f->right;
        c->numbers[TEST_VALUE].known = c->numbers[TEST_THRESHOLD].known = true;
    }
    c->numbers[TEST_TRIGGER_COUNT].value = f->trigger_count;
    c->numbers[TEST_TRIGGER_COUNT].known = true;
    c->at_us = at_us;
    list->n++;
    return true;
}

bool came_add_state(struct came_list *list, struct text rule, struct text tenant,
                    struct text device)
{
    struct came *c = add(list);
    if (!c) {
        return false;
    }
    if (!keep(&c->texts[TEST_RULE], rule) || !keep(&c->texts[TEST_TENANT], tenant) ||
        !keep(&c->texts[TEST_DEVICE], device)) {
        free_came(c);
        return false;
    }
    list->n++;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct came *x = a, *y = b;
    int order = strcmp(x->texts[TEST_RULE], y->texts[TEST_RULE]);
    order = order ? order : strcmp(x->texts[TEST_TENANT], y->texts[TEST_TENANT]);
    return order ? order : strcmp(x->texts[TEST_DEVICE], y->texts[TEST_DEVICE]);
}

void came_sort(struct came_list *list)
{
    if (list->n > 1) {
        qsort(list->items, list->n, sizeof *list->items, by_name);
    }
}

void came_clear(struct came_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free_came(&list->items[i]);
    }
    list->n = 0;
}

void came_finish(struct came_list *list)
{
    came_clear(list);
    free(list->items);
    *list = (struct came_list){0};
}

/* --- in words --- */

static void put_duration(struct buffer *out, int64_t us)
{
    char text[NUMBER_BYTES];
    number_print_duration(us, text);
    buffer_cstring(out, text);
}

/* As it would stand in a test file: bare if that is plain enough, else in quotes. */
static void put_value(struct buffer *out, const char *s)
{
    if (s[0] != '\0' && s[strcspn(s, " \t\r\n\"'=,\\")] == '\0') {
        buffer_cstring(out, s);
    } else {
        buffer_json_string(out, text_of(s));
    }
}

static void put_key(struct buffer *out, const char *between, const char *key)
{
    buffer_cstring(out, between);
    buffer_cstring(out, key);
    buffer_char(out, '=');
}

static void put_number(struct buffer *out, double v)
{
    char text[NUMBER_BYTES];
    number_print_plain(v, text);
    buffer_cstring(out, text);
}

void came_print(const struct came *c, struct buffer *out)
{
    if (c->texts[TEST_EVENT_TYPE]) {
        buffer_cstring(out, c->texts[TEST_EVENT_TYPE]);
        buffer_char(out, ' ');
    }
    buffer_cstring(out, c->texts[TEST_RULE]);
    buffer_char(out, ' ');
    buffer_cstring(out, c->texts[TEST_TENANT]);
    buffer_char(out, '/');
    buffer_cstring(out, c->texts[TEST_DEVICE]);
    if (c->texts[TEST_SEVERITY]) {
        buffer_char(out, ' ');
        buffer_cstring(out, c->texts[TEST_SEVERITY]);
    }
    if (c->texts[TEST_REASON]) {
        put_key(out, " ", "reason");
        put_value(out, c->texts[TEST_REASON]);
    }
    if (c->texts[TEST_MESSAGE_TEXT]) {
        buffer_char(out, ' ');
        buffer_json_string(out, text_of(c->texts[TEST_MESSAGE_TEXT]));
    }
}

static void expected_print(const struct test_alert *e, struct buffer *out)
{
    if (e->texts[TEST_EVENT_TYPE].s) {
        buffer_cstring(out, e->texts[TEST_EVENT_TYPE].s);
        buffer_char(out, ' ');
    }
    buffer_cstring(out, e->texts[TEST_RULE].s);
    if (e->has_at) {
        put_key(out, " ", "at");
        put_duration(out, e->at_us);
    }
    for (size_t k = 0; k < TEST_TEXTS; k++) {
        if (e->texts[k].s && k != TEST_RULE && k != TEST_EVENT_TYPE) {
            put_key(out, " ", test_text_names[k]);
            put_value(out, e->texts[k].s);
        }
    }
    for (size_t k = 0; k < TEST_NUMBERS; k++) {
        if (e->numbers[k].given) {
            put_key(out, " ", test_number_names[k]);
            put_number(out, e->numbers[k].value);
        }
    }
}

/* --- fitting --- */

static bool same_text(const struct test_alert *e, const struct came *c, size_t k)
{
    const char *want = e->texts[k].s;
    return !want || (c->texts[k] && strcmp(want, c->texts[k]) == 0);
}

static bool same_number(const struct test_alert *e, const struct came *c, size_t k)
{
    if (!e->numbers[k].given) {
        return true;
    }
    double want = e->numbers[k].value, got = c->numbers[k].value;
    double size = fmax(fabs(want), fabs(got));
    return c->numbers[k].known &&
           (want == got || fabs(want - got) <= NUMBERS_DIFFER * fmax(size, 1));
}

static bool same_at(const struct test_alert *e, const struct came *c)
{
    return !e->has_at || e->at_us == c->at_us;
}

static size_t differences(const struct test_alert *e, const struct came *c)
{
    size_t n = !same_at(e, c);
    for (size_t k = 0; k < TEST_TEXTS; k++) {
        n += !same_text(e, c, k);
    }
    for (size_t k = 0; k < TEST_NUMBERS; k++) {
        n += !same_number(e, c, k);
    }
    return n;
}

/* Where it is another than was asked for: "severity=warning at=11s". */
static void print_differences(const struct test_alert *e, const struct came *c,
                              struct buffer *out)
{
    for (size_t k = 0; k < TEST_TEXTS; k++) {
        if (!same_text(e, c, k)) {
            put_key(out, " ", test_text_names[k]);
            if (c->texts[k]) {
                put_value(out, c->texts[k]);
            } else {
                buffer_cstring(out, "(none)");
            }
        }
    }
    for (size_t k = 0; k < TEST_NUMBERS; k++) {
        if (!same_number(e, c, k)) {
            put_key(out, " ", test_number_names[k]);
            if (c->numbers[k].known) {
                put_number(out, c->numbers[k].value);
            } else {
                buffer_cstring(out, "(none)");
            }
        }
    }
    if (!same_at(e, c)) {
        put_key(out, " ", "at");
        put_duration(out, c->at_us);
    }
}

/* A pairing of as many as can be: an expected alert that finds what fits it taken asks
 * the one who has it to take another. */
struct pairing {
    const struct test_alerts *expected;
    const struct came_list *came;
    size_t *taken_by; /* of each that came: which expected one has it, from 1; 0: none */
    bool *asked;
};

struct ask {
    size_t expected, next; /* which one asks, and which that came it looks at next */
};

static bool pair_one(struct pairing *p, size_t first, struct ask *stack)
{
    size_t depth = 1;
    stack[0] = (struct ask){first, 0};
    while (depth > 0) {
        struct ask *top = &stack[depth - 1];
        if (top->next == p->came->n) {
            depth--;
            continue;
        }
        size_t c = top->next++;
        if (p->asked[c] ||
            differences(&p->expected->items[top->expected], &p->came->items[c]) > 0) {
            continue;
        }
        p->asked[c] = true;
        if (p->taken_by[c] > 0) {
            stack[depth++] = (struct ask){p->taken_by[c] - 1, 0};
            continue;
        }
        /* Free: each one on the way takes what it asked for last. */
        while (depth > 0) {
            depth--;
            p->taken_by[stack[depth].next - 1] = stack[depth].expected + 1;
        }
        return true;
    }
    return false;
}

static void tell_place(struct position at, const char *when, struct buffer *out)
{
    buffer_format(out, "  %s:%u:%u: %s ", at.file, at.line, at.column, when);
}

static void print_with_time(const struct came *c, struct buffer *out)
{
    came_print(c, out);
    if (c->texts[TEST_EVENT_TYPE]) {
        put_key(out, " ", "at");
        put_duration(out, c->at_us);
    }
    buffer_char(out, '\n');
}

/* Of the same rule, with the fewest differences: it is told together with the one that is
 * missing, and no more by itself. */
static const struct came *take_nearest(const struct pairing *p, size_t number)
{
    const struct test_alert *e = &p->expected->items[number];
    const struct came *nearest = NULL;
    size_t place = 0;
    for (size_t c = 0; c < p->came->n; c++) {
        const struct came *x = &p->came->items[c];
        if (p->taken_by[c] == 0 && same_text(e, x, TEST_RULE) &&
            (!nearest || differences(e, x) < differences(e, nearest))) {
            nearest = x;
            place = c;
        }
    }
    if (nearest) {
        p->taken_by[place] = number + 1;
    }
    return nearest;
}

static void tell_missing(const struct pairing *p, size_t number, const char *when,
                         const char *missing, struct buffer *out)
{
    const struct test_alert *e = &p->expected->items[number];
    const struct came *nearest = take_nearest(p, number);
    tell_place(e->at, when, out);
    buffer_cstring(out, missing);
    buffer_char(out, ' ');
    expected_print(e, out);
    buffer_char(out, '\n');
    if (nearest) {
        buffer_cstring(out, "    instead came: ");
        print_with_time(nearest, out);
        buffer_cstring(out, "    which differs in");
        print_differences(e, nearest, out);
        buffer_char(out, '\n');
    }
}

static void tell_unasked(const struct pairing *p, const struct came *c, const char *when,
                         const char *unasked, struct buffer *out)
{
    tell_place(p->expected->at, when, out);
    buffer_cstring(out, unasked);
    buffer_char(out, ' ');
    print_with_time(c, out);
}

static void tell(const struct pairing *p, const bool *found, const char *when,
                 const char *missing, const char *unasked, struct buffer *out)
{
    size_t told = 0;
    for (size_t e = 0; e < p->expected->n; e++) {
        if (!found[e] && told++ < TOLD_MAX) {
            tell_missing(p, e, when, missing, out);
        }
    }
    if (told > TOLD_MAX) {
        buffer_format(out, "  and %zu more that are missing\n", told - TOLD_MAX);
    }
    told = 0;
    for (size_t c = 0; c < p->came->n; c++) {
        if (p->taken_by[c] == 0 && told++ < TOLD_MAX) {
            tell_unasked(p, &p->came->items[c], when, unasked, out);
        }
    }
    if (told > TOLD_MAX) {
        buffer_format(out, "  and %zu more that nobody asked for\n", told - TOLD_MAX);
    }
}

enum brink_status compare_alerts(const struct test_alerts *expected,
                                 const struct came_list *came, const char *when,
                                 const char *missing, const char *unasked,
                                 struct buffer *out)
{
    struct pairing p = {expected, came, calloc(came->n + 1, sizeof *p.taken_by),
                        calloc(came->n + 1, sizeof *p.asked)};
    struct ask *stack = calloc(expected->n + 1, sizeof *stack);
    bool *found = calloc(expected->n + 1, sizeof *found);
    enum brink_status status =
        p.taken_by && p.asked && stack && found ? BRINK_OK : BRINK_E_NOMEM;
    for (size_t e = 0; status == BRINK_OK && e < expected->n; e++) {
        memset(p.asked, 0, came->n + 1);
        found[e] = pair_one(&p, e, stack);
    }
    if (status == BRINK_OK) {
        tell(&p, found, when, missing, unasked, out);
    }
    free(p.taken_by);
    free(p.asked);
    free(stack);
    free(found);
    return status;
}
