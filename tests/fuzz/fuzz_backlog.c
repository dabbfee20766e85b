/* The backlog's file: any bytes are read line by line without harm; readings that were
 * taken are finite and sorted, and written again they are the same readings of the same
 * series. A key that says whose it is says the same once it is put together anew, and any
 * tenant comes back from its key. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "history/backlog.h"
#include "history/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth) {
        abort();
    }
}

static bool is_within(struct text part, struct text whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_key(struct text key)
{
    struct buffer tenant = {0}, again_tenant = {0}, again = {0};
    struct text rule, device, again_rule, again_device;
    if (history_key_parse(key, &tenant, &rule, &device)) {
        require(is_within(rule, key) && is_within(device, key));
        history_key(&again, buffer_view(&tenant), rule, device, TEXT(""));
        require(history_key_parse(buffer_view(&again), &again_tenant, &again_rule,
                                  &again_device));
        require(text_equal(buffer_view(&tenant), buffer_view(&again_tenant)));
        require(text_equal(rule, again_rule) && text_equal(device, again_device));
    }
    buffer_finish(&tenant);
    buffer_finish(&again_tenant);
    buffer_finish(&again);
}

/* Any bytes are a tenant that its key gives back. */
static void check_tenant(struct text name)
{
    struct buffer key = {0}, tenant = {0};
    struct text rule, device;
    history_key(&key, name, TEXT("r"), TEXT("d"), TEXT("m"));
    bool is = history_key_parse(buffer_view(&key), &tenant, &rule, &device);
    require(is == (name.n > 0));
    if (is) {
        require(text_equal(buffer_view(&tenant), name));
        require(text_equal(rule, TEXT("r")) && text_equal(device, TEXT("d")));
    }
    buffer_finish(&key);
    buffer_finish(&tenant);
}

/* Without a file: lines are put together in memory and never written. */
static void begin(struct backlog *b)
{
    *b = (struct backlog){.path = strdup("backlog"), .fd = -1};
    require(backlog_is_open(b));
}

struct seen {
    struct text line;
    struct backlog *out;
    int devices;
};

static void note_device(void *ctx, struct text field, struct text value)
{
    struct seen *seen = ctx;
    require(field.n > 0 && is_within(field, seen->line) && is_within(value, seen->line));
    seen->devices++;
    backlog_put_device(seen->out, field, value);
}

static struct left_points *only_one(const struct map *left)
{
    size_t i = 0;
    require(left->n <= 1);
    return map_next(left, &i);
}

static void check_line(struct text line)
{
    struct backlog b, again;
    begin(&b);
    begin(&again);
    struct seen seen = {line, &b, 0}, repeated = {.out = &again};
    bool is = backlog_read_line(&b, line, note_device, &seen);
    if (is && line.p[0] == 'b') { /* a batch's number, and nothing else */
        require(seen.devices == 0 && b.begun.n == 0 && b.left.n == 0);
        backlog_close(&b);
        backlog_close(&again);
        return;
    }
    struct left_points *begun = only_one(&b.begun);
    struct left_points *left = begun ? begun : only_one(&b.left);
    bool ends = is && line.p[0] == 'e';
    require(is == (left != NULL) + (seen.devices > 0) + ends);
    require(!begun || b.left.n == 0);
    if (left) {
        require(left->points.n > 0);
        for (size_t i = 0; i < left->points.n; i++) {
            require(isfinite(left->points.p[i].value));
            require(i == 0 || left->points.p[i - 1].at.us <= left->points.p[i].at.us);
        }
        struct text key = {left->key, left->key_n};
        check_key(key);
        if (begun) {
            backlog_put_begun(&b);
        } else {
            backlog_put_points(&b, key, left->points.p, left->points.n);
        }
    } else if (ends) {
        backlog_put_end(&b);
    }
    if (is) {
        require(buffer_ok(&b.out) && b.out.n > 0 && b.out.p[b.out.n - 1] == '\n');
        repeated.line = (struct text){b.out.p, b.out.n - 1};
        require(backlog_read_line(&again, repeated.line, note_device, &repeated));
        require(repeated.devices == seen.devices);
        if (left) {
            struct text key = {left->key, left->key_n};
            struct left_points *l =
                begun ? map_remove(&again.begun, key) : backlog_take(&again, key);
            require(l && l->points.n == left->points.n);
            for (size_t i = 0; i < l->points.n; i++) {
                require(l->points.p[i].value == left->points.p[i].value);
            }
            left_points_free(l);
        } else if (!ends) {
            /* A field alone has an empty value. */
            size_t more = repeated.line.n - line.n;
            require(more <= 1 && memcmp(line.p, repeated.line.p, line.n) == 0);
        }
    }
    backlog_close(&b);
    backlog_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = {(const char *)data, size};
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct text line = {rest.p, end ? (size_t)(end - rest.p) : rest.n};
        check_line(line);
        check_key(line);
        check_tenant(line);
        size_t skip = line.n + (end != NULL);
        rest.p += skip;
        rest.n -= skip;
    }
    return 0;
}
