/* A disk that fails on command: loaded before libc, it lets the k-th write, sync or rename of a regular file fail.
 *
 *     cc -shared -fPIC -O1 -o failing_disk.so failing_disk.c -ldl
 *     LD_PRELOAD=./failing_disk.so python storms_disk.py …
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls, fails_at = -1;
static int with, for_good;

/* Arm it: the k-th call from now on (0: none) fails with this errno; and every later one too, if for good. */
void disk_arm(long k, int error, int good) { calls = 0; fails_at = k; with = error; for_good = good; }
long disk_calls(void) { return calls; }

static int fails(void) {
    if (fails_at < 0) return 0;
    calls++;
    if (fails_at > 0 && (calls == fails_at || (for_good && calls > fails_at))) { errno = with; return 1; }
    return 0;
}

static int regular(int fd) {
    struct stat st;
    int kept = errno, is = fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
    errno = kept;
    return is;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *b, size_t n) { REAL(ssize_t, write, int, const void *, size_t);
    return regular(fd) && fails() ? -1 : real(fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return regular(fd) && fails() ? -1 : real(fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return regular(fd) && fails() ? -1 : real(fd, b, n, o); }
ssize_t writev(int fd, const struct iovec *v, int n) { REAL(ssize_t, writev, int, const struct iovec *, int);
    return regular(fd) && fails() ? -1 : real(fd, v, n); }
int fsync(int fd) { REAL(int, fsync, int); return regular(fd) && fails() ? -1 : real(fd); }
int fdatasync(int fd) { REAL(int, fdatasync, int); return regular(fd) && fails() ? -1 : real(fd); }
int ftruncate(int fd, off_t n) { REAL(int, ftruncate, int, off_t); return regular(fd) && fails() ? -1 : real(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(int, ftruncate64, int, off64_t); return regular(fd) && fails() ? -1 : real(fd, n); }
int rename(const char *a, const char *b) { REAL(int, rename, const char *, const char *); return fails() ? -1 : real(a, b); }
int link(const char *a, const char *b) { REAL(int, link, const char *, const char *); return fails() ? -1 : real(a, b); }
int mkdir(const char *a, mode_t m) { REAL(int, mkdir, const char *, mode_t); return fails() ? -1 : real(a, m); }
