/* SPDX-License-Identifier: MIT */
#ifndef DEVMEM_EXPORT_H
#define DEVMEM_EXPORT_H

/* Marks what the shared library offers; the rest of it is hidden. */
#define DEVMEM_API __attribute__((visibility("default")))

#endif
