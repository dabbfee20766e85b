/* Telemetry entries to decode by, as config/ would make them: one of every kind. Shared
 * by the unit tests, the probe that the oracle asks, and the fuzzer. oracle_decode.py has
 * the same list. */
#ifndef BRINK_TESTS_DECODE_ENTRIES_H
#define BRINK_TESTS_DECODE_ENTRIES_H

#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"

#define POINTER(...)                                                                     \
    {                                                                                    \
        .tokens = (char *[]){__VA_ARGS__},                                               \
        .n = sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), .given = true             \
    }

static struct value_name on_off[] = {
    {(char *)"ON", 1}, {(char *)"OFF", 0}, {(char *)"", -1}};

static struct telemetry_config entries[] = {
    {.topic = {.s = (char *)"j/{tenant}/{device}"},
     .format = TELEMETRY_JSON,
     .metrics = POINTER((char *)"metrics"),
     .timestamp = POINTER((char *)"ts"),
     .site = POINTER((char *)"site_id"),
     .seq = POINTER((char *)"seq"),
     .values = on_off,
     .n_values = 3},
    {.topic = {.s = (char *)"whole/{device}/{floor}"},
     .format = TELEMETRY_JSON,
     .metrics = {.given = true},
     .timestamp = POINTER((char *)"ts"),
     .site = POINTER((char *)"a", (char *)"site_id"),
     .seq = POINTER((char *)"seq"),
     .evaluate_retained = true},
    {.topic = {.s = (char *)"deep/{device}"},
     .format = TELEMETRY_JSON,
     .metrics = POINTER((char *)"a/b", (char *)"0", (char *)"~"),
     .timestamp = POINTER((char *)"a/b", (char *)"1")},
    {.topic = {.s = (char *)"v/{device}/{metric}"},
     .format = TELEMETRY_VALUE,
     .values = on_off,
     .n_values = 3},
    {.topic = {.s = (char *)"level/{tenant}/{device}"},
     .format = TELEMETRY_VALUE,
     .metric = (char *)"level"},
    {.topic = {.s = (char *)"hb/{device}"}, .format = TELEMETRY_HEARTBEAT},
};
enum { N_ENTRIES = sizeof entries / sizeof *entries };

static inline void entries_init(void)
{
    for (size_t i = 0; i < N_ENTRIES; i++) {
        const char *why = "";
        if (topic_pattern_init(&entries[i].pattern, text_of(entries[i].topic.s), &why) !=
            BRINK_OK) {
            fprintf(stderr, "%s: %s\n", entries[i].topic.s, why);
            abort();
        }
    }
}

static inline void entries_finish(void)
{
    for (size_t i = 0; i < N_ENTRIES; i++) {
        topic_pattern_finish(&entries[i].pattern);
    }
}

#endif
