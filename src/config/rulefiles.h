/* Rule files together: those that a configuration's patterns name, and what must be so
 * over all of them (ids, groups and mappings known once). */
#ifndef BRINK_CONFIG_RULEFILES_H
#define BRINK_CONFIG_RULEFILES_H

#include "config/config.h"
#include "config/schema.h"

/* Loads every file that the patterns match, each once, in order; problems go to
 * r->problems. Files with problems are among the results as far as they could be read.
 * own: one that is read already, to stand in front of them; taken over; NULL: none.
 * Out of memory: r->failed. */
void rule_files_load(struct reader *r, const struct strings *patterns,
                     struct rule_file *own, struct rule_file ***ret_files, size_t *ret_n);

/* One file from memory by itself. E_SYNTAX, E_LIMIT: not YAML, told, no file is returned;
 * BRINK_OK: a file, and maybe problems. */
enum brink_status rule_file_read(const char *path, struct text yaml,
                                 struct problems *problems,
                                 struct rule_file **ret_file) BRINK_MUST_CHECK;

/* Tells ids, groups and mappings that come twice, and (if `whole`: no file is missing)
 * groups that nobody defines. E_NOMEM. */
enum brink_status rule_files_check(struct rule_file *const *files, size_t n, bool whole,
                                   struct problems *problems) BRINK_MUST_CHECK;

/* "no rule file has a group `x`, did you mean `y`?" */
void rule_files_tell_unknown(struct problems *problems, const char *what,
                             const struct placed *name, const char *const *candidates,
                             size_t n);

#endif
