// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "devmem/budget.h"
#include "devmem/devmem.h"

struct devmem_budget {
    std::shared_ptr<devmem::Budget> budget;  // receivers have it too
};
