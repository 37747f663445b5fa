/* SPDX-License-Identifier: GPL-2.0 */
/* Where newer kernels keep the types of the page pool. */
#ifndef _NET_PAGE_POOL_TYPES_H
#define _NET_PAGE_POOL_TYPES_H

#include <net/page_pool.h>

#endif /* _NET_PAGE_POOL_TYPES_H */
