#include "config/rulefiles.h"

#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/map.h"
#include "config/file.h"
#include "config/mutes.h"

/* --- which files --- */

struct files {
    struct reader *r;
    struct rule_file **items;
    size_t n;
    struct map paths; /* by path: each file once */
    bool whole;       /* every file could be read */
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The pattern behind the configuration's folder, whose own name is no pattern. */
static char *whole_pattern(struct text folder, const char *pattern)
{
    struct buffer b = {0};
    for (size_t i = 0; pattern[0] != '/' && i < folder.n; i++) {
        if (memchr("*?[]\\", folder.p[i], 5)) {
            buffer_char(&b, '\\');
        }
        buffer_char(&b, folder.p[i]);
    }
    buffer_cstring(&b, pattern);
    char *whole = buffer_ok(&b) ? text_dup(buffer_view(&b)) : NULL;
    buffer_finish(&b);
    return whole;
}

static bool make_room(struct files *f)
{
    if (f->n & (f->n - 1)) {
        return true; /* it grows at each power of two */
    }
    struct rule_file **items = realloc(f->items, (f->n ? f->n * 2 : 1) * sizeof *items);
    if (!items) {
        return false;
    }
    f->items = items;
    return true;
}

/* False: out of memory, the file is freed. */
static bool add_file(struct files *f, struct rule_file *file)
{
    if (!make_room(f) || map_put(&f->paths, text_of(file->path), file) != BRINK_OK) {
        rule_file_free(file);
        return false;
    }
    f->items[f->n++] = file;
    return true;
}

static void load_file(struct files *f, const char *path)
{
    struct buffer bytes = {0};
    struct rule_file *file = NULL;
    struct problems *problems = f->r->problems;
    enum brink_status status = file_read(path, CONFIG_FILE_BYTES_MAX, problems,
                                         (struct position){path, 0, 0}, &bytes);
    if (status == BRINK_OK) {
        status = rule_file_read(path, buffer_view(&bytes), problems, &file);
    }
    buffer_finish(&bytes);
    if (status == BRINK_OK && !add_file(f, file)) {
        status = BRINK_E_NOMEM;
    }
    f->whole = f->whole && status == BRINK_OK;
    f->r->failed = f->r->failed || status == BRINK_E_NOMEM;
}

static void load_pattern(struct files *f, const struct placed *pattern)
{
    bool wild = strpbrk(pattern->s, "*?[") != NULL;
    char *whole = whole_pattern(f->r->folder, pattern->s);
    glob_t found = {0};
    int result = whole ? glob(whole, 0, NULL, &found) : GLOB_NOSPACE;
    if (result == GLOB_NOSPACE) {
        f->r->failed = true;
    } else if (result == GLOB_NOMATCH && wild) {
        problem_warn(f->r->problems, pattern->at, "no file matches `%s`", pattern->s);
    } else if (result == GLOB_NOMATCH) {
        problem_add(f->r->problems, pattern->at, "there is no file `%s`", pattern->s);
        f->whole = false;
    } else if (result != 0) {
        problem_add(f->r->problems, pattern->at, "cannot look for `%s`", pattern->s);
        f->whole = false;
    }
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        if (map_get(&f->paths, text_of(path))) {
            continue;
        }
        if (f->n == CONFIG_RULE_FILES_MAX) {
            problem_add(f->r->problems, pattern->at, "more than %d rule files",
                        CONFIG_RULE_FILES_MAX);
            f->whole = false;
            break;
        }
        if (is_folder(path)) {
            problem_add(f->r->problems, pattern->at,
                        "`%s` is a folder: name its files, as in `%s%s*.yaml`", path,
                        path, path[strlen(path) - 1] == '/' ? "" : "/");
            continue;
        }
        load_file(f, path);
    }
    globfree(&found);
    free(whole);
}

void rule_files_load(struct reader *r, const struct strings *patterns,
                     struct rule_file *own, struct rule_file ***ret_files, size_t *ret_n)
{
    struct files f = {.r = r, .whole = true};
    if (own && !add_file(&f, own)) {
        r->failed = true;
    }
    for (size_t i = 0; i < patterns->n && !r->no_files; i++) {
        load_pattern(&f, &patterns->items[i]);
    }
    if (rule_files_check(f.items, f.n, f.whole, r->problems)) {
        r->failed = true;
    }
    map_finish(&f.paths);
    *ret_files = f.items;
    *ret_n = f.n;
}

