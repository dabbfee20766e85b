/* The stored text: written as Python's json.dumps writes it, read as json.loads reads it.
 */
#include "rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "history/script.h"
#include "history/wbuf.h"

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double draw_value(void)
{
    double v;
    uint64_t bits;
    switch (draw() % 6) {
    case 0: /* any double */
        do {
            bits = draw();
            memcpy(&v, &bits, sizeof v);
        } while (!isfinite(v));
        return v;
    case 1:
        return (double)(int64_t)(draw() % 2001) - 1000;
    case 2: /* a sensor's: up to three decimals */
        return round((double)(draw() % 100000)) / 1000;
    case 3: /* as long as a double gets */
        return (double)(draw() % 1000000) / 7.0;
    case 4:
        return (double)(draw() % 100) * 1e-6;
    default:
        return -(double)(draw() % 1000) * 1e14;
    }
}

static struct point draw_point(void)
{
    static const int64_t steps[] = {1, 100, 1000, 500000, 1000000};
    int64_t us = T0 * US_PER_S + (int64_t)(draw() % 100000000) * 97;
    int64_t step = steps[draw() % 5];
    return (struct point){{us / step * step}, draw_value()};
}

static void put_list(struct buffer *out, const struct points *points)
{
    char text[WBUF_ENTRY_BYTES];
    for (size_t i = 0; i < points->n; i++) {
        buffer_char(out, i == 0 ? '[' : ',');
        buffer_put(out, text, wbuf_print_entry(points->p[i], text));
    }
    buffer_char(out, ']');
}

static const char *const program =
    "import json,sys\n"
    "for line in sys.stdin:\n"
    "    t=[[float(int(a)/1000000),float.fromhex(b)] for a,b in\n"
    "       (e.split() for e in line.split(';') if e.strip())]\n"
    "    print(json.dumps(t,separators=(',',':')))\n";

START_TEST(test_wbuf_writes_what_json_dumps_writes)
{
    char in[] = "/tmp/brink-wbuf-XXXXXX", command[2048];
    int fd = mkstemp(in);
    ck_assert_int_ge(fd, 0);
    FILE *f = fdopen(fd, "w");
    struct buffer ours = {0};
    for (int i = 0; i < 2000; i++) {
        struct points points = {NULL, 0, 0};
        size_t n = 1 + draw() % 12;
        for (size_t k = 0; k < n; k++) {
            struct point p = draw_point();
            ck_assert_int_eq(points_put(&points, p), BRINK_OK);
            fprintf(f, "%lld %a;", (long long)p.at.us, p.value);
        }
        fputc('\n', f);
        put_list(&ours, &points);
        buffer_char(&ours, '\n');
        points_finish(&points);
    }
    fclose(f);
    snprintf(command, sizeof command, "/usr/bin/python3 -c \"%s\" < %s", program, in);
    FILE *python = popen(command, "r");
    ck_assert_ptr_nonnull(python);
    struct buffer theirs = {0};
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, python)) > 0;) {
        buffer_put(&theirs, part, n);
    }
    ck_assert_int_eq(pclose(python), 0);
    unlink(in);
    ck_assert(text_equal(buffer_view(&ours), buffer_view(&theirs)));
    buffer_finish(&ours);
    buffer_finish(&theirs);
}
END_TEST

static int by_time(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    return (p->at.us > q->at.us) - (p->at.us < q->at.us);
}

