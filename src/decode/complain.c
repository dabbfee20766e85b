#include "decode/complain.h"

#define MESSAGE "message dropped"
#define READING "reading dropped"
#define TIME "device time not used, arrival time takes its place"

static const struct {
    enum log_level level;
    const char *event, *reason, *what_to_do;
} words[COUNTER_COUNT] = {
    [COUNT_DROP_TOO_LARGE] = {LOG_LEVEL_WARNING, MESSAGE, "too_large",
                              "send less at once or raise limits.payload_bytes"},
    [COUNT_DROP_NOT_JSON] = {LOG_LEVEL_WARNING, MESSAGE, "not_json",
                             "correct what the device sends, or the entry's format"},
    [COUNT_DROP_NOT_NUMBER] = {LOG_LEVEL_WARNING, MESSAGE, "not_a_number",
                               "correct metrics or format of the entry, or give values"},
    [COUNT_DROP_NO_MEMBER] = {LOG_LEVEL_WARNING, MESSAGE, "no_such_member",
                              "correct the entry's metrics pointer"},
    [COUNT_DROP_BAD_TOPIC] = {LOG_LEVEL_WARNING, MESSAGE, "bad_topic",
                              "the topic is not UTF-8 or fits no telemetry entry"},
    [COUNT_DROP_BAD_ID] = {LOG_LEVEL_WARNING, MESSAGE, "bad_id",
                           "tenant and device must not be empty, above 512 bytes or "
                           "hold control characters"},
    [COUNT_DROP_RETAINED] = {LOG_LEVEL_DEBUG, MESSAGE, "retained",
                             "set retained: evaluate if it should count"},
    [COUNT_DROP_DEVICE_RATE] = {LOG_LEVEL_WARNING, MESSAGE, "device_rate",
                                "look what is wrong with the device, or raise "
                                "limits.device_rate"},
    [COUNT_DROP_TENANT_RATE] = {LOG_LEVEL_WARNING, MESSAGE, "tenant_rate",
                                "look which of its devices is too noisy, or raise "
                                "limits.tenant_rate"},
    [COUNT_DROP_MESSAGE_LIMIT] = {LOG_LEVEL_WARNING, MESSAGE, "array_limit",
                                  "send arrays of at most 4096 elements"},
    [COUNT_DROP_NO_MEMORY] = {LOG_LEVEL_ERROR, MESSAGE, "no_memory",
                              "give the gateway more memory or lower limits"},
    [COUNT_READING_NOT_FINITE] = {LOG_LEVEL_WARNING, READING, "not_finite",
                                  "correct what the device sends"},
    [COUNT_READING_NAME] = {LOG_LEVEL_WARNING, READING, "bad_name",
                            "metric names must not be empty, above 256 bytes or hold "
                            "control characters"},
    [COUNT_READING_LIMIT] = {LOG_LEVEL_WARNING, READING, "too_many",
                             "send at most 1024 readings in a message"},
    [COUNT_TIME_MISSING] = {LOG_LEVEL_WARNING, TIME, "missing",
                            "send it, or drop the entry's timestamp pointer"},
    [COUNT_TIME_INVALID] = {LOG_LEVEL_WARNING, TIME, "invalid",
                            "send ISO 8601 or a number since 1970"},
    [COUNT_TIME_TOO_OLD] = {LOG_LEVEL_WARNING, TIME, "before_2001",
                            "set the device's clock"},
    [COUNT_TIME_FUTURE] = {LOG_LEVEL_WARNING, TIME, "future",
                           "set the device's clock, or the gateway's"},
    [COUNT_SEQ_INVALID] = {LOG_LEVEL_WARNING, "sequence number ignored", "invalid",
                           "send a whole number from 0 to 2^63"},
};

void complain(struct complaints *c, enum counter what, uint64_t n, struct text topic,
              struct mono now)
{
    count_add(what, n);
    log_limited(&c->limits[what], now, words[what].level, words[what].event,
                LOG_T("topic", topic), LOG_S("reason", words[what].reason),
                LOG_S("hint", words[what].what_to_do));
}
