// SPDX-License-Identifier: MIT
#include <cerrno>
#include <memory>
#include <new>
#include <vector>

#include "c_dmabuf.h"
#include "c_error.h"
#include "c_receiver.h"
#include "devmem/gather.h"
#include "receiver_core.h"

struct devmem_gather {
    std::vector<std::shared_ptr<const devmem::DmaBuf>> dmabufs;  // outlive what copies
    devmem::Gather gather;
    std::vector<devmem::Piece> pieces;  // of the copy that is being made
};

namespace {

using devmem::Gather;
using devmem::Piece;

Piece piece_of(const devmem_piece& given) noexcept {
    Piece piece{{}, given.offset, given.size, given.token, given.dmabuf_id};
    if (!piece.on_device()) piece.host = {static_cast<const std::byte*>(given.host), given.size};
    return piece;
}

}  // namespace

int devmem_gather_new(const devmem_gather_source* sources, size_t count, const devmem_dmabuf* to,
                      devmem_gather** gather, devmem_error** error) {
    return devmem::guarded(error, [&] {
        std::vector dmabufs{to->dmabuf};
        std::vector<Gather::Source> known;
        for (const devmem_gather_source& source : std::span(sources, count)) {
            dmabufs.push_back(source.memory->dmabuf);
            known.push_back({source.dmabuf_id, dmabufs.back().get()});
        }
        auto made = std::make_unique<devmem_gather>(
            devmem_gather{std::move(dmabufs), {std::move(known), *to->dmabuf}, {}});
        // Memory that is never touched costs none.
        made->pieces.reserve(devmem::max_grown_pieces + 1);
        *gather = made.release();
    });
}

int devmem_gather_pieces(devmem_gather* gather, devmem_receiver* receiver,
                         const devmem_piece* pieces, size_t count, uint64_t at) {
    try {
        gather->pieces.clear();
        for (const devmem_piece& piece : std::span(pieces, count))
            gather->pieces.push_back(piece_of(piece));
    } catch (const std::exception&) {
        return -ENOMEM;
    }
    return devmem::negative_errno(gather->gather(receiver->receiver, gather->pieces, at));
}

void devmem_gather_free(devmem_gather* gather) {
    delete gather;
}
