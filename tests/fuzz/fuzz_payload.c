/* Topics and payloads: nothing crashes or grows without bound, and what comes out is what
 * model/message.h says. Input: a byte of flags, a byte that picks the entry (its topic is
 * then made of what follows up to a newline, else that is the whole topic), the payload.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/log.h"
#include "decode/decode.h"

#include "../unit/decode/entries.h"

#define ARRIVED INT64_C(1767225600000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_name(struct text t, size_t bytes_max)
{
    must(t.n > 0 && t.n <= bytes_max && text_is_utf8(t));
    for (size_t i = 0; i < t.n; i++) {
        must((unsigned char)t.p[i] >= 0x20 && t.p[i] != 0x7f);
    }
}

static void check_message(const struct message *m)
{
    check_name(m->tenant, ID_BYTES_MAX);
    check_name(m->device, ID_BYTES_MAX);
    if (m->site.n > 0) {
        check_name(m->site, SITE_BYTES_MAX);
    }
    must(m->entry < N_ENTRIES);
    must(m->at_is_arrival ? m->at.us == ARRIVED
                          : m->at.us >= INT64_C(1000000000) * US_PER_S &&
                                m->at.us <= ARRIVED + 300 * US_PER_S);
    must(m->n_readings <= READINGS_PER_MESSAGE_MAX);
    must(!m->heartbeat || m->n_readings == 0);
    must(!m->has_seq || m->seq <= UINT64_C(1) << 63);
    for (size_t i = 0; i < m->n_readings; i++) {
        check_name(m->readings[i].metric, METRIC_BYTES_MAX);
        must(isfinite(m->readings[i].value));
        for (size_t k = 0; k < i && i < 64; k++) {
            must(!text_equal(m->readings[k].metric, m->readings[i].metric));
        }
    }
}

/* The entry's pattern with `level` in place of each name. */
static size_t topic_for(const struct telemetry_config *entry, struct text level,
                        char *out, size_t out_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < entry->pattern.n_levels; i++) {
        const struct topic_level *l = &entry->pattern.levels[i];
        struct text t = l->is_name ? level : l->text;
        if (n + t.n + 1 > out_bytes) {
            break;
        }
        if (i > 0) {
            out[n++] = '/';
        }
        if (t.n > 0) {
            memcpy(out + n, t.p, t.n);
        }
        n += t.n;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoder *d;
    static char topic[8192];
    if (!d) {
        entries_init();
        log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        must(decoder_new(entries, N_ENTRIES, &d) == BRINK_OK);
    }
    if (size < 2) {
        return 0;
    }
    const char *rest = (const char *)data + 2, *end = (const char *)data + size;
    const char *newline = rest < end ? memchr(rest, '\n', (size_t)(end - rest)) : NULL;
    struct text first = {rest, newline ? (size_t)(newline - rest) : 0};
    struct raw_message raw = {
        .topic = first,
        .payload = {newline ? newline + 1 : rest, 0},
        .arrived = {1},
        .arrived_wall = {ARRIVED},
        .retained = (data[0] & 1) != 0,
        .too_large = (data[0] & 2) != 0,
    };
    raw.payload.n = (size_t)(end - raw.payload.p);
    if (data[1] % 8 < N_ENTRIES) {
        raw.topic.n = topic_for(&entries[data[1] % 8], first.n ? first : TEXT("d"), topic,
                                sizeof topic);
        raw.topic.p = topic;
    }
    uint64_t no_memory = counter_value(COUNT_DROP_NO_MEMORY);
    decoder_add(d, &raw);
    /* What the grammar let pass, cJSON must be able to read. */
    must(counter_value(COUNT_DROP_NO_MEMORY) == no_memory);
    size_t n;
    const struct message *m = decoder_messages(d, &n);
    must(n <= MESSAGES_PER_PAYLOAD_MAX);
    for (size_t i = 0; i < n; i++) {
        check_message(&m[i]);
    }
    decoder_reset(d);
    return 0;
}
