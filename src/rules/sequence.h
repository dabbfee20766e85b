/* The sequence numbers that a device sent last (SPEC 3.6), by telemetry entry: exactly
 * the SEQ_REMEMBERED newest of each. Devices count, so they are kept as runs, numbers
 * that followed each other at equal steps: some 32 bytes where the plain numbers take
 * 256; 530 at worst. Pipeline thread only. */
#ifndef BRINK_RULES_SEQUENCE_H
#define BRINK_RULES_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEQ_REMEMBERED 64

struct sequence; /* of one entry, and the next; NULL: none yet */

/* Was it among the last of that entry? Remembers it if not; without memory for that, time
 * and value still tell (SPEC 4.4). */
bool sequence_seen(struct sequence **list, unsigned entry, uint64_t seq);
/* What was entry k is to[k] now; -1, or k >= n: gone, and with it what it remembered. */
void sequences_renumber(struct sequence **list, const int *to, size_t n);
void sequences_free(struct sequence *list);

#endif
