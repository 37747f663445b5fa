// SPDX-License-Identifier: MIT
#include "c_budget.h"

#include "c_error.h"

int devmem_budget_new(uint32_t binding, uint64_t limit, devmem_budget** budget,
                      devmem_error** error) {
    return devmem::guarded(error, [&] {
        *budget = new devmem_budget{std::make_shared<devmem::Budget>(binding, limit)};
    });
}

uint64_t devmem_budget_held(const devmem_budget* budget) {
    return budget->budget->held();
}

uint64_t devmem_budget_refusals(const devmem_budget* budget) {
    return budget->budget->refusals();
}

int devmem_budget_fd(const devmem_budget* budget) {
    return budget->budget->fd();
}

void devmem_budget_free(devmem_budget* budget) {
    delete budget;
}
