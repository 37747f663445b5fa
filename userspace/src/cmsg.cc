// SPDX-License-Identifier: MIT
#include "devmem/cmsg.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "uapi.h"

namespace devmem {
namespace {

using Bytes = std::span<const std::byte>;

struct Message {
    int level;
    int type;
    Bytes data;
};

// Takes the first control message off. A length that claims more than there is gets the rest of the
// bytes; one that is smaller than its own header ends the walk. Inline: this is done for each frag.
[[gnu::always_inline]] inline std::optional<Message> next_message(Bytes& rest) noexcept {
    cmsghdr header;
    if (rest.size() < sizeof(header)) return std::nullopt;
    std::memcpy(&header, rest.data(), sizeof(header));
    if (header.cmsg_len < sizeof(header)) return std::nullopt;

    const std::size_t length = std::min<std::size_t>(header.cmsg_len, rest.size());
    const std::size_t data_at = std::min<std::size_t>(CMSG_LEN(0), length);
    const Message message{header.cmsg_level, header.cmsg_type,
                          rest.subspan(data_at, length - data_at)};
    rest = rest.subspan(std::min<std::size_t>(CMSG_ALIGN(length), rest.size()));
    return message;
}

bool is_devmem(const Message& message) noexcept {
    return message.level == SOL_SOCKET &&
           (message.type == SCM_DEVMEM_LINEAR || message.type == SCM_DEVMEM_DMABUF);
}

bool is_error(const Message& message) noexcept {
    return (message.level == SOL_IP && message.type == IP_RECVERR) ||
           (message.level == SOL_IPV6 && message.type == IPV6_RECVERR);
}

class Assembler {
  public:
    Assembler(Bytes host, std::span<Piece> out) noexcept : host_(host), out_(out) {}

    // False if the message makes no sense or there is no room for it.
    bool add(const Message& message) noexcept {
        uapi::dmabuf_cmsg info;
        if (message.data.size() < sizeof(info)) return false;
        std::memcpy(&info, message.data.data(), sizeof(info));
        if (message.type == SCM_DEVMEM_LINEAR) return add_host(info.frag_size);
        if (info.dmabuf_id == 0) return false;
        return push({{}, info.frag_offset, info.frag_size, info.frag_token, info.dmabuf_id});
    }

    bool add_host(std::size_t size) noexcept {
        if (size > host_.size() || size > UINT32_MAX) return false;
        if (size == 0) return true;
        const Bytes bytes = host_.first(size);
        host_ = host_.subspan(size);
        return push({bytes, 0, static_cast<std::uint32_t>(size), 0, 0});
    }

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  private:
    bool push(const Piece& piece) noexcept {
        if (count_ == out_.size()) return false;
        out_[count_++] = piece;
        bytes_ += piece.size;
        return true;
    }

    Bytes host_;
    std::span<Piece> out_;
    std::size_t count_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace

ParsedPieces parse_pieces(Bytes control, std::size_t received, Bytes host,
                          std::span<Piece> out) noexcept {
    Assembler pieces(host, out);
    bool devmem = false;
    bool sound = true;

    while (auto message = next_message(control)) {
        if (!is_devmem(*message)) continue;
        devmem = true;
        sound &= pieces.add(*message);
    }
    sound &= control.empty();  // a walk that stopped early saw nonsense
    if (!devmem) sound &= pieces.add_host(received);
    return {pieces.count(), sound && pieces.bytes() == received};
}

std::optional<Completion> parse_completion(Bytes control) noexcept {
    while (auto message = next_message(control)) {
        sock_extended_err error;
        if (!is_error(*message) || message->data.size() < sizeof(error)) continue;
        std::memcpy(&error, message->data.data(), sizeof(error));
        if (error.ee_origin != SO_EE_ORIGIN_ZEROCOPY || error.ee_errno != 0) continue;
        return Completion{error.ee_info, error.ee_data,
                          (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0};
    }
    return std::nullopt;
}

}  // namespace devmem
