/* The other state in Valkey (SPEC 5.6): the hash of devices and the cooldown keys. Best
 * effort, along with the exchanges of the windows: nothing here makes an exchange fail
 * but the connection. */
#ifndef BRINK_HISTORY_SIDE_H
#define BRINK_HISTORY_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/status.h"
#include "base/text.h"
#include "history/connection.h"

#define SIDE_AGE_US US_PER_S      /* what waits longer gets an exchange of its own */
#define SIDE_FIELDS_MAX 512       /* devices in one exchange; so many get one at once */
#define SIDE_DEVICES_MAX 1000000  /* waiting; past it new ones are dropped */
#define SIDE_COOLDOWNS_MAX 100000 /* waiting; past it new ones are dropped */
#define SIDE_COOLDOWNS_ONCE 256   /* in one exchange */
#define SIDE_SCAN_COUNT 500       /* fields of the hash asked for at once */

struct side_device;

struct side_cooldown {
    char *key;
    struct mono until;
};

struct side {
    char *hash;         /* brink:{gateway_id}:devices */
    struct map devices; /* field to struct side_device: the last value for each waits */
    struct side_device *first, *last; /* in the order they came */
    struct side_device *sent;         /* not yet answered */
    struct side_cooldown *cooldowns;
    size_t n_cooldowns, cap_cooldowns, sent_cooldowns; /* the first of them are sent */
    struct mono
        due; /* when something began to wait, and SIDE_AGE_US; INT64_MAX: nothing does */
    struct {
        void (*visit)(void *ctx, struct text field,
                      struct text value); /* NULL: not asked, or done */
        void *ctx;
        const char *first; /* this field is visited before all others */
        char cursor[24];
        bool asked, asked_first; /* in the present exchange */
    } load;
    size_t n_asked;
    bool refused; /* an answer since side_refused() was an error */
    char reason[CONNECTION_REASON_BYTES];
};

enum brink_status side_init(struct side *s, const char *gateway_id) BRINK_MUST_CHECK;
void side_finish(struct side *s);

/* value.n == 0: the field is deleted. */
void side_put_device(struct side *s, struct mono now, struct text field,
                     struct text value);
void side_put_cooldown(struct side *s, struct mono now, struct text key, int64_t ttl_us);
/* Each device that waits or was not answered; one that is to be deleted has no value. */
void side_each_device(const struct side *s,
                      void (*visit)(void *ctx, struct text field, struct text value),
                      void *ctx);
/* The same of those that wait; one of which keep returns false is dropped. */
void side_keep_devices(struct side *s,
                       bool (*keep)(void *ctx, struct text field, struct text value),
                       void *ctx);
void side_load(struct side *s, const char *first,
               void (*visit)(void *ctx, struct text field, struct text value), void *ctx);
bool side_waits(const struct side *s); /* is there anything to send? */
/* The same without a load, and what waits for that. */
bool side_has_more(const struct side *s);

/* Appends the commands of what waits, bounded; returns how many answers they will have.
 * with_load: a load goes on. Device values wait for the end of a load: they would hide
 * from it what was there before. */
size_t side_request(struct side *s, struct mono now, bool with_load, struct buffer *out);
void side_reply(struct side *s, size_t i, const struct reply *r);
/* After the exchange. Not answered: all of it waits again, and a load starts anew. */
void side_settle(struct side *s, struct mono now, bool answered);
/* The store keeps nothing: what waits is dropped, a load is done. */
void side_drop(struct side *s);

#endif
