/* A disk that fails on command: loaded before libc, it lets the k-th call on a regular file fail, or ends the process.
 *
 *     cc -shared -fPIC -O1 -o failing_disk.so failing_disk.c -ldl
 *     LD_PRELOAD=./failing_disk.so python storms_disk.py …
 *
 * ENOSPC, EIO and the like: writes, syncs, renames, links and new folders. EINTR: whatever a signal can interrupt, so
 * reads, openings and locks too. No error at all: the process is killed at the call, removals included.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls, fails_at = -1;
static int with, for_good;

/* Arm it: the k-th call from now on (0: none) fails with this errno (0: is killed); every later one too, if for good. */
void disk_arm(long k, int error, int good) { calls = 0; fails_at = k; with = error; for_good = good; }
long disk_calls(void) { return calls; }

enum kind { WRITES, NAMES, REMOVES, READS };

static int counts(enum kind kind) {
    if (kind == WRITES) return 1;
    if (kind == NAMES) return with != EINTR;
    return kind == READS ? with == EINTR : with == 0;
}

static int fails(enum kind kind) {
    if (fails_at < 0 || !counts(kind)) return 0;
    calls++;
    if (fails_at == 0 || (calls != fails_at && !(for_good && calls > fails_at))) return 0;
    if (with == 0) kill(getpid(), SIGKILL);
    errno = with;
    return 1;
}

static int regular(int fd) {
    struct stat st;
    int kept = errno, is = fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
    errno = kept;
    return is;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *b, size_t n) { REAL(ssize_t, write, int, const void *, size_t);
    return regular(fd) && fails(WRITES) ? -1 : real(fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return regular(fd) && fails(WRITES) ? -1 : real(fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return regular(fd) && fails(WRITES) ? -1 : real(fd, b, n, o); }
ssize_t writev(int fd, const struct iovec *v, int n) { REAL(ssize_t, writev, int, const struct iovec *, int);
    return regular(fd) && fails(WRITES) ? -1 : real(fd, v, n); }
ssize_t sendfile(int to, int from, off_t *o, size_t n) { REAL(ssize_t, sendfile, int, int, off_t *, size_t);
    return regular(to) && fails(WRITES) ? -1 : real(to, from, o, n); }
ssize_t sendfile64(int to, int from, off64_t *o, size_t n) { REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
    return regular(to) && fails(WRITES) ? -1 : real(to, from, o, n); }
int fsync(int fd) { REAL(int, fsync, int); return regular(fd) && fails(WRITES) ? -1 : real(fd); }
int fdatasync(int fd) { REAL(int, fdatasync, int); return regular(fd) && fails(WRITES) ? -1 : real(fd); }
int ftruncate(int fd, off_t n) { REAL(int, ftruncate, int, off_t); return regular(fd) && fails(WRITES) ? -1 : real(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(int, ftruncate64, int, off64_t); return regular(fd) && fails(WRITES) ? -1 : real(fd, n); }

int rename(const char *a, const char *b) { REAL(int, rename, const char *, const char *); return fails(NAMES) ? -1 : real(a, b); }
int link(const char *a, const char *b) { REAL(int, link, const char *, const char *); return fails(NAMES) ? -1 : real(a, b); }
int mkdir(const char *a, mode_t m) { REAL(int, mkdir, const char *, mode_t); return fails(NAMES) ? -1 : real(a, m); }

int unlink(const char *a) { REAL(int, unlink, const char *); return fails(REMOVES) ? -1 : real(a); }
int unlinkat(int fd, const char *a, int f) { REAL(int, unlinkat, int, const char *, int); return fails(REMOVES) ? -1 : real(fd, a, f); }
int rmdir(const char *a) { REAL(int, rmdir, const char *); return fails(REMOVES) ? -1 : real(a); }

ssize_t read(int fd, void *b, size_t n) { REAL(ssize_t, read, int, void *, size_t);
    return regular(fd) && fails(READS) ? -1 : real(fd, b, n); }
ssize_t pread(int fd, void *b, size_t n, off_t o) { REAL(ssize_t, pread, int, void *, size_t, off_t);
    return regular(fd) && fails(READS) ? -1 : real(fd, b, n, o); }
ssize_t pread64(int fd, void *b, size_t n, off64_t o) { REAL(ssize_t, pread64, int, void *, size_t, off64_t);
    return regular(fd) && fails(READS) ? -1 : real(fd, b, n, o); }
int flock(int fd, int how) { REAL(int, flock, int, int); return fails(READS) ? -1 : real(fd, how); }

#define LAST(type, before) va_list more; va_start(more, before); type last = va_arg(more, type); va_end(more)

int fcntl(int fd, int what, ...) { REAL(int, fcntl, int, int, ...); LAST(void *, what);
    return (what == F_SETLK || what == F_SETLKW) && fails(READS) ? -1 : real(fd, what, last); }
int fcntl64(int fd, int what, ...) { REAL(int, fcntl64, int, int, ...); LAST(void *, what);
    return (what == F_SETLK || what == F_SETLKW) && fails(READS) ? -1 : real(fd, what, last); }
int open(const char *a, int f, ...) { REAL(int, open, const char *, int, ...); LAST(int, f); return fails(READS) ? -1 : real(a, f, last); }
int open64(const char *a, int f, ...) { REAL(int, open64, const char *, int, ...); LAST(int, f); return fails(READS) ? -1 : real(a, f, last); }
int openat(int d, const char *a, int f, ...) { REAL(int, openat, int, const char *, int, ...); LAST(int, f);
    return fails(READS) ? -1 : real(d, a, f, last); }
