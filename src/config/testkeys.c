/* Rule tests: their keys, and what must be so among them. What only the rules can tell
 * (whether an id is a rule's) is seen where tests are run. */
#include "config/testkeys.h"

#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "model/message.h"

#define TEST_NAME_BYTES_MAX 1000

const char *const test_text_names[TEST_TEXTS] = {
    [TEST_RULE] = "rule",
    [TEST_TENANT] = "tenant",
    [TEST_DEVICE] = "device",
    [TEST_SITE] = "site",
    [TEST_EVENT_TYPE] = "event_type",
    [TEST_SEVERITY] = "severity",
    [TEST_ALERT_TYPE] = "alert_type",
    [TEST_MESSAGE_TEXT] = "message",
    [TEST_OPERATOR] = "operator",
    [TEST_REASON] = "reason",
};
const char *const test_number_names[TEST_NUMBERS] = {
    [TEST_VALUE] = "value",
    [TEST_THRESHOLD] = "threshold",
    [TEST_TRIGGER_COUNT] = "trigger_count",
};

static const struct choice event_types[] = {
    {"OPEN", 0, NULL},
    {"CLOSED", 0, NULL},
    {"REPEATED", 0, NULL},
    {"ESCALATED", 0, NULL},
    {0},
};
static const struct choice severities[] = {
    {"info", 0, NULL}, {"warning", 0, NULL}, {"critical", 0, NULL}, {0}};

/* --- input --- */

/* A series; where its text goes wrong is told to the column. */
static void read_values(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    struct values *values = field;
    size_t at = 0;
    const char *why = "";
    const struct scalar_source source = node_source(n);
    if (n->kind != NODE_SCALAR) {
        char *ignored = NULL;
        (void)schema_text(r, name, n, 0, 0, &ignored); /* tells what stands there */
        return;
    }
    switch (values_parse(n->text, values, &at, &why)) {
    case BRINK_OK:
        break;
    case BRINK_E_NOMEM:
        r->failed = true;
        break;
    default:
        problem_add(r->problems, place_find(&source, at), "`%s`: %s", name, why);
    }
}

#define INPUT(field) offsetof(struct test_input, field)
#define INPUT_AT(field) FLAG_AT(struct test_input, field)

enum { SET_SERIES = 1, SET_START };

static const struct key input_keys[] = {
    {.name = "tenant",
     .kind = KEY_PLACED,
     .offset = INPUT(tenant),
     .max = ID_BYTES_MAX,
     .initial = "default"},
    {.name = "device",
     .kind = KEY_PLACED,
     .offset = INPUT(device),
     .place = INPUT_AT(device.at),
     .max = ID_BYTES_MAX},
    {.name = "site", .kind = KEY_PLACED, .offset = INPUT(site), .max = SITE_BYTES_MAX},
    {.name = "metric",
     .kind = KEY_PLACED,
     .offset = INPUT(metric),
     .place = INPUT_AT(metric.at),
     .max = METRIC_BYTES_MAX},
    {.name = "values",
     .kind = KEY_OTHER,
     .offset = INPUT(values),
     .given = INPUT_AT(has_values),
     .place = INPUT_AT(values_at),
     .set = SET_SERIES,
     .read = read_values},
    {.name = "heartbeat",
     .kind = KEY_OTHER,
     .offset = INPUT(values),
     .given = INPUT_AT(has_heartbeat),
     .place = INPUT_AT(heartbeat_at),
     .set = SET_SERIES,
     .read = read_values},
    {.name = "topic", .kind = KEY_PLACED, .offset = INPUT(topic), .max = TOPIC_BYTES_MAX},
    {.name = "payload",
     .kind = KEY_PLACED,
     .flags = KEY_LINES,
     .offset = INPUT(payload),
     .max = CONFIG_FILE_BYTES_MAX},
    {.name = "retained", .kind = KEY_BOOL, .offset = INPUT(retained), .initial = "false"},
    {.name = "times",
     .kind = KEY_WHOLE,
     .offset = INPUT(times),
     .min = 1,
     .max = TEST_TIMES_MAX,
     .initial = "1"},
    {.name = "interval",
     .kind = KEY_DURATION,
     .offset = INPUT(interval_us),
     .min = 1e3,
     .max = (double)TEST_TIME_MAX_US},
    {.name = "start",
     .kind = KEY_DURATION,
     .offset = INPUT(start_us),
     .set = SET_START,
     .max = (double)TEST_TIME_MAX_US},
    {.name = "at",
     .kind = KEY_DURATION,
     .offset = INPUT(start_us),
     .set = SET_START,
     .max = (double)TEST_TIME_MAX_US},
    {.name = "delay",
     .kind = KEY_DURATION,
     .offset = INPUT(delay_us),
     .max = (double)TEST_TIME_MAX_US},
};
static const struct schema input_schema = {SCHEMA_OF("input.", input_keys),
                                           .place = INPUT_AT(at)};

