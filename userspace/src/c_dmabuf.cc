// SPDX-License-Identifier: MIT
#include "c_dmabuf.h"

#include <cerrno>

#include "c_error.h"
#include "c_options.h"
#include "devmem/memory_kind.h"

namespace {

using devmem::DmaBuf;
using devmem::Fd;
using devmem::guarded;
using devmem::negative_errno;

// The functions of a C program.
class CallersEngine final : public devmem::CopyEngine {
  public:
    explicit CallersEngine(const devmem_copy_engine& engine) noexcept : engine_(engine) {}

    std::error_code to_device(std::uint64_t offset,
                              std::span<const std::byte> from) noexcept override {
        return code(engine_.to_device(engine_.context, offset, from.data(), from.size()));
    }
    std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept override {
        return code(engine_.to_host(engine_.context, offset, to.data(), to.size()));
    }

  private:
    static std::error_code code(int result) noexcept {
        return {result < 0 ? -result : 0, std::system_category()};
    }

    devmem_copy_engine engine_;
};

std::unique_ptr<CallersEngine> engine_of(const devmem_copy_engine* given) {
    const devmem_copy_engine engine = devmem::read_options(given);
    if (!engine.to_device || !engine.to_host)
        throw devmem::Error(EINVAL, "use a copy engine that lacks a function");
    return std::make_unique<CallersEngine>(engine);
}

devmem_dmabuf* wrap(DmaBuf&& dmabuf) {
    return new devmem_dmabuf{std::make_shared<const DmaBuf>(std::move(dmabuf))};
}

}  // namespace

int devmem_dmabuf_udmabuf(uint64_t size, devmem_dmabuf** dmabuf, devmem_error** error) {
    return guarded(error, [&] { *dmabuf = wrap(DmaBuf::udmabuf(size)); });
}

int devmem_dmabuf_accelmem(uint64_t size, devmem_dmabuf** dmabuf, devmem_error** error) {
    return guarded(error, [&] { *dmabuf = wrap(DmaBuf::accelmem(size)); });
}

int devmem_dmabuf_of_kind(const char* kind, uint64_t size, devmem_dmabuf** dmabuf,
                          devmem_error** error) {
    return guarded(error, [&] { *dmabuf = wrap(devmem::MemoryKind(kind).allocate(size)); });
}

int devmem_dmabuf_import(int fd, uint64_t size, const devmem_copy_engine* engine,
                         devmem_dmabuf** dmabuf, devmem_error** error) {
    return guarded(error, [&] {
        *dmabuf = wrap(engine ? DmaBuf::import(Fd::duplicate(fd), size, engine_of(engine))
                              : DmaBuf::import(Fd::duplicate(fd), size));
    });
}

uint64_t devmem_dmabuf_size(const devmem_dmabuf* dmabuf) {
    return dmabuf->dmabuf->size();
}

int devmem_dmabuf_fd(const devmem_dmabuf* dmabuf) {
    return dmabuf->dmabuf->fd();
}

int devmem_dmabuf_to_device(const devmem_dmabuf* dmabuf, uint64_t offset, const void* from,
                            size_t size) {
    return negative_errno(
        dmabuf->dmabuf->to_device(offset, {static_cast<const std::byte*>(from), size}));
}

int devmem_dmabuf_to_host(const devmem_dmabuf* dmabuf, uint64_t offset, void* to, size_t size) {
    return negative_errno(dmabuf->dmabuf->to_host(offset, {static_cast<std::byte*>(to), size}));
}

int devmem_dmabuf_gather(const devmem_dmabuf* from, const devmem_copy_range* ranges, size_t count,
                         const devmem_dmabuf* to) {
    return negative_errno(from->dmabuf->gather({ranges, count}, *to->dmabuf));
}

void devmem_dmabuf_free(devmem_dmabuf* dmabuf) {
    delete dmabuf;
}
