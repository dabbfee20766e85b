/* The commands, one file each. Each takes what stands behind its name and returns the
 * exit status (SPEC 1.2): 0 success, 1 the work failed, 2 wrong usage. */
#ifndef BRINK_CLI_COMMANDS_H
#define BRINK_CLI_COMMANDS_H

int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_test(int argc, char **argv);
int command_replay(int argc, char **argv);

/* Prints to standard error what is wrong with the usage; returns 2. */
int usage_error(const char *command, const char *what, const char *argument);

#endif
