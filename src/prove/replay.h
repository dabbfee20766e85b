/* Recorded telemetry through the rules (SPEC 9.2): on the recording's own clock, as fast
 * as it can. The same recording gives the same output, byte for byte. One thread, once a
 * process.
 *
 * The filters choose among the output of the whole replay: windows fill and alerts live
 * as if there were none, so that what is printed is what the gateway would have
 * published. */
#ifndef BRINK_PROVE_REPLAY_H
#define BRINK_PROVE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"

struct replay_options {
    const char *config;
    const char *recording; /* "-" or NULL: standard input */
    bool has_from, has_to; /* alerts from then on; the recording no further than that */
    struct wall from, to;
    const char *const *rules; /* ids; n_rules == 0: all */
    size_t n_rules;
    const char *const *devices; /* patterns of "device" or "tenant/device" */
    size_t n_devices;
    bool summary;  /* in place of the alerts */
    bool store;    /* the configuration's; else in memory */
    bool progress; /* on `err`, which is a terminal */
};

/* Alerts, or the summary, go to `out`; what is wrong, and a last line of totals, to
 * `err`. False: the work failed (told). */
bool replay_run(const struct replay_options *options, FILE *out, FILE *err);

#endif
