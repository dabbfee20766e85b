#include "work.h"

#include <stdio.h>
#include <string.h>

static bool is_humid(const struct work *w, uint32_t device, int64_t k)
{
    int64_t at = k - w->warm;
    return at == -1 || (at > 0 && (at + device) % WORK_HUMID_EVERY == 0);
}

/* The one before has left the window by then. */
static bool is_hot(const struct work *w, uint32_t device, int64_t k)
{
    int64_t at = k - w->warm, every = w->window <= 70 ? 150 : 2 * (int64_t)w->window + 10;
    return !w->opens_only && at > 0 && (at + 7 * (int64_t)device) % every == 0;
}

unsigned work_events(const struct work *w, uint32_t device, uint32_t k)
{
    return (is_humid(w, device, k) ? OPENS_HUMID : 0u) |
           (!w->opens_only && is_humid(w, device, (int64_t)k - 1) ? CLOSES_HUMID : 0u) |
           (is_hot(w, device, k) ? OPENS_HOT : 0u) |
           (is_hot(w, device, (int64_t)k - w->window - 1) ? CLOSES_HOT : 0u);
}

static void two_digits(char *out, uint32_t v)
{
    out[0] = (char)('0' + v / 10);
    out[1] = (char)('0' + v % 10);
}

/* A month has 31 days here: runs end within January. */
void work_print_stamp(uint32_t k, char out[21])
{
    memcpy(out, "2026-01-00T00:00:00Z", 21);
    two_digits(out + 8, 1 + k / 86400 % 31);
    two_digits(out + 11, k / 3600 % 24);
    two_digits(out + 14, k / 60 % 60);
    two_digits(out + 17, k % 60);
}

int64_t work_parse_stamp(const char *t, size_t n)
{
    unsigned day, hour, minute, second;
    char text[24];
    if (n < 20) {
        return -1;
    }
    memcpy(text, t, 20);
    text[20] = '\0';
    if (sscanf(text, "2026-01-%2uT%2u:%2u:%2u", &day, &hour, &minute, &second) != 4) {
        return -1;
    }
    return (int64_t)(day - 1) * 86400 + hour * 3600 + minute * 60 + second;
}

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* snprintf would be the dearest part of the generator. */
static size_t put_text(char *out, const char *text)
{
    size_t n = strlen(text);
    memcpy(out, text, n);
    return n;
}

static size_t put_hundredths(char *out, uint32_t v)
{
    char digits[12];
    size_t n = 0, used = 0;
    for (uint32_t whole = v / 100; whole > 0 || n == 0; whole /= 10) {
        digits[n++] = (char)('0' + whole % 10);
    }
    while (n > 0) {
        out[used++] = digits[--n];
    }
    out[used++] = '.';
    two_digits(out + used, v % 100);
    return used + 2;
}

size_t work_payload(const struct work *w, uint32_t device, uint32_t k,
                    char out[WORK_PAYLOAD_BYTES])
{
    uint64_t random = mix((uint64_t)device << 32 | k);
    uint32_t temp = 2000 + (uint32_t)(random % 500);
    uint32_t humidity = 4000 + (uint32_t)(random >> 20) % 1000;
    temp = is_hot(w, device, k) ? 2250 + 1500 * (w->window + 1) : temp;
    humidity = is_humid(w, device, k) ? 9900 : humidity;
    size_t n = put_text(out, "{\"ts\":\"");
    work_print_stamp(k, out + n);
    n += 20;
    n += put_text(out + n, "\",\"site_id\":\"s1\",\"seq\":");
    n += put_hundredths(out + n, k * 100) - 3; /* whole */
    n += put_text(out + n, ",\"metrics\":{\"temp_c\":");
    n += put_hundredths(out + n, temp);
    n += put_text(out + n, ",\"humidity\":");
    n += put_hundredths(out + n, humidity);
    n += put_text(out + n, ",\"vbat\":");
    n += put_hundredths(out + n, 350 + (uint32_t)(random >> 40) % 30);
    return n + put_text(out + n, "}}");
}