static void read_input(struct reader *r, const char *name, const struct node *n,
                       void *field)
{
    struct test_case *c = field;
    void *items = NULL;
    schema_read_list(r, name, &input_schema, n, TEST_INPUTS_MAX, sizeof *c->inputs,
                     &items, &c->n_inputs);
    c->inputs = items;
}

/* --- expect --- */

#define ALERT(field) offsetof(struct test_alert, field)
#define ALERT_TEXT(which)                                                                \
    (offsetof(struct test_alert, texts) + (which) * sizeof(struct placed))
#define ALERT_NUMBER(which)                                                              \
    (offsetof(struct test_alert, numbers) +                                              \
     (which) * sizeof((struct test_alert *)0)->numbers[0])

static void read_number(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    struct test_alert *a = (struct test_alert *)field;
    for (size_t k = 0; k < TEST_NUMBERS; k++) {
        if (text_equal(n->key->text, text_of(test_number_names[k]))) {
            a->numbers[k].given = schema_number(r, name, n, &a->numbers[k].value);
        }
    }
}

static const struct key alert_keys[] = {
    {.name = "rule",
     .kind = KEY_PLACED,
     .flags = KEY_REQUIRED,
     .offset = ALERT_TEXT(TEST_RULE)},
    {.name = "tenant", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_TENANT)},
    {.name = "device", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_DEVICE)},
    {.name = "site", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_SITE)},
    {.name = "event_type",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE | KEY_AS_PLACED,
     .offset = ALERT_TEXT(TEST_EVENT_TYPE),
     .choices = event_types},
    {.name = "severity",
     .kind = KEY_CHOICE,
     .flags = KEY_ANY_CASE | KEY_AS_PLACED,
     .offset = ALERT_TEXT(TEST_SEVERITY),
     .choices = severities},
    {.name = "alert_type", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_ALERT_TYPE)},
    {.name = "message",
     .kind = KEY_PLACED,
     .flags = KEY_LINES,
     .offset = ALERT_TEXT(TEST_MESSAGE_TEXT)},
    {.name = "operator", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_OPERATOR)},
    {.name = "reason", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_REASON)},
    {.name = "value", .kind = KEY_OTHER, .read = read_number},
    {.name = "threshold", .kind = KEY_OTHER, .read = read_number},
    {.name = "trigger_count", .kind = KEY_OTHER, .read = read_number},
    {.name = "at",
     .kind = KEY_DURATION,
     .offset = ALERT(at_us),
     .given = FLAG_AT(struct test_alert, has_at),
     .max = (double)TEST_TIME_MAX_US},
};
static const struct schema alert_schema = {SCHEMA_OF("alerts.", alert_keys),
                                           .place = FLAG_AT(struct test_alert, at)};

/* Of a state, only whose it is. */
static const struct key state_keys[] = {
    {.name = "rule",
     .kind = KEY_PLACED,
     .flags = KEY_REQUIRED,
     .offset = ALERT_TEXT(TEST_RULE)},
    {.name = "tenant", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_TENANT)},
    {.name = "device", .kind = KEY_PLACED, .offset = ALERT_TEXT(TEST_DEVICE)},
};
static const struct schema firing_schema = {SCHEMA_OF("firing.", state_keys),
                                            .place = FLAG_AT(struct test_alert, at)};
static const struct schema pending_schema = {SCHEMA_OF("pending.", state_keys),
                                             .place = FLAG_AT(struct test_alert, at)};

static void read_list(struct reader *r, const char *name, const struct node *n,
                      const struct schema *schema, struct test_alerts *list)
{
    void *items = NULL;
    list->given = true;
    list->at = n->at;
    schema_read_list(r, name, schema, n, TEST_ALERTS_MAX, sizeof *list->items, &items,
                     &list->n);
    list->items = items;
}

static void read_alerts(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    read_list(r, name, n, &alert_schema, field);
}

static void read_firing(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    read_list(r, name, n, &firing_schema, field);
}

static void read_pending(struct reader *r, const char *name, const struct node *n,
                         void *field)
{
    read_list(r, name, n, &pending_schema, field);
}

#define EXPECT(field) offsetof(struct test_expect, field)

static const struct key expect_keys[] = {
    {.name = "at",
     .kind = KEY_DURATION,
     .flags = KEY_REQUIRED,
     .offset = EXPECT(at_us),
     .max = (double)TEST_TIME_MAX_US},
    {.name = "alerts", .kind = KEY_OTHER, .offset = EXPECT(alerts), .read = read_alerts},
    {.name = "firing", .kind = KEY_OTHER, .offset = EXPECT(firing), .read = read_firing},
    {.name = "pending",
     .kind = KEY_OTHER,
     .offset = EXPECT(pending),
     .read = read_pending},
};
static const struct schema expect_schema = {SCHEMA_OF("expect.", expect_keys),
                                            .place = FLAG_AT(struct test_expect, at)};

