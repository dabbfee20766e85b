/* A recording of messages, a line each, as `mosquitto_sub -F %J` and `-F %j` print them
 * (SPEC 9.2): an object with `tst`, `topic`, `payload`, and perhaps `retain` and
 * `payloadlen`, in any order; other members are passed over.
 *
 * A payload that is a JSON string stands for its text (%j), unless payloadlen says that
 * the payload was the string itself, quotes and all (%J). Any other value stands for
 * itself as it is written: whether it is sound JSON is for the decoder to find out. */
#ifndef BRINK_PROVE_RECORDING_H
#define BRINK_PROVE_RECORDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/topic.h"

/* The longest line that a payload of so many bytes can make, every byte of it and of the
 * topic escaped, and some properties. */
#define RECORDING_LINE_BYTES(payload_bytes)                                              \
    (6 * ((size_t)(payload_bytes) + TOPIC_BYTES_MAX) + (size_t)256 * 1024)

struct recorded {
    struct wall at;             /* tst */
    struct text topic, payload; /* into the line */
    bool retained;
};

enum recording_fault {
    RECORDING_FINE,
    RECORDING_BLANK,     /* nothing on it: no fault, and no message */
    RECORDING_NO_OBJECT, /* not one JSON object */
    RECORDING_BAD_TEXT,  /* topic or payload: an escape that is none */
    RECORDING_NO_TIME,   /* no `tst`, or one that is no time */
    RECORDING_NO_TOPIC,
    RECORDING_TOO_LONG, /* told by the reader, never by recording_parse() */
    RECORDING_FAULTS
};
const char *recording_fault_text(enum recording_fault f); /* "is not a JSON object" ... */

/* Remembers the last line's time, so that the next one near to it costs little. {0} is
 * ready. */
struct recording_clock {
    char text[40];
    size_t n; /* 0: none */
    int64_t minute_us;
};

/* Takes the line apart, which has no line break at its end; the bytes of the line are
 * overwritten. Allocates nothing. */
enum recording_fault recording_parse(struct recording_clock *clock, char *line, size_t n,
                                     struct recorded *ret_recorded);

#endif
