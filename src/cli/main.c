#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/commands.h"
#include "outbox/courier.h"

static const char help[] =
    "brink: alerts from MQTT telemetry, with windows that survive a restart\n"
    "\n"
    "usage: brink COMMAND [OPTION ...]\n"
    "\n"
    "  run -c FILE              run the gateway in the foreground\n"
    "  check -c FILE [--print]  tell everything that is wrong with a configuration\n"
    "                           and its rules; --print: each rule's expression\n"
    "  test FILE...             run rule tests on a virtual clock\n"
    "  replay -c FILE [RECORDING]\n"
    "                           run recorded telemetry through the rules\n"
    "  --version                print the version\n"
    "  --help                   print this; brink COMMAND --help tells more\n";

static const struct command {
    const char *name;
    int (*main)(int argc, char **argv);
} commands[] = {{"run", command_run},
                {"check", command_check},
                {"test", command_test},
                {"replay", command_replay}};

int usage_error(const char *command, const char *what, const char *argument)
{
    fprintf(stderr, "brink%s%s: %s%s%s\ntry: brink%s%s --help\n", command[0] ? " " : "",
            command, what, argument ? " " : "", argument ? argument : "",
            command[0] ? " " : "", command);
    return 2;
}

int main(int argc, char **argv)
{
    const char *names[sizeof commands / sizeof commands[0]];
    size_t n = sizeof commands / sizeof commands[0];
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        fputs(help, stderr);
        return 2;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
        strcmp(word, "help") == 0) {
        fputs(help, stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("brink %s\n", BRINK_VERSION);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (strcmp(word, SENDER_COMMAND) == 0) {
        return sender_main();
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = commands[i].name;
        if (strcmp(word, commands[i].name) == 0) {
            return commands[i].main(argc - 2, argv + 2);
        }
    }
    const char *near = text_nearest(text_of(word), names, n);
    if (near) {
        fprintf(stderr, "brink: unknown command %s; did you mean %s?\n", word, near);
        return 2;
    }
    return usage_error("", "unknown command", word);
}
