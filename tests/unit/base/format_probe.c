/* Formats what it is told on standard input, for oracle_format.py.
 *
 * A line in: "N spec|value" or "T spec|text"; a line out: what came of it, or "!" and why
 * the specification is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"

int main(void)
{
    static char line[4096], out[4096];
    while (fgets(line, sizeof line, stdin)) {
        char *bar = strchr(line, '|'), fault[FORMAT_FAULT_BYTES];
        struct bounded text = {.p = out, .cap = sizeof out};
        struct format format;
        size_t at;
        if (!bar || bar < line + 2) {
            return EXIT_FAILURE;
        }
        line[strcspn(line, "\n")] = '\0';
        const struct text spec = {line + 2, (size_t)(bar - line - 2)};
        if (!format_parse(spec, line[0] == 'N', &format, &at, fault)) {
            printf("!%s\n", fault);
            continue;
        }
        if (line[0] == 'N') {
            format_number(&format, strtod(bar + 1, NULL), &text);
        } else {
            format_text(&format, text_of(bar + 1), &text);
        }
        printf("%.*s\n", (int)text.n, out);
    }
    return EXIT_SUCCESS;
}
