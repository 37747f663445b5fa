// SPDX-License-Identifier: GPL-2.0
/* accelmem: memory that behaves like an accelerator's, see accelmem.h in uapi */

#include <linux/module.h>

#include "accelmem.h"

static int __init accelmem_init(void)
{
	int err;

	err = accelmem_host_init();
	if (err)
		return err;
	err = accelmem_bar_init();
	if (err)
		accelmem_host_exit();
	return err;
}

static void __exit accelmem_exit(void)
{
	accelmem_bar_exit();
	accelmem_host_exit();
}

module_init(accelmem_init);
module_exit(accelmem_exit);

MODULE_DESCRIPTION("Memory that behaves like an accelerator's, as dma-bufs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_BUF);
