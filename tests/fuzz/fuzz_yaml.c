/* Any bytes as a whole configuration, as a rule file and as a file of rule tests: each is
 * refused with a reason or read, and what was read can be compared and freed. No other
 * file is looked at. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/draft.h"
#include "config/testfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void told_or_read(enum brink_status status, const struct problems *p, bool read)
{
    must(status != BRINK_E_NOMEM, "a small file needs little memory");
    must(read == (status == BRINK_OK), "a result exactly when it is said to be one");
    must(read == (p->errors == 0), "an error exactly when there is no result");
    for (size_t i = 0; i < p->n; i++) {
        must(p->items[i].message[0] != '\0', "a problem has a text");
        must((p->items[i].at.line == 0) == (p->items[i].at.column == 0),
             "a place is whole");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text bytes = {(const char *)data, size};
    struct problems problems = {0};
    struct config *config = NULL;
    setenv("BRINK_FUZZ", "5m", 1);
    enum brink_status status = config_parse("c.yaml", bytes, true, &problems, &config);
    told_or_read(status, &problems, config != NULL);
    if (config) {
        struct buffer out = {0};
        config_needs_restart(config, config, &out);
        must(out.n == 0, "a configuration is the same as itself");
        buffer_finish(&out);
    }
    problems_sort(&problems);
    problems_finish(&problems);
    config_free(config);

    struct rule_file *file = NULL;
    status = rule_file_parse("r.yaml", bytes, &problems, &file);
    told_or_read(status, &problems, file != NULL);
    problems_finish(&problems);
    rule_file_free(file);

    struct test_file *test = NULL;
    status = test_file_parse("t.yaml", bytes, true, &problems, &test);
    told_or_read(status, &problems, test != NULL);
    problems_finish(&problems);
    test_file_free(test);
    return 0;
}
