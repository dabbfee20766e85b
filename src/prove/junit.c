/* JUnit's XML: what CI systems read. */
#include <string.h>

#include "base/utf8.h"
#include "prove/testrun.h"

/* Text of XML 1.0, in an element or an attribute: what XML cannot hold at all is written
 * as U+FFFD. */
static void put_xml(struct buffer *out, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '<') {
            buffer_cstring(out, "&lt;");
        } else if (c == '>') {
            buffer_cstring(out, "&gt;");
        } else if (c == '&') {
            buffer_cstring(out, "&amp;");
        } else if (c == '"') {
            buffer_cstring(out, "&quot;");
        } else if (c == '\n' || c == '\t') {
            buffer_format(out, "&#%d;", c);
        } else if (c < 0x20) {
            buffer_cstring(out, "\xef\xbf\xbd");
        } else if (strncmp(s, "\xef\xbf\xbe", 3) == 0 ||
                   strncmp(s, "\xef\xbf\xbf", 3) == 0) {
            buffer_cstring(out, "\xef\xbf\xbd"); /* U+FFFE, U+FFFF */
            s += 2;
        } else {
            buffer_char(out, *s);
        }
    }
}

static void put_attribute(struct buffer *out, const char *name, const char *value)
{
    buffer_format(out, " %s=\"", name);
    put_xml(out, value);
    buffer_char(out, '"');
}

static void put_case(struct buffer *out, const struct test_result *t)
{
    buffer_cstring(out, "    <testcase");
    put_attribute(out, "name", t->name);
    put_attribute(out, "classname", t->file);
    put_attribute(out, "file", t->file);
    buffer_format(out, " line=\"%u\" time=\"%.6f\"", t->line, t->seconds);
    if (!t->failure) {
        buffer_cstring(out, "/>\n");
        return;
    }
    buffer_cstring(out, ">\n      <failure message=\"the alerts differ\">");
    put_xml(out, t->failure);
    buffer_cstring(out, "</failure>\n    </testcase>\n");
}

static void put_suite(struct buffer *out, const struct test_result *t, size_t n)
{
    size_t failed = 0;
    double seconds = 0;
    for (size_t i = 0; i < n; i++) {
        failed += t[i].failure != NULL;
        seconds += t[i].seconds;
    }
    buffer_cstring(out, "  <testsuite");
    put_attribute(out, "name", t->file);
    buffer_format(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" time=\"%.6f\">\n", n,
                  failed, seconds);
    for (size_t i = 0; i < n; i++) {
        put_case(out, &t[i]);
    }
    buffer_cstring(out, "  </testsuite>\n");
}

/* All that is wrong with one file, which was not run. */
static void put_broken(struct buffer *out, const struct problem *p, size_t n)
{
    buffer_cstring(out, "  <testsuite");
    put_attribute(out, "name", p->at.file);
    buffer_cstring(out, " tests=\"1\" failures=\"0\" errors=\"1\">\n    <testcase");
    put_attribute(out, "name", "loads");
    put_attribute(out, "classname", p->at.file);
    buffer_cstring(out, ">\n      <error message=\"the file is not in order\">");
    for (size_t i = 0; i < n; i++) {
        buffer_format(out, "%u:%u: ", p[i].at.line, p[i].at.column);
        put_xml(out, p[i].message);
        buffer_cstring(out, "&#10;");
    }
    buffer_cstring(out, "</error>\n    </testcase>\n  </testsuite>\n");
}

void test_results_junit(const struct test_results *r, const struct problems *broken,
                        struct buffer *out)
{
    buffer_cstring(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (size_t i = 0, n; i < r->n; i += n) {
        for (n = 1;
             i + n < r->n && strcmp(r->items[i].file, r->items[i + n].file) == 0;) {
            n++;
        }
        put_suite(out, &r->items[i], n);
    }
    for (size_t i = 0, n; i < broken->n; i += n) {
        const struct problem *p = &broken->items[i];
        for (n = 1; i + n < broken->n && strcmp(p->at.file, p[n].at.file) == 0;) {
            n++;
        }
        bool error = false;
        for (size_t k = 0; k < n; k++) {
            error = error || !p[k].is_warning;
        }
        if (error) {
            put_broken(out, p, n);
        }
    }
    buffer_cstring(out, "</testsuites>\n");
}
