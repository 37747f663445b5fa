/* SPDX-License-Identifier: MIT */
#ifndef DEVMEM_COPY_RANGE_H
#define DEVMEM_COPY_RANGE_H

#include <stdint.h>

/* One piece of a gather: len bytes at src of one dmabuf to dst of another. */
struct devmem_copy_range {
    uint64_t src;
    uint64_t len;
    uint64_t dst;
};

#endif
