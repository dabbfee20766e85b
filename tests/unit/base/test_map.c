#include "base/map.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "../tap.h"

#define KEYS 500
#define PATH_BYTES 4096

struct entry {
    char key[16];
    bool in;
};

static struct entry entries[KEYS];

static struct text key_of(const struct entry *e)
{
    return text_of(e->key);
}

static void setup(void)
{
    for (int i = 0; i < KEYS; i++) {
        snprintf(entries[i].key, sizeof entries[i].key, "device-%d", i * 7919);
        entries[i].in = false;
    }
}

START_TEST(test_map_agrees_with_a_table_after_any_operations)
{
    struct map m = {0};
    size_t n = 0;
    uint64_t random = 8;
    for (int i = 0; i < 300000; i++) {
        uint64_t r = next_random(&random);
        /* Waves of filling and emptying, so that it grows, and fills up with the removed.
         */
        bool filling = i / 20000 % 2 == 0;
        struct entry *e = &entries[r % KEYS];
        if ((r >> 32) % 4 < (filling ? 3U : 1U)) {
            expect(map_put(&m, key_of(e), e) == BRINK_OK, "no memory");
            n += e->in ? 0 : 1;
            e->in = true;
        } else {
            expect(map_remove(&m, key_of(e)) == (e->in ? e : NULL),
                   "wrong value removed");
            n -= e->in ? 1 : 0;
            e->in = false;
        }
        struct entry *other = &entries[(r >> 16) % KEYS];
        expect(map_get(&m, key_of(other)) == (other->in ? other : NULL), "wrong value");
        expect(m.n == n && m.used >= m.n && m.used < m.cap, "%zu of %zu", m.n, m.cap);
    }
    ck_assert_uint_le(m.cap, 2048); /* it does not grow for what was removed */
    map_finish(&m);
}
END_TEST

START_TEST(test_map_walks_each_entry_once_while_removing)
{
    struct map m = {0};
    size_t at = 0;
    ck_assert_ptr_null(map_next(&m, &at));
    for (size_t i = 0; i < KEYS; i++) {
        ck_assert_int_eq(map_put(&m, key_of(&entries[i]), &entries[i]), BRINK_OK);
    }
    size_t seen = 0, left = 0;
    at = 0;
    for (struct entry *e; (e = map_next(&m, &at)); seen++) {
        ck_assert(!e->in);
        e->in = true;
        if (seen % 3 != 0) {
            ck_assert_ptr_eq(map_remove(&m, key_of(e)), e);
        } else {
            left++;
        }
    }
    ck_assert_uint_eq(seen, KEYS);
    ck_assert_uint_eq(m.n, left);
    map_finish(&m);
    map_finish(NULL);
}
END_TEST

START_TEST(test_map_replaces_key_and_value)
{
    struct map m = {0};
    char first[] = "same", second[] = "same";
    ck_assert_int_eq(map_put(&m, text_of(first), first), BRINK_OK);
    ck_assert_int_eq(map_put(&m, text_of(second), second), BRINK_OK);
    first[0] = '#'; /* as if freed with its value */
    ck_assert_ptr_eq(map_get(&m, TEXT("same")), second);
    ck_assert_uint_eq(m.n, 1);
    map_finish(&m);
}
END_TEST

START_TEST(test_map_takes_any_bytes_as_a_key)
{
    struct map m = {0};
    int a, b, c;
    ck_assert_int_eq(map_put(&m, (struct text){NULL, 0}, &a), BRINK_OK);
    ck_assert_int_eq(map_put(&m, (struct text){"\0", 1}, &b), BRINK_OK);
    ck_assert_int_eq(map_put(&m, (struct text){"\0\0", 2}, &c), BRINK_OK);
    ck_assert_ptr_eq(map_get(&m, TEXT("")), &a);
    ck_assert_ptr_eq(map_get(&m, (struct text){"\0", 1}), &b);
    ck_assert_ptr_eq(map_remove(&m, (struct text){NULL, 0}), &a);
    ck_assert_ptr_null(map_get(&m, TEXT("")));
    ck_assert_ptr_eq(map_get(&m, (struct text){"\0\0", 2}), &c);
    map_finish(&m);
}
END_TEST

START_TEST(test_hash_uses_every_byte)
{
    char key[40] = {0};
    for (size_t n = 1; n <= sizeof key; n++) {
        uint64_t zero = map_hash((struct text){key, n});
        ck_assert_uint_ne(zero, map_hash((struct text){key, n - 1}));
        for (size_t i = 0; i < n; i++) {
            key[i] = 1;
            ck_assert_uint_ne(zero, map_hash((struct text){key, n}));
            key[i] = 0;
        }
    }
}
END_TEST

/* The hash of one key as another process of this program computes it. */
static unsigned long long hash_elsewhere(void)
{
    char command[PATH_BYTES + 32], line[64] = "";
    char self[PATH_BYTES] = "";
    ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof self - 1), 0);
    snprintf(command, sizeof command, "'%s' hash", self);
    FILE *run = popen(command, "r");
    ck_assert_ptr_nonnull(run);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, run));
    ck_assert_int_eq(pclose(run), 0);
    return strtoull(line, NULL, 16);
}

START_TEST(test_hash_differs_from_one_start_to_the_next)
{
    ck_assert_uint_ne(hash_elsewhere(), hash_elsewhere());
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "hash") == 0) {
        printf("%llx\n", (unsigned long long)map_hash(TEXT("device")));
        return EXIT_SUCCESS;
    }
    Suite *s = suite_create("map");
    TCase *t = tcase_create("map");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_map_agrees_with_a_table_after_any_operations);
    tcase_add_test(t, test_map_walks_each_entry_once_while_removing);
    tcase_add_test(t, test_map_replaces_key_and_value);
    tcase_add_test(t, test_map_takes_any_bytes_as_a_key);
    tcase_add_test(t, test_hash_uses_every_byte);
    tcase_add_test(t, test_hash_differs_from_one_start_to_the_next);
    suite_add_tcase(s, t);
    return run_tap(s);
}
