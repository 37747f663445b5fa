// SPDX-License-Identifier: GPL-2.0
// What a frag costs, to receive and to give back, which must not depend on how much there is.
#pragma once

#include "bench_case.h"

/// With so many tokens out: three measurements.
void run_frag(const Case& what);
/// With so many sockets open, all but one of which keep a frag and are idle.
void run_sockets(const Case& what);
