/* Rule tests, run (SPEC 9.1): each on an engine of its own, on a virtual clock, with
 * windows in memory. One thread. */
#ifndef BRINK_PROVE_TESTRUN_H
#define BRINK_PROVE_TESTRUN_H

#include "base/buffer.h"
#include "base/status.h"
#include "config/problems.h"

struct test_result {
    char *file, *name; /* name: "test 2" where the file gives none */
    unsigned line, column;
    char *failure;  /* how it differs, lines for people; NULL: it passed */
    double seconds; /* it took so long */
};

struct test_results {
    struct test_result *items;
    size_t n, cap;
    size_t failed;
};

/* Runs all tests of FILE, whose text must outlive the problems. E_SYNTAX, E_IO, E_LIMIT:
 * told in problems, nothing was run; E_NOMEM. A test that fails is BRINK_OK. */
enum brink_status testrun_file(const char *path, struct problems *problems,
                               struct test_results *results) BRINK_MUST_CHECK;
void test_results_finish(struct test_results *r);

/* The results as JUnit has them: a suite each file. broken: what is wrong with files that
 * were not run. */
void test_results_junit(const struct test_results *r, const struct problems *broken,
                        struct buffer *out);

#endif
