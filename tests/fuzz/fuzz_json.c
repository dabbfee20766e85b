/* The readers of JSON agree (SPEC 3.2): whatever the payload, the fast ones tell what
 * cJSON's tree tells. Input: a byte that picks what is asked for, then payloads with a
 * NUL between them, which one reader is given in turn, and the first of them once more:
 * what it learned from one must not lead it astray at the next. */
#include <stdint.h>
#include <stdlib.h>

#include "../unit/decode/agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_agree(struct json_reader *reader, struct text payload)
{
    /* A copy of its own, so that a sanitizer sees a read beyond its end. */
    char *exact = (char *)malloc(payload.n ? payload.n : 1);
    if (!exact) {
        abort();
    }
    if (payload.n > 0) {
        memcpy(exact, payload.p, payload.n);
    }
    if (!readers_agree(reader, (struct text){exact, payload.n})) {
        abort();
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct json_reader *reader = NULL;
    if (json_reader_new(&asked[data[0] % N_ASKED], &reader) != BRINK_OK) {
        abort();
    }
    const char *p = (const char *)data + 1, *end = (const char *)data + size;
    struct text first = {NULL, 0};
    while (p <= end) {
        const char *nul = p < end ? memchr(p, '\0', (size_t)(end - p)) : NULL;
        struct text payload = {p, (size_t)((nul ? nul : end) - p)};
        first = first.p ? first : payload;
        must_agree(reader, payload);
        p += payload.n + 1;
    }
    must_agree(reader, first);
    json_reader_free(reader);
    return 0;
}
