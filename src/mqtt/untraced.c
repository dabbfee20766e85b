/* Paho without its tracing: with -Dpaho=fast (src/mqtt/meson.build).
 *
 * Debian builds Paho with a trace of every call, each entry and exit under one lock of
 * the whole process and formatted whether or not anybody reads it, and with a heap of its
 * own that keeps each allocation in a tree under another lock. That is two thirds of what
 * a message costs in it, and Paho decides it when it is compiled (PAHO_HIGH_PERFORMANCE).
 *
 * All of it is behind the few functions below. They stand here in place of Paho's, so
 * that the linker takes the rest of Debian's static archive without the three objects
 * that define them. Should another release of Paho want more of those objects, the link
 * fails (a symbol defined twice); nothing half works in silence. */
#include <stddef.h>
#include <stdlib.h>

/* Paho's StackTrace.c; the level is an enum that fits an int. */
void StackTrace_entry(const char *function, int line, int level);
void StackTrace_exit(const char *function, int line, void *result, int level);

void StackTrace_entry(const char *function, int line, int level)
{
    (void)function;
    (void)line;
    (void)level;
}

void StackTrace_exit(const char *function, int line, void *result, int level)
{
    (void)function;
    (void)line;
    (void)result;
    (void)level;
}

/* Paho's Log.c. */
int Log_initialize(void *version_info);
void Log_terminate(void);
void Log_setTraceCallback(void *callback);
void Log_setTraceLevel(int level);
void Log(int level, int number, const char *format, ...);

int Log_initialize(void *version_info)
{
    (void)version_info;
    return 0;
}

void Log_terminate(void)
{
}

void Log_setTraceCallback(void *callback)
{
    (void)callback;
}

void Log_setTraceLevel(int level)
{
    (void)level;
}

void Log(int level, int number, const char *format, ...)
{
    (void)level;
    (void)number;
    (void)format;
}

/* Paho's Heap.c. Its realloc of something that was not allocated fails; so does ours of
 * nothing at all, which Paho never asks for. */
int Heap_initialize(void);
void Heap_terminate(void);
void *mymalloc(const char *file, int line, size_t size);
void *myrealloc(const char *file, int line, void *p, size_t size);
void myfree(const char *file, int line, void *p);

int Heap_initialize(void)
{
    return 0;
}

void Heap_terminate(void)
{
}

void *mymalloc(const char *file, int line, size_t size)
{
    (void)file;
    (void)line;
    return malloc(size);
}

void *myrealloc(const char *file, int line, void *p, size_t size)
{
    (void)file;
    (void)line;
    return p ? realloc(p, size) : NULL;
}

void myfree(const char *file, int line, void *p)
{
    (void)file;
    (void)line;
    free(p);
}
