/* One connection to Valkey: opened in blocking steps by the connecting thread, then used
 * by the pipeline in exchanges that never outlast a deadline. The only file that includes
 * hiredis. Not thread-safe: it has one owner at a time.
 *
 * hiredis writes with write(2): the process has to ignore SIGPIPE (store_new() sees to
 * it). */
#ifndef BRINK_HISTORY_CONNECTION_H
#define BRINK_HISTORY_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"
#include "config/config.h"
#include "history/script.h"

#define CONNECTION_REASON_BYTES 160

/* Where to; strings of its own, since the thread may outlive the configuration. */
struct connection_target {
    enum store_kind kind;
    bool tls;
    char *host;
    uint16_t port;
    char *path;
    unsigned db;
    char *username, *password;
    int64_t timeout_us; /* of connecting and of each step after it */
};

/* What INFO said. */
struct connection_facts {
    bool known; /* false: the user may not ask */
    char run_id[48];
    char version[32];
    char policy[32]; /* maxmemory-policy */
    bool evicts;     /* it is not noeviction */
    bool no_append_file;
    uint64_t evicted_keys;
};

struct connection;

/* Connects, authenticates, selects the database, loads the script, asks INFO. E_IO,
 * E_NOMEM: `reason` (CONNECTION_REASON_BYTES) says why. May take several times the
 * timeout, and as long as the resolver of host names takes. */
enum brink_status connection_open(const struct connection_target *target, char *reason,
                                  struct connection **ret_connection) BRINK_MUST_CHECK;
void connection_free(struct connection *c);
const struct connection_facts *connection_facts(const struct connection *c);
const char *
connection_sha(const struct connection *c); /* of the script: SCRIPT_SHA_BYTES */
/* Has the peer hung up, as far as can be seen without asking it? One system call. */
bool connection_is_gone(const struct connection *c);

/* --- answers; borrowed until the callback returns --- */
struct reply;
enum reply_kind {
    REPLY_INTEGER,
    REPLY_TEXT, /* a string or a status */
    REPLY_ARRAY,
    REPLY_ERROR, /* its text: the server's words */
    REPLY_OTHER, /* nil, and what is not asked for here */
};
enum reply_kind reply_kind(const struct reply *r);
int64_t reply_integer(const struct reply *r);
struct text reply_text(const struct reply *r); /* empty unless TEXT or ERROR */
size_t reply_count(const struct reply *r);     /* elements; 0 unless ARRAY */
const struct reply *reply_at(const struct reply *r, size_t i);

/* Sends a pipeline of n commands and hands over each answer in turn. E_TIMEOUT at
 * `deadline`; E_IO, E_NOMEM as connection_error() says. After any failure the connection
 * is of no more use than to be freed; what became of the commands not answered is
 * unknown. */
enum brink_status
connection_exchange(struct connection *c, struct text commands, size_t n,
                    const struct clock *clock, struct mono deadline,
                    void (*on_reply)(void *ctx, size_t i, const struct reply *r),
                    void *ctx) BRINK_MUST_CHECK;
const char *connection_error(const struct connection *c);

/* Reads INFO's text; lines that it does not have leave `facts` as they were. */
void connection_read_info(struct text info, struct connection_facts *facts);

#endif
