/* Decodes what it is told on standard input and prints what came of it, for
 * oracle_decode.py.
 *
 * A line in: "retained too_large arrived_wall_us hex(topic) hex(payload)", "-" for no
 * bytes. Lines out: "M ..." for each message, "C name=n" for each counter that moved,
 * then ".". "T hex(text)" and "N number" instead ask timestamp_parse() and
 * timestamp_of_number(): "us" or "-". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/log.h"
#include "decode/decode.h"
#include "decode/timestamp.h"

#include "entries.h"

#define BYTES_MAX (1 << 20)
static char topic[BYTES_MAX], payload[BYTES_MAX], line[4 * BYTES_MAX];

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct text from_hex(const char *hex, char *out)
{
    size_t n = 0;
    for (; hex[0] >= '0' && hex[1] >= '0'; hex += 2) {
        out[n++] = (char)(nibble(hex[0]) * 16 + nibble(hex[1]));
    }
    return (struct text){out, n};
}

static void print_hex(struct text t)
{
    printf(" ");
    for (size_t i = 0; i < t.n; i++) {
        printf("%02x", (unsigned char)t.p[i]);
    }
    if (t.n == 0) {
        printf("-");
    }
}

static void print_message(const struct message *m)
{
    printf("M");
    print_hex(m->tenant);
    print_hex(m->device);
    print_hex(m->site);
    printf(" %" PRId64 " %d ", m->at.us, m->at_is_arrival);
    if (m->has_seq) {
        printf("%" PRIu64, m->seq);
    } else {
        printf("-");
    }
    printf(" %u %d", m->entry, m->heartbeat);
    for (size_t i = 0; i < m->n_readings; i++) {
        print_hex(m->readings[i].metric);
        printf("=%a", m->readings[i].value);
    }
    printf("\n");
}

static void decode(struct decoder *d, char *from)
{
    uint64_t before[COUNTER_COUNT];
    for (int c = 0; c < COUNTER_COUNT; c++) {
        before[c] = counter_value((enum counter)c);
    }
    struct raw_message raw = {.arrived = {1}};
    char *rest = from;
    raw.retained = strtol(rest, &rest, 10) != 0;
    raw.too_large = strtol(rest, &rest, 10) != 0;
    raw.arrived_wall.us = strtoll(rest, &rest, 10);
    char *second = strchr(++rest, ' ');
    raw.topic = from_hex(rest, topic);
    /* Exactly so many bytes, so that a sanitizer sees a read beyond them. */
    struct text bytes = from_hex(second + 1, payload);
    char *exact = malloc(bytes.n ? bytes.n : 1);
    if (!exact) {
        abort();
    }
    memcpy(exact, bytes.p, bytes.n);
    raw.payload = (struct text){exact, bytes.n};
    decoder_add(d, &raw);
    size_t n;
    const struct message *messages = decoder_messages(d, &n);
    for (size_t i = 0; i < n; i++) {
        print_message(&messages[i]);
    }
    decoder_reset(d);
    free(exact);
    static const char *const names[COUNTER_COUNT] = {
#define X(id, name, label, help) [COUNT_##id] = #id,
        COUNTERS(X)
#undef X
    };
    for (int c = 0; c < COUNTER_COUNT; c++) {
        uint64_t moved = counter_value((enum counter)c) - before[c];
        if (moved > 0) {
            printf("C %s=%" PRIu64 "\n", names[c], moved);
        }
    }
    printf(".\n");
}

static void print_stamp(enum brink_status status, struct wall at)
{
    if (status == BRINK_OK) {
        printf("%" PRId64 "\n", at.us);
    } else {
        printf("-\n");
    }
}

int main(void)
{
    struct decoder *d = NULL;
    struct wall at = {0};
    entries_init();
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    if (decoder_new(entries, N_ENTRIES, &d) != BRINK_OK) {
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        if (line[0] == 'T') {
            enum brink_status s = timestamp_parse(from_hex(line + 2, topic), &at);
            print_stamp(s, at);
        } else if (line[0] == 'N') {
            enum brink_status s = timestamp_of_number(strtod(line + 2, NULL), &at);
            print_stamp(s, at);
        } else {
            decode(d, line);
        }
    }
    decoder_free(d);
    entries_finish();
    return 0;
}
