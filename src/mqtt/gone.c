/* writev(2) in place of the C library's, for Paho, which sends with it.
 *
 * When a PUBLISH of QoS 1 or 2 cannot be sent because the connection is gone, Paho 1.3.12
 * frees its payload with the command and once more with the session
 * (https://github.com/eclipse-paho/paho.mqtt.c/issues/1621, open in 2025). So that never
 * happens: what is written to a connection that is gone counts as written, as it does
 * when the kernel learns of it a moment later. The receiving side finds out, and what was
 * in flight is settled from there.
 *
 * The dynamic linker takes this one because an executable's symbols come before a
 * library's. Over TLS OpenSSL writes by another way: there the fault remains. */
#define _DEFAULT_SOURCE /* syscall() */
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool is_socket(int fd)
{
    int type;
    socklen_t n = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0;
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    ssize_t written = syscall(SYS_writev, fd, parts, n);
    int error = errno;
    bool is_gone =
        written < 0 && (error == EPIPE || error == ECONNRESET || error == ETIMEDOUT ||
                        error == EHOSTUNREACH || error == ENETUNREACH ||
                        error == ENETDOWN || error == ENOTCONN || error == ECONNABORTED);
    if (is_gone && is_socket(fd)) {
        written = 0;
        for (int i = 0; i < n; i++) {
            written += (ssize_t)parts[i].iov_len;
        }
    }
    errno = error;
    return written;
}
