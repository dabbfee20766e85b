/* Alerts that came against alerts that a test expects. */
#ifndef BRINK_PROVE_COMPARE_H
#define BRINK_PROVE_COMPARE_H

#include "alert/payload.h"
#include "config/testfile.h"

/* What can be asked of an alert, as it came. Owned texts; NULL: it has none. */
struct came {
    char *texts[TEST_TEXTS];
    struct {
        double value;
        bool known;
    } numbers[TEST_NUMBERS];
    int64_t at_us; /* since the test's start */
};

struct came_list {
    struct came *items;
    size_t n, cap;
};

/* Each false: out of memory, and nothing was added. */
bool came_add(struct came_list *list, const struct alert_facts *f, int64_t at_us);
bool came_add_state(struct came_list *list, struct text rule, struct text tenant,
                    struct text device);
/* In the order of rule, tenant, device. */
void came_sort(struct came_list *list);
void came_clear(struct came_list *list);
void came_finish(struct came_list *list);

/* "OPEN freezer-warm acme/frz-1 warning \"message\"" */
void came_print(const struct came *c, struct buffer *out);

/* Finds each expected alert another one that came and fits; the order does not matter.
 * What is left over on either side is told, a line or two each. `when` begins a sentence:
 * "by 12s". missing, unasked: what is said of either. E_NOMEM. */
enum brink_status compare_alerts(const struct test_alerts *expected,
                                 const struct came_list *came, const char *when,
                                 const char *missing, const char *unasked,
                                 struct buffer *out) BRINK_MUST_CHECK;

#endif
