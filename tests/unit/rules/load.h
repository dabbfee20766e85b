/* Rules from text, for tests: a configuration of one rule file that is in memory. */
#ifndef BRINK_TESTS_RULES_LOAD_H
#define BRINK_TESTS_RULES_LOAD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/ruleset.h"

struct loaded {
    struct config config;
    struct rule_file *file;
    struct ruleset *rules; /* NULL: there were problems */
    char problems[4096];
};

static inline void load_rules(struct loaded *l, const char *yaml)
{
    struct problems problems = {0};
    memset(l, 0, sizeof *l);
    l->config.limits.points_per_window = 100000;
    if (rule_file_parse("r.yaml", text_of(yaml), &problems, &l->file) == BRINK_OK) {
        l->config.rule_files = &l->file;
        l->config.n_rule_files = 1;
        (void)!ruleset_new(&l->config, &problems, &l->rules);
    }
    FILE *f = fmemopen(l->problems, sizeof l->problems, "w");
    problems_print(&problems, f);
    fclose(f);
    problems_finish(&problems);
}

static inline void unload_rules(struct loaded *l)
{
    ruleset_free(l->rules);
    rule_file_free(l->file);
}

#endif
