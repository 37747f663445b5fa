// SPDX-License-Identifier: MIT
#include "devmem/binding.h"

#include "c_dmabuf.h"
#include "c_error.h"

struct devmem_rx_binding {
    std::shared_ptr<const devmem::DmaBuf> dmabuf;  // outlives the binding
    devmem::RxBinding binding;
};

struct devmem_tx_binding {
    std::shared_ptr<const devmem::DmaBuf> dmabuf;
    devmem::TxBinding binding;
};

using devmem::guarded;

int devmem_rx_binding_new(uint32_t ifindex, const uint32_t* queues, size_t count,
                          const devmem_dmabuf* dmabuf, devmem_rx_binding** binding,
                          devmem_error** error) {
    return guarded(error, [&] {
        *binding = new devmem_rx_binding{dmabuf->dmabuf,
                                         {ifindex, std::span(queues, count), *dmabuf->dmabuf}};
    });
}

uint32_t devmem_rx_binding_id(const devmem_rx_binding* binding) {
    return binding->binding.id();
}

void devmem_rx_binding_free(devmem_rx_binding* binding) {
    delete binding;
}

int devmem_tx_binding_new(uint32_t ifindex, const devmem_dmabuf* dmabuf,
                          devmem_tx_binding** binding, devmem_error** error) {
    return guarded(error, [&] {
        *binding = new devmem_tx_binding{dmabuf->dmabuf, {ifindex, *dmabuf->dmabuf}};
    });
}

uint32_t devmem_tx_binding_id(const devmem_tx_binding* binding) {
    return binding->binding.id();
}

void devmem_tx_binding_free(devmem_tx_binding* binding) {
    delete binding;
}
