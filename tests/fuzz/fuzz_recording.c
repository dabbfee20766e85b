/* Any bytes as lines of a recording: refused with a reason, or a topic and a payload that
 * lie within the line; and the same whatever the line before was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "prove/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
    if (!promise) {
        abort();
    }
}

static bool within(struct text t, const char *line, size_t n)
{
    return t.n == 0 || (t.p >= line && t.n <= n && t.p + t.n <= line + n);
}

static void run_line(struct recording_clock *known, const char *p, size_t n)
{
    /* Exact copies, so that a sanitizer sees a byte read or written beyond. */
    char *one = malloc(n ? n : 1), *other = malloc(n ? n : 1);
    struct recording_clock unknown = {0};
    struct recorded a = {0}, b = {0};
    require(one && other);
    memcpy(one, p, n);
    memcpy(other, p, n);
    enum recording_fault fault = recording_parse(known, one, n, &a);
    require(recording_parse(&unknown, other, n, &b) == fault);
    require(fault < RECORDING_TOO_LONG && recording_fault_text(fault)[0] != '\0');
    if (fault == RECORDING_FINE) {
        require(a.topic.n > 0 && within(a.topic, one, n) && within(a.payload, one, n));
        require(a.at.us == b.at.us && a.retained == b.retained);
        require(text_equal(a.topic, b.topic) && text_equal(a.payload, b.payload));
    }
    free(one);
    free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recording_clock clock = {0};
    const char *p = (const char *)data, *end = p + size;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline ? newline : end) - p);
        run_line(&clock, p, n);
        p += n + 1;
    }
    return 0;
}
