#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"
#include "prove/testrun.h"

static const char help[] =
    "usage: brink test [--junit FILE] [--verbose] FILE...\n"
    "\n"
    "Runs rule tests: what devices send, on a virtual clock, and the alerts that must "
    "come\n"
    "of it. Needs neither a broker nor Valkey. docs/TESTING.md tells how they are "
    "written.\n"
    "Exit status 0: every test passed; 1: one failed, or a file is not in order.\n"
    "\n"
    "  --junit FILE   write the results as JUnit XML too\n"
    "  -v, --verbose  name the tests that passed as well\n";

static bool write_junit(const char *path, const struct test_results *results,
                        const struct problems *problems)
{
    struct buffer xml = {0};
    test_results_junit(results, problems, &xml);
    FILE *to = buffer_ok(&xml) ? fopen(path, "w") : NULL;
    bool written = to && fwrite(xml.p, 1, xml.n, to) == xml.n;
    written = to && fclose(to) == 0 && written;
    if (!written) {
        fprintf(stderr, "brink test: cannot write %s: %s\n", path,
                buffer_ok(&xml) ? strerror(errno) : "out of memory");
    }
    buffer_finish(&xml);
    return written;
}

static void print_results(const struct test_results *results, size_t from, bool verbose)
{
    for (size_t i = from; i < results->n; i++) {
        const struct test_result *t = &results->items[i];
        if (t->failure) {
            printf("FAILED %s:%u:%u: %s\n%s", t->file, t->line, t->column, t->name,
                   t->failure);
        } else if (verbose) {
            printf("passed %s:%u:%u: %s\n", t->file, t->line, t->column, t->name);
        }
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

int command_test(int argc, char **argv)
{
    const char *junit = NULL;
    bool verbose = false;
    int n = 0; /* the files are moved to the front */
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        if (strcmp(argv[i], "--verbose") == 0 || strcmp(argv[i], "-v") == 0) {
            verbose = true;
        } else if (strcmp(argv[i], "--junit") == 0 && i + 1 < argc) {
            junit = argv[++i];
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            return usage_error("test", "unexpected argument", argv[i]);
        } else {
            argv[n++] = argv[i];
        }
    }
    if (n == 0) {
        return usage_error("test", "needs a FILE", NULL);
    }
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT); /* what is wrong is told below */
    struct test_results results = {0};
    struct problems problems = {0};
    size_t broken = 0;
    bool failed = false;
    for (int i = 0; i < n; i++) {
        size_t from = results.n;
        enum brink_status status = testrun_file(argv[i], &problems, &results);
        if (status == BRINK_E_NOMEM) {
            fprintf(stderr, "brink test: out of memory at %s\n", argv[i]);
        }
        broken += status != BRINK_OK;
        print_results(&results, from, verbose);
    }
    problems_sort(&problems);
    problems_print(&problems, stderr);
    if (broken > 0) {
        fprintf(stderr, "%zu file%s could not be run\n", broken, plural(broken));
    }
    if (results.failed > 0) {
        printf("%zu of %zu test%s failed\n", results.failed, results.n,
               plural(results.n));
    } else if (results.n > 0) {
        printf("%zu test%s passed\n", results.n, plural(results.n));
    }
    failed = (junit && !write_junit(junit, &results, &problems)) || broken > 0 ||
             results.failed > 0;
    test_results_finish(&results);
    problems_finish(&problems);
    return fflush(stdout) == 0 && !failed ? 0 : 1;
}
