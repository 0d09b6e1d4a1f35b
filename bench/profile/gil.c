/* SPDX-License-Identifier: Apache-2.0 */
/* How long a thread waits for Python's global lock that comes for it at times of its own. */
#include <stdint.h>
#include <time.h>

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Until signs[0] is set, at most n visits, after setting signs[1]: at each of a row of times takes the lock and gives it back; waits_ns[i] is how long that
 * took. Times that pass while it waits are visits too, which wait for what is left. Between two times lie half to one
 * and a half of `interval_ns` at random, so as not to keep step with what is watched. Called without the lock, by a
 * thread that Python knows; ensure and release are PyGILState_Ensure and PyGILState_Release. -> how many visits */
int64_t gil_probe(int (*ensure)(void), void (*release)(int), volatile int32_t *signs, int64_t interval_ns,
                  int64_t *waits_ns, int64_t n) {
    uint64_t random = 42;
    int64_t next_ns = now_ns(), i = 0;
    signs[1] = 1;
    while (i < n) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        next_ns += interval_ns / 2 + (int64_t)((random >> 33) % (uint64_t)interval_ns);
        int64_t sleep_ns = next_ns - now_ns();
        if (sleep_ns > 0) {
            struct timespec time = {sleep_ns / 1000000000, sleep_ns % 1000000000};
            nanosleep(&time, NULL);
        }
        if (signs[0]) break;
        int64_t start_ns = now_ns(); /* after a sleep that was too long, this is the time of the visit */
        int state = ensure();
        int64_t taken_ns = now_ns();
        release(state);
        waits_ns[i++] = taken_ns - start_ns;
        if (start_ns > next_ns) next_ns = start_ns;
        for (;;) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            int64_t following_ns = next_ns + interval_ns / 2 + (int64_t)((random >> 33) % (uint64_t)interval_ns);
            if (following_ns >= taken_ns || i >= n) break;
            next_ns = following_ns;
            waits_ns[i++] = taken_ns - next_ns;
        }
    }
    return i;
}