/* --- over all files --- */

/* Among more of them no similar name is looked for: each unknown one costs a look at all.
 */
#define SIMILAR_NAMES_MAX 1000

struct names {
    struct map map; /* name to struct placed */
    struct problems *problems;
    const char *what;
    enum brink_status status;
};

static void add_name(struct names *names, const struct placed *name)
{
    if (!name->s) {
        return; /* told */
    }
    const struct placed *earlier = map_get(&names->map, text_of(name->s));
    if (earlier) {
        problem_add(names->problems, name->at,
                    "the %s `%s` is there already, at %s:%u:%u", names->what, name->s,
                    earlier->at.file, earlier->at.line, earlier->at.column);
    } else if (map_put(&names->map, text_of(name->s), (void *)(uintptr_t)name)) {
        names->status = BRINK_E_NOMEM;
    }
}

static enum brink_status check_ids(struct rule_file *const *files, size_t n, bool whole,
                                   struct problems *problems)
{
    struct names ids = {.problems = problems, .what = "rule id"};
    struct names metrics = {.problems = problems, .what = "metric"};
    struct names windows = {.problems = problems, .what = "maintenance window"};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < files[i]->n_rules; k++) {
            add_name(&ids, &files[i]->rules[k].id);
        }
        for (size_t k = 0; k < files[i]->n_metrics; k++) {
            add_name(&metrics, &files[i]->metrics[k].name);
        }
        for (size_t k = 0; k < files[i]->n_maintenance; k++) {
            add_name(&windows, &files[i]->maintenance[k].name);
        }
    }
    enum brink_status mutes = mutes_check(files, n, whole, &ids.map, problems);
    map_finish(&ids.map);
    map_finish(&metrics.map);
    map_finish(&windows.map);
    return ids.status       ? ids.status
           : metrics.status ? metrics.status
           : windows.status ? windows.status
                            : mutes;
}

void rule_files_tell_unknown(struct problems *problems, const char *what,
                             const struct placed *name, const char *const *candidates,
                             size_t n)
{
    const char *near =
        n <= SIMILAR_NAMES_MAX ? text_nearest(text_of(name->s), candidates, n) : NULL;
    problem_add(problems, name->at, "no rule file has a %s `%s`%s%s%s", what, name->s,
                near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
}

static void check_references(const struct scope_def *scope, const struct names *groups,
                             const char *const *candidates)
{
    for (size_t i = 0; i < scope->groups.n; i++) {
        const struct placed *group = &scope->groups.items[i];
        if (!map_get(&groups->map, text_of(group->s))) {
            rule_files_tell_unknown(groups->problems, "group", group, candidates,
                                    groups->map.n);
        }
    }
}

static enum brink_status check_groups(struct rule_file *const *files, size_t n,
                                      bool whole, struct problems *problems)
{
    struct names groups = {.problems = problems, .what = "group"};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < files[i]->n_groups; k++) {
            add_name(&groups, &files[i]->groups[k].name);
        }
    }
    const char **candidates = calloc(groups.map.n + 1, sizeof *candidates);
    size_t count = 0, at = 0;
    for (const struct placed *p; candidates && (p = map_next(&groups.map, &at));) {
        candidates[count++] = p->s;
    }
    groups.status = candidates ? groups.status : BRINK_E_NOMEM;
    for (size_t i = 0; whole && candidates && i < n; i++) {
        for (size_t k = 0; k < files[i]->n_rules; k++) {
            check_references(&files[i]->rules[k].scope, &groups, candidates);
        }
        for (size_t k = 0; k < files[i]->n_maintenance; k++) {
            check_references(&files[i]->maintenance[k].scope, &groups, candidates);
        }
    }
    free(candidates);
    map_finish(&groups.map);
    return groups.status;
}

enum brink_status rule_files_check(struct rule_file *const *files, size_t n, bool whole,
                                   struct problems *problems)
{
    enum brink_status ids = check_ids(files, n, whole, problems);
    enum brink_status groups = check_groups(files, n, whole, problems);
    return ids ? ids : groups;
}
