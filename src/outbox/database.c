#include "outbox/database.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "outbox.db"
#define FILE_VERSION 1 /* user_version; 0 is a file that was just made */
#define PATH_BYTES 4096
#define LOG_BYTES_KEPT                                                                   \
    "1048576"              /* the log's file shrinks to this once it was written back */
#define FREE_PAGES_KEPT 64 /* unused pages that the next alerts will want */
#define DAMAGED_KEPT                                                                     \
    99 /* more than any gateway should see; past it the last is replaced */
#define ERROR_BYTES 256

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    INSERT,
    DELETE,
    READ,
    PUT_STATE,
    DROP_STATE,
    N_STATEMENTS
};

static const char *const statement_text[N_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INSERT] =
        "INSERT INTO events (id, topic, payload, qos, retain) VALUES (?, ?, ?, ?, ?)",
    [DELETE] = "DELETE FROM events WHERE id = ?",
    [READ] = "SELECT topic, payload, qos, retain FROM events WHERE id = ?",
    [PUT_STATE] = "REPLACE INTO states (rule, tenant, device, value) VALUES (?, ?, ?, ?)",
    [DROP_STATE] = "DELETE FROM states WHERE rule = ? AND tenant = ? AND device = ?",
};

struct database {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[N_STATEMENTS];
    bool reading; /* READ has a row whose views are out */
    char error[ERROR_BYTES];
};

static enum brink_status failed(struct database *db, int rc)
{
    int system = sqlite3_system_errno(db->sqlite);
    bool tell_system = system != 0 && (rc & 0xff) == SQLITE_IOERR;
    (void)snprintf(db->error, sizeof(db->error), "%s%s%s", sqlite3_errmsg(db->sqlite),
                   tell_system ? ": " : "", tell_system ? strerror(system) : "");
    int kind = rc & 0xff;
    return kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB ? BRINK_E_SYNTAX : BRINK_E_IO;
}

static void end_read(struct database *db)
{
    if (db->reading) {
        /* A statement left half-way would keep the log from ever being begun anew. */
        (void)sqlite3_reset(db->statements[READ]);
        db->reading = false;
    }
}

static enum brink_status run(struct database *db, enum statement which)
{
    sqlite3_stmt *s = db->statements[which];
    int rc = sqlite3_step(s);
    enum brink_status st = rc == SQLITE_DONE ? BRINK_OK : failed(db, rc);
    (void)sqlite3_reset(s); /* repeats the error that was just told */
    return st;
}

static int bind_text(sqlite3_stmt *s, int at, struct text t)
{
    /* Static: it is read before the caller returns. Not NULL even when empty. */
    return sqlite3_bind_blob64(s, at, t.n > 0 ? t.p : "", t.n, SQLITE_STATIC);
}

static struct text column(sqlite3_stmt *s, int at)
{
    const void *p = sqlite3_column_blob(s, at);
    return (struct text){p, p ? (size_t)sqlite3_column_bytes(s, at) : 0};
}

static enum brink_status exec(struct database *db, const char *sql)
{
    int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? BRINK_OK : failed(db, rc);
}

/* One row, one column. */
static enum brink_status ask(struct database *db, const char *sql, char *out,
                             size_t out_bytes)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->sqlite, sql, -1, &s, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
    }
    enum brink_status st = BRINK_OK;
    if (rc == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(s, 0);
        (void)snprintf(out, out_bytes, "%s", text ? (const char *)text : "");
    } else {
        st = failed(db, rc);
    }
    (void)sqlite3_finalize(s);
    return st;
}

