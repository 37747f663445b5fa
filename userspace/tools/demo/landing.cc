// SPDX-License-Identifier: MIT
#include "landing.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "devmem/error.h"

namespace {

void throw_if(const std::error_code& error, const char* what) {
    if (error) throw devmem::Error(error, what);
}

}  // namespace

Landing::Landing(const Stream& expected, const devmem::DmaBuf& source, devmem::DmaBuf target)
    : expected_(expected),
      source_(source),
      target_(std::move(target)),
      host_(std::size_t{1} << 20) {}

void Landing::add(std::span<const devmem::Piece> pieces) {
    for (const devmem::Piece& piece : pieces) add(piece);
    gather();
}

void Landing::add(const devmem::Piece& piece) {
    if (filled_ + piece.size > target_.size()) check();
    counts_.bytes += piece.size;
    if (counts_.bytes > expected_.size())
        throw devmem::Error(EBADMSG, "check", "more bytes than were sent");
    if (piece.on_device()) {
        counts_.device_bytes += piece.size;
        counts_.frags++;
        ranges_.push_back({piece.offset, piece.size, filled_});
    } else {
        throw_if(target_.to_device(filled_, piece.host), "copy to the device");
    }
    filled_ += piece.size;
}

void Landing::gather() {
    throw_if(source_.gather(ranges_, target_), "gather");
    ranges_.clear();
}

void Landing::check() {
    gather();
    for (std::uint64_t at = 0; at < filled_;) {
        const auto expected =
            expected_.at(checked_ + at, std::min<std::uint64_t>(host_.size(), filled_ - at));
        const auto got = std::span(host_).first(expected.size());
        throw_if(target_.to_host(at, got), "copy to the host");
        if (std::memcmp(got.data(), expected.data(), got.size()) != 0) {
            const auto wrong = std::mismatch(got.begin(), got.end(), expected.begin()).first;
            const auto where = checked_ + at + static_cast<std::uint64_t>(wrong - got.begin());
            throw devmem::Error(EBADMSG, "check", "byte " + std::to_string(where) + " is wrong");
        }
        at += expected.size();
    }
    checked_ += filled_;
    filled_ = 0;
}
