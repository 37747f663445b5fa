// SPDX-License-Identifier: MIT
// Says what it was compiled with, what it runs with, and what goes wrong.
#include <devmem/binding.h>
#include <devmem/devmem.h>
#include <devmem/error.h>
#include <devmem/netdev.h>
#include <devmem/nic_session.h>
#include <devmem/probe.h>
#include <devmem/receiver.h>
#include <devmem/sender.h>

#include <cstdio>

int main() {
    try {
        devmem::interface_index("nonesuch");
    } catch (const devmem::Error& error) {
        std::printf("%d %u %s\n", DEVMEM_VERSION, devmem_version(), error.what());
        return 0;
    }
    return 1;
}
