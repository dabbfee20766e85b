#include "rules/sequence.h"

#include <check.h>
#include <string.h>

#include "../tap.h"

static struct sequence *list;

static void setup(void)
{
    list = NULL;
}

static void teardown(void)
{
    sequences_free(list);
}

START_TEST(test_number_within_the_last_64_is_a_redelivery)
{
    for (uint64_t s = 0; s < 64; s++) {
        ck_assert(!sequence_seen(&list, 0, s));
    }
    ck_assert(sequence_seen(&list, 0, 0));
    ck_assert(!sequence_seen(&list, 1, 0)); /* another entry */
    ck_assert(!sequence_seen(&list, 0, 64));
    ck_assert(!sequence_seen(&list, 0, 0)); /* 64 others lie between */
}
END_TEST

/* The same with the numbers written down one by one. */
static bool plain_seen(uint64_t *last, size_t *n, uint64_t seq)
{
    for (size_t i = 0; i < *n; i++) {
        if (last[i] == seq) {
            return true;
        }
    }
    if (*n == SEQ_REMEMBERED) {
        memmove(last, last + 1, --*n * sizeof *last);
    }
    last[(*n)++] = seq;
    return false;
}

/* How a device may number. */
static uint64_t next_seq(uint64_t at, int kind, uint64_t *random)
{
    uint64_t r = next_random(random);
    if (r % 4 == 0 && kind != 5) {
        return at - (r >> 8) % 80; /* again */
    }
    switch (kind) {
    case 0:
        return at + 1;
    case 1:
        return at + 2 + (r >> 8) % 2;
    case 2:
        return at + 65535 + (r >> 8) % 3;
    case 3:
        return at - 1;
    case 4:
        return (r >> 8) % 100;
    case 5:
        return at + ((r >> 8) % 3 == 0 ? UINT64_C(1) << 32 : 7);
    default:
        return at + (r >> 8) % 5 * 1000;
    }
}

START_TEST(test_agrees_with_a_plain_list)
{
    enum { TURNS = 20000 };
    static const uint64_t from[] = {0, UINT32_MAX - 40, UINT64_MAX - 40,
                                    UINT64_C(0x7fffffff0000)};
    for (size_t f = 0; f < sizeof from / sizeof from[0]; f++) {
        uint64_t random = (uint64_t)_i + f, at = from[f], last[SEQ_REMEMBERED];
        size_t n = 0;
        for (int k = 0; k < TURNS; k++) {
            uint64_t seq = next_seq(at, _i, &random);
            at = seq;
            expect(sequence_seen(&list, (unsigned)f, seq) == plain_seen(last, &n, seq),
                   "turn %d, number %llu", k, (unsigned long long)seq);
        }
    }
}
END_TEST

START_TEST(test_entries_are_renumbered)
{
    const int to[3] = {2, -1, 0};
    for (unsigned entry = 0; entry < 4; entry++) {
        ck_assert(!sequence_seen(&list, entry, 100 + entry));
    }
    sequences_renumber(&list, to, 3);
    ck_assert(sequence_seen(&list, 2, 100));
    ck_assert(sequence_seen(&list, 0, 102));
    ck_assert(!sequence_seen(&list, 1, 101));
    ck_assert(!sequence_seen(&list, 3, 103));
}
END_TEST

static Suite *sequence_suite(void)
{
    Suite *s = suite_create("rules sequence");
    TCase *t = tcase_create("sequence");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_number_within_the_last_64_is_a_redelivery);
    tcase_add_loop_test(t, test_agrees_with_a_plain_list, 0, 7);
    tcase_add_test(t, test_entries_are_renumbered);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_tap(sequence_suite());
}
