/* Everything that is counted, by reason. One process-wide table; each cell an atomic that
 * is added to relaxed, so any thread may count and any may read. Names follow Prometheus:
 * brink_<name>_total{reason="..."}. Add a row here and it is exported. */
#ifndef BRINK_BASE_COUNTERS_H
#define BRINK_BASE_COUNTERS_H

#include <stdint.h>

/*  id, metric name, label ("" or reason="..."), help */
#define COUNTERS(X)                                                                      \
    X(MESSAGES, "messages_received_total", "", "MQTT messages taken from the broker")    \
    X(READINGS, "readings_total", "", "readings decoded")                                \
    X(DROP_TOO_LARGE, "messages_dropped_total", "reason=\"too_large\"",                  \
      "messages dropped")                                                                \
    X(DROP_NOT_JSON, "messages_dropped_total", "reason=\"not_json\"", "")                \
    X(DROP_NOT_NUMBER, "messages_dropped_total", "reason=\"not_a_number\"", "")          \
    X(DROP_NO_MEMBER, "messages_dropped_total", "reason=\"no_such_member\"", "")         \
    X(DROP_BAD_TOPIC, "messages_dropped_total", "reason=\"bad_topic\"", "")              \
    X(DROP_BAD_ID, "messages_dropped_total", "reason=\"bad_id\"", "")                    \
    X(DROP_RETAINED, "messages_dropped_total", "reason=\"retained\"", "")                \
    X(DROP_REDELIVERED, "messages_dropped_total", "reason=\"redelivered\"", "")          \
    X(DROP_DEVICE_LIMIT, "messages_dropped_total", "reason=\"device_limit\"", "")        \
    X(DROP_TENANT_LIMIT, "messages_dropped_total", "reason=\"tenant_devices\"", "")      \
    X(DROP_DEVICE_RATE, "messages_dropped_total", "reason=\"device_rate\"", "")          \
    X(DROP_TENANT_RATE, "messages_dropped_total", "reason=\"tenant_rate\"", "")          \
    X(DROP_MESSAGE_LIMIT, "messages_dropped_total", "reason=\"array_limit\"", "")        \
    X(DROP_NO_MEMORY, "messages_dropped_total", "reason=\"no_memory\"", "")              \
    X(READING_NOT_FINITE, "readings_dropped_total", "reason=\"not_finite\"",             \
      "readings dropped")                                                                \
    X(READING_NAME, "readings_dropped_total", "reason=\"bad_name\"", "")                 \
    X(READING_LIMIT, "readings_dropped_total", "reason=\"too_many\"", "")                \
    X(READING_LATE, "readings_dropped_total", "reason=\"late\"", "")                     \
    X(READING_DUPLICATE, "readings_dropped_total", "reason=\"duplicate\"", "")           \
    X(TIME_MISSING, "time_replaced_total", "reason=\"missing\"",                         \
      "arrival time used instead")                                                       \
    X(TIME_INVALID, "time_replaced_total", "reason=\"invalid\"", "")                     \
    X(TIME_TOO_OLD, "time_replaced_total", "reason=\"before_2001\"", "")                 \
    X(TIME_FUTURE, "time_replaced_total", "reason=\"future\"", "")                       \
    X(CLOCK_BACK, "device_clock_set_back_total", "",                                     \
      "devices whose windows started anew")                                              \
    X(SEQ_INVALID, "seq_invalid_total", "", "sequence numbers that are none")            \
    X(STORE_EXCHANGES, "store_exchanges_total", "", "pipelined exchanges with Valkey")   \
    X(STORE_APPENDS, "store_appends_total", "", "appends that Valkey confirmed")         \
    X(STORE_REWRITES, "store_rewrites_total", "", "lists rewritten whole")               \
    X(STORE_LOADS, "store_loads_total", "", "lists read back")                           \
    X(STORE_CONFLICTS, "store_conflicts_total", "", "appends that found another value")  \
    X(STORE_FAIL_TIMEOUT, "store_failures_total", "reason=\"timeout\"",                  \
      "failed exchanges")                                                                \
    X(STORE_FAIL_IO, "store_failures_total", "reason=\"io\"", "")                        \
    X(STORE_FAIL_CONNECT, "store_failures_total", "reason=\"connect\"", "")              \
    X(STORE_FAIL_ANSWER, "store_failures_total", "reason=\"error_answer\"", "")          \
    X(STORE_BAD_JSON, "store_values_replaced_total", "reason=\"not_json\"",              \
      "values replaced")                                                                 \
    X(STORE_BAD_TYPE, "store_values_replaced_total", "reason=\"wrong_type\"", "")        \
    X(STORE_TOO_LARGE, "store_values_replaced_total", "reason=\"too_large\"", "")        \
    X(STORE_REPAIRED, "store_values_repaired_total", "",                                 \
      "values in another form rewritten")                                                \
    X(STORE_VANISHED, "store_values_vanished_total", "",                                 \
      "keys deleted or expired under us")                                                \
    X(STORE_WRITTEN_BACK, "store_values_written_back_total", "",                         \
      "lists restored after an outage")                                                  \
    X(BACKLOG_FAILURES, "store_backlog_failures_total", "",                              \
      "failed writes of what waits for Valkey")                                          \
    X(BACKLOG_LEFT, "store_backlog_dropped_total", "",                                   \
      "readings kept over a restart for rules that are gone")                            \
    X(POINTS_DROPPED, "points_dropped_total", "",                                        \
      "oldest points dropped at points_per_window")                                      \
    X(EVALUATIONS, "evaluations_total", "", "rule evaluations")                          \
    X(UNKNOWN_STORE, "evaluations_unknown_total", "reason=\"store\"",                    \
      "unknown for want of Valkey")                                                      \
    X(ALERTS_OPEN, "alerts_total", "event=\"OPEN\"", "alerts decided")                   \
    X(ALERTS_CLOSED, "alerts_total", "event=\"CLOSED\"", "")                             \
    X(ALERTS_REPEATED, "alerts_total", "event=\"REPEATED\"", "")                         \
    X(ALERTS_ESCALATED, "alerts_total", "event=\"ESCALATED\"", "")                       \
    X(HELD_BACK_MAINTENANCE, "alerts_held_back_total", "reason=\"maintenance\"",         \
      "alert events held back")                                                          \
    X(HELD_BACK_SILENCE, "alerts_held_back_total", "reason=\"silence\"", "")             \
    X(HELD_BACK_INHIBITED, "alerts_held_back_total", "reason=\"inhibit\"", "")           \
    X(HELD_BACK_ACKNOWLEDGED, "alerts_held_back_total", "reason=\"acknowledged\"", "")   \
    X(HELD_BACK_STORM, "alerts_held_back_total", "reason=\"storm\"", "")                 \
    X(ALERTS_DELIVERED, "alerts_delivered_total", "",                                    \
      "alerts that the broker acknowledged")                                             \
    X(ALERTS_REFUSED, "alerts_dropped_total", "reason=\"refused\"",                      \
      "alerts never delivered")                                                          \
    X(ALERTS_TOO_LARGE, "alerts_dropped_total", "reason=\"too_large\"", "")              \
    X(ALERTS_OUTBOX_FULL, "alerts_dropped_total", "reason=\"outbox_full\"", "")          \
    X(ALERTS_RETRIED, "alerts_retried_total", "", "publishes tried again")               \
    X(OUTBOX_FAILURES, "outbox_failures_total", "",                                      \
      "failed writes to the state directory")                                            \
    X(MQTT_CONNECTS, "mqtt_connects_total", "", "connections made to the broker")        \
    X(MQTT_CONNECT_FAILURES, "mqtt_connect_failures_total", "",                          \
      "connections that failed")                                                         \
    X(INBOX_FULL, "inbox_full_total", "", "times that intake waited for the pipeline")   \
    X(RELOADS, "reloads_total", "result=\"applied\"", "reloads")                         \
    X(RELOADS_REFUSED, "reloads_total", "result=\"refused\"", "")                        \
    X(CLOCK_STEPS, "clock_steps_total", "",                                              \
      "steps of the system's clock that were followed")

enum counter {
#define X(id, name, label, help) COUNT_##id,
    COUNTERS(X)
#undef X
        COUNTER_COUNT
};

struct counter_info {
    const char *name, *label, *help;
};
extern const struct counter_info counter_info[COUNTER_COUNT];

void count_add(enum counter which, uint64_t n);
static inline void count(enum counter which)
{
    count_add(which, 1);
}
uint64_t counter_value(enum counter which);

#endif
