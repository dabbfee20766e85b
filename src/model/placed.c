#include "model/placed.h"

#include <stdlib.h>

struct position placed_position(const struct placed *p, size_t offset)
{
    struct position at = p->at;
    size_t from = 0;
    for (const struct place_mark *m = p->marks;
         m && m->offset <= offset && m->offset != PLACE_MARKS_END; m++) {
        at.line = m->line;
        at.column = m->column;
        from = m->offset;
    }
    for (size_t i = from; i < offset && p->s[i]; i++) {
        at.column += ((unsigned char)p->s[i] & 0xc0) != 0x80;
    }
    return at;
}

void placed_free(struct placed *p)
{
    free(p->s);
    free(p->marks);
}

void strings_free(struct strings *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].s);
    }
    free(s->items);
}
