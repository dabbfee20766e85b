#include "config/schema.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "config/file.h"

#define SHOWN_BYTES 64 /* of a value, in a message */
#define CHOICES_BYTES 128

/* --- telling --- */

/* What stands there instead of what was asked for: "`abc`", "a list", "nothing". */
static const char *found(const struct node *n, char out[SHOWN_BYTES])
{
    if (n->kind != NODE_SCALAR) {
        return n->kind == NODE_LIST ? "a list" : "a mapping";
    }
    if (node_is_null(n)) {
        return "nothing";
    }
    if (n->text.n == 0) {
        return "an empty text";
    }
    char shown[SHOWN_BYTES - 16];
    text_escape(n->text, shown, sizeof shown);
    snprintf(out, SHOWN_BYTES, n->plain || n->expanded ? "`%s`" : "the text \"%s\"",
             shown);
    return out;
}

/* `node` was told as bad already? Then it is no more to be told. */
static void tell_kind(struct reader *r, const char *name, const char *wanted,
                      const struct node *n)
{
    char out[SHOWN_BYTES];
    if (n->kind != NODE_BAD) {
        problem_add(r->problems, n->at, "`%s` must be %s, not %s", name, wanted,
                    found(n, out));
    }
}

static bool is_scalar(struct reader *r, const char *name, const char *wanted,
                      const struct node *n)
{
    if (n->kind == NODE_SCALAR && !node_is_null(n)) {
        return true;
    }
    tell_kind(r, name, wanted, n);
    return false;
}

bool schema_is_mapping(struct reader *r, const char *name, const struct node *n)
{
    if (n->kind != NODE_MAPPING) {
        tell_kind(r, name, "a mapping of keys and values", n);
    }
    return n->kind == NODE_MAPPING;
}

bool schema_is_list(struct reader *r, const char *name, const struct node *n)
{
    if (n->kind != NODE_LIST) {
        tell_kind(r, name, "a list", n);
    }
    return n->kind == NODE_LIST;
}

void schema_member_name(const char *name, const struct node *member,
                        char out[SCHEMA_NAME_BYTES])
{
    char shown[SCHEMA_NAME_BYTES / 2];
    text_escape(member->key->text, shown, sizeof shown);
    snprintf(out, SCHEMA_NAME_BYTES, "%.*s.%s", SCHEMA_NAME_BYTES / 2 - 2, name, shown);
}

/* --- one value each --- */

static bool may_be_number(const struct node *n)
{
    return n->plain || n->expanded;
}

static void print_limit(const struct key *k, double v, char out[NUMBER_BYTES])
{
    if (k->kind == KEY_DURATION) {
        number_print_duration((int64_t)v, out);
    } else {
        number_print_plain(v, out);
    }
}

static void tell_range(struct reader *r, const struct key *k, const char *name,
                       const struct node *n)
{
    char low[NUMBER_BYTES], high[NUMBER_BYTES], out[SHOWN_BYTES];
    print_limit(k, k->min, low);
    print_limit(k, k->max, high);
    problem_add(r->problems, n->at, "`%s` must be %sfrom %s to %s, not %s", name,
                k->flags & KEY_ZERO_TOO ? "0, or " : "", low, high, found(n, out));
}

static bool in_range(const struct key *k, double v)
{
    return (v >= k->min && v <= k->max) || (v == 0 && (k->flags & KEY_ZERO_TOO));
}

static void read_bool(struct reader *r, const char *name, const struct node *n,
                      bool *field)
{
    static const char *const yes[] = {"true", "True", "TRUE"};
    static const char *const no[] = {"false", "False", "FALSE"};
    if (!is_scalar(r, name, "true or false", n)) {
        return;
    }
    for (size_t i = 0; i < 3 && may_be_number(n); i++) {
        if (text_equal(n->text, text_of(yes[i])) || text_equal(n->text, text_of(no[i]))) {
            *field = text_equal(n->text, text_of(yes[i]));
            return;
        }
    }
    tell_kind(r, name, "true or false", n);
}

