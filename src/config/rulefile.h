/* The keys of a rule file, for who proves that the manual names them all. */
#ifndef BRINK_CONFIG_RULEFILE_H
#define BRINK_CONFIG_RULEFILE_H

#include "config/schema.h"

extern const struct schema rule_file_schema, rule_schema, condition_schema, source_schema,
    maintenance_schema, inhibit_schema;

#endif
