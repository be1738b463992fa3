/* A wall clock that somebody sets: loaded before libc, it adds seconds to what the time of day is said to be.
 *
 *     cc -shared -fPIC -O1 -o moved_clock.so moved_clock.c -ldl
 *     LD_PRELOAD=./moved_clock.so python storms_clocks.py …
 *
 * The clocks that nobody sets (monotonic, since the start of the machine, of the processor) are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

static volatile long moved;
static volatile long asked;

void clock_move(long seconds) { moved = seconds; }
long clock_asked(void) { return asked; }

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, now);
    if (code == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) { now->tv_sec += moved; asked++; }
    return code;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int code = clock_gettime(CLOCK_REALTIME, &exact);
    (void)zone;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return code;
}

time_t time(time_t *there) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (there) *there = exact.tv_sec;
    return exact.tv_sec;
}
