#include "model/glob.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "../tap.h"

/* The definition, word for word. */
static bool oracle(const char *p, size_t pn, const char *s, size_t sn)
{
    if (pn == 0) {
        return sn == 0;
    }
    if (*p == '*') {
        return oracle(p + 1, pn - 1, s, sn) || (sn > 0 && oracle(p, pn, s + 1, sn - 1));
    }
    return sn > 0 && (*p == '?' || *p == *s) && oracle(p + 1, pn - 1, s + 1, sn - 1);
}

static size_t spell(uint64_t *random, const char *alphabet, size_t max, char *out)
{
    size_t n = next_random(random) % (max + 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = alphabet[next_random(random) % strlen(alphabet)];
    }
    return n;
}

START_TEST(test_glob_agrees_with_its_definition)
{
    uint64_t random = 11;
    int matched = 0;
    for (int i = 0; i < 500000; i++) {
        char p[8], s[8];
        size_t pn = spell(&random, "ab*?", sizeof p, p);
        size_t sn = spell(&random, "ab*", sizeof s, s);
        bool want = oracle(p, pn, s, sn);
        matched += want;
        expect(glob_match((struct text){p, pn}, (struct text){s, sn}) == want,
               "%.*s on %.*s: not %d", (int)pn, p, (int)sn, s, want);
    }
    ck_assert_int_gt(matched, 10000);
}
END_TEST

START_TEST(test_glob_takes_empty_and_any_bytes)
{
    ck_assert(glob_match((struct text){NULL, 0}, (struct text){NULL, 0}));
    ck_assert(glob_match(TEXT("*"), (struct text){NULL, 0}));
    ck_assert(!glob_match(TEXT("?"), (struct text){NULL, 0}));
    ck_assert(glob_match(TEXT("a?c*"), (struct text){"a\0c\xff\xfe", 5}));
    ck_assert(!glob_match(TEXT("[ab]"), TEXT("a"))); /* no classes: itself */
    ck_assert(glob_match(TEXT("[ab]"), TEXT("[ab]")));
}
END_TEST

START_TEST(test_glob_does_not_blow_up)
{
    char pattern[512], subject[512];
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = i % 2 ? 'a' : '*';
        subject[i] = 'a';
    }
    pattern[sizeof pattern - 1] = 'b';
    clock_t start = clock();
    ck_assert(!glob_match((struct text){pattern, sizeof pattern},
                          (struct text){subject, sizeof subject}));
    ck_assert((double)(clock() - start) / CLOCKS_PER_SEC < 1.0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("glob");
    TCase *t = tcase_create("glob");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_glob_agrees_with_its_definition);
    tcase_add_test(t, test_glob_takes_empty_and_any_bytes);
    tcase_add_test(t, test_glob_does_not_blow_up);
    suite_add_tcase(s, t);
    return run_tap(s);
}
