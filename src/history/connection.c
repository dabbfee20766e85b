#include "history/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <hiredis/hiredis.h>
#ifdef BRINK_STORE_TLS
#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#endif

#include "base/number.h"

/* Of one array in an answer. HSCAN and the script give far fewer. */
#define REPLY_ELEMENTS_MAX (1 << 20)

struct connection {
    redisContext *context;
    redisReplyObjectFunctions functions; /* what builds answers */
    struct connection_facts facts;
    int64_t timeout_us; /* of each step of connecting */
    char sha[SCRIPT_SHA_BYTES + 1];
};

/* --- answers --- */

static const redisReply *reply_of(const struct reply *r)
{
    return (const redisReply *)(const void *)r;
}

enum reply_kind reply_kind(const struct reply *r)
{
    switch (reply_of(r)->type) {
    case REDIS_REPLY_INTEGER:
        return REPLY_INTEGER;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return REPLY_TEXT;
    case REDIS_REPLY_ARRAY:
        return REPLY_ARRAY;
    case REDIS_REPLY_ERROR:
        return REPLY_ERROR;
    default:
        return REPLY_OTHER;
    }
}

int64_t reply_integer(const struct reply *r)
{
    return reply_of(r)->integer;
}

struct text reply_text(const struct reply *r)
{
    enum reply_kind kind = reply_kind(r);
    if (kind != REPLY_TEXT && kind != REPLY_ERROR) {
        return (struct text){"", 0};
    }
    return (struct text){reply_of(r)->str, (size_t)reply_of(r)->len};
}

size_t reply_count(const struct reply *r)
{
    return reply_kind(r) == REPLY_ARRAY ? reply_of(r)->elements : 0;
}

const struct reply *reply_at(const struct reply *r, size_t i)
{
    return (const struct reply *)(const void *)reply_of(r)->element[i];
}

/* --- building answers --- */

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/* As hiredis' own, but that a dozen bytes cannot have it reserve 16 GiB. */
static void *create_array(const redisReadTask *task, array_size elements)
{
    if (elements > REPLY_ELEMENTS_MAX) {
        return NULL;
    }
    redisReply *r = calloc(1, sizeof *r);
    if (r && elements > 0) {
        r->element = calloc((size_t)elements, sizeof *r->element);
    }
    if (!r || (elements > 0 && !r->element)) {
        free(r);
        return NULL;
    }
    r->type = task->type;
    r->elements = (size_t)elements;
    if (task->parent) {
        ((redisReply *)task->parent->obj)->element[task->idx] = r;
    }
    return r;
}

static void limit_answers(struct connection *c)
{
    redisReader *reader = c->context->reader;
    c->functions = *reader->fn;
    c->functions.createArray = create_array;
    reader->fn = &c->functions;
}

/* --- INFO --- */

static void copy_text(char *out, size_t out_bytes, struct text t)
{
    size_t n = t.n < out_bytes - 1 ? t.n : out_bytes - 1;
    memcpy(out, t.p, n);
    out[n] = '\0';
}

static bool split_line(struct text line, struct text *ret_name, struct text *ret_value)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r') {
        line.n--;
    }
    const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;
    if (!colon) {
        return false;
    }
    *ret_name = (struct text){line.p, (size_t)(colon - line.p)};
    *ret_value = (struct text){colon + 1, line.n - ret_name->n - 1};
    return true;
}

