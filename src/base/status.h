/* What a function that can fail returns. 0 is success; results leave by the last
 * ret_ parameter, which a failure leaves untouched. */
#ifndef BRINK_BASE_STATUS_H
#define BRINK_BASE_STATUS_H

enum brink_status {
    BRINK_OK = 0,
    BRINK_E_NOMEM,   /* out of memory */
    BRINK_E_RANGE,   /* a value outside what is allowed */
    BRINK_E_SYNTAX,  /* bytes that are not of the form asked for */
    BRINK_E_LIMIT,   /* a named limit was reached */
    BRINK_E_IO,      /* the system or a peer failed; errno or a message says how */
    BRINK_E_TIMEOUT, /* not done in the time allowed */
    BRINK_E_STATE,   /* not possible now (closed, not connected) */
};

#define BRINK_MUST_CHECK __attribute__((warn_unused_result))

#endif
