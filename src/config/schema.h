/* Keys as rows of a table: what may stand in a mapping, of which kind and range, with
 * which default, and where in a struct it goes. Reading tells every problem of a mapping
 * and stops at none.
 *
 * `null`, or nothing behind a key, is the same as the key left out. Strings are copied:
 * whoever owns the struct frees them. */
#ifndef BRINK_CONFIG_SCHEMA_H
#define BRINK_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/problems.h"
#include "config/yaml.h"
#include "model/rule.h"

#define SCHEMA_KEYS_MAX 64         /* rows of one table */
#define SCHEMA_TEXT_BYTES_MAX 4096 /* of a text, where the row says nothing else */
#define SCHEMA_LIST_MAX 10000      /* texts in a list, where the row says nothing else */
#define SCHEMA_NAME_BYTES 96       /* of a key with its prefix, in a message */

#define MINUTE_US (INT64_C(60) * 1000000)
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)

enum key_kind {               /* the field's type: */
                KEY_BOOL,     /* bool */
                KEY_WHOLE,    /* uint32_t or int; range in min, max */
                KEY_NUMBER,   /* double; range in min, max */
                KEY_DURATION, /* int64_t, us; 250ms 30s 5m 2h 7d or a number of seconds;
                                 range in us */
                KEY_AMOUNT,   /* int64_t, us; a number of unit_us; range in that unit */
                KEY_TEXT,     /* char *; not empty; at most `max` bytes (0:
                                 SCHEMA_TEXT_BYTES_MAX) */
                KEY_PLACED,   /* struct placed; as KEY_TEXT */
                KEY_TEXTS,    /* struct strings; each as KEY_TEXT; at most list_max (0:
                                 SCHEMA_LIST_MAX) */
                KEY_CHOICE, /* an enum or int: the choice's value; bool with KEY_AS_BOOL;
                               a choice's text in a struct placed with KEY_AS_PLACED */
                KEY_SECRET, /* char *; or read from the file named by NAME_file; never
                               shown */
                KEY_FILE, /* char *; the path of a file that must be readable, beside the
                             configuration */
                KEY_MAPPING, /* the keys of `within`, into the same struct */
                KEY_OTHER,   /* read() */
};

enum key_flags {
    KEY_REQUIRED = 1,
    KEY_LINES = 2,      /* a text may hold line breaks and tabs */
    KEY_ZERO_TOO = 4,   /* 0 is allowed beside the range */
    KEY_AS_BOOL = 8,    /* of KEY_CHOICE */
    KEY_AS_PLACED = 16, /* of KEY_CHOICE */
    KEY_ANY_CASE = 32,  /* of KEY_CHOICE */
    KEY_NOT_EMPTY = 64, /* of KEY_TEXTS, KEY_OTHER: a list needs an item */
};

struct choice {
    const char *name; /* NULL ends a list */
    int value;
    const char *text; /* what KEY_AS_PLACED stores; NULL: the name */
};

struct reader {
    struct problems *problems;
    const char *file;
    struct text folder; /* relative files are beside it */
    bool no_files;      /* looks at no other file: for fuzzing */
    bool failed;        /* out of memory */
};

struct key {
    const char *name;
    enum key_kind kind;
    unsigned flags;
    size_t offset;
    size_t given; /* FLAG_AT() of a bool that says that the key is there, or 0 */
    size_t
        place; /* FLAG_AT() of a struct position of the value, or 0; the first key wins */
    unsigned set; /* not 0: of the rows with the same number only one may be given */
    double min, max;
    int64_t unit_us;
    size_t list_max;
    const char *initial; /* the default, as it would be written; NULL: none */
    const struct choice *choices;
    const struct schema *within;
    void (*read)(struct reader *r, const char *name, const struct node *value,
                 void *field);
};

#define FLAG_AT(type, field) (offsetof(type, field) + 1)

struct schema {
    const char *prefix; /* before a key's name in messages: "mqtt." */
    const struct key *keys;
    size_t n;
    size_t place;  /* FLAG_AT() of a struct position of the mapping itself, or 0 */
    size_t faulty; /* FLAG_AT() of a bool: an error was told of it, or 0 */
};

#define SCHEMA_OF(prefix_, rows)                                                         \
    .prefix = (prefix_), .keys = (rows), .n = sizeof(rows) / sizeof *(rows)

/* Reads a mapping into the struct at `into`, which holds zeros or defaults. mapping ==
 * NULL: the key that it would stand behind is absent; defaults alone are set. */
void schema_read(struct reader *r, const struct schema *schema,
                 const struct node *mapping, void *into);

/* The field of a list of mappings: *ret_items is calloc'ed, one for each. name is for
 * messages. */
void schema_read_list(struct reader *r, const char *name, const struct schema *schema,
                      const struct node *list, size_t list_max, size_t item_bytes,
                      void **ret_items, size_t *ret_n);

/* What messages call a member of a mapping of names: "labels.runbook". */
void schema_member_name(const char *name, const struct node *member,
                        char out[SCHEMA_NAME_BYTES]);

/* For read(): each tells what is wrong and returns false then, also for NODE_BAD. */
bool schema_text(struct reader *r, const char *name, const struct node *n,
                 size_t bytes_max, unsigned flags, char **ret_text);
bool schema_number(struct reader *r, const char *name, const struct node *n,
                   double *ret_value);
bool schema_is_mapping(struct reader *r, const char *name, const struct node *n);
bool schema_is_list(struct reader *r, const char *name, const struct node *n);
void schema_texts(struct reader *r, const char *name, const struct node *n,
                  size_t bytes_max, size_t list_max, struct strings *ret_strings);

#endif
