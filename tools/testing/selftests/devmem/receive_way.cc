// SPDX-License-Identifier: GPL-2.0
#include "receive_way.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "../../../../userspace/src/uapi.h"
#include "devmem/error.h"
#include "devmem/gather.h"

namespace {

constexpr std::size_t piece = 256 << 10;  // that a copy moves at a time

void check(const std::error_code& error, const char* what) {
    if (error) throw std::system_error(error, what);
}

// What recv() and its like return, without EAGAIN.
ssize_t answer(ssize_t got, const char* what) {
    if (got < 0 && errno != EAGAIN) devmem::throw_errno(what);
    return got;
}

class Plain : public ReceiveWay {
  public:
    explicit Plain(devmem::Fd connection) : connection_(std::move(connection)) {}
    [[nodiscard]] int fd() const override { return connection_.get(); }

  protected:
    ssize_t receive(void* to, std::size_t size, int flags, bool wait) const {
        return answer(::recv(fd(), to, size, flags | (wait ? 0 : MSG_DONTWAIT)), "recv");
    }

  private:
    devmem::Fd connection_;
};

// The peer of a sender that is measured.
class Discard final : public Plain {
  public:
    using Plain::Plain;
    ssize_t read(bool wait) override { return receive(nullptr, 1 << 20, MSG_TRUNC, wait); }
};

// The buffer is one that a copy engine may read, as memory pinned by the GPU's driver is.
class Copy final : public Plain {
  public:
    Copy(devmem::Fd connection, const devmem::DmaBuf& memory)
        : Plain(std::move(connection)), memory_(memory), buffer_(piece) {}

    ssize_t read(bool wait) override {
        const ssize_t got = receive(buffer_.data(), buffer_.size(), 0, wait);
        if (got <= 0) return got;
        const auto bytes = std::span(buffer_).first(static_cast<std::size_t>(got));
        if (at_ + bytes.size() > memory_.size()) at_ = 0;
        check(memory_.to_device(at_, bytes), "copy to the device");
        at_ += bytes.size();
        return got;
    }

  private:
    const devmem::DmaBuf& memory_;
    std::vector<std::byte> buffer_;
    std::size_t at_ = 0;
};

// By plain system calls, as the kernel's documentation has it.
class Raw final : public ReceiveWay {
  public:
    Raw(devmem::Fd connection, std::size_t at_once)
        : connection_(std::move(connection)), at_once_(at_once), host_(piece), control_(64 << 10) {}
    ~Raw() override { rest(); }

    ssize_t read(bool wait) override {
        iovec iov{host_.data(), host_.size()};
        msghdr message{};
        message.msg_iov = &iov;
        message.msg_iovlen = 1;
        message.msg_control = control_.data();
        message.msg_controllen = control_.size();
        const int flags = MSG_SOCK_DEVMEM | (wait ? 0 : MSG_DONTWAIT);
        const ssize_t got = answer(::recvmsg(fd(), &message, flags), "recvmsg");
        if (got <= 0) return got;
        for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
            if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_DEVMEM_DMABUF)
                took(header);
        return got;
    }
    void rest() override {
        const auto size = static_cast<socklen_t>(used_ * sizeof(Range));
        if (used_ > 0 &&
            ::setsockopt(fd(), SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges_.data(), size) < 0)
            devmem::throw_errno("SO_DEVMEM_DONTNEED");
        used_ = 0;
    }
    [[nodiscard]] int fd() const override { return connection_.get(); }
    [[nodiscard]] std::uint64_t frags() const override { return frags_; }

  private:
    struct Range {
        std::uint32_t start, count;
    };

    void took(cmsghdr* header) {
        devmem::uapi::dmabuf_cmsg frag{};
        std::memcpy(&frag, CMSG_DATA(header), sizeof(frag));
        frags_++;
        ranges_[used_++] = {frag.frag_token, 1};
        if (used_ == at_once_) rest();
    }

    devmem::Fd connection_;
    std::size_t at_once_;
    std::vector<std::byte> host_, control_;
    std::array<Range, 128> ranges_{};
    std::size_t used_ = 0;
    std::uint64_t frags_ = 0;
};

// Gathers the pieces in other memory if there is any.
class Library final : public ReceiveWay {
  public:
    Library(devmem::Fd connection, const devmem::RxBinding& binding, const devmem::DmaBuf* to,
            std::uint64_t keep)
        : receiver_(std::move(connection)), to_(to), kept_(keep) {
        if (to) gather_ = std::make_unique<devmem::Gather>(binding, *to);
    }

    ssize_t read(bool wait) override {
        using State = devmem::Receiver::State;
        const auto got =
            receiver_.receive(wait ? devmem::Receiver::Wait::yes : devmem::Receiver::Wait::no);
        if (got.state == State::would_block) return -1;
        if (got.state == State::end) return 0;
        if (got.state != State::data) throw std::system_error(got.error, "receive");
        for (const devmem::Piece& one : got.pieces) {
            if (!one.on_device()) continue;
            if (!kept_.empty()) kept_[frags_ % kept_.size()] = receiver_.take(one);
            frags_++;
        }
        if (gather_) gather(got);
        return static_cast<ssize_t>(got.bytes);
    }
    void rest() override { check(receiver_.give_back(), "give back"); }
    [[nodiscard]] int fd() const override { return receiver_.fd(); }
    [[nodiscard]] std::uint64_t frags() const override { return frags_; }
    devmem::Receiver* receiver() override { return gather_ ? nullptr : &receiver_; }

  private:
    void gather(const devmem::Receiver::Result& got) {
        if (at_ + got.bytes > to_->size()) at_ = 0;
        check((*gather_)(receiver_, got.pieces, at_), "gather");
        at_ += got.bytes;
    }

    devmem::Receiver receiver_;
    const devmem::DmaBuf* to_;
    std::unique_ptr<devmem::Gather> gather_;
    std::vector<devmem::Frag> kept_;  // the newest, round and round
    std::size_t at_ = 0;
    std::uint64_t frags_ = 0;
};

}  // namespace

bool uses_binding(const std::string& way) {
    return way != "discard" && way != "copy";
}

std::unique_ptr<ReceiveWay> make_receive_way(const std::string& way, devmem::Fd connection,
                                             const ReceiveMemory& memory) {
    if (way == "discard") return std::make_unique<Discard>(std::move(connection));
    if (way == "copy") return std::make_unique<Copy>(std::move(connection), *memory.memory);
    if (way == "one by one") return std::make_unique<Raw>(std::move(connection), 1);
    if (way == "batched") return std::make_unique<Raw>(std::move(connection), 128);
    if (way != "library" && way != "gather") throw std::runtime_error("no way " + way);
    return std::make_unique<Library>(std::move(connection), *memory.binding,
                                     way == "gather" ? memory.memory : nullptr, memory.keep);
}
