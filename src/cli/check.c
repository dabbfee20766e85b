#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/number.h"
#include "cli/commands.h"
#include "config/config.h"
#include "rules/ruleset.h"

static const char help[] =
    "usage: brink check -c FILE [--print]\n"
    "\n"
    "Loads the configuration and every rule file and prints all that is wrong, each as\n"
    "file:line:column: message, to standard error. Exit status 0: nothing is wrong.\n"
    "\n"
    "  -c, --config FILE  the configuration\n"
    "  --print            print each rule's canonical expression to standard output\n";

static void print_rules(const struct ruleset *rules)
{
    for (size_t i = 0; i < rules->n_rules; i++) {
        const struct rule *r = rules->rules[i];
        printf("%s: %s", r->id, r->expression);
        if (r->for_us > 0) {
            char text[NUMBER_BYTES];
            number_print_duration(r->for_us, text);
            printf(" for %s", text);
        }
        if (r->clear) {
            struct buffer clear = {0};
            expr_print(r->clear, &clear);
            printf(" clear %s", buffer_cstr(&clear));
            buffer_finish(&clear);
        }
        putchar('\n');
    }
}

int command_check(int argc, char **argv)
{
    const char *path = NULL;
    bool print = false;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        if (strcmp(argv[i], "--print") == 0) {
            print = true;
        } else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) &&
                   i + 1 < argc) {
            path = argv[++i];
        } else {
            return usage_error("check", "unexpected argument", argv[i]);
        }
    }
    if (!path) {
        return usage_error("check", "needs -c FILE", NULL);
    }
    struct problems problems = {0};
    struct config *config = NULL;
    struct ruleset *rules = NULL;
    enum brink_status status = ruleset_load(path, &problems, &config, &rules);
    problems_print(&problems, stderr);
    if (status == BRINK_OK && print) {
        print_rules(rules);
    } else if (status == BRINK_OK) {
        fprintf(stderr, "%s: all is well: %zu rules\n", path, rules->n_rules);
    } else if (problems.errors > 0) {
        fprintf(stderr, "%zu problem%s\n", problems.errors,
                problems.errors == 1 ? "" : "s");
    } else {
        fprintf(stderr, "brink check: out of memory\n");
    }
    problems_finish(&problems);
    ruleset_free(rules);
    config_free(config);
    return status == BRINK_OK && fflush(stdout) == 0 ? 0 : 1;
}
