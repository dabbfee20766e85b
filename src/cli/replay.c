#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "decode/timestamp.h"
#include "prove/replay.h"

#define CHOSEN_MAX 1000 /* --rule and --device, each */

static const char help[] =
    "usage: brink replay -c FILE [OPTION ...] [RECORDING|-]\n"
    "\n"
    "Runs recorded telemetry through the rules on the recording's own clock, as fast as "
    "it\n"
    "can, and prints each alert as a JSON line. A recording is what `mosquitto_sub -F "
    "%J`\n"
    "prints; without one, or with -, standard input is read. docs/TESTING.md tells "
    "more.\n"
    "\n"
    "  -c, --config FILE  the configuration; its broker is not asked for anything\n"
    "  --summary          in place of the alerts: how often each rule fired, for how "
    "long,\n"
    "                     for which devices, and how the values it compares are spread\n"
    "  --from TIME        print alerts from this time on (ISO 8601); what is before "
    "fills\n"
    "                     the windows\n"
    "  --to TIME          stop at this time\n"
    "  --rule ID          print alerts of this rule alone; may be given more than once\n"
    "  --device PATTERN   of these devices alone, DEVICE or TENANT/DEVICE with * and ?;\n"
    "                     may be given more than once\n"
    "  --store            keep the windows in the configuration's Valkey, not in "
    "memory\n";

/* The value of an option that takes one; NULL: it is not this option, or has none. */
static const char *value_of(const char *option, int argc, char **argv, int *i)
{
    return strcmp(argv[*i], option) == 0 && *i + 1 < argc ? argv[++*i] : NULL;
}

static int read_time(const char *text, bool *ret_given, struct wall *ret_at)
{
    if (timestamp_parse(text_of(text), ret_at) != BRINK_OK) {
        return usage_error("replay", "not a time such as 2026-01-01T06:00:00Z:", text);
    }
    *ret_given = true;
    return 0;
}

int command_replay(int argc, char **argv)
{
    static const char *rules[CHOSEN_MAX], *devices[CHOSEN_MAX];
    struct replay_options o = {.rules = rules, .devices = devices};
    for (int i = 0; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        if ((value = value_of("-c", argc, argv, &i)) ||
            (value = value_of("--config", argc, argv, &i))) {
            o.config = value;
        } else if ((value = value_of("--from", argc, argv, &i))) {
            if (read_time(value, &o.has_from, &o.from)) {
                return 2;
            }
        } else if ((value = value_of("--to", argc, argv, &i))) {
            if (read_time(value, &o.has_to, &o.to)) {
                return 2;
            }
        } else if (o.n_rules < CHOSEN_MAX &&
                   (value = value_of("--rule", argc, argv, &i))) {
            rules[o.n_rules++] = value;
        } else if (o.n_devices < CHOSEN_MAX &&
                   (value = value_of("--device", argc, argv, &i))) {
            devices[o.n_devices++] = value;
        } else if (strcmp(argv[i], "--summary") == 0) {
            o.summary = true;
        } else if (strcmp(argv[i], "--store") == 0) {
            o.store = true;
        } else if ((argv[i][0] == '-' && argv[i][1] != '\0') || o.recording) {
            return usage_error("replay", "unexpected argument", argv[i]);
        } else {
            o.recording = argv[i];
        }
    }
    if (!o.config) {
        return usage_error("replay", "needs -c FILE", NULL);
    }
    /* Not amid the alerts, where both go to one terminal. */
    o.progress = isatty(STDERR_FILENO) && (o.summary || !isatty(STDOUT_FILENO));
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT); /* counted, and told at the end */
    return replay_run(&o, stdout, stderr) ? 0 : 1;
}