static void read_whole(struct reader *r, const struct key *k, const char *name,
                       const struct node *n, void *field)
{
    if (!is_scalar(r, name, "a whole number", n)) {
        return;
    }
    struct text digits = n->text;
    bool negative = digits.n > 1 && digits.p[0] == '-';
    if (negative) {
        digits.p++;
        digits.n--;
    }
    uint64_t v = 0;
    enum brink_status status =
        may_be_number(n) ? number_parse_u64(digits, &v) : BRINK_E_SYNTAX;
    if (status == BRINK_E_SYNTAX) {
        tell_kind(r, name, "a whole number", n);
    } else if (status || negative || v > UINT32_MAX || !in_range(k, (double)v)) {
        tell_range(r, k, name, n);
    } else {
        uint32_t narrow = (uint32_t)v;
        memcpy(field, &narrow,
               sizeof narrow); /* int or uint32_t: the same bytes below 2^31 */
    }
}

/* E_RANGE: a number, but too large for a double. */
static enum brink_status parse_number(const struct node *n, double *ret_value)
{
    return may_be_number(n) ? number_parse(n->text, ret_value) : BRINK_E_SYNTAX;
}

bool schema_number(struct reader *r, const char *name, const struct node *n,
                   double *ret_value)
{
    if (!is_scalar(r, name, "a number", n)) {
        return false;
    }
    if (parse_number(n, ret_value)) {
        tell_kind(r, name, "a number", n);
        return false;
    }
    return true;
}

static bool read_ranged(struct reader *r, const struct key *k, const char *name,
                        const struct node *n, double *ret_value)
{
    double v = 0;
    if (!is_scalar(r, name, "a number", n)) {
        return false;
    }
    enum brink_status status = parse_number(n, &v);
    if (status == BRINK_E_SYNTAX) {
        tell_kind(r, name, "a number", n);
        return false;
    }
    if (status || !in_range(k, v)) {
        tell_range(r, k, name, n);
        return false;
    }
    *ret_value = v;
    return true;
}

static void read_amount(struct reader *r, const struct key *k, const char *name,
                        const struct node *n, int64_t *field)
{
    double v = 0;
    if (read_ranged(r, k, name, n, &v)) {
        *field = number_seconds_to_us(v * (double)k->unit_us / 1e6);
    }
}

static void read_duration(struct reader *r, const struct key *k, const char *name,
                          const struct node *n, int64_t *field)
{
    static const char wanted[] = "a duration such as 250ms, 30s, 5m, 2h or 7d";
    if (!is_scalar(r, name, wanted, n)) {
        return;
    }
    int64_t us = 0;
    enum brink_status status = number_parse_duration(n->text, &us);
    if (status == BRINK_E_SYNTAX) {
        tell_kind(r, name, wanted, n);
    } else if (status || !in_range(k, (double)us)) {
        tell_range(r, k, name, n);
    } else {
        *field = us;
    }
}

static bool is_clean(struct text t, unsigned flags)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        bool line = (flags & KEY_LINES) && (c == '\n' || c == '\t' || c == '\r');
        if ((c < 0x20 || c == 0x7f) && !line) {
            return false;
        }
    }
    return true;
}

static bool check_text(struct reader *r, const char *name, const struct node *n,
                       size_t bytes_max, unsigned flags)
{
    if (!is_scalar(r, name, "a text", n)) {
        return false;
    }
    size_t max = bytes_max ? bytes_max : SCHEMA_TEXT_BYTES_MAX;
    if (n->text.n == 0) {
        problem_add(r->problems, n->at, "`%s` must not be empty", name);
    } else if (n->text.n > max) {
        problem_add(r->problems, n->at, "`%s` is longer than %zu bytes", name, max);
    } else if (!is_clean(n->text, flags)) {
        problem_add(r->problems, n->at, "`%s` must not hold control characters", name);
    } else {
        return true;
    }
    return false;
}

bool schema_text(struct reader *r, const char *name, const struct node *n,
                 size_t bytes_max, unsigned flags, char **ret_text)
{
    if (!check_text(r, name, n, bytes_max, flags)) {
        return false;
    }
    char *copy = text_dup(n->text);
    if (!copy) {
        r->failed = true;
        return false;
    }
    free(*ret_text); /* a default */
    *ret_text = copy;
    return true;
}

static void read_placed(struct reader *r, const struct key *k, const char *name,
                        const struct node *n, struct placed *field)
{
    if (schema_text(r, name, n, (size_t)k->max, k->flags, &field->s)) {
        field->at = n->at;
        if (k->flags & KEY_LINES) {
            struct scalar_source source = node_source(n);
            field->marks = place_marks(&source);
            field->comment = n->comment;
        }
    }
}

