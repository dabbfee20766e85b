/* The keys of a file of rule tests that are its own. Private to config/. */
#ifndef BRINK_CONFIG_TESTKEYS_H
#define BRINK_CONFIG_TESTKEYS_H

#include "config/schema.h"
#include "config/testfile.h"

/* A test file on its way to struct test_file. */
struct test_draft {
    struct test_file f;
    struct strings rule_files;
    struct position tests_at;
};

extern const struct schema test_file_schema, /* into a struct test_draft */
    test_case_schema;                        /* into a struct test_case */

/* What must be so among the keys of one test, and what depends on the file's; all
 * problems told. */
void test_case_settle(struct reader *r, const struct test_file *f, struct test_case *c);

#endif