static void read_expect(struct reader *r, const char *name, const struct node *n,
                        void *field)
{
    struct test_case *c = field;
    void *items = NULL;
    schema_read_list(r, name, &expect_schema, n, TEST_EXPECTS_MAX, sizeof *c->expects,
                     &items, &c->n_expects);
    c->expects = items;
    if (n->kind == NODE_LIST && n->n == 0) {
        problem_add(r->problems, n->at, "`%s` is empty: a test needs something to expect",
                    name);
    }
}

/* --- a case, a file --- */

#define CASE(field) offsetof(struct test_case, field)

static const struct key case_keys[] = {
    {.name = "name",
     .kind = KEY_PLACED,
     .offset = CASE(name),
     .max = TEST_NAME_BYTES_MAX},
    {.name = "only", .kind = KEY_TEXTS, .flags = KEY_NOT_EMPTY, .offset = CASE(only)},
    {.name = "input", .kind = KEY_OTHER, .flags = KEY_REQUIRED, .read = read_input},
    {.name = "expect", .kind = KEY_OTHER, .flags = KEY_REQUIRED, .read = read_expect},
};
const struct schema test_case_schema = {SCHEMA_OF("", case_keys),
                                        .place = FLAG_AT(struct test_case, at)};

static void read_tests(struct reader *r, const char *name, const struct node *n,
                       void *field)
{
    struct test_draft *d = field;
    void *items = NULL;
    schema_read_list(r, name, &test_case_schema, n, TEST_CASES_MAX, sizeof *d->f.cases,
                     &items, &d->f.n_cases);
    d->f.cases = items;
}

static const struct key file_keys[] = {
    {.name = "rule_files",
     .kind = KEY_TEXTS,
     .offset = offsetof(struct test_draft, rule_files),
     .list_max = CONFIG_RULE_PATTERNS_MAX},
    {.name = "start", .kind = KEY_PLACED, .offset = offsetof(struct test_draft, f.start)},
    {.name = "interval",
     .kind = KEY_DURATION,
     .offset = offsetof(struct test_draft, f.interval_us),
     .min = 1e3,
     .max = (double)TEST_TIME_MAX_US,
     .initial = "1s"},
    {.name = "tests",
     .kind = KEY_OTHER,
     .place = FLAG_AT(struct test_draft, tests_at),
     .read = read_tests},
};
const struct schema test_file_schema = {SCHEMA_OF("", file_keys)};

/* --- what must be so among the keys --- */

static void needs(struct reader *r, const struct test_input *in, const struct placed *p,
                  const char *what)
{
    if (!p->s && p->at.line == 0) {
        problem_add(r->problems, in->at, "`input.%s` is missing", what);
    }
}

static void has_no_use(struct reader *r, const struct placed *p, const char *what,
                       const char *with)
{
    if (p->s && p->at.line > 0) {
        problem_add(r->problems, p->at, "`input.%s` has no use beside `%s`", what, with);
    }
}

static void settle_input(struct reader *r, const struct test_file *f,
                         struct test_input *in)
{
    in->interval_us = in->interval_us ? in->interval_us : f->interval_us;
    if (in->topic.s) {
        in->kind = TEST_MESSAGE;
        has_no_use(r, &in->tenant, "tenant", "topic");
        has_no_use(r, &in->device, "device", "topic");
        has_no_use(r, &in->site, "site", "topic");
        has_no_use(r, &in->metric, "metric", "topic");
        if (in->has_values || in->has_heartbeat) {
            problem_add(r->problems, in->has_values ? in->values_at : in->heartbeat_at,
                        "a message as it is (`topic`) has no `values` or `heartbeat`");
        }
        return;
    }
    needs(r, in, &in->device, "device");
    has_no_use(r, &in->payload, "payload", in->has_heartbeat ? "heartbeat" : "values");
    in->kind = in->has_heartbeat ? TEST_HEARTBEATS : TEST_READINGS;
    if (in->has_heartbeat) {
        has_no_use(r, &in->metric, "metric", "heartbeat");
    } else if (in->has_values) {
        needs(r, in, &in->metric, "metric");
    } else {
        problem_add(r->problems, in->at,
                    "an input needs `metric` and `values`, or `heartbeat`, or `topic`");
    }
    const struct placed *ids[] = {&in->tenant, &in->device};
    for (size_t i = 0; i < 2; i++) {
        if (ids[i]->s && strpbrk(ids[i]->s, "/+#")) {
            problem_add(r->problems, ids[i]->at,
                        "a level of a topic cannot hold `/`, `+` or `#`");
        }
    }
}

void test_case_settle(struct reader *r, const struct test_file *f, struct test_case *c)
{
    for (size_t i = 0; i < c->n_inputs; i++) {
        settle_input(r, f, &c->inputs[i]);
    }
    for (size_t i = 0; i < c->n_expects; i++) {
        const struct test_expect *e = &c->expects[i];
        if (!e->alerts.given && !e->firing.given && !e->pending.given) {
            problem_add(r->problems, e->at,
                        "nothing is expected here: give `alerts`, `firing` or `pending`");
        }
        if (i > 0 && e->at_us <= c->expects[i - 1].at_us) {
            problem_add(r->problems, e->at,
                        "each `at` must be later than the one before it");
        }
    }
}