START_TEST(test_wbuf_reads_back_what_it_wrote_as_canonical)
{
    for (int i = 0; i < 5000; i++) {
        struct points points = {NULL, 0, 0}, again = {NULL, 0, 0};
        struct buffer text = {0};
        size_t n = 1 + draw() % 20;
        for (size_t k = 0; k < n; k++) {
            ck_assert_int_eq(points_put(&points, draw_point()), BRINK_OK);
        }
        qsort(points.p, points.n, sizeof *points.p, by_time);
        put_list(&text, &points);
        enum wbuf_form form = WBUF_NOT_A_LIST;
        ck_assert_int_eq(wbuf_parse(buffer_view(&text), &again, &form), BRINK_OK);
        ck_assert_msg(form == WBUF_CANONICAL, "%s", buffer_cstr(&text));
        ck_assert_uint_eq(again.n, points.n);
        for (size_t k = 0; k < n; k++) {
            ck_assert(point_same(again.p[k], points.p[k]));
            size_t offset = wbuf_offset(buffer_view(&text), k);
            char entry[WBUF_ENTRY_BYTES];
            size_t bytes = wbuf_print_entry(points.p[k], entry);
            ck_assert_uint_eq(bytes, wbuf_entry_bytes(points.p[k]));
            ck_assert_mem_eq(text.p + offset, entry, bytes);
        }
        points_finish(&points);
        points_finish(&again);
        buffer_finish(&text);
    }
}
END_TEST

static struct points read_text(const char *text, enum wbuf_form wanted)
{
    struct points points = {NULL, 0, 0};
    enum wbuf_form form = WBUF_CANONICAL;
    ck_assert_int_eq(wbuf_parse(text_of(text), &points, &form), BRINK_OK);
    ck_assert_msg(form == wanted, "%s: form %d", text, (int)form);
    return points;
}

START_TEST(test_wbuf_takes_no_other_form_for_canonical)
{
    static const char *const other[] = {
        "[]",
        " [[1.0,2.0]]",
        "[[1.0,2.0]]\n",
        "[[1.0, 2.0]]",
        "[[1,2.0]]",
        "[[1.0,2]]",
        "[[1.0,2.50]]",
        "[[1.0,1e1]]",
        "[[1.0,1E+22]]",
        "[[1.0,0.00001]]",
        "[[1.00,2.0]]",
        "[[1.0000001,2.0]]",
        "[[2.0,1.0],[1.0,1.0]]",
        "[[1.0,1.0],[1.0,1.0]]",
        "[[1.0,0.1000000000000000055511151231257827]]",
        "[[1.0,25.100000000000001]]", /* reads as 25.1 */
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        struct points points = read_text(other[i], WBUF_OTHER);
        points_finish(&points);
    }
}
END_TEST

START_TEST(test_wbuf_reads_leniently_sorts_and_leaves_out_what_is_no_pair)
{
    struct points p = read_text(
        " [ [3, 30] ,\n[1.5 , 1e1],[2,NaN],[2,Infinity],[-Infinity,2],[4,40,5],[5],[],"
        "{\"a\":[1,2]},\"x\\u00e9\\n\",null,true,7,[6,\"60\"],[7,true],[8,[1]],[9,1e999],"
        "[1e300,1],[1,1],[3,30],[0.25,-0.5] ] ",
        WBUF_OTHER);
    static const double wanted[][2] = {{0.25, -0.5}, {1, 1}, {1.5, 10}, {3, 30}};
    ck_assert_uint_eq(p.n, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(p.p[i].at.us, (int64_t)(wanted[i][0] * 1e6));
        ck_assert_double_eq(p.p[i].value, wanted[i][1]);
    }
    points_finish(&p);
}
END_TEST

START_TEST(test_wbuf_keeps_the_order_of_equal_times)
{
    struct points p = read_text("[[2,1],[1,5],[1,3],[1,4]]", WBUF_OTHER);
    ck_assert_uint_eq(p.n, 4);
    ck_assert_double_eq(p.p[0].value, 5);
    ck_assert_double_eq(p.p[1].value, 3);
    ck_assert_double_eq(p.p[2].value, 4);
    points_finish(&p);
}
END_TEST