static void read_texts(struct reader *r, const struct key *k, const char *name,
                       const struct node *n, struct strings *field)
{
    if (n->kind == NODE_LIST && n->n == 0 && (k->flags & KEY_NOT_EMPTY)) {
        problem_add(r->problems, n->at,
                    "`%s` is an empty list: name one or leave the key out", name);
        return;
    }
    schema_texts(r, name, n, (size_t)k->max, k->list_max, field);
}

void schema_texts(struct reader *r, const char *name, const struct node *n,
                  size_t bytes_max, size_t list_max, struct strings *ret_strings)
{
    size_t max = list_max ? list_max : SCHEMA_LIST_MAX;
    ret_strings->given = true;
    if (!schema_is_list(r, name, n)) {
        return;
    }
    if (n->n > max) {
        problem_add(r->problems, n->at, "`%s` has more than %zu items", name, max);
        return;
    }
    ret_strings->items = calloc(n->n ? n->n : 1, sizeof *ret_strings->items);
    if (!ret_strings->items) {
        r->failed = true;
        return;
    }
    size_t i = 0;
    for (const struct node *item = n->first; item; item = item->next) {
        char item_name[SCHEMA_NAME_BYTES];
        struct placed *p = &ret_strings->items[ret_strings->n];
        snprintf(item_name, sizeof item_name, "%s[%zu]", name, i++);
        if (schema_text(r, item_name, item, bytes_max, 0, &p->s)) {
            p->at = item->at;
            ret_strings->n++;
        }
    }
}

static void list_choices(const struct choice *choices, char out[CHOICES_BYTES])
{
    size_t used = 0;
    out[0] = '\0';
    for (const struct choice *c = choices; c->name; c++) {
        const char *between = c == choices ? "" : c[1].name ? ", " : " or ";
        int n = snprintf(out + used, CHOICES_BYTES - used, "%s%s", between, c->name);
        used += n > 0 && (size_t)n < CHOICES_BYTES - used ? (size_t)n : 0;
    }
}

static void store_choice(struct reader *r, const struct key *k, const struct choice *c,
                         const struct node *n, void *field)
{
    if (k->flags & KEY_AS_BOOL) {
        *(bool *)field = c->value != 0;
    } else if (k->flags & KEY_AS_PLACED) {
        struct placed *p = field;
        free(p->s);
        *p = (struct placed){.s = text_dup(text_of(c->text ? c->text : c->name)),
                             .at = n->at};
        r->failed = r->failed || !p->s;
    } else {
        static_assert(sizeof(enum severity) == sizeof(int),
                      "choices are stored as an int");
        memcpy(field, &c->value, sizeof c->value);
    }
}

static void read_choice(struct reader *r, const struct key *k, const char *name,
                        const struct node *n, void *field)
{
    char wanted[CHOICES_BYTES];
    list_choices(k->choices, wanted);
    if (n->kind == NODE_SCALAR && n->block && n->text.n == 0) {
        problem_add(
            r->problems, n->at,
            "`%s` must be %s; put quotes around it, a bare > begins a block of text",
            name, wanted);
        return;
    }
    if (!is_scalar(r, name, wanted, n)) {
        return;
    }
    for (const struct choice *c = k->choices; c->name; c++) {
        struct text t = text_of(c->name);
        if (text_equal(n->text, t) ||
            ((k->flags & KEY_ANY_CASE) && text_equal_nocase(n->text, t))) {
            store_choice(r, k, c, n, field);
            return;
        }
    }
    tell_kind(r, name, wanted, n);
}

static void read_file(struct reader *r, const char *name, const struct node *n,
                      char **field)
{
    char *path = NULL;
    if (!schema_text(r, name, n, 0, 0, &path)) {
        return;
    }
    *field = file_beside(r->folder, path);
    free(path);
    if (!*field) {
        r->failed = true;
    } else if (!r->no_files) {
        file_check_readable(*field, r->problems, n->at);
    }
}

/* A secret's own text must not show up in a message. */
static void read_secret(struct reader *r, const char *name, const struct node *n,
                        char **field)
{
    if (n->kind == NODE_LIST || n->kind == NODE_MAPPING) {
        tell_kind(r, name, "a text", n);
    } else {
        (void)schema_text(r, name, n, 0, 0,
                          field); /* told there; nothing of it is shown */
    }
}

