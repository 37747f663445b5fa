// SPDX-License-Identifier: GPL-2.0
#include "receive_way.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "devmem/error.h"
#include "devmem/gather.h"
#include "token_reader.h"

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

// The pages are the kernel's own, mapped; what fills none is copied. The device's copy engine reads
// them where they are.
class Mapped final : public Plain {
  public:
    Mapped(devmem::Fd connection, const devmem::DmaBuf& memory)
        : Plain(std::move(connection)), memory_(memory), buffer_(piece) {
        area_ = ::mmap(nullptr, piece, PROT_READ, MAP_SHARED, fd(), 0);
        if (area_ == MAP_FAILED) devmem::throw_errno("mmap");
    }
    ~Mapped() override { ::munmap(area_, piece); }

    ssize_t read(bool wait) override {
        if (wait) wait_for_data();
        tcp_zerocopy_receive map{};
        map.address = reinterpret_cast<std::uintptr_t>(area_);
        map.length = piece;
        socklen_t size = sizeof(map);
        if (::getsockopt(fd(), IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &map, &size) < 0) {
            if (errno == EIO) return 0;  // the end
            devmem::throw_errno("TCP_ZEROCOPY_RECEIVE");
        }
        copy({static_cast<const std::byte*>(area_), map.length});
        mapped_ += map.length;
        if (map.recv_skip_hint == 0 && map.length > 0) return map.length;
        const std::size_t most = map.recv_skip_hint > 0 ? map.recv_skip_hint : 1;
        const ssize_t got = receive(buffer_.data(), std::min(most, piece), 0, wait);
        if (got > 0) copy(std::span(buffer_).first(static_cast<std::size_t>(got)));
        return map.length > 0 ? map.length + std::max<ssize_t>(got, 0) : got;
    }
    [[nodiscard]] std::uint64_t frags() const override { return mapped_ / page; }

  private:
    static constexpr std::size_t page = 4096;

    void wait_for_data() const {
        pollfd entry{fd(), POLLIN, 0};
        if (::poll(&entry, 1, -1) < 0) devmem::throw_errno("poll");
    }
    void copy(std::span<const std::byte> bytes) {
        if (bytes.empty()) return;
        if (at_ + bytes.size() > memory_.size()) at_ = 0;
        check(memory_.to_device(at_, bytes), "copy to the device");
        at_ += bytes.size();
    }

    const devmem::DmaBuf& memory_;
    std::vector<std::byte> buffer_;
    void* area_;
    std::size_t at_ = 0;
    std::uint64_t mapped_ = 0;
};

// Tokens go back one by one, or so many at once.
class Raw final : public ReceiveWay {
  public:
    Raw(devmem::Fd connection, std::size_t at_once)
        : reader_(std::move(connection)), at_once_(at_once) {}
    ~Raw() override { give_back(); }

    ssize_t read(bool wait) override {
        const ssize_t got = reader_.read(wait);
        out_ = used_ + reader_.tokens().size();
        for (const std::uint32_t token : reader_.tokens()) {
            ranges_[used_++] = {token, 1};
            if (used_ == at_once_) give_back();
        }
        frags_ += reader_.tokens().size();
        return got;
    }
    void rest() override {
        give_back();
        out_ = 0;
    }
    [[nodiscard]] int fd() const override { return reader_.fd(); }
    [[nodiscard]] std::uint64_t frags() const override { return frags_; }
    [[nodiscard]] std::uint64_t out() const override { return out_; }

  private:
    void give_back() { reader_.give_back(std::span(ranges_).first(std::exchange(used_, 0))); }

    TokenReader reader_;
    std::size_t at_once_;
    std::array<TokenRange, 128> ranges_{};
    std::size_t used_ = 0;
    std::uint64_t frags_ = 0, out_ = 0;
};

// Gathers the pieces in other memory if there is any.
class Library final : public ReceiveWay {
  public:
    Library(devmem::Fd connection, const devmem::RxBinding* binding, const devmem::DmaBuf* to,
            std::uint64_t keep)
        : receiver_(std::move(connection)), to_(to), kept_(keep) {
        if (to) gather_ = std::make_unique<devmem::Gather>(*binding, *to);
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
    [[nodiscard]] std::uint64_t out() const override { return receiver_.outstanding(); }
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
    return way != "discard" && way != "copy" && way != "map";
}

bool uses_split(const std::string& way) {
    return way == "map" || uses_binding(way);
}

std::unique_ptr<ReceiveWay> make_receive_way(const std::string& way, devmem::Fd connection,
                                             const ReceiveMemory& memory) {
    if (way == "discard") return std::make_unique<Discard>(std::move(connection));
    if (way == "copy") return std::make_unique<Copy>(std::move(connection), *memory.memory);
    if (way == "map") return std::make_unique<Mapped>(std::move(connection), *memory.memory);
    if (way == "one by one") return std::make_unique<Raw>(std::move(connection), 1);
    if (way == "batched") return std::make_unique<Raw>(std::move(connection), 128);
    if (way != "library" && way != "gather") throw std::runtime_error("no way " + way);
    return std::make_unique<Library>(std::move(connection), memory.binding,
                                     way == "gather" ? memory.memory : nullptr, memory.keep);
}
