/* SPDX-License-Identifier: MIT */
/* Says what it was compiled with, what it runs with, and what goes wrong. */
#include <devmem/devmem.h>
#include <stdio.h>

int main(void) {
    struct devmem_error* error = NULL;
    uint32_t ifindex;
    if (devmem_interface_index("nonesuch", &ifindex, &error) == 0) return 1;
    printf("%d %u %s\n", DEVMEM_VERSION, (unsigned)devmem_version(), devmem_error_text(error));
    devmem_error_free(error);
    return 0;
}
