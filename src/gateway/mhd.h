/* libmicrohttpd, loaded where `http` is configured. It comes with GnuTLS and eight more
 * libraries behind that: two fifths of the gateway's resident memory when idle, which
 * nobody pays for who serves no page. A gateway without the package runs, too. */
#ifndef BRINK_GATEWAY_MHD_H
#define BRINK_GATEWAY_MHD_H

/* Older headers of it use types that these bring. */
#include <netdb.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>

#include <microhttpd.h>

/* Its functions that are called, by their names without MHD_. */
struct microhttpd {
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
    __typeof__(MHD_add_response_header) *add_response_header;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_destroy_response) *destroy_response;
};

/* Loads it, once; it stays until the process ends. NULL: not to be had, *ret_why (static,
 * until the next dlerror()) tells. One thread. */
const struct microhttpd *microhttpd_load(const char **ret_why);

#endif
