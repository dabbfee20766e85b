/* writev(2) in place of the C library's, and SSL_write(3) in place of OpenSSL's, for
 * Paho, which sends with them.
 *
 * When a PUBLISH of QoS 1 or 2 cannot be sent because the connection is gone, Paho 1.3.12
 * frees its payload with the command and once more with the session
 * (https://github.com/eclipse-paho/paho.mqtt.c/issues/1621, open in 2025). So that never
 * happens: what is written to a connection that is gone counts as written, as it does
 * when the kernel learns of it a moment later. The receiving side finds out, and what was
 * in flight is settled from there. So does hiredis, for which a lost answer and a lost
 * request are the same. A PUBLISH of QoS 0 is told of: nothing else ever says that it did
 * not arrive (not within a frame of WebSockets, where it is not seen).
 *
 * The dynamic linker takes these because an executable's symbols come before a library's.
 */
#define _GNU_SOURCE /* syscall(), RTLD_NEXT */
#include <dlfcn.h>
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

static bool is_publish_of_qos_0(const void *bytes, size_t n)
{
    return n > 0 && (*(const unsigned char *)bytes & 0xf6) == 0x30;
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    ssize_t written = syscall(SYS_writev, fd, parts, n);
    int error = errno;
    bool is_gone =
        written < 0 && (error == EPIPE || error == ECONNRESET || error == ETIMEDOUT ||
                        error == EHOSTUNREACH || error == ENETUNREACH ||
                        error == ENETDOWN || error == ENOTCONN || error == ECONNABORTED);
    if (is_gone && n > 0 && !is_publish_of_qos_0(parts[0].iov_base, parts[0].iov_len) &&
        is_socket(fd)) {
        written = 0;
        for (int i = 0; i < n; i++) {
            written += (ssize_t)parts[i].iov_len;
        }
    }
    errno = error;
    return written;
}

/* As openssl/ssl.h and openssl/err.h have them: the library comes with Paho, its headers
 * need not. */
struct ssl_st;
int SSL_write(struct ssl_st *ssl, const void *bytes, int n);
#define SSL_ERROR_SSL 1
#define SSL_ERROR_SYSCALL 5
#define SSL_ERROR_ZERO_RETURN 6

static int (*real_write)(struct ssl_st *ssl, const void *bytes, int n);
static int (*get_error)(const struct ssl_st *ssl, int result);
static int (*get_fd)(const struct ssl_st *ssl);
static void (*clear_errors)(void);

/* Before any thread. Where OpenSSL is not loaded nobody calls SSL_write(). */
__attribute__((constructor)) static void find_openssl(void)
{
    *(void **)&real_write = dlsym(RTLD_NEXT, "SSL_write");
    *(void **)&get_error = dlsym(RTLD_DEFAULT, "SSL_get_error");
    *(void **)&get_fd = dlsym(RTLD_DEFAULT, "SSL_get_fd");
    *(void **)&clear_errors = dlsym(RTLD_DEFAULT, "ERR_clear_error");
}

int SSL_write(struct ssl_st *ssl, const void *bytes, int n)
{
    if (!real_write || !get_error || !get_fd || !clear_errors) {
        return -1;
    }
    clear_errors(); /* of others: what follows is told from them by that */
    int written = real_write(ssl, bytes, n);
    int kept = errno;
    int error = written > 0 || n <= 0 ? 0 : get_error(ssl, written);
    if ((error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL ||
         error == SSL_ERROR_ZERO_RETURN) &&
        !is_publish_of_qos_0(bytes, (size_t)n)) {
        /* Whatever it was, nothing can follow: the receiving side is to find out. */
        (void)shutdown(get_fd(ssl), SHUT_RDWR);
        clear_errors(); /* else the next read would think they are its own */
        written = n;
    }
    errno = kept;
    return written;
}
