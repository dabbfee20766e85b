#include "model/alert.h"

#include <stdlib.h>
#include <string.h>

const char *alert_event_name(enum alert_event_type t)
{
    static const char *const names[] = {"OPEN", "CLOSED", "REPEATED", "ESCALATED"};
    return names[t];
}

void alert_state_shift(struct alert_state *s, int64_t delta_us)
{
    struct wall *stamps[] = {&s->onset,       &s->unknown_since,  &s->triggered_at,
                             &s->clear_onset, &s->cooldown_until, &s->published_at};
    for (size_t i = s->phase == ALERT_FIRING ? 1 : 0;
         i < sizeof stamps / sizeof stamps[0]; i++) {
        if (stamps[i]->us != 0) {
            stamps[i]->us += delta_us;
        }
    }
}

static const char *put(char **at, struct text t)
{
    char *copy = *at;
    if (t.n > 0) {
        memcpy(copy, t.p, t.n);
    }
    copy[t.n] = '\0';
    *at += t.n + 1;
    return copy;
}

struct acknowledgement *acknowledgement_new(struct wall at, struct text by,
                                            struct text comment)
{
    struct acknowledgement *a = malloc(sizeof *a + by.n + comment.n + 2);
    if (a) {
        char *bytes = a->bytes;
        a->at = at;
        a->by = put(&bytes, by);
        a->comment = put(&bytes, comment);
    }
    return a;
}
