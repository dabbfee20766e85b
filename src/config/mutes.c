#include "config/mutes.h"

#include <stdlib.h>

#include "base/calendar.h"
#include "config/rulefile.h"
#include "config/scope.h"

#define MUTE_NAME_BYTES_MAX 256
#define MUTE_RULES_MAX 1000
#define DAYS_MAX 7
#define INHIBIT_TARGETS_MAX 100
#define INHIBIT_LABEL_BYTES_MAX 256

/* --- times --- */

/* What is still to be read. */
struct cursor {
    const char *p, *end;
};

static bool skip(struct cursor *c, char what)
{
    bool is = c->p < c->end && *c->p == what;
    c->p += is;
    return is;
}

/* Exactly n digits, at most `max`. */
static bool digits(struct cursor *c, int n, int max, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (c->p == c->end || *c->p < '0' || *c->p > '9') {
            return false;
        }
        value = value * 10 + (*c->p++ - '0');
    }
    *ret_value = value;
    return value <= max;
}

/* hh:mm[:ss] */
static bool read_clock(struct cursor *c, int hours_max, int32_t *ret_second)
{
    int hour, minute, second = 0;
    if (!digits(c, 2, hours_max, &hour) || !skip(c, ':') || !digits(c, 2, 59, &minute) ||
        (skip(c, ':') && !digits(c, 2, 59, &second))) {
        return false;
    }
    *ret_second = (hour * 60 + minute) * 60 + second;
    return *ret_second <= CALENDAR_DAY_S;
}

/* YYYY-MM-DD */
static bool read_date(struct cursor *c, int64_t *ret_day)
{
    int year, month, day;
    if (!digits(c, 4, 9999, &year) || !skip(c, '-') || !digits(c, 2, 12, &month) ||
        !skip(c, '-') || !digits(c, 2, 31, &day) || month == 0 || day == 0 ||
        day > calendar_month_days(year, month)) {
        return false;
    }
    *ret_day = calendar_days(year, month, day);
    return true;
}

/* Z or +hh:mm behind a date's time. */
static bool read_zone(struct cursor *c, struct local_time *t)
{
    bool west = c->p < c->end && *c->p == '-';
    if (c->p == c->end) {
        return true;
    }
    t->has_zone = true;
    if (skip(c, 'Z')) {
        return true;
    }
    if ((!skip(c, '+') && !skip(c, '-')) || !read_clock(c, 23, &t->zone_s)) {
        return false;
    }
    t->zone_s = west ? -t->zone_s : t->zone_s;
    return true;
}

static bool parse_time(struct text text, struct local_time *t)
{
    struct cursor c = {text.p, text.p + text.n};
    t->has_date = text.n > 4 && text.p[4] == '-';
    if (!t->has_date) {
        return read_clock(&c, 24, &t->second) && c.p == c.end;
    }
    return read_date(&c, &t->day) && (skip(&c, 'T') || skip(&c, ' ')) &&
           read_clock(&c, 24, &t->second) && read_zone(&c, t) && c.p == c.end;
}

static void read_time(struct reader *r, const char *name, const struct node *n,
                      void *field)
{
    struct local_time t = {.at = n->at};
    char *text = NULL;
    if (schema_text(r, name, n, 0, 0, &text)) {
        if (parse_time(n->text, &t)) {
            *(struct local_time *)field = t;
        } else {
            char shown[64];
            text_escape(n->text, shown, sizeof shown);
            problem_add(r->problems, n->at,
                        "`%s` must be a time such as 22:00 (every week) or "
                        "2026-12-24T08:00 (once), not `%s`",
                        name, shown);
        }
    }
    free(text);
}

static void read_days(struct reader *r, const char *name, const struct node *n,
                      void *field)
{
    static const char *const days[][2] = {
        {"mon", "monday"}, {"tue", "tuesday"},  {"wed", "wednesday"}, {"thu", "thursday"},
        {"fri", "friday"}, {"sat", "saturday"}, {"sun", "sunday"},
    };
    struct maintenance_def *m = field;
    struct strings list = {0};
    m->days_at = n->at;
    if (n->kind == NODE_LIST && n->n == 0) {
        problem_add(r->problems, n->at,
                    "`%s` is an empty list: name one or leave the key out", name);
    }
    schema_texts(r, name, n, 0, DAYS_MAX, &list);
    for (size_t i = 0; i < list.n; i++) {
        struct text day = text_of(list.items[i].s);
        size_t d = 0;
        while (d < DAYS_MAX && !text_equal_nocase(day, text_of(days[d][0])) &&
               !text_equal_nocase(day, text_of(days[d][1]))) {
            d++;
        }
        if (d == DAYS_MAX) {
            problem_add(r->problems, list.items[i].at,
                        "a day is mon, tue, wed, thu, fri, sat or sun, not `%s`",
                        list.items[i].s);
        } else {
            m->days |= 1u << d;
        }
    }
    strings_free(&list);
}

/* --- maintenance --- */

#define MAINTENANCE(field) offsetof(struct maintenance_def, field)

static const struct key scope_keys[] = {SCOPE_KEYS(MAINTENANCE(scope))};
static const struct schema scope_schema = {SCHEMA_OF("scope.", scope_keys)};

