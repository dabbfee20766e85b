#include "prove/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void line_reader_init(struct line_reader *r, int fd, size_t line_max)
{
    *r = (struct line_reader){.fd = fd, .line_max = line_max};
}

void line_reader_finish(struct line_reader *r)
{
    free(r->buffer);
    r->buffer = NULL;
}

static void hand_out(struct line_reader *r, size_t n, struct reader_line *ret)
{
    *ret = (struct reader_line){r->buffer + r->begin, n, ++r->number, r->skipping};
    r->skipping = false;
}

bool line_reader_next(struct line_reader *r, struct reader_line *ret_line)
{
    size_t from = r->begin + r->searched;
    char *newline = from < r->end ? memchr(r->buffer + from, '\n', r->end - from) : NULL;
    r->searched = 0;
    if (newline) {
        size_t n = (size_t)(newline - (r->buffer + r->begin));
        hand_out(r, n, ret_line);
        r->begin += n + 1;
        return true;
    }
    if (r->at_end &&
        (r->begin < r->end || r->skipping)) { /* a last line without a break */
        hand_out(r, r->end - r->begin, ret_line);
        r->begin = r->end;
        return true;
    }
    r->searched = r->end - r->begin;
    return false;
}

/* Room for a block behind what is left of the last one. */
static enum brink_status make_room(struct line_reader *r)
{
    size_t left = r->end - r->begin;
    if (r->skipping || left > r->line_max) { /* told when its end is found */
        r->skipping = true;
        left = 0;
    } else if (left > 0) {
        memmove(r->buffer, r->buffer + r->begin, left);
    }
    r->begin = 0;
    r->end = left;
    r->searched = left;
    if (r->cap - left >= READER_BLOCK_BYTES) {
        return BRINK_OK;
    }
    size_t cap =
        r->cap * 2 > left + READER_BLOCK_BYTES ? r->cap * 2 : left + READER_BLOCK_BYTES;
    char *grown = realloc(r->buffer, cap);
    if (!grown) {
        return BRINK_E_NOMEM;
    }
    r->buffer = grown;
    r->cap = cap;
    return BRINK_OK;
}

enum brink_status line_reader_fill(struct line_reader *r, bool *ret_end)
{
    *ret_end = r->at_end;
    if (r->at_end) {
        return BRINK_OK;
    }
    enum brink_status status = make_room(r);
    if (status) {
        return status;
    }
    ssize_t got;
    do {
        got = read(r->fd, r->buffer + r->end, r->cap - r->end);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return BRINK_E_IO;
    }
    r->end += (size_t)got;
    r->bytes += (uint64_t)got;
    r->at_end = got == 0;
    *ret_end = r->at_end && r->begin == r->end && !r->skipping;
    return BRINK_OK;
}
