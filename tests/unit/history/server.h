/* A real valkey-server on a unix socket in a folder of its own. */
#ifndef BRINK_TESTS_HISTORY_SERVER_H
#define BRINK_TESTS_HISTORY_SERVER_H

#include <stddef.h>
#include <sys/types.h>

#include <check.h>

struct server {
    char dir[64], socket[96];
    pid_t pid; /* 0: not running */
};

/* Options end with NULL. start waits until it answers; the folder is made by the first
 * start. */
void server_start(struct server *s, const char *const *options);
void server_kill(struct server *s); /* -9; the folder stays */
void server_stop(struct server *s); /* and the folder goes */
void server_freeze(struct server *s);
void server_thaw(struct server *s);
/* A command on a connection of its own. The answer as text: strings as they are, integers
 * in decimal, nil as "(nil)", an error as "ERR...". Good until the call after the next.
 */
const char *server_do(struct server *s, int argc, const char *const *argv,
                      const size_t *lengths);
#define DO(s, ...)                                                                       \
    server_do((s), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),        \
              (const char *[]){__VA_ARGS__}, NULL)
double server_cpu_us(const struct server *s);

#endif