void connection_read_info(struct text info, struct connection_facts *facts)
{
    bool valkey = false;
    while (info.n > 0) {
        const char *end = memchr(info.p, '\n', info.n);
        struct text line = {info.p, end ? (size_t)(end - info.p) : info.n};
        size_t used = line.n + (end ? 1 : 0);
        info.p += used;
        info.n -= used;
        struct text name, value;
        if (!split_line(line, &name, &value)) {
            continue;
        }
        if (text_equal(name, TEXT("run_id"))) {
            copy_text(facts->run_id, sizeof facts->run_id, value);
        } else if (text_equal(name, TEXT("valkey_version"))) {
            /* Valkey gives the Redis version that it is compatible with as well. */
            valkey = true;
            copy_text(facts->version, sizeof facts->version, value);
        } else if (text_equal(name, TEXT("redis_version")) && !valkey) {
            copy_text(facts->version, sizeof facts->version, value);
        } else if (text_equal(name, TEXT("maxmemory_policy"))) {
            copy_text(facts->policy, sizeof facts->policy, value);
            facts->evicts = !text_equal(value, TEXT("noeviction"));
        } else if (text_equal(name, TEXT("aof_enabled"))) {
            facts->no_append_file = text_equal(value, TEXT("0"));
        } else if (text_equal(name, TEXT("evicted_keys"))) {
            uint64_t n;
            if (number_parse_u64(value, &n) == BRINK_OK) {
                facts->evicted_keys = n;
            }
        }
    }
}

/* --- opening --- */

static void say(char *reason, const char *what, const char *detail)
{
    size_t n = strlen(what);
    copy_text(reason, CONNECTION_REASON_BYTES, (struct text){what, n});
    n = strlen(reason);
    copy_text(reason + n, CONNECTION_REASON_BYTES - n, text_of(detail));
}

static void say_context(char *reason, const redisContext *context)
{
    bool late = context->err == REDIS_ERR_IO &&
                (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT);
    say(reason, late ? "timed out" : context->errstr, "");
}

/* Is there still time? By the kernel's clock, as SO_RCVTIMEO is, whatever clock a test
 * brings. */
static bool has_time(struct mono deadline)
{
    return clock_system.mono(clock_system.ctx).us < deadline.us;
}

/* A command's answer, which the caller frees; NULL: none. An error answer is an answer.
 * The socket's own timeout is that of each read: a server that sends byte by byte would
 * never be late. */
static redisReply *ask(struct connection *c, char *reason, int argc, const char **argv)
{
    redisContext *context = c->context;
    struct mono deadline = {clock_system.mono(clock_system.ctx).us + c->timeout_us};
    void *r = NULL;
    int sent = 0;
    int status = redisAppendCommandArgv(context, argc, argv, NULL);
    while (status == REDIS_OK && !sent && has_time(deadline)) {
        status = redisBufferWrite(context, &sent);
    }
    while (status == REDIS_OK && !r && has_time(deadline)) {
        status = redisBufferRead(context);
        if (status == REDIS_OK) {
            status = redisGetReplyFromReader(context, &r);
        }
    }
    if (status != REDIS_OK) {
        say_context(reason, context);
    } else if (!r) {
        say(reason, "timed out", "");
    }
    return r;
}

/* As ask(), where an error answer is a failure. */
static enum brink_status demand(struct connection *c, char *reason, int argc,
                                const char **argv, redisReply **ret_reply)
{
    redisReply *r = ask(c, reason, argc, argv);
    if (!r) {
        return BRINK_E_IO;
    }
    if (r->type == REDIS_REPLY_ERROR) {
        say(reason, r->str, "");
        freeReplyObject(r);
        return BRINK_E_IO;
    }
    *ret_reply = r;
    return BRINK_OK;
}

static enum brink_status command(struct connection *c, char *reason, int argc,
                                 const char **argv)
{
    redisReply *r = NULL;
    enum brink_status status = demand(c, reason, argc, argv, &r);
    freeReplyObject(r);
    return status;
}

#ifdef BRINK_STORE_TLS
/* Own set-up of OpenSSL, since hiredis' checks the authority but not the host's name. */
static enum brink_status start_tls(const struct connection_target *target,
                                   redisContext *context, char *reason)
{
    enum brink_status status = BRINK_E_IO;
    SSL *ssl = NULL;
    SSL_CTX *ssl_context = SSL_CTX_new(TLS_client_method());
    if (!ssl_context || !SSL_CTX_set_default_verify_paths(ssl_context)) {
        say(reason, "cannot set up TLS", "");
        goto out;
    }
    SSL_CTX_set_min_proto_version(ssl_context, TLS1_2_VERSION);
    SSL_CTX_set_verify(ssl_context, SSL_VERIFY_PEER, NULL);
    ssl = SSL_new(ssl_context);
    if (!ssl) {
        say(reason, "cannot set up TLS", "");
        goto out;
    }
    if (!X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), target->host) &&
        (!SSL_set1_host(ssl, target->host) ||
         !SSL_set_tlsext_host_name(ssl, target->host))) {
        say(reason, "cannot set up TLS", "");
        goto out;
    }
    if (redisInitiateSSL(context, ssl) != REDIS_OK) {
        say_context(reason, context);
        goto out;
    }
    ssl = NULL; /* the context's now */
    status = BRINK_OK;
