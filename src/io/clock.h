/* The kernel's clocks, read at the call: nothing is cached here. Layers above take the time as an
 * argument; a worker reads the clock once per tick and passes it down. Any thread may call these.
 */
#ifndef TARN_IO_CLOCK_H
#define TARN_IO_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Since 1970 (CLOCK_REALTIME). What expiry times and TIME speak; may jump in both directions. */
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
/* The wall clock in so many milliseconds: what timed waits of threads want. */
struct timespec clock_wall_in(int64_t timeout_ms);

/* Since some moment of the past, never backwards; stands still while the machine is suspended
 * (CLOCK_MONOTONIC). For durations. */
int64_t clock_monotonic_us(void);

/* As monotonic, but goes on during a suspend (CLOCK_BOOTTIME): what leases are measured with. */
int64_t clock_boot_ms(void);

/* CPU time, user and system, used so far by the process and by the calling thread. These are
 * system calls, unlike those above: not for every request. */
int64_t clock_process_cpu_us(void);
int64_t clock_thread_cpu_us(void);
int64_t clock_thread_cpu_ns(void);

#endif
