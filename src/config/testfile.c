/* A file of rule tests: which of its keys are a rule file's, which a configuration's,
 * which its own. */
#include "config/testfile.h"

#include <stdlib.h>

#include "config/draft.h"
#include "config/file.h"
#include "config/mutes.h"
#include "config/rulefile.h"
#include "config/rulefiles.h"
#include "config/testkeys.h"

/* --- the document --- */

/* A test runs in memory and needs neither a broker nor a folder. The series of a test
 * have topics of their own; messages as they are find the SPEC's, unless the test has
 * others. */
static const char built_in[] =
    "gateway: {id: test, state_dir: /}\n"
    "store: {address: memory}\n"
    "telemetry:\n"
    "  - {topic: '" TEST_SERIES_TOPIC "', timestamp: /ts, site: /site}\n"
    "  - {topic: '" TEST_HEARTBEAT_TOPIC "', format: heartbeat}\n";
static const char built_in_telemetry[] =
    "- {topic: 'tenant/{tenant}/device/{device}/telemetry', timestamp: /ts, site: "
    "/site_id,"
    " seq: /seq}\n"
    "- {topic: 'tenant/{tenant}/device/{device}/heartbeat', format: heartbeat}\n";

static const char *const config_keys[] = {"telemetry", "alerts", "limits"};

static bool is_key_of(const struct schema *s, struct text name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (text_equal(text_of(s->keys[i].name), name)) {
            return true;
        }
    }
    return false;
}

static void append(struct node *to, struct node *child)
{
    struct node **last = &to->first;
    while (*last) {
        last = &(*last)->next;
    }
    *last = child;
    for (child->next = NULL; child; child = child->next) {
        to->n++;
    }
}

/* The members of one mapping by whose keys they are. Unknown ones are the file's: told
 * there. */
struct parts {
    struct node file, rules, config, single;
};

static void part(struct node *root, struct parts *parts)
{
    parts->file = parts->rules = parts->config = parts->single =
        (struct node){.kind = NODE_MAPPING, .at = root->at};
    for (struct node *n = root->first, *next; n; n = next) {
        struct node *to = is_key_of(&rule_file_schema, n->key->text)   ? &parts->rules
                          : is_key_of(&test_case_schema, n->key->text) ? &parts->single
                                                                       : &parts->file;
        for (size_t i = 0; i < sizeof config_keys / sizeof *config_keys; i++) {
            to = text_equal(n->key->text, text_of(config_keys[i])) ? &parts->config : to;
        }
        next = n->next;
        append(to, n);
    }
}

/* The built-in configuration with what the test has of it. */
static void merge_config(struct node *base, struct node *more, struct node *telemetry)
{
    for (struct node *n = more->first, *next; n; n = next) {
        next = n->next;
        if (text_equal(n->key->text, TEXT("telemetry")) && n->kind == NODE_LIST) {
            telemetry = n;
        } else if (!text_equal(n->key->text, TEXT("telemetry"))) {
            append(base, n);
        }
    }
    struct node *list = (struct node *)(uintptr_t)node_member(base, TEXT("telemetry"));
    for (struct node *n = telemetry->first, *next; n; n = next) {
        next = n->next;
        append(list, n);
    }
}

static void read_file(struct reader *r, struct test_draft *d, const struct parts *parts)
{
    schema_read(r, &test_file_schema, &parts->file, d);
    if (parts->single.n > 0 && d->tests_at.line > 0) {
        problem_add(r->problems, d->tests_at,
                    "either `tests`, or one test's `input` and `expect` at the top");
    } else if (parts->single.n > 0) {
        d->f.cases = calloc(1, sizeof *d->f.cases);
        d->f.n_cases = d->f.cases != NULL;
        r->failed = r->failed || !d->f.cases;
        if (d->f.cases) {
            schema_read(r, &test_case_schema, &parts->single, d->f.cases);
        }
    } else if (d->tests_at.line == 0) {
        problem_add(r->problems, (struct position){r->file, 0, 0},
                    "a test file needs `input` and `expect`, or several of them under "
                    "`tests`");
    }
    for (size_t i = 0; i < d->f.n_cases; i++) {
        test_case_settle(r, &d->f, &d->f.cases[i]);
    }
}

/* What the file has of a rule file, as the first of the test's rule files. */
static struct rule_file *read_rules(struct reader *r, const struct node *rules)
{
    struct rule_file *file = calloc(1, sizeof *file);
    if (!file || !(file->path = text_dup(text_of(r->file)))) {
        r->failed = true;
        free(file);
        return NULL;
    }
    struct reader own = *r;
    own.file = file->path;
    schema_read(&own, &rule_file_schema, rules, file);
    r->failed = r->failed || own.failed;
    return file;
}