out:
    SSL_free(ssl);
    SSL_CTX_free(ssl_context);
    return status;
}
#else
static enum brink_status start_tls(const struct connection_target *target,
                                   redisContext *context, char *reason)
{
    (void)target;
    (void)context;
    say(reason, "this build has no TLS for the store", "");
    return BRINK_E_IO;
}
#endif

static enum brink_status authenticate(const struct connection_target *target,
                                      struct connection *c, char *reason)
{
    if (!target->password) {
        return BRINK_OK;
    }
    const char *argv[3] = {"AUTH", target->username, target->password};
    if (!target->username) {
        argv[1] = target->password;
    }
    return command(c, reason, target->username ? 3 : 2, argv);
}

static enum brink_status select_database(const struct connection_target *target,
                                         struct connection *c, char *reason)
{
    if (target->db == 0) {
        return BRINK_OK;
    }
    char number[NUMBER_BYTES];
    (void)number_print_plain((double)target->db, number);
    const char *argv[2] = {"SELECT", number};
    return command(c, reason, 2, argv);
}

static enum brink_status load_script(struct connection *c, char *reason)
{
    const char *argv[3] = {"SCRIPT", "LOAD", script_source};
    redisReply *r = NULL;
    enum brink_status status = demand(c, reason, 3, argv, &r);
    if (status) {
        return status;
    }
    if (r->type != REDIS_REPLY_STRING || r->len != SCRIPT_SHA_BYTES) {
        say(reason, "SCRIPT LOAD: unexpected answer", "");
        status = BRINK_E_IO;
    } else {
        memcpy(c->sha, r->str, SCRIPT_SHA_BYTES);
    }
    freeReplyObject(r);
    return status;
}

/* Not to be allowed to ask is no failure: only what rests on it is missing then. */
static enum brink_status ask_info(struct connection *c, char *reason)
{
    const char *argv[1] = {"INFO"};
    redisReply *r = ask(c, reason, 1, argv);
    if (!r) {
        return BRINK_E_IO;
    }
    if (r->type == REDIS_REPLY_STRING) {
        c->facts.known = true;
        connection_read_info((struct text){r->str, (size_t)r->len}, &c->facts);
    }
    freeReplyObject(r);
    return BRINK_OK;
}

/* From here on hiredis returns instead of waiting, and the exchange waits in poll(2). */
static enum brink_status stop_blocking(redisContext *context, char *reason)
{
    int flags = fcntl(context->fd, F_GETFL);
    if (flags < 0 || fcntl(context->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        say(reason, "fcntl: ", strerror(errno));
        return BRINK_E_IO;
    }
    context->flags &= ~REDIS_BLOCK;
    return BRINK_OK;
}

enum brink_status connection_open(const struct connection_target *target, char *reason,
                                  struct connection **ret_connection)
{
    struct timeval timeout = {.tv_sec = (time_t)(target->timeout_us / US_PER_S),
                              .tv_usec = (suseconds_t)(target->timeout_us % US_PER_S)};
    enum brink_status status = BRINK_E_NOMEM;
    say(reason, "out of memory", "");
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        goto fail;
    }
    c->timeout_us = target->timeout_us;
    c->context = target->kind == STORE_UNIX
                     ? redisConnectUnixWithTimeout(target->path, timeout)
                     : redisConnectWithTimeout(target->host, target->port, timeout);
    if (!c->context) {
        goto fail;
    }
    status = BRINK_E_IO;
    if (c->context->err) {
        say_context(reason, c->context);
        goto fail;
    }
    (void)fcntl(c->context->fd, F_SETFD, FD_CLOEXEC);
    limit_answers(c);
    if (redisSetTimeout(c->context, timeout) != REDIS_OK) {
        say_context(reason, c->context);
        goto fail;
    }
    if (target->kind == STORE_TCP) {
        (void)redisEnableKeepAlive(c->context); /* a help only */
    }
    status = target->tls ? start_tls(target, c->context, reason) : BRINK_OK;
    status = status ? status : authenticate(target, c, reason);
    status = status ? status : select_database(target, c, reason);
    status = status ? status : load_script(c, reason);
    status = status ? status : ask_info(c, reason);
    status = status ? status : stop_blocking(c->context, reason);
    if (status == BRINK_OK) {
        *ret_connection = c;
        return BRINK_OK;
    }
fail:
    connection_free(c);
    return status;
}

