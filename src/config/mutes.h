/* What rule files say about holding alerts back (SPEC 6.5, 6.6): their keys, and what
 * must be so over all files. */
#ifndef BRINK_CONFIG_MUTES_H
#define BRINK_CONFIG_MUTES_H

#include "base/map.h"
#include "config/config.h"
#include "config/schema.h"

#define MAINTENANCE_PER_FILE_MAX 1000
#define INHIBIT_PER_FILE_MAX 200

/* For the table of a rule file's keys; field: a struct rule_file. */
void read_maintenance(struct reader *r, const char *name, const struct node *n,
                      void *field);
void read_inhibit(struct reader *r, const char *name, const struct node *n, void *field);

/* Tells of rules that mute one another in a circle and, if `whole` (no file is missing),
 * of rules that are in none. rules: id -> struct placed, of all files. E_NOMEM. */
enum brink_status mutes_check(struct rule_file *const *files, size_t n, bool whole,
                              const struct map *rules,
                              struct problems *problems) BRINK_MUST_CHECK;

/* Tells of labels in `inhibit` that neither a telemetry topic of the configuration nor a
 * rule has. E_NOMEM. */
enum brink_status mutes_check_labels(const struct config *config,
                                     struct problems *problems) BRINK_MUST_CHECK;

#endif