static enum brink_status read_config(struct reader *r, struct test_draft *d,
                                     struct parts *parts)
{
    static const char place[] = "brink test";
    struct document base = {0}, telemetry = {0};
    struct draft *draft = calloc(1, sizeof *draft);
    enum brink_status status = BRINK_E_NOMEM;
    if (!draft || !(draft->c.path = text_dup(text_of(r->file)))) {
        goto finish;
    }
    status = document_load(place, TEXT(built_in), r->problems, &base);
    if (status == BRINK_OK) {
        status = document_load(place, TEXT(built_in_telemetry), r->problems, &telemetry);
    }
    if (status) {
        goto finish;
    }
    merge_config(base.root, &parts->config, telemetry.root);
    schema_read(r, &config_schema, base.root, draft);
    draft_settle(r, draft);
    rule_files_load(r, &d->rule_files, read_rules(r, &parts->rules), &draft->c.rule_files,
                    &draft->c.n_rule_files);
    r->failed = r->failed || mutes_check_labels(&draft->c, r->problems) != BRINK_OK;
    status = draft_take(draft, &d->f.config);
finish:
    document_free(&base);
    document_free(&telemetry);
    draft_free(draft);
    return status;
}

static void free_alerts(struct test_alerts *a)
{
    for (size_t i = 0; i < a->n; i++) {
        for (size_t k = 0; k < TEST_TEXTS; k++) {
            placed_free(&a->items[i].texts[k]);
        }
    }
    free(a->items);
}

static void free_case(struct test_case *c)
{
    placed_free(&c->name);
    strings_free(&c->only);
    for (size_t i = 0; i < c->n_inputs; i++) {
        struct test_input *in = &c->inputs[i];
        placed_free(&in->tenant);
        placed_free(&in->device);
        placed_free(&in->site);
        placed_free(&in->metric);
        placed_free(&in->topic);
        placed_free(&in->payload);
        values_finish(&in->values);
    }
    free(c->inputs);
    for (size_t i = 0; i < c->n_expects; i++) {
        free_alerts(&c->expects[i].alerts);
        free_alerts(&c->expects[i].firing);
        free_alerts(&c->expects[i].pending);
    }
    free(c->expects);
}

static void finish_file(struct test_file *f)
{
    for (size_t i = 0; i < f->n_cases; i++) {
        free_case(&f->cases[i]);
    }
    free(f->cases);
    placed_free(&f->start);
    config_free(f->config);
}

void test_file_free(struct test_file *f)
{
    if (f) {
        finish_file(f);
        free(f);
    }
}

static enum brink_status parse(const char *path, struct text yaml, bool no_files,
                               bool faulty_too, struct problems *problems,
                               struct test_file **ret_file)
{
    size_t errors = problems->errors;
    struct document document = {0};
    struct test_draft d = {0};
    struct reader r = {.problems = problems,
                       .file = path,
                       .folder = file_folder(path),
                       .no_files = no_files};
    struct parts parts;
    enum brink_status status = document_load(path, yaml, problems, &document);
    if (status == BRINK_OK && document.root && document.root->kind == NODE_MAPPING) {
        part(document.root, &parts);
        read_file(&r, &d, &parts);
        status = read_config(&r, &d, &parts);
    } else if (status == BRINK_OK) {
        problem_add(problems,
                    document.root ? document.root->at : (struct position){path, 0, 0},
                    "a test file is a mapping of keys and values, such as `tests:`");
    }
    bool faulty = problems->errors > errors;
    struct test_file *file = NULL;
    if (status == BRINK_OK && !r.failed && d.f.config && (!faulty || faulty_too)) {
        file = malloc(sizeof *file);
    }
    if (file) {
        *file = d.f;
        *ret_file = file;
        status = faulty ? BRINK_E_SYNTAX : BRINK_OK;
    } else {
        finish_file(&d.f);
        if (status == BRINK_OK || status == BRINK_E_SYNTAX) {
            status = faulty ? BRINK_E_SYNTAX : BRINK_E_NOMEM;
        }
    }
    strings_free(&d.rule_files);
    document_free(&document);
    return status;
}

enum brink_status test_file_parse(const char *path, struct text yaml, bool no_files,
                                  struct problems *problems, struct test_file **ret_file)
{
    return parse(path, yaml, no_files, false, problems, ret_file);
}

enum brink_status test_file_load_faulty(const char *path, struct problems *problems,
                                        struct test_file **ret_file)
{
    struct buffer bytes = {0};
    enum brink_status status = file_read(path, CONFIG_FILE_BYTES_MAX, problems,
                                         (struct position){path, 0, 0}, &bytes);
    if (status == BRINK_OK) {
        status = parse(path, buffer_view(&bytes), false, true, problems, ret_file);
    }
    buffer_finish(&bytes);
    return status;
}
