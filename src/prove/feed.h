/* The messages that a test's inputs make, in order of time. What one device says at one
 * time is one message, though several inputs say it. */
#ifndef BRINK_PROVE_FEED_H
#define BRINK_PROVE_FEED_H

#include "config/testfile.h"

struct feed;

/* c: borrowed. start: when the test begins. E_NOMEM. */
enum brink_status feed_new(const struct test_case *c, struct wall start,
                           struct feed **ret_feed) BRINK_MUST_CHECK;
void feed_free(struct feed *f); /* NULL is fine */

/* When the next messages arrive, since the test's start; INT64_MAX: none are left. */
int64_t feed_due(const struct feed *f);

struct feed_message {
    struct text topic, payload;
    bool retained;
    struct text shown; /* for people: "acme/frz-1 temp_c=20.5" */
};

/* The messages of that time (the one that is due), one each call; false: that was all, or
 * out of memory (*ret_failed). Views until the next call. */
bool feed_next(struct feed *f, int64_t at_us, struct feed_message *ret_message,
               bool *ret_failed);

#endif