static void read_secret_file(struct reader *r, const char *name, const struct node *n,
                             char **field)
{
    char *path = NULL, *whole = NULL;
    if (!schema_text(r, name, n, 0, 0, &path)) {
        return;
    }
    whole = file_beside(r->folder, path);
    free(path);
    if (!whole || (!r->no_files &&
                   file_read_secret(whole, r->problems, n->at, field) == BRINK_E_NOMEM)) {
        r->failed = true;
    }
    free(whole);
}

/* --- a mapping --- */

static void read_members(struct reader *r, const struct schema *s,
                         const struct node *mapping, void *into);

static void read_value(struct reader *r, const struct key *k, const char *name,
                       const struct node *n, void *into)
{
    void *field = (char *)into + k->offset;
    switch (k->kind) {
    case KEY_BOOL:
        read_bool(r, name, n, field);
        break;
    case KEY_WHOLE:
        read_whole(r, k, name, n, field);
        break;
    case KEY_NUMBER:
        (void)read_ranged(r, k, name, n, field); /* told there */
        break;
    case KEY_DURATION:
        read_duration(r, k, name, n, field);
        break;
    case KEY_AMOUNT:
        read_amount(r, k, name, n, field);
        break;
    case KEY_TEXT:
        (void)schema_text(r, name, n, (size_t)k->max, k->flags, field); /* told there */
        break;
    case KEY_PLACED:
        read_placed(r, k, name, n, field);
        break;
    case KEY_TEXTS:
        read_texts(r, k, name, n, field);
        break;
    case KEY_CHOICE:
        read_choice(r, k, name, n, field);
        break;
    case KEY_SECRET:
        read_secret(r, name, n, field);
        break;
    case KEY_FILE:
        read_file(r, name, n, field);
        break;
    case KEY_MAPPING:
        if (schema_is_mapping(r, name, n)) {
            read_members(r, k->within, n, into);
        }
        break;
    case KEY_OTHER:
        k->read(r, name, n, field);
        break;
    }
}

static void set_defaults(struct reader *r, const struct schema *s, void *into)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct key *k = &s->keys[i];
        if (k->kind == KEY_MAPPING) {
            set_defaults(r, k->within, into);
        } else if (k->initial) {
            struct node n = {
                .kind = NODE_SCALAR, .plain = true, .text = text_of(k->initial)};
            n.at.file = r->file;
            read_value(r, k, k->name, &n, into);
        }
    }
}

/* A row that a key of the file means, or NULL; *ret_file: by its NAME_file. */
static const struct key *find_key(const struct schema *s, struct text name,
                                  bool *ret_file)
{
    for (size_t i = 0; i < s->n; i++) {
        struct text row = text_of(s->keys[i].name);
        *ret_file = false;
        if (text_equal(row, name)) {
            return &s->keys[i];
        }
        *ret_file = s->keys[i].kind == KEY_SECRET && name.n == row.n + 5 &&
                    memcmp(name.p, row.p, row.n) == 0 &&
                    memcmp(name.p + row.n, "_file", 5) == 0;
        if (*ret_file) {
            return &s->keys[i];
        }
    }
    return NULL;
}

static void tell_unknown(struct reader *r, const struct schema *s, const struct node *n)
{
    const char *names[SCHEMA_KEYS_MAX];
    size_t count = 0;
    char twins[4][SCHEMA_NAME_BYTES], shown[SHOWN_BYTES], within[SCHEMA_NAME_BYTES];
    size_t n_twins = 0;
    for (size_t i = 0; i < s->n && count + 1 < SCHEMA_KEYS_MAX; i++) {
        names[count++] = s->keys[i].name;
        if (s->keys[i].kind == KEY_SECRET && n_twins < sizeof twins / sizeof *twins) {
            snprintf(twins[n_twins], sizeof *twins, "%s_file", s->keys[i].name);
            names[count++] = twins[n_twins++];
        }
    }
    size_t prefix = strlen(s->prefix);
    snprintf(within, sizeof within, prefix ? " in `%.*s`" : "%.*s",
             prefix ? (int)prefix - 1 : 0, s->prefix);
    text_escape(n->key->text, shown, sizeof shown);
    const char *near = text_nearest(n->key->text, names, count);
    if (near) {
        problem_add(r->problems, n->key->at, "unknown key `%s`%s, did you mean `%s`?",
                    shown, within, near);
    } else {
        problem_add(r->problems, n->key->at, "unknown key `%s`%s", shown, within);
    }
}

