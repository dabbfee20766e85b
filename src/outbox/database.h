/* The outbox's file: the only place that knows SQLite. outbox.c decides, this does.
 * One thread. */
#ifndef BRINK_OUTBOX_DATABASE_H
#define BRINK_OUTBOX_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "outbox/outbox.h"

struct database;

/* Opens or makes dir/outbox.db, mode 0600 whatever the umask, and checks it whole.
 * E_SYNTAX: it is damaged; E_STATE: a newer brink made it; E_IO. *why is filled in. */
enum brink_status database_open(const char *dir, bool sync_always, char *why,
                                size_t why_bytes,
                                struct database **ret_db) BRINK_MUST_CHECK;
void database_close(struct database *db); /* NULL is fine */
/* Renames the file (closed!) and its log to outbox.db.damaged-N; N in *ret_n. E_IO. */
enum brink_status database_put_aside(const char *dir, unsigned *ret_n) BRINK_MUST_CHECK;
enum brink_status database_set_sync(struct database *db, bool always) BRINK_MUST_CHECK;

/* All below: E_SYNTAX: damaged; E_IO: failed otherwise; database_error() says how. */
enum brink_status database_begin(struct database *db) BRINK_MUST_CHECK;
enum brink_status database_commit(struct database *db) BRINK_MUST_CHECK;
void database_rollback(struct database *db);
enum brink_status database_insert(struct database *db,
                                  const struct outbox_event *e) BRINK_MUST_CHECK;
enum brink_status database_delete(struct database *db, uint64_t id) BRINK_MUST_CHECK;
/* value.n == 0 deletes. */
enum brink_status database_put_state(struct database *db, struct text rule,
                                     struct text tenant, struct text device,
                                     struct text value) BRINK_MUST_CHECK;
/* Gives up to `pages` unused pages back to the disk; false: no more of them worth it, or
 * it failed (and is of no matter: they will be used). */
bool database_shrink(struct database *db, int pages);
/* Makes every commit so far survive a power cut. */
enum brink_status database_sync(struct database *db) BRINK_MUST_CHECK;

/* The event `id`; views until the next call of any function here. E_RANGE: there is none.
 */
enum brink_status database_read(struct database *db, uint64_t id,
                                struct outbox_event *ret_event) BRINK_MUST_CHECK;
/* Rising. A visit that returns other than OK ends the walk with that. */
enum brink_status database_each_id(struct database *db,
                                   enum brink_status (*visit)(void *ctx, uint64_t id),
                                   void *ctx) BRINK_MUST_CHECK;
enum brink_status
database_each_state(struct database *db,
                    void (*visit)(void *ctx, struct text rule, struct text tenant,
                                  struct text device, struct text value),
                    void *ctx) BRINK_MUST_CHECK;
const char *database_error(const struct database *db); /* of the last failure */

#endif
