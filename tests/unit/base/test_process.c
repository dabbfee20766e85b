/* What the process hides, and that what it gives back is gone. */
#include "base/process.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../tap.h"

START_TEST(test_memory_is_hidden_from_core_files_and_others)
{
    struct rlimit core = {1, 1};
    process_hide_memory();
    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &core), 0);
    if (!UNDER_A_SANITIZER) {
        ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
        ck_assert_uint_eq(core.rlim_cur, 0);
        ck_assert_uint_eq(core.rlim_max, 0);
    }
}
END_TEST

static long resident_pages(void)
{
    long all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%ld %ld", &all, &resident), 2);
    (void)fclose(f);
    return resident;
}

START_TEST(test_what_is_free_amid_what_is_used_goes_back)
{
    enum { BLOCKS = 500, BYTES = 64 * 1024, PAGES = BYTES / 4096 };
    static char *freed[BLOCKS], *used[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        freed[i] = malloc(BYTES);
        used[i] = malloc(64);
        ck_assert(freed[i] && used[i]);
        memset(freed[i], 1, BYTES);
        used[i][0] = 1;
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(freed[i]);
    }
    long before = resident_pages();
    process_give_memory_back();
    if (!UNDER_A_SANITIZER) {
        ck_assert_int_lt(resident_pages(), before - BLOCKS * PAGES / 2);
    }
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert_int_eq(used[i][0], 1);
        free(used[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("process");
    TCase *t = tcase_create("process");
    tcase_add_test(t, test_memory_is_hidden_from_core_files_and_others);
    tcase_add_test(t, test_what_is_free_amid_what_is_used_goes_back);
    suite_add_tcase(s, t);
    return run_tap(s);
}
