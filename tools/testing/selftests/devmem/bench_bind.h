// SPDX-License-Identifier: GPL-2.0
// What it takes to bind memory, and what a connection takes of the machine's.
#pragma once

#include "bench_case.h"

/// Binding, and then unbinding: two measurements.
void run_bind(const Case& what);
/// Bytes of a connection, beyond a socket's.
void run_memory(const Case& what);
