/* What this process keeps to itself, and what it gives back. */
#ifndef BRINK_BASE_PROCESS_H
#define BRINK_BASE_PROCESS_H

/* Its memory holds passwords and keys: from here on the kernel writes no core file of it,
 * hands none to a crash collector, and lets no other process of the same user read it
 * (PR_SET_DUMPABLE). A child that is executed anew starts without and has to call it
 * again. Under a sanitizer it does nothing: those look into their own process in the same
 * way, and write no core either. Any thread; cannot fail in a way that could be mended,
 * so it does not tell. */
void process_hide_memory(void);

/* What was freed amid memory in use goes back to the system, as far as whole pages are
 * free: tables that doubled while devices became known, buffers of the first large
 * batches. The allocator by itself gives back only what lies at its end. Takes
 * milliseconds where much is free; nothing where the C library has no such call. */
void process_give_memory_back(void);

#endif