static const struct key maintenance_keys[] = {
    {.name = "name",
     .kind = KEY_PLACED,
     .flags = KEY_REQUIRED,
     .offset = MAINTENANCE(name),
     .max = MUTE_NAME_BYTES_MAX},
    {.name = "from",
     .kind = KEY_OTHER,
     .flags = KEY_REQUIRED,
     .offset = MAINTENANCE(from),
     .read = read_time},
    {.name = "until",
     .kind = KEY_OTHER,
     .flags = KEY_REQUIRED,
     .offset = MAINTENANCE(until),
     .read = read_time},
    {.name = "days", .kind = KEY_OTHER, .read = read_days},
    {.name = "scope", .kind = KEY_MAPPING, .within = &scope_schema},
    {.name = "rules",
     .kind = KEY_TEXTS,
     .flags = KEY_NOT_EMPTY,
     .offset = MAINTENANCE(rules),
     .list_max = MUTE_RULES_MAX,
     .max = RULE_ID_BYTES_MAX},
};
const struct schema maintenance_schema = {SCHEMA_OF("maintenance.", maintenance_keys),
                                          .place = FLAG_AT(struct maintenance_def, at),
                                          .faulty =
                                              FLAG_AT(struct maintenance_def, is_faulty)};

static int64_t comparable(const struct local_time *t)
{
    return t->day * CALENDAR_DAY_S + t->second - t->zone_s;
}

/* Do both times make a window? */
static void check_window(struct problems *problems, const struct maintenance_def *m)
{
    const struct local_time *from = &m->from, *until = &m->until;
    if (from->has_date != until->has_date) {
        problem_add(problems, until->at,
                    "`maintenance.from` and `maintenance.until` must both have a date "
                    "(once), or both none (every week)");
    } else if (from->has_zone != until->has_zone) {
        problem_add(problems, until->at,
                    "`maintenance.from` and `maintenance.until` must both have a zone, "
                    "or both none");
    } else if (from->has_date && m->days_at.line > 0) {
        problem_add(problems, m->days_at,
                    "`maintenance.days` are of a weekly window: take the dates out of "
                    "`maintenance.from` and `maintenance.until`");
    } else if (from->has_date && comparable(until) <= comparable(from)) {
        problem_add(problems, until->at,
                    "`maintenance.until` must be later than `maintenance.from`");
    } else if (!from->has_date && from->second % CALENDAR_DAY_S == until->second) {
        problem_add(problems, until->at,
                    "`maintenance.until` is the same time as `maintenance.from`; a day "
                    "ends at 24:00");
    }
}

void read_maintenance(struct reader *r, const char *name, const struct node *n,
                      void *field)
{
    struct rule_file *file = field;
    void *items = NULL;
    schema_read_list(r, name, &maintenance_schema, n, MAINTENANCE_PER_FILE_MAX,
                     sizeof *file->maintenance, &items, &file->n_maintenance);
    file->maintenance = items;
    for (size_t i = 0; i < file->n_maintenance; i++) {
        if (!file->maintenance[i].is_faulty) {
            check_window(r->problems, &file->maintenance[i]);
        }
    }
}

/* --- inhibit --- */

#define INHIBIT(field) offsetof(struct inhibit_def, field)

static const struct key inhibit_keys[] = {
    {.name = "source",
     .kind = KEY_PLACED,
     .flags = KEY_REQUIRED,
     .offset = INHIBIT(source),
     .max = RULE_ID_BYTES_MAX},
    {.name = "target",
     .kind = KEY_TEXTS,
     .flags = KEY_REQUIRED | KEY_NOT_EMPTY,
     .offset = INHIBIT(target),
     .list_max = INHIBIT_TARGETS_MAX,
     .max = RULE_ID_BYTES_MAX},
    {.name = "equal",
     .kind = KEY_TEXTS,
     .offset = INHIBIT(equal),
     .list_max = INHIBIT_EQUAL_MAX,
     .max = INHIBIT_LABEL_BYTES_MAX},
};
const struct schema inhibit_schema = {SCHEMA_OF("inhibit.", inhibit_keys),
                                      .place = FLAG_AT(struct inhibit_def, at),
                                      .faulty = FLAG_AT(struct inhibit_def, is_faulty)};

static void check_targets(struct problems *problems, const struct inhibit_def *d)
{
    for (size_t i = 0; i < d->target.n; i++) {
        if (strcmp(d->target.items[i].s, d->source.s) == 0) {
            problem_add(problems, d->target.items[i].at,
                        "`%s` cannot hold back its own alerts", d->source.s);
        }
    }
}

void read_inhibit(struct reader *r, const char *name, const struct node *n, void *field)
{
    struct rule_file *file = field;
    void *items = NULL;
    schema_read_list(r, name, &inhibit_schema, n, INHIBIT_PER_FILE_MAX,
                     sizeof *file->inhibit, &items, &file->n_inhibit);
    file->inhibit = items;
    for (size_t i = 0; i < file->n_inhibit; i++) {
        if (!file->inhibit[i].is_faulty) {
            check_targets(r->problems, &file->inhibit[i]);
        }
    }
}
