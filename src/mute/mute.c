#include "mute/mute.h"

const char *mute_kind_name(enum mute_kind k)
{
    static const char *const names[MUTE_KINDS] = {"maintenance", "silence", "inhibit",
                                                  "acknowledged", "storm"};
    return names[k];
}

void mute_cause_finish(struct mute_cause *c)
{
    heap_finish(&c->withheld);
}
