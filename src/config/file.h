/* Files that a configuration names: found beside it, read whole, within a limit. */
#ifndef BRINK_CONFIG_FILE_H
#define BRINK_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/status.h"
#include "base/text.h"
#include "config/problems.h"

#define FILE_WAIT_MS 5000 /* for what is not a plain file (a pipe) to say something */

/* Reads the whole of `path`. What goes wrong is told at `at`, with the path when the
 * place is not the file itself (at.line > 0). E_IO, E_LIMIT: told; E_NOMEM. out is
 * appended to. */
enum brink_status file_read(const char *path, size_t bytes_max, struct problems *problems,
                            struct position at, struct buffer *out) BRINK_MUST_CHECK;

/* Reads a secret: one trailing newline is cut; an empty one, or one with a NUL, is an
 * error; one that everybody may read is warned of. free() the result. */
enum brink_status file_read_secret(const char *path, struct problems *problems,
                                   struct position at,
                                   char **ret_secret) BRINK_MUST_CHECK;

/* Tells at `at` if the file cannot be read. */
void file_check_readable(const char *path, struct problems *problems, struct position at);

/* The folder of a file with its slash: "/etc/brink/" of "/etc/brink/brink.yaml", "" of
 * "a.yaml". */
struct text file_folder(const char *path);

/* path as it is when absolute, else behind the folder; free() it; NULL: out of memory. */
char *file_beside(struct text folder, const char *path);

#endif
