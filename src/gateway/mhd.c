#include "gateway/mhd.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static struct microhttpd library;

/* A name of MHD_ and where its address goes. */
#define ENTRY(name)                                                                      \
    {                                                                                    \
        "MHD_" #name, (void *)&library.name, sizeof library.name                         \
    }
static const struct {
    const char *name;
    void *at;
    size_t bytes;
} entries[] = {
    ENTRY(start_daemon),        ENTRY(stop_daemon),    ENTRY(create_response_from_buffer),
    ENTRY(add_response_header), ENTRY(queue_response), ENTRY(destroy_response),
};

const struct microhttpd *microhttpd_load(const char **ret_why)
{
    static bool loaded;
    void *handle = loaded ? NULL : dlopen(MICROHTTPD_SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!loaded && !handle) {
        *ret_why = dlerror();
        return NULL;
    }
    for (size_t i = 0; !loaded && i < sizeof entries / sizeof *entries; i++) {
        void *found = dlsym(handle, entries[i].name);
        if (!found) {
            *ret_why = dlerror();
            dlclose(handle);
            return NULL;
        }
        memcpy(entries[i].at, &found, entries[i].bytes);
    }
    loaded = true;
    return &library;
}
