#include "server.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#define OPTIONS_MAX 40

static bool answers(const char *socket)
{
    redisContext *c = redisConnectUnix(socket);
    redisReply *r = c && !c->err ? redisCommand(c, "PING") : NULL;
    bool ok = r != NULL;
    if (r) {
        freeReplyObject(r);
    }
    if (c) {
        redisFree(c);
    }
    return ok;
}

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

void server_start(struct server *s, const char *const *options)
{
    if (!s->dir[0]) {
        snprintf(s->dir, sizeof s->dir, "/tmp/brink-history-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(s->dir));
        snprintf(s->socket, sizeof s->socket, "%s/v.sock", s->dir);
    }
    const char *argv[OPTIONS_MAX] = {"valkey-server",
                                     "--port",
                                     "0",
                                     "--unixsocket",
                                     s->socket,
                                     "--dir",
                                     s->dir,
                                     "--save",
                                     "",
                                     "--loglevel",
                                     "warning",
                                     "--logfile",
                                     "log"};
    size_t n = 13;
    for (size_t i = 0; options && options[i]; i++) {
        ck_assert_uint_lt(n, OPTIONS_MAX - 1);
        argv[n++] = options[i];
    }
    argv[n] = NULL;
    s->pid = fork();
    ck_assert_int_ge(s->pid, 0);
    if (s->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed does not stop it */
        execvp("valkey-server", (char *const *)(void *)argv);
        _exit(127);
    }
    for (int i = 0; i < 2000 && !answers(s->socket); i++) {
        ck_assert_msg(waitpid(s->pid, NULL, WNOHANG) == 0, "valkey-server did not start");
        pause_ms(5);
    }
}

void server_kill(struct server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
        unlink(s->socket);
    }
}

void server_stop(struct server *s)
{
    server_kill(s);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", s->dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    s->dir[0] = '\0';
}

void server_freeze(struct server *s)
{
    kill(s->pid, SIGSTOP);
    int status;
    waitpid(s->pid, &status, WUNTRACED);
}

void server_thaw(struct server *s)
{
    kill(s->pid, SIGCONT);
}

const char *server_do(struct server *s, int argc, const char *const *argv,
                      const size_t *lengths)
{
    static char *kept[2];
    static int turn;
    turn = !turn;
    free(kept[turn]);
    redisContext *c = redisConnectUnix(s->socket);
    ck_assert_msg(c && !c->err, "cannot connect to the test's server");
    redisReply *r = redisCommandArgv(c, argc, (const char **)(uintptr_t)argv, lengths);
    ck_assert_ptr_nonnull(r);
    char number[32];
    const char *text = r->str;
    if (r->type == REDIS_REPLY_NIL) {
        text = "(nil)";
    } else if (r->type == REDIS_REPLY_INTEGER) {
        snprintf(number, sizeof number, "%lld", r->integer);
        text = number;
    } else if (!text) {
        text = "(array)";
    }
    kept[turn] = strdup(text);
    freeReplyObject(r);
    redisFree(c);
    return kept[turn];
}

double server_cpu_us(const struct server *s)
{
    char path[64];
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)s->pid);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f,
                            "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                            &user, &system),
                     2);
    fclose(f);
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}
