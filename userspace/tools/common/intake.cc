// SPDX-License-Identifier: MIT
#include "intake.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>

#include "devmem/error.h"

namespace {

using State = devmem::Receiver::State;

std::uint64_t page_size() {
    static const auto size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

// The kernel had no memory for tokens, and has consumed nothing.
bool passes(const std::error_code& error) {
    return error.value() == ENOMEM || error.value() == EBUSY;
}

}  // namespace

Intake::Intake(devmem::Fd connection, const devmem::RxBinding& binding, const Waiter& waiter)
    : receiver_(std::move(connection)), binding_(binding), waiter_(waiter) {}

std::span<const devmem::Piece> Intake::next() {
    pieces_ = {};
    for (;;) {
        const auto got = receiver_.receive();
        if (got.state == State::data) {
            count(got);
            waiter_.check();
            return pieces_ = got.pieces;
        }
        if (got.state == State::end) return {};
        if (got.state == State::would_block) {
            waiter_.wait(receiver_.fd(), POLLIN);
        } else if (passes(got.error)) {
            waiter_.sleep(std::chrono::milliseconds(1));
        } else {
            throw std::system_error(got.error, "receive");
        }
    }
}

void Intake::count(const devmem::Receiver::Result& got) {
    ++counts_.calls;
    counts_.bytes += got.bytes;
    for (const devmem::Piece& piece : got.pieces) {
        if (!piece.on_device()) continue;
        if (piece.dmabuf_id != binding_.id())
            throw devmem::Error(EBADMSG, "receive into dmabuf " + std::to_string(binding_.id()),
                                "the flow reached another program's queue, of dmabuf " +
                                    std::to_string(piece.dmabuf_id));
        counts_.device_bytes += piece.size;
        ++counts_.frags;
        if (piece.size % page_size() == 0) ++counts_.page_frags;
    }
}

std::span<const std::byte> Intake::to_host() {
    std::size_t size = 0;
    for (const devmem::Piece& piece : pieces_) size += piece.size;
    bytes_.resize(std::max(bytes_.size(), size));
    auto left = std::span(bytes_);
    for (const devmem::Piece& piece : pieces_) {
        const auto to = left.first(piece.size);
        left = left.subspan(piece.size);
        if (!piece.on_device()) {
            std::ranges::copy(piece.host, to.begin());
        } else if (const auto error = binding_.dmabuf().to_host(piece.offset, to)) {
            throw std::system_error(error, "copy from device memory");
        }
    }
    pieces_ = {};
    receiver_.give_back();
    return std::span(bytes_).first(size);
}