START_TEST(test_wbuf_tells_what_is_no_json_list)
{
    static const char *const none[] = {
        "",
        "x",
        "[",
        "[[1.0,2.0]",
        "[[1.0,2.0]]]",
        "[[1.0,2.0],]",
        "{}",
        "7",
        "null",
        "\"[]\"",
        "[[01,2]]",
        "[[1.,2]]",
        "[[.5,2]]",
        "[[1,2]] x",
        "[[1 2]]",
        "[\"\\x\"]",
        "[\"a]",
        "[[1,+2]]",
        "[nul]",
        "[[1,2],,]",
        "[\"\x01\"]",
        "[[0x10,2]]",
        "[--1]",
        "[[1,2}]",
        "[{\"a\"}]",
        "[{1:2}]",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct points p = read_text(none[i], WBUF_NOT_A_LIST);
        ck_assert_uint_eq(p.n, 0);
        points_finish(&p);
    }
}
END_TEST

START_TEST(test_wbuf_bounds_depth)
{
    struct buffer deep = {0};
    for (int i = 0; i < 1000000; i++) {
        buffer_char(&deep, '[');
    }
    struct points p = {NULL, 0, 0};
    enum wbuf_form form;
    ck_assert_int_eq(wbuf_parse(buffer_view(&deep), &p, &form), BRINK_OK);
    ck_assert_int_eq(form, WBUF_NOT_A_LIST);
    buffer_finish(&deep);
    points_finish(&p);
}
END_TEST

START_TEST(test_wbuf_many_equal_times_take_no_quadratic_time)
{
    struct buffer text = {0};
    for (int i = 0; i < 200000; i++) {
        buffer_format(&text, "%s[1.0,%d.0]", i ? "," : "[", i);
    }
    buffer_char(&text, ']');
    struct points p = {NULL, 0, 0};
    enum wbuf_form form;
    struct mono start = mono_now();
    ck_assert_int_eq(wbuf_parse(buffer_view(&text), &p, &form), BRINK_OK);
    ck_assert_int_lt(mono_now().us - start.us, 5 * US_PER_S);
    ck_assert_uint_eq(p.n, 200000);
    buffer_finish(&text);
    points_finish(&p);
}
END_TEST

/* The guard kept up while appending is the guard of the whole text. */
START_TEST(test_script_guard_follows_appends)
{
    for (size_t first = 1; first < 80; first++) {
        char value[600];
        size_t n = 0;
        while (n < first) {
            value[n++] = (char)('a' + draw() % 26);
        }
        struct script_guard kept, whole;
        script_guard_set(&kept, (struct text){value, n});
        for (int i = 0; i < 5; i++) {
            char more[64];
            size_t m = 2 + draw() % 60;
            for (size_t k = 0; k < m; k++) {
                more[k] = (char)('A' + draw() % 26);
            }
            memcpy(value + n - 1, more, m);
            n += m - 1;
            script_guard_append(&kept, (struct text){more, m});
            script_guard_set(&whole, (struct text){value, n});
            size_t half = n < SCRIPT_GUARD_BYTES ? n : SCRIPT_GUARD_BYTES;
            ck_assert_uint_eq(kept.len, n);
            ck_assert_mem_eq(kept.head, whole.head, half);
            ck_assert_mem_eq(kept.tail, whole.tail, half);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wbuf");
    TCase *c = tcase_create("wbuf");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_wbuf_writes_what_json_dumps_writes);
    tcase_add_test(c, test_wbuf_reads_back_what_it_wrote_as_canonical);
    tcase_add_test(c, test_wbuf_takes_no_other_form_for_canonical);
    tcase_add_test(c, test_wbuf_reads_leniently_sorts_and_leaves_out_what_is_no_pair);
    tcase_add_test(c, test_wbuf_keeps_the_order_of_equal_times);
    tcase_add_test(c, test_wbuf_tells_what_is_no_json_list);
    tcase_add_test(c, test_wbuf_bounds_depth);
    tcase_add_test(c, test_wbuf_many_equal_times_take_no_quadratic_time);
    tcase_add_test(c, test_script_guard_follows_appends);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
