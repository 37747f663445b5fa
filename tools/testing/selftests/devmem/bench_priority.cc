// SPDX-License-Identifier: GPL-2.0
#include "bench_priority.h"

#include <sched.h>

#include "process.h"

void go_first() {
    sched_param priority{};
    priority.sched_priority = 1;
    if (::sched_setscheduler(0, SCHED_FIFO, &priority) < 0) throw_errno_of("sched_setscheduler");
}
