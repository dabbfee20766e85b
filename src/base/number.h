/* Numbers to and from text: whole, locale-free, finite. */
#ifndef BRINK_BASE_NUMBER_H
#define BRINK_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

/* Room for any number_print_* result with its NUL. */
#define NUMBER_BYTES 32

/* Parses the whole of t as a decimal number: [+-]digits[.digits][e[+-]digits], also ".5"
 * and "5.". Correctly rounded. BRINK_E_SYNTAX: anything else (hex, "inf", "nan", spaces,
 * empty, trailing bytes, more than 400 bytes). BRINK_E_RANGE: overflows to infinity.
 * About 10 ns with up to 19 digits, 30 with more; very small and large ones take 100. */
enum brink_status number_parse(struct text t, double *ret_value) BRINK_MUST_CHECK;

/* The number that t begins with, in the form that JSON prescribes:
 * [-]0|digits-without-a-leading-0[.digits][e[+-]digits]. Returns its length, 0: none, or
 * above 400 bytes. Correctly rounded; infinite when it overflows. */
size_t number_scan(struct text t, double *ret_value);

/* Whole of t as an unsigned decimal integer. E_SYNTAX, E_RANGE. */
enum brink_status number_parse_u64(struct text t, uint64_t *ret_value) BRINK_MUST_CHECK;

/* Shortest text that reads back as the same double, byte for byte what Python's repr()
 * and so json.dumps() write: 25.0, 25.1, 1e+16, 1e-05, -0.0. v must be finite. Returns
 * the length; NUL-terminated. Numbers of up to six decimals take a fast path without
 * printf. */
size_t number_print(double v, char out[NUMBER_BYTES]);

/* As number_print, but whole numbers below 1e15 without ".0": for messages and check. */
size_t number_print_plain(double v, char out[NUMBER_BYTES]);

/* A stamp as seconds with a fraction, as number_print would write it: 1767225600.0,
 * 1767225601.5. Exact: reading it back with wall_from_seconds gives `us` again for years
 * 1970 to 2200. */
size_t number_print_seconds(int64_t us, char out[NUMBER_BYTES]);

/* In decimal; the length. */
size_t number_print_int(int64_t v, char out[NUMBER_BYTES]);

/* Seconds to whole microseconds, to nearest. v finite and |v| < 9e12. */
int64_t number_seconds_to_us(double v);

/* "250ms" "30s" "5m" "2h" "7d", or a bare number of seconds ("1.5"); to microseconds.
 * E_SYNTAX: another form or unit; E_RANGE: negative or above 100 years. */
enum brink_status number_parse_duration(struct text t, int64_t *ret_us) BRINK_MUST_CHECK;

/* The shortest of those forms that is exact: "5m", "90s", "250ms". */
size_t number_print_duration(int64_t us, char out[NUMBER_BYTES]);

#endif
