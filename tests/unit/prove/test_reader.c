/* Lines come whole and in order, however the bytes come in; one that is too long is told
 * and costs no memory. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"
#include "base/buffer.h"
#include "prove/reader.h"

#define LINE_MAX_BYTES ((size_t)5000)

/* Feeds a pipe and reads lines from it in turn; out: "number n checksum" a line. */
static void read_lines(const struct buffer *data, uint64_t seed, struct buffer *out)
{
    int fds[2];
    struct line_reader r;
    struct reader_line line;
    size_t fed = 0;
    bool end = false;
    ck_assert_int_eq(pipe(fds), 0);
    line_reader_init(&r, fds[0], LINE_MAX_BYTES);
    while (!end) {
        size_t n = 1 + (size_t)(next_random(&seed) % 40000);
        n = n < data->n - fed ? n : data->n - fed;
        if (n > 0) {
            ck_assert_int_eq(write(fds[1], data->p + fed, n), (ssize_t)n);
        } else if (fds[1] >= 0) {
            close(fds[1]);
            fds[1] = -1;
        }
        fed += n;
        ck_assert_int_eq(line_reader_fill(&r, &end), BRINK_OK);
        while (line_reader_next(&r, &line)) {
            unsigned long sum = 0;
            for (size_t i = 0; i < line.n && !line.too_long; i++) {
                sum = sum * 31 + (unsigned char)line.p[i];
            }
            buffer_format(out, "%llu %s %zu %lu\n", (unsigned long long)line.number,
                          line.too_long ? "long" : "line", line.too_long ? 0 : line.n,
                          sum);
        }
    }
    ck_assert_uint_le(r.cap, 3 * READER_BLOCK_BYTES);
    ck_assert_uint_eq(r.bytes, data->n);
    line_reader_finish(&r);
    close(fds[0]);
}

/* The same by strchr. */
static void split(const struct buffer *data, struct buffer *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < data->n;) {
        const char *newline = memchr(data->p + i, '\n', data->n - i);
        size_t n = newline ? (size_t)(newline - (data->p + i)) : data->n - i;
        bool too_long =
            n > 2 * READER_BLOCK_BYTES; /* surely; between, it may be either */
        unsigned long sum = 0;
        for (size_t k = 0; k < n && !too_long; k++) {
            sum = sum * 31 + (unsigned char)data->p[i + k];
        }
        buffer_format(out, "%llu %s %zu %lu\n", (unsigned long long)++number,
                      too_long ? "long" : "line", too_long ? 0 : n, sum);
        i += n + 1;
    }
}

START_TEST(test_lines_come_whole_however_they_are_cut)
{
    uint64_t seed = (uint64_t)_i + 1;
    struct buffer data = {0}, want = {0}, got = {0};
    for (int i = 0; i < 3000; i++) {
        size_t n = next_random(&seed) % 100 < 5 ? 0 : (size_t)(next_random(&seed) % 800);
        n = i == 1000 ? 3 * READER_BLOCK_BYTES : n;
        for (size_t k = 0; k < n; k++) {
            buffer_char(&data, (char)('a' + (k + (size_t)i) % 26));
        }
        if (i < 2999 || _i % 2) { /* the last one may have no break */
            buffer_char(&data, '\n');
        }
    }
    split(&data, &want);
    read_lines(&data, seed, &got);
    ck_assert_str_eq(buffer_cstr(&got), buffer_cstr(&want));
    buffer_finish(&data);
    buffer_finish(&want);
    buffer_finish(&got);
}
END_TEST

START_TEST(test_nothing_at_all)
{
    struct buffer data = {0}, got = {0};
    read_lines(&data, 1, &got);
    ck_assert_str_eq(buffer_cstr(&got), "");
    buffer_char(&data, '\n');
    read_lines(&data, 1, &got);
    ck_assert_str_eq(buffer_cstr(&got), "1 line 0 0\n");
    buffer_finish(&data);
    buffer_finish(&got);
}
END_TEST

START_TEST(test_a_file_that_cannot_be_read_is_told)
{
    struct line_reader r;
    bool end = false;
    int fd = open("/", O_RDONLY | O_DIRECTORY);
    line_reader_init(&r, fd, LINE_MAX_BYTES);
    ck_assert_int_eq(line_reader_fill(&r, &end), BRINK_E_IO);
    line_reader_finish(&r);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reader");
    TCase *t = tcase_create("lines");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_lines_come_whole_however_they_are_cut, 0, 6);
    tcase_add_test(t, test_nothing_at_all);
    tcase_add_test(t, test_a_file_that_cannot_be_read_is_told);
    suite_add_tcase(suite, t);
    return run_tap(suite);
}
