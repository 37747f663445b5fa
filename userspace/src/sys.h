// SPDX-License-Identifier: MIT
// The system calls whose failures a test must force. A test defines DEVMEM_SYS before it includes
// the .cc file under test.
#pragma once

#include <sys/socket.h>

#ifndef DEVMEM_SYS
#define DEVMEM_SYS(call) ::call
#endif