void connection_free(struct connection *c)
{
    if (c) {
        if (c->context) {
            redisFree(c->context);
        }
        free(c);
    }
}

const struct connection_facts *connection_facts(const struct connection *c)
{
    return &c->facts;
}

const char *connection_sha(const struct connection *c)
{
    return c->sha;
}

bool connection_is_gone(const struct connection *c)
{
    char byte;
    ssize_t n = recv(c->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

const char *connection_error(const struct connection *c)
{
    return c->context->err ? c->context->errstr : "timed out";
}

/* --- exchanging --- */

struct answers {
    size_t got, n;
    void (*on_reply)(void *ctx, size_t i, const struct reply *r);
    void *ctx;
};

static bool take_answers(redisContext *context, struct answers *a)
{
    while (a->got < a->n) {
        void *r = NULL;
        if (redisGetReplyFromReader(context, &r) != REDIS_OK) {
            return false;
        }
        if (!r) {
            break;
        }
        a->on_reply(a->ctx, a->got++, (const struct reply *)r);
        freeReplyObject(r);
    }
    return true;
}

static enum brink_status wait_for(int fd, short events, const struct clock *clock,
                                  struct mono deadline, short *ret_events)
{
    for (;;) {
        int64_t left_us = deadline.us - clock->mono(clock->ctx).us;
        if (left_us <= 0) {
            return BRINK_E_TIMEOUT;
        }
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, (int)((left_us + US_PER_MS - 1) / US_PER_MS));
        if (n > 0) {
            *ret_events = p.revents;
            return BRINK_OK;
        }
        if (n == 0) {
            return BRINK_E_TIMEOUT;
        }
        if (errno != EINTR) {
            return BRINK_E_IO;
        }
    }
}

enum brink_status
connection_exchange(struct connection *c, struct text commands, size_t n,
                    const struct clock *clock, struct mono deadline,
                    void (*on_reply)(void *ctx, size_t i, const struct reply *r),
                    void *ctx)
{
    redisContext *context = c->context;
    struct answers answers = {.n = n, .on_reply = on_reply, .ctx = ctx};
    if (redisAppendFormattedCommand(context, commands.p, commands.n) != REDIS_OK) {
        return BRINK_E_NOMEM;
    }
    int sent = 0;
    if (redisBufferWrite(context, &sent) != REDIS_OK) {
        return BRINK_E_IO;
    }
    while (answers.got < n || !sent) {
        short events = 0;
        short wanted = (short)(POLLIN | (sent ? 0 : POLLOUT));
        enum brink_status status =
            wait_for(context->fd, wanted, clock, deadline, &events);
        if (status) {
            return status;
        }
        if (!sent && redisBufferWrite(context, &sent) != REDIS_OK) {
            return BRINK_E_IO;
        }
        /* A hang-up is seen by reading, too. */
        if ((events & ~POLLOUT) &&
            (redisBufferRead(context) != REDIS_OK || !take_answers(context, &answers))) {
            return BRINK_E_IO;
        }
    }
    return BRINK_OK;
}
