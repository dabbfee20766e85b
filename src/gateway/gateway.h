/* The running gateway: its threads, its signals, its start, reload and stop (SPEC 1.3).
 *
 *   main thread      signals, supervision, the telemetry connection (session.h)
 *   Paho's threads   copy a message into the inbox, nothing else
 *   pipeline thread  everything else: see pipeline.h; watchdog
 *   connector        connects to Valkey (history/)
 *   child process    publishes alerts (outbox/courier.h) */
#ifndef BRINK_GATEWAY_GATEWAY_H
#define BRINK_GATEWAY_GATEWAY_H

/* Runs until SIGTERM or SIGINT. Returns the exit status: 0, or 1 when it could not start
 * (why was printed to standard error). */
int gateway_run(const char *config_path);

#endif
