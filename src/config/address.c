#include "config/address.h"

#include "base/number.h"

struct scheme {
    const char *name;
    bool tls, path;
};

/* Takes "name://" off t; NULL: none of the schemes. */
static const struct scheme *take_scheme(struct text *t, const struct scheme *schemes)
{
    for (const struct scheme *s = schemes; s->name; s++) {
        struct text name = text_of(s->name);
        if (t->n >= name.n + 3 && text_equal_nocase((struct text){t->p, name.n}, name) &&
            memcmp(t->p + name.n, "://", 3) == 0) {
            t->p += name.n + 3;
            t->n -= name.n + 3;
            return s;
        }
    }
    return NULL;
}

/* Splits at the first c; the rest begins with it, or is empty. */
static struct text split(struct text *t, char c)
{
    const char *p = t->n ? memchr(t->p, c, t->n) : NULL;
    size_t n = p ? (size_t)(p - t->p) : t->n;
    struct text rest = {t->p + n, t->n - n};
    t->n = n;
    return rest;
}

static bool is_host(struct text t)
{
    if (t.n == 0 || t.n > ADDRESS_HOST_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c <= ' ' || c == 0x7f || memchr("/?#[]@:", c, 7)) {
            return false;
        }
    }
    return true;
}

static bool is_ipv6(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        bool hex =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!hex && c != ':' && c != '.' && c != '%') {
            return false;
        }
    }
    return t.n >= 2 && t.n <= ADDRESS_HOST_BYTES_MAX && memchr(t.p, ':', t.n);
}

/* "host" or "host:port"; *ret_port stays when there is none. */
static enum brink_status authority(struct text t, struct text *ret_host,
                                   uint16_t *ret_port, bool *ret_has_port,
                                   const char **ret_why)
{
    struct text host = t, port;
    if (t.n > 0 && t.p[0] == '[') {
        port = split(&host, ']');
        host = (struct text){t.p + 1, host.n - 1};
        if (port.n == 0 || !is_ipv6(host)) {
            *ret_why = "an IPv6 address in brackets was expected";
            return BRINK_E_SYNTAX;
        }
        port = (struct text){port.p + 1, port.n - 1};
    } else {
        port = split(&host, ':');
        if (!is_host(host)) {
            *ret_why = host.n ? "the host name is not one" : "the host is missing";
            return BRINK_E_SYNTAX;
        }
    }
    uint64_t number = *ret_port;
    *ret_has_port = port.n > 0;
    if (port.n > 0 && (port.p[0] != ':' ||
                       number_parse_u64((struct text){port.p + 1, port.n - 1}, &number) ||
                       number < 1 || number > UINT16_MAX)) {
        *ret_why = "the port must be a number from 1 to 65535";
        return BRINK_E_SYNTAX;
    }
    *ret_host = host;
    *ret_port = (uint16_t)number;
    return BRINK_OK;
}

enum brink_status address_host_port(struct text t, struct text *ret_host,
                                    uint16_t *ret_port, const char **ret_why)
{
    struct text host = {0};
    uint16_t port = 0;
    bool has_port = false;
    enum brink_status status = authority(t, &host, &port, &has_port, ret_why);
    if (status == BRINK_OK && !has_port) {
        *ret_why = "the port is missing";
        status = BRINK_E_SYNTAX;
    }
    if (status == BRINK_OK) {
        *ret_host = host;
        *ret_port = port;
    }
    return status;
}

