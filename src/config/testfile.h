/* Rule tests (SPEC 9.1): the YAML that `brink test` takes, with the rules it is about.
 *
 * A test file holds what a rule file may hold, names further rule files, and says what
 * devices send and which alerts come of it. `telemetry`, `alerts` and `limits` are as in
 * a configuration. Everything is owned by the test_file. */
#ifndef BRINK_CONFIG_TESTFILE_H
#define BRINK_CONFIG_TESTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/values.h"

#define TEST_CASES_MAX 10000
#define TEST_INPUTS_MAX 10000
#define TEST_EXPECTS_MAX 100000
#define TEST_ALERTS_MAX 100000
#define TEST_TIMES_MAX 100000 /* of one message */
#define TEST_TIME_MAX_US (3650 * INT64_C(86400) * 1000000)

/* Where the readings that a test writes as series go in; no pattern of the user's can
 * match there by chance. */
#define TEST_SERIES_TOPIC "brink-test/{tenant}/{device}/readings"
#define TEST_HEARTBEAT_TOPIC "brink-test/{tenant}/{device}/heartbeat"

/* What comes in: a series of one metric, a series of heartbeats, or a message as it is.
 */
struct test_input {
    struct position at;
    enum { TEST_READINGS, TEST_HEARTBEATS, TEST_MESSAGE } kind;
    struct placed tenant, device, site, metric; /* tenant "default" if it was not given */
    struct values values;                       /* of readings and heartbeats */
    bool has_values, has_heartbeat;
    struct position values_at, heartbeat_at;
    struct placed topic, payload; /* payload.s == NULL: empty */
    bool retained;
    uint32_t times;      /* the message comes so often */
    int64_t interval_us; /* between two of them */
    int64_t start_us;    /* the first one's arrival, since the test's start */
    int64_t delay_us;    /* a reading's own time is so long before it arrives */
};

/* What is asked of an alert: nothing where a text is NULL or a number not given. */
enum test_text {
    TEST_RULE,
    TEST_TENANT,
    TEST_DEVICE,
    TEST_SITE,
    TEST_EVENT_TYPE,
    TEST_SEVERITY,
    TEST_ALERT_TYPE,
    TEST_MESSAGE_TEXT,
    TEST_OPERATOR,
    TEST_REASON,
    TEST_TEXTS
};
enum test_number { TEST_VALUE, TEST_THRESHOLD, TEST_TRIGGER_COUNT, TEST_NUMBERS };

extern const char *const test_text_names[TEST_TEXTS],
    *const test_number_names[TEST_NUMBERS];

struct test_alert {
    struct position at;
    struct placed texts[TEST_TEXTS];
    struct {
        double value;
        bool given;
    } numbers[TEST_NUMBERS];
    int64_t at_us; /* when exactly */
    bool has_at;
};

struct test_alerts {
    struct test_alert *items;
    size_t n;
    struct position at;
    bool given;
};

struct test_expect {
    struct position at;
    int64_t at_us;
    struct test_alerts alerts;          /* published since the last one, up to here */
    struct test_alerts firing, pending; /* as it stands here */
};

struct test_case {
    struct position at;
    struct placed name;  /* s == NULL: none */
    struct strings only; /* looks at alerts of these rules alone */
    struct test_input *inputs;
    size_t n_inputs;
    struct test_expect *expects; /* their times rise */
    size_t n_expects;
};

struct test_file {
    struct config *config; /* in memory; its rule files are the test's */
    struct placed start;   /* of the virtual clock, ISO 8601; s == NULL: the default */
    int64_t interval_us;
    struct test_case *cases;
    size_t n_cases;
};

/* Loads FILE and the rule files it names; every problem is told. E_SYNTAX: there was an
 * error; the file is handed out all the same where there is enough of it to look for
 * further ones, else *ret_file stays NULL. E_IO, E_LIMIT (told), E_NOMEM. */
enum brink_status test_file_load_faulty(const char *path, struct problems *problems,
                                        struct test_file **ret_file) BRINK_MUST_CHECK;
/* From memory, handed out only without an error. no_files: rule files are not looked for.
 */
enum brink_status test_file_parse(const char *path, struct text yaml, bool no_files,
                                  struct problems *problems,
                                  struct test_file **ret_file) BRINK_MUST_CHECK;
void test_file_free(struct test_file *f); /* NULL is fine */

#endif