static void mark_given(const struct key *k, const struct node *n, void *into)
{
    if (k->given) {
        *(bool *)((char *)into + k->given - 1) = true;
    }
    if (k->place) {
        struct position at;
        memcpy(&at, (char *)into + k->place - 1, sizeof at);
        if (at.line == 0) {
            memcpy((char *)into + k->place - 1, &n->at, sizeof n->at);
        }
    }
}

/* Was another way to say the same given before? */
static void check_set(struct reader *r, const struct schema *s, const struct key *k,
                      const unsigned char *seen, const struct node *n)
{
    for (const struct key *other = s->keys; k->set && other < s->keys + s->n; other++) {
        if (other != k && other->set == k->set && seen[other - s->keys]) {
            problem_add(r->problems, n->key->at,
                        "`%s%s` and `%s%s` are both given: keep one", s->prefix,
                        other->name, s->prefix, k->name);
            return;
        }
    }
}

static void read_members(struct reader *r, const struct schema *s,
                         const struct node *mapping, void *into)
{
    enum { BY_NAME = 1, BY_FILE = 2 };
    unsigned char seen[SCHEMA_KEYS_MAX] = {0};
    if (s->place) {
        memcpy((char *)into + s->place - 1, &mapping->at, sizeof mapping->at);
    }
    for (const struct node *n = mapping->first; n; n = n->next) {
        char name[SCHEMA_NAME_BYTES];
        bool by_file = false;
        const struct key *k = find_key(s, n->key->text, &by_file);
        if (!k) {
            tell_unknown(r, s, n);
            continue;
        }
        if (node_is_null(n)) {
            continue;
        }
        snprintf(name, sizeof name, "%s%s%s", s->prefix, k->name, by_file ? "_file" : "");
        unsigned char *row = &seen[k - s->keys];
        if (*row) {
            problem_add(r->problems, n->key->at,
                        "`%s%s` and `%s%s_file` are both given: keep one", s->prefix,
                        k->name, s->prefix, k->name);
            continue;
        }
        *row |= by_file ? BY_FILE : BY_NAME;
        check_set(r, s, k, seen, n);
        mark_given(k, n, into);
        if (by_file) {
            read_secret_file(r, name, n, (char **)(void *)((char *)into + k->offset));
        } else {
            read_value(r, k, name, n, into);
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        if ((s->keys[i].flags & KEY_REQUIRED) && !seen[i]) {
            problem_add(r->problems, mapping->at, "`%s%s` is missing", s->prefix,
                        s->keys[i].name);
        }
    }
}

/* Was something within told before the schema came to it? As deep as a document is. */
static bool has_bad(const struct node *n)
{
    for (const struct node *child = n->first; child; child = child->next) {
        if (child->kind == NODE_BAD || has_bad(child)) {
            return true;
        }
    }
    return false;
}

void schema_read(struct reader *r, const struct schema *s, const struct node *mapping,
                 void *into)
{
    size_t errors = r->problems->errors;
    set_defaults(r, s, into);
    if (mapping) {
        read_members(r, s, mapping, into);
    }
    if (s->faulty && (r->problems->errors > errors || (mapping && has_bad(mapping)))) {
        *(bool *)((char *)into + s->faulty - 1) = true;
    }
}

void schema_read_list(struct reader *r, const char *name, const struct schema *schema,
                      const struct node *list, size_t list_max, size_t item_bytes,
                      void **ret_items, size_t *ret_n)
{
    if (!schema_is_list(r, name, list)) {
        return;
    }
    if (list->n > list_max) {
        problem_add(r->problems, list->at, "`%s` has more than %zu items", name,
                    list_max);
        return;
    }
    char *items = calloc(list->n ? list->n : 1, item_bytes);
    if (!items) {
        r->failed = true;
        return;
    }
    size_t i = 0, read = 0;
    for (const struct node *n = list->first; n; n = n->next) {
        char item_name[SCHEMA_NAME_BYTES];
        snprintf(item_name, sizeof item_name, "%s[%zu]", name, i++);
        if (schema_is_mapping(r, item_name, n)) {
            schema_read(r, schema, n, items + read++ * item_bytes);
        }
    }
    *ret_items = items;
    *ret_n = read;
}
