/* Stored windows: whatever Valkey holds is read without harm; what comes of it is sorted
 * and finite; what was called canonical is, byte for byte, what we would write. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "history/wbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth) {
        abort();
    }
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = {(const char *)data, size};
    struct points points = {NULL, 0, 0}, again = {NULL, 0, 0};
    struct buffer written = {0};
    enum wbuf_form form;
    if (wbuf_parse(text, &points, &form) == BRINK_OK) {
        for (size_t i = 0; i < points.n; i++) {
            require(isfinite(points.p[i].value));
            require(i == 0 || points.p[i - 1].at.us <= points.p[i].at.us);
        }
        require(form != WBUF_NOT_A_LIST || points.n == 0);
        require(form != WBUF_CANONICAL || points.n > 0);
        if (points.n > 0) {
            put_list(&written, &points);
            require(buffer_ok(&written));
            if (form == WBUF_CANONICAL) {
                require(text_equal(text, buffer_view(&written)));
                (void)wbuf_offset(text, points.n - 1);
            }
            require(wbuf_parse(buffer_view(&written), &again, &form) == BRINK_OK);
            require(form != WBUF_NOT_A_LIST && again.n == points.n);
        }
    }
    points_finish(&points);
    points_finish(&again);
    buffer_finish(&written);
    return 0;
}