enum brink_status database_set_sync(struct database *db, bool always)
{
    end_read(db);
    return exec(db, always ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

static enum brink_status make_tables(struct database *db)
{
    return exec(db,
                "BEGIN IMMEDIATE;"
                "CREATE TABLE events (id INTEGER PRIMARY KEY, topic BLOB NOT NULL,"
                " payload BLOB NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL);"
                "CREATE TABLE states (rule BLOB NOT NULL, tenant BLOB NOT NULL,"
                " device BLOB NOT NULL, value BLOB NOT NULL,"
                " PRIMARY KEY (rule, tenant, device)) WITHOUT ROWID;"
                "PRAGMA user_version = 1;"
                "COMMIT");
}

/* Unused pages can be given back to the disk only by a file that keeps track of them.
 * That was said before its first page; a file of an earlier version is rewritten once. */
static enum brink_status prepare_shrinking(struct database *db)
{
    char mode[ERROR_BYTES];
    enum brink_status st = ask(db, "PRAGMA auto_vacuum", mode, sizeof(mode));
    if (st == BRINK_OK && strcmp(mode, "2") != 0) {
        (void)!exec(db, "VACUUM"); /* a full disk is no reason not to start */
    }
    return st == BRINK_OK ? exec(db, "PRAGMA journal_size_limit = " LOG_BYTES_KEPT) : st;
}

/* Brings a file that SQLite has opened to where statements can be prepared. */
static enum brink_status prepare_file(struct database *db, bool sync_always)
{
    char answer[ERROR_BYTES];
    enum brink_status st = exec(db, "PRAGMA auto_vacuum = INCREMENTAL");
    /* Exclusive before WAL: the log's index then stays in memory, and no file of it is
     * made. */
    if (st == BRINK_OK) {
        st = exec(db, "PRAGMA locking_mode = EXCLUSIVE");
    }
    if (st == BRINK_OK) {
        st = ask(db, "PRAGMA journal_mode = WAL", answer, sizeof(answer));
    }
    if (st == BRINK_OK && strcmp(answer, "wal") != 0) {
        (void)snprintf(db->error, sizeof(db->error),
                       "no write-ahead log on this file system");
        return BRINK_E_IO;
    }
    if (st == BRINK_OK) {
        st = database_set_sync(db, sync_always);
    }
    if (st == BRINK_OK) {
        st = ask(db, "PRAGMA user_version", answer, sizeof(answer));
    }
    if (st != BRINK_OK) {
        return st;
    }
    long version = strtol(answer, NULL, 10);
    if (version > FILE_VERSION || version < 0) {
        (void)snprintf(db->error, sizeof(db->error),
                       "made by a newer brink (version %ld)", version);
        return BRINK_E_STATE;
    }
    st = ask(db, "PRAGMA quick_check(1)", answer, sizeof(answer));
    if (st == BRINK_OK && strcmp(answer, "ok") != 0) {
        (void)snprintf(db->error, sizeof(db->error), "%s", answer);
        return BRINK_E_SYNTAX;
    }
    if (st == BRINK_OK) {
        st = prepare_shrinking(db);
    }
    if (st == BRINK_OK && version == 0) {
        st = make_tables(db);
    }
    return st;
}

static enum brink_status prepare_statements(struct database *db)
{
    for (int i = 0; i < N_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(db->sqlite, statement_text[i], -1,
                                    SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
        if (rc != SQLITE_OK) {
            enum brink_status st = failed(db, rc);
            /* A file with our version and without our tables is not ours. */
            return (rc & 0xff) == SQLITE_ERROR ? BRINK_E_SYNTAX : st;
        }
    }
    return BRINK_OK;
}

/* Makes the file, so that nobody else can read it even for a moment. */
static bool make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool ok = fchmod(fd, 0600) == 0;
    (void)close(fd);
    return ok;
}

enum brink_status database_open(const char *dir, bool sync_always, char *why,
                                size_t why_bytes, struct database **ret_db)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        (void)snprintf(why, why_bytes, "the path is too long");
        return BRINK_E_IO;
    }
    if (!make_private(path)) {
        (void)snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
        return BRINK_E_IO;
    }
    struct database *db = calloc(1, sizeof(*db));
    if (!db) {
        (void)snprintf(why, why_bytes, "out of memory");
        return BRINK_E_NOMEM;
    }
    int rc = sqlite3_open_v2(path, &db->sqlite,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    enum brink_status st = rc == SQLITE_OK ? BRINK_OK : failed(db, rc);
    if (st == BRINK_OK) {
        (void)sqlite3_extended_result_codes(db->sqlite, 1);
        st = prepare_file(db, sync_always);
    }
    if (st == BRINK_OK) {
        st = prepare_statements(db);
    }
    if (st != BRINK_OK) {
        (void)snprintf(why, why_bytes, "%s: %s", path, db->error);
        database_close(db);
        return st;
    }
    *ret_db = db;
    return BRINK_OK;
}

void database_close(struct database *db)
{
    if (!db) {
        return;
    }
    for (int i = 0; i < N_STATEMENTS; i++) {
        (void)sqlite3_finalize(db->statements[i]);
    }
    (void)sqlite3_close(
        db->sqlite); /* writes the log back; if it cannot, the log stays */
    free(db);
}

enum brink_status database_put_aside(const char *dir, unsigned *ret_n)
{
    static const char *const parts[] = {"", "-wal", "-journal"};
    char from[PATH_BYTES], to[PATH_BYTES];
    unsigned n = 1;
    for (; n < DAMAGED_KEPT; n++) {
        (void)snprintf(to, sizeof(to), "%s/" FILE_NAME ".damaged-%u", dir, n);
        if (access(to, F_OK) != 0) {
            break;
        }
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        (void)snprintf(from, sizeof(from), "%s/" FILE_NAME "%s", dir, parts[i]);
        (void)snprintf(to, sizeof(to), "%s/" FILE_NAME ".damaged-%u%s", dir, n, parts[i]);
        if (rename(from, to) != 0 && errno != ENOENT) {
            return BRINK_E_IO;
        }
    }
    *ret_n = n;
    return BRINK_OK;
}

enum brink_status database_begin(struct database *db)
{
    end_read(db);
    return run(db, BEGIN);
}

enum brink_status database_commit(struct database *db)
{
    return run(db, COMMIT);
}

void database_rollback(struct database *db)
{
    if (!sqlite3_get_autocommit(db->sqlite)) {
        char kept[ERROR_BYTES];
        memcpy(kept, db->error, sizeof(kept));
        (void)run(
            db, ROLLBACK); /* SQLite rolls back by itself at the next open, if not now */
        memcpy(db->error, kept, sizeof(kept));
    }
}

enum brink_status database_insert(struct database *db, const struct outbox_event *e)
{
    sqlite3_stmt *s = db->statements[INSERT];
    int rc = sqlite3_bind_int64(s, 1, (sqlite3_int64)e->id);
    rc = rc ? rc : bind_text(s, 2, e->topic);
    rc = rc ? rc : bind_text(s, 3, e->payload);
    rc = rc ? rc : sqlite3_bind_int(s, 4, e->qos);
    rc = rc ? rc : sqlite3_bind_int(s, 5, e->retain);
    return rc ? failed(db, rc) : run(db, INSERT);
}

enum brink_status database_delete(struct database *db, uint64_t id)
{
    int rc = sqlite3_bind_int64(db->statements[DELETE], 1, (sqlite3_int64)id);
    return rc ? failed(db, rc) : run(db, DELETE);
}

enum brink_status database_put_state(struct database *db, struct text rule,
                                     struct text tenant, struct text device,
                                     struct text value)
{
    enum statement which = value.n > 0 ? PUT_STATE : DROP_STATE;
    sqlite3_stmt *s = db->statements[which];
    int rc = bind_text(s, 1, rule);
    rc = rc ? rc : bind_text(s, 2, tenant);
    rc = rc ? rc : bind_text(s, 3, device);
    if (!rc && which == PUT_STATE) {
        rc = bind_text(s, 4, value);
    }
    return rc ? failed(db, rc) : run(db, which);
}

bool database_shrink(struct database *db, int pages)
{
    char answer[ERROR_BYTES], sql[64];
    end_read(db);
    if (ask(db, "PRAGMA freelist_count", answer, sizeof(answer)) != BRINK_OK) {
        return false;
    }
    long left = strtol(answer, NULL, 10) - FREE_PAGES_KEPT;
    if (left <= 0) {
        return false;
    }
    (void)snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)",
                   left < pages ? (int)left : pages);
    bool done = exec(db, sql) == BRINK_OK;
    if (!done || left > pages) {
        return done;
    }
    (void)!exec(db, "PRAGMA wal_checkpoint(TRUNCATE)"); /* only now the file is shorter */
    return false;
}

