/* Any bytes as a stored silence: refused, or kept; and what is kept prints as a line that
 * is the same silence again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "mute/silence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text id = TEXT("0123456789abcdef");
    const struct text line = {(const char *)data, size};
    struct silences first = {0}, again = {0};
    struct buffer once = {0}, twice = {0};
    enum brink_status status = silences_restore(&first, id, line);
    must(status == BRINK_OK || status == BRINK_E_SYNTAX, "a line is one, or is not");
    must(first.n == (status == BRINK_OK), "a silence exactly when it is said to be one");
    if (first.n > 0) {
        const struct mute_subject subject = {TEXT("t"), TEXT("s"), TEXT("d"), TEXT("r")};
        silence_print(first.items[0], &once);
        must(silences_restore(&again, id, buffer_view(&once)) == BRINK_OK, "it is kept");
        silence_print(again.items[0], &twice);
        must(text_equal(buffer_view(&once), buffer_view(&twice)), "... as it was");
        must(!silences_find(&first, &subject) == !silences_find(&again, &subject),
             "... and holds back the same");
        must(silences_due(&first) == again.items[0]->until.us, "... until the same time");
    }
    silences_finish(&first);
    silences_finish(&again);
    buffer_finish(&once);
    buffer_finish(&twice);
    return 0;
}
