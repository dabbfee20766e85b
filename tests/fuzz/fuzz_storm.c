/* Any bytes as a tenant's stored budget: refused, or kept; and what is kept prints as a
 * line that is the same again, and bounds what is published. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "mute/storm.h"

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
    const struct storm_limit limit = {20, 64 * US_PER_S};
    const struct text tenant = TEXT("acme"), line = {(const char *)data, size};
    struct storms first = {.limit = limit}, again = {.limit = limit};
    struct buffer once = {0}, twice = {0};
    enum brink_status status = storms_restore(&first, tenant, line);
    struct storm *s = storms_find(&first, tenant);
    must(status == BRINK_OK || status == BRINK_E_SYNTAX, "a line is one, or is not");
    must((s != NULL) == (status == BRINK_OK),
         "a budget exactly when it is said to be one");
    if (s) {
        const struct wall now = {INT64_C(1767225600000000)};
        storm_print(s, &once);
        must(storms_restore(&again, tenant, buffer_view(&once)) == BRINK_OK,
             "it is kept");
        storm_print(storms_find(&again, tenant), &twice);
        must(text_equal(buffer_view(&once), buffer_view(&twice)), "... as it was");
        uint32_t n = 0;
        while (n <= limit.alerts && storm_take(&first, s, now)) {
            n++;
        }
        must(n <= limit.alerts, "no more than its limit at once");
        const struct wall later = {now.us + 2 * limit.within_us};
        must(storm_has_room(&first, s, later), "all come back");
        must(s->taken == 0 && s->n_slots == 0, "... every one");
    }
    storms_finish(&first);
    storms_finish(&again);
    buffer_finish(&once);
    buffer_finish(&twice);
    return 0;
}