enum brink_status address_mqtt(struct text t, bool *ret_tls, const char **ret_why)
{
    static const struct scheme schemes[] = {
        {"mqtt", false, false}, {"mqtts", true, false}, {"ws", false, true},
        {"wss", true, true},    {NULL, false, false},
    };
    const struct scheme *s = take_scheme(&t, schemes);
    if (!s) {
        *ret_why = "it must begin with mqtt://, mqtts://, ws:// or wss://";
        return BRINK_E_SYNTAX;
    }
    struct text rest = split(&t, '/');
    if (t.n > 0 && memchr(t.p, '@', t.n)) {
        *ret_why = "no credentials here, use `mqtt.username` and `mqtt.password_file`";
        return BRINK_E_SYNTAX;
    }
    if (rest.n > 1 && !s->path) {
        *ret_why = "a path has a meaning with ws:// and wss:// only";
        return BRINK_E_SYNTAX;
    }
    struct text host;
    uint16_t port = 0;
    bool has_port;
    enum brink_status status = authority(t, &host, &port, &has_port, ret_why);
    if (status == BRINK_OK) {
        *ret_tls = s->tls;
    }
    return status;
}

static enum brink_status parse_db(struct text t, unsigned *ret_db, const char **ret_why)
{
    uint64_t db = 0;
    if (number_parse_u64(t, &db) || db > ADDRESS_DB_MAX) {
        *ret_why = "the database must be a number";
        return BRINK_E_SYNTAX;
    }
    *ret_db = (unsigned)db;
    return BRINK_OK;
}

static enum brink_status store_unix(struct text t, struct store_address *a,
                                    const char **ret_why)
{
    struct text query = split(&t, '?');
    a->kind = ADDRESS_UNIX;
    a->path = t;
    if (t.n < 2 || t.p[0] != '/') {
        *ret_why = "the socket's path is missing, as in unix:///run/valkey/valkey.sock";
        return BRINK_E_SYNTAX;
    }
    if (t.n > ADDRESS_UNIX_BYTES_MAX) {
        *ret_why = "the socket's path is longer than 107 bytes";
        return BRINK_E_SYNTAX;
    }
    if (query.n == 0) {
        return BRINK_OK;
    }
    if (query.n < 4 || memcmp(query.p, "?db=", 4) != 0) {
        *ret_why = "behind the path only ?db=N may stand";
        return BRINK_E_SYNTAX;
    }
    return parse_db((struct text){query.p + 4, query.n - 4}, &a->db, ret_why);
}

enum brink_status address_store(struct text t, struct store_address *ret_address,
                                const char **ret_why)
{
    static const struct scheme schemes[] = {
        {"valkey", false, true}, {"valkeys", true, true}, {"redis", false, true},
        {"rediss", true, true},  {"unix", false, false},  {NULL, false, false},
    };
    struct store_address a = {.kind = ADDRESS_MEMORY, .port = ADDRESS_STORE_PORT};
    if (text_equal(t, TEXT("memory"))) {
        *ret_address = a;
        return BRINK_OK;
    }
    const struct scheme *s = take_scheme(&t, schemes);
    if (!s) {
        *ret_why =
            "it must be memory, or begin with valkey://, valkeys://, redis://, rediss:// "
            "or unix://";
        return BRINK_E_SYNTAX;
    }
    if (s->path && t.n > 0 && memchr(t.p, '@', t.n)) {
        *ret_why = "no credentials here, use `store.username` and `store.password_file`";
        return BRINK_E_SYNTAX;
    }
    enum brink_status status = BRINK_OK;
    if (!s->path) {
        status = store_unix(t, &a, ret_why);
    } else {
        bool has_port;
        struct text db = split(&t, '/');
        a.kind = ADDRESS_TCP;
        a.tls = s->tls;
        status = authority(t, &a.host, &a.port, &has_port, ret_why);
        if (status == BRINK_OK && db.n > 1) {
            status = parse_db((struct text){db.p + 1, db.n - 1}, &a.db, ret_why);
        }
    }
    if (status == BRINK_OK && a.tls && !address_store_tls_built()) {
        *ret_why =
            "this build has no TLS to the store (it needs hiredis 1.0 or newer with "
            "hiredis_ssl); use a unix socket, or stunnel";
        status = BRINK_E_SYNTAX;
    }
    if (status == BRINK_OK) {
        *ret_address = a;
    }
    return status;
}

bool address_store_tls_built(void)
{
#ifdef BRINK_STORE_TLS
    return true;
#else
    return false;
#endif
}
