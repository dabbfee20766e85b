#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

#define READ_BYTES 4096
#define ERROR_BYTES 128

static void tell(struct problems *problems, struct position at, const char *path,
                 const char *what, const char *why)
{
    const char *between = why[0] ? ": " : "";
    if (at.line == 0) {
        problem_add(problems, at, "%s%s%s", what, between, why);
    } else {
        problem_add(problems, at, "`%s` %s%s%s", path, what, between, why);
    }
}

static void tell_errno(struct problems *problems, struct position at, const char *path,
                       int error)
{
    char why[ERROR_BYTES];
    if (strerror_r(error, why, sizeof why) != 0) {
        snprintf(why, sizeof why, "error %d", error);
    }
    tell(problems, at, path, "cannot be read", why);
}

/* What read(2) gives, waiting a while for what is not there at once. */
static ssize_t read_some(int fd, char *p, size_t n)
{
    for (;;) {
        ssize_t got = read(fd, p, n);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) {
            return got;
        }
        if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLIN};
            if (poll(&ready, 1, FILE_WAIT_MS) == 0) {
                errno = ETIMEDOUT;
                return -1;
            }
        }
    }
}

static enum brink_status read_all(int fd, const char *path, size_t bytes_max,
                                  struct problems *problems, struct position at,
                                  struct buffer *out)
{
    size_t total = 0;
    for (;;) {
        char *p = buffer_reserve(out, READ_BYTES);
        if (!p) {
            return BRINK_E_NOMEM;
        }
        ssize_t got = read_some(fd, p, READ_BYTES);
        if (got < 0) {
            tell_errno(problems, at, path, errno);
            return BRINK_E_IO;
        }
        if (got == 0) {
            return BRINK_OK;
        }
        buffer_advance(out, (size_t)got);
        total += (size_t)got;
        if (total > bytes_max) {
            char what[ERROR_BYTES];
            snprintf(what, sizeof what, "is larger than %zu bytes", bytes_max);
            tell(problems, at, path, what, "");
            return BRINK_E_LIMIT;
        }
    }
}

/* Without waiting: a pipe that nobody writes to must not hang the gateway's start. */
static int open_to_read(const char *path, struct problems *problems, struct position at)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        tell_errno(problems, at, path, errno);
    }
    return fd;
}

enum brink_status file_read(const char *path, size_t bytes_max, struct problems *problems,
                            struct position at, struct buffer *out)
{
    int fd = open_to_read(path, problems, at);
    if (fd < 0) {
        return BRINK_E_IO;
    }
    enum brink_status status = read_all(fd, path, bytes_max, problems, at, out);
    close(fd);
    return status;
}

enum brink_status file_read_secret(const char *path, struct problems *problems,
                                   struct position at, char **ret_secret)
{
    struct buffer bytes = {0};
    int fd = open_to_read(path, problems, at);
    if (fd < 0) {
        return BRINK_E_IO;
    }
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH)) {
        problem_warn(problems, at, "`%s` can be read by everybody (mode %04o): chmod o-r",
                     path, (unsigned)st.st_mode & 07777u);
    }
    enum brink_status status =
        read_all(fd, path, CONFIG_SECRET_BYTES_MAX, problems, at, &bytes);
    close(fd);
    if (status) {
        goto finish;
    }
    struct text secret = buffer_view(&bytes);
    if (secret.n > 0 && secret.p[secret.n - 1] == '\n') {
        secret.n--;
        if (secret.n > 0 && secret.p[secret.n - 1] == '\r') {
            secret.n--;
        }
    }
    status = BRINK_E_SYNTAX;
    if (secret.n == 0) {
        tell(problems, at, path, "is empty", "");
    } else if (memchr(secret.p, '\0', secret.n)) {
        tell(problems, at, path, "holds a NUL byte", "");
    } else {
        char *copy = text_dup(secret);
        status = copy ? BRINK_OK : BRINK_E_NOMEM;
        if (copy) {
            *ret_secret = copy;
        }
    }
finish:
    buffer_finish(&bytes);
    return status;
}

void file_check_readable(const char *path, struct problems *problems, struct position at)
{
    int fd = open_to_read(path, problems, at);
    if (fd < 0) {
        return;
    }
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        tell_errno(problems, at, path, EISDIR);
    }
    close(fd);
}

struct text file_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (struct text){path, slash ? (size_t)(slash - path) + 1 : 0};
}

char *file_beside(struct text folder, const char *path)
{
    struct buffer b = {0};
    if (path[0] != '/') {
        buffer_text(&b, folder);
    }
    buffer_cstring(&b, path);
    char *whole = buffer_ok(&b) ? text_dup(buffer_view(&b)) : NULL;
    buffer_finish(&b);
    return whole;
}
