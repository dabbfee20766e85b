/* Lines of a file or a pipe, read in large blocks, that stay where they are until the
 * next block is asked for. */
#ifndef BRINK_PROVE_READER_H
#define BRINK_PROVE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define READER_BLOCK_BYTES ((size_t)1024 * 1024)

struct reader_line {
    char *p; /* may be written to; no line break at its end */
    size_t n;
    uint64_t number; /* from 1 */
    bool too_long;   /* p and n are a part of it */
};

struct line_reader {
    int fd;
    size_t line_max; /* bytes; longer lines come as too_long */
    char *buffer;
    size_t begin, end, cap;
    size_t searched; /* no line break before it, from `begin` on */
    uint64_t number, bytes;
    bool at_end, skipping;
};

/* fd: borrowed. Zeroes the rest. */
void line_reader_init(struct line_reader *r, int fd, size_t line_max);
void line_reader_finish(struct line_reader *r);

/* The next line of what was read; false: none is whole, so line_reader_fill(). */
bool line_reader_next(struct line_reader *r, struct reader_line *ret_line);
/* Reads on; lines handed out before are gone. *ret_end: there is no more, and no line
 * left. E_IO: errno. E_NOMEM. */
enum brink_status line_reader_fill(struct line_reader *r, bool *ret_end) BRINK_MUST_CHECK;

#endif