enum brink_status database_sync(struct database *db)
{
    /* SQLite's own handle of the log: it also knows whether the folder must be made
     * durable. */
    sqlite3_file *log = NULL;
    int rc = sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (rc == SQLITE_OK && log && log->pMethods) {
        rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    }
    if (rc != SQLITE_OK) {
        (void)snprintf(db->error, sizeof(db->error), "cannot make the log durable: %s",
                       sqlite3_errstr(rc));
        return BRINK_E_IO;
    }
    return BRINK_OK;
}

enum brink_status database_read(struct database *db, uint64_t id,
                                struct outbox_event *ret_event)
{
    sqlite3_stmt *s = db->statements[READ];
    end_read(db);
    int rc = sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
    }
    if (rc == SQLITE_ROW) {
        db->reading = true;
        *ret_event = (struct outbox_event){.id = id,
                                           .topic = column(s, 0),
                                           .payload = column(s, 1),
                                           .qos = sqlite3_column_int(s, 2),
                                           .retain = sqlite3_column_int(s, 3) != 0};
        return BRINK_OK;
    }
    enum brink_status st = rc == SQLITE_DONE ? BRINK_E_RANGE : failed(db, rc);
    (void)sqlite3_reset(s);
    return st;
}

enum brink_status database_each_id(struct database *db,
                                   enum brink_status (*visit)(void *ctx, uint64_t id),
                                   void *ctx)
{
    sqlite3_stmt *s = NULL;
    enum brink_status st = BRINK_OK;
    int rc =
        sqlite3_prepare_v2(db->sqlite, "SELECT id FROM events ORDER BY id", -1, &s, NULL);
    while (rc == SQLITE_OK && st == BRINK_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        st = visit(ctx, (uint64_t)sqlite3_column_int64(s, 0));
        rc = SQLITE_OK;
    }
    if (st == BRINK_OK && rc != SQLITE_DONE) {
        st = failed(db, rc);
    }
    (void)sqlite3_finalize(s);
    return st;
}

enum brink_status
database_each_state(struct database *db,
                    void (*visit)(void *ctx, struct text rule, struct text tenant,
                                  struct text device, struct text value),
                    void *ctx)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(
        db->sqlite, "SELECT rule, tenant, device, value FROM states", -1, &s, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        visit(ctx, column(s, 0), column(s, 1), column(s, 2), column(s, 3));
        rc = SQLITE_OK;
    }
    enum brink_status st = rc == SQLITE_DONE ? BRINK_OK : failed(db, rc);
    (void)sqlite3_finalize(s);
    return st;
}

const char *database_error(const struct database *db)
{
    return db->error;
}
