// SPDX-License-Identifier: MIT
#include "devmem/gather.h"

#include <algorithm>

namespace devmem {
namespace {

constexpr std::size_t most_ranges = 1024;  // of one copy

}  // namespace

Gather::Gather(std::vector<Source> sources, const DmaBuf& to)
    : sources_(std::move(sources)), to_(&to) {
    ranges_.reserve(most_ranges);
}

std::error_code Gather::operator()(Receiver& from, std::span<const Piece> pieces,
                                   std::uint64_t at) noexcept {
    if (!fits(pieces, at)) return std::make_error_code(std::errc::invalid_argument);
    if (const auto error = copy(pieces, at)) return error;
    from.give_back(pieces);  // what the kernel will not take now stays queued
    return {};
}

const DmaBuf* Gather::memory_of(const Piece& piece) const noexcept {
    const auto source = std::ranges::find(sources_, piece.dmabuf_id, &Source::dmabuf_id);
    return source == sources_.end() ? nullptr : source->memory;
}

bool Gather::fits(std::span<const Piece> pieces, std::uint64_t at) const noexcept {
    std::uint64_t bytes = 0;
    for (const Piece& piece : pieces) {
        if (piece.on_device() && !memory_of(piece)) return false;
        bytes += piece.size;
    }
    return at <= to_->size() && bytes <= to_->size() - at;
}

// One call of the copy engine for each run of pieces from the same memory.
std::error_code Gather::copy(std::span<const Piece> pieces, std::uint64_t at) noexcept {
    const DmaBuf* from = nullptr;
    ranges_.clear();
    for (const Piece& piece : pieces) {
        if (!piece.on_device()) {
            if (const auto error = to_->to_device(at, piece.host)) return error;
        } else {
            const DmaBuf* memory = memory_of(piece);
            if (memory != from || ranges_.size() == most_ranges)
                if (const auto error = copy_gathered(from)) return error;
            from = memory;
            ranges_.push_back({piece.offset, piece.size, at});
        }
        at += piece.size;
    }
    return copy_gathered(from);
}

std::error_code Gather::copy_gathered(const DmaBuf* from) noexcept {
    const std::error_code error = from ? from->gather(ranges_, *to_) : std::error_code();
    ranges_.clear();
    return error;
}

}  // namespace devmem
