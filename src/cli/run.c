#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "gateway/gateway.h"

static const char help[] =
    "usage: brink run -c FILE\n"
    "\n"
    "Runs the gateway in the foreground until SIGTERM or SIGINT. Events go to standard\n"
    "error. SIGHUP reloads rules, telemetry, alerts, limits and log.\n"
    "\n"
    "  -c, --config FILE  the configuration; see brink(1) and docs/CONFIGURATION.md\n";

int command_run(int argc, char **argv)
{
    const char *config = NULL;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) &&
            i + 1 < argc) {
            config = argv[++i];
        } else {
            return usage_error("run", "unexpected argument", argv[i]);
        }
    }
    return config ? gateway_run(config) : usage_error("run", "needs -c FILE", NULL);
}
