#include "config/problems.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/text.h"

/* Of a message; a longer one is cut. Values in it are cut before. */
#define MESSAGE_BYTES_MAX 1024

static void drop(struct problem *p)
{
    free((char *)(uintptr_t)p->at.file);
    free(p->message);
}

void problems_finish(struct problems *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        drop(&p->items[i]);
    }
    free(p->items);
    *p = (struct problems){0};
}

static bool make_room(struct problems *p)
{
    if (p->n >= PROBLEMS_MAX) {
        return false;
    }
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct problem *items = realloc(p->items, cap * sizeof *items);
        if (!items) {
            return false;
        }
        p->items = items;
        p->cap = cap;
    }
    return true;
}

/* An error counts even when there is no memory to tell it: nothing may load then. */
__attribute__((format(printf, 4, 0))) static void add(struct problems *p,
                                                      struct position at, bool is_warning,
                                                      const char *format, va_list args)
{
    if (!is_warning) {
        p->errors++;
    }
    if (!make_room(p)) {
        return;
    }
    char message[MESSAGE_BYTES_MAX];
    vsnprintf(message, sizeof message, format, args);
    struct problem item = {.at = at, .is_warning = is_warning};
    item.at.file = text_dup(text_of(at.file ? at.file : ""));
    item.message = text_dup(text_of(message));
    if (!item.at.file || !item.message) {
        drop(&item);
        return;
    }
    p->items[p->n++] = item;
}

void problem_add(struct problems *p, struct position at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(p, at, false, format, args);
    va_end(args);
}

void problem_warn(struct problems *p, struct position at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(p, at, true, format, args);
    va_end(args);
}

/* What a sort compares: the file's rank is where it was first seen. */
struct ranked {
    size_t file, order;
    struct problem problem;
};

static int compare(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->file != b->file) {
        return a->file < b->file ? -1 : 1;
    }
    if (a->problem.at.line != b->problem.at.line) {
        return a->problem.at.line < b->problem.at.line ? -1 : 1;
    }
    if (a->problem.at.column != b->problem.at.column) {
        return a->problem.at.column < b->problem.at.column ? -1 : 1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

static size_t rank_of(const struct ranked *ranked, size_t n, const char *file)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(ranked[i].problem.at.file, file) == 0) {
            return ranked[i].file;
        }
    }
    return n;
}

void problems_sort(struct problems *p)
{
    struct ranked *ranked = calloc(p->n ? p->n : 1, sizeof *ranked);
    if (!ranked) {
        return; /* in the order of finding, then */
    }
    for (size_t i = 0; i < p->n; i++) {
        ranked[i].problem = p->items[i];
        ranked[i].order = i;
        ranked[i].file = rank_of(ranked, i, p->items[i].at.file);
    }
    qsort(ranked, p->n, sizeof *ranked, compare);
    for (size_t i = 0; i < p->n; i++) {
        p->items[i] = ranked[i].problem;
    }
    free(ranked);
}

void problems_print(const struct problems *p, FILE *to)
{
    size_t told = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct problem *item = &p->items[i];
        fputs(item->at.file, to);
        if (item->at.line > 0) {
            fprintf(to, ":%u:%u", item->at.line, item->at.column);
        }
        fprintf(to, ": %s%s\n", item->is_warning ? "warning: " : "", item->message);
        told += item->is_warning ? 0 : 1;
    }
    if (p->errors > told) {
        fprintf(to, "%zu more errors are not shown\n", p->errors - told);
    }
}
