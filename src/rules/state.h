/* What survives a restart, as text (SPEC 5.6): a device's line for Valkey, an alert's for
 * the outbox.
 *
 * One line of space-separated key=value; bytes that would break it are %XX. Times are
 * microseconds. It is stored outside of the process, so reading it trusts nothing: what
 * does not parse is left out. Pipeline thread. */
#ifndef BRINK_RULES_STATE_H
#define BRINK_RULES_STATE_H

#include "base/buffer.h"
#include "rules/device.h"

#define STATE_TEXT_BYTES_MAX (256 * 1024)

/* Both clocks, read together. */
struct instant {
    struct mono mono;
    struct wall wall; /* arrival time (SPEC 3.3) */
};

/* newest, site, latest values, pending alerts and held timers of a device, and which
 * rules could not say what its newest reading means. As long as its stored line was not
 * read it is marked as a part, with what was false meanwhile. */
void device_state_print(const struct devices *d, const struct device *device,
                        struct instant now, struct buffer *out);
/* Fills in what the device does not know better by itself, be it from this run or from
 * such a part. alive: until when the gateway was last known to be subscribed; {0}: not
 * known. How long it was since the line was saved is told by that only for lines that
 * do not say it themselves: those of older versions. E_SYNTAX: not such a line. */
enum brink_status device_state_apply(struct devices *d, struct device *device,
                                     struct text line, struct instant now,
                                     struct wall alive) BRINK_MUST_CHECK;

/* A device's timeline when it was stored. */
struct saved_timeline {
    int64_t newest;  /* INT64_MIN: none */
    int64_t arrived; /* by the wall clock */
    int64_t readings, by_arrival;
};

/* A stored alert, read back. Owned strings; saved_alert_finish(). */
struct saved_alert {
    struct alert_state state;
    uint64_t condition; /* hash of the rule's expressions */
    struct saved_timeline timeline;
    char *site, *name, *type, *retained;
    char *ack_by, *ack_comment; /* NULL: not acknowledged */
    struct wall ack_at;
    enum severity severity;
};

void alert_state_print(const struct instance *i, struct instant now, struct buffer *out);
enum brink_status saved_alert_parse(struct text line,
                                    struct saved_alert *ret_saved) BRINK_MUST_CHECK;
void saved_alert_finish(struct saved_alert *s);
/* The topic labels that an alert's line has, where the device does not know them yet. */
void saved_alert_labels(struct text line, struct device *device);
/* Gives an instance its alert back. Where the rule's condition changed meanwhile, firing
 * and cooldown stay. */
void saved_alert_apply(const struct saved_alert *s, struct instance *i,
                       struct instant now);

#endif
