// SPDX-License-Identifier: GPL-2.0
#include "send_way.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "devmem/cmsg.h"
#include "devmem/error.h"
#include "devmem/sender.h"

namespace {

void check(const std::error_code& error, const char* what) {
    if (error) throw std::system_error(error, what);
}

class Plain : public SendWay {
  public:
    explicit Plain(devmem::Fd connection) : connection_(std::move(connection)) {}
    [[nodiscard]] int fd() const override { return connection_.get(); }

  protected:
    std::size_t send(std::span<const std::byte> bytes, int flags, bool wait) const {
        flags |= MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
        const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), flags);
        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS) devmem::throw_errno("send");
        return static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
    }

  private:
    devmem::Fd connection_;
};

// From a buffer; with memory, that is filled by its copy engine first.
class Copy final : public Plain {
  public:
    Copy(devmem::Fd connection, const devmem::DmaBuf* memory, std::size_t piece)
        : Plain(std::move(connection)), memory_(memory), buffer_(piece) {}

    std::size_t write(std::size_t size, bool wait) override {
        if (left_.empty()) fill(std::min(size, buffer_.size()));
        const std::size_t sent = send(left_, 0, wait);
        left_ = left_.subspan(sent);
        return sent;
    }

  private:
    void fill(std::size_t size) {
        left_ = std::span(buffer_).first(size);
        if (!memory_) return;
        if (at_ + size > memory_->size()) at_ = 0;
        check(memory_->to_host(at_, std::span(buffer_).first(size)), "copy from the device");
        at_ += size;
    }

    const devmem::DmaBuf* memory_;
    std::vector<std::byte> buffer_;
    std::span<const std::byte> left_;
    std::size_t at_ = 0;
};

// From one of many buffers, which is filled anew when TCP is done with it.
class Zerocopy final : public Plain {
  public:
    Zerocopy(devmem::Fd connection, const devmem::DmaBuf& memory, std::size_t piece)
        : Plain(std::move(connection)),
          memory_(memory),
          piece_(piece),
          slots_(total / piece),
          buffers_(total) {
        const int one = 1;
        if (::setsockopt(fd(), SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0)
            devmem::throw_errno("SO_ZEROCOPY");
    }

    std::size_t write(std::size_t size, bool wait) override {
        complete();
        while (left_.empty() && used_ - done_ == slots_) {
            if (!wait) return 0;
            wait_for_errors();
        }
        if (left_.empty()) fill(std::min(size, piece_));
        const std::size_t sent = send(left_, MSG_ZEROCOPY, wait);
        if (sent > 0) ends_[sends_++ % sends_at_most] = used_;
        left_ = left_.subspan(sent);
        return sent;
    }
    void finish() override {
        while (completed_ < sends_) wait_for_errors();
    }

  private:
    static constexpr std::size_t total = 8 << 20, sends_at_most = 4096;

    void fill(std::size_t size) {
        const auto slot = std::span(buffers_).subspan(used_++ % slots_ * piece_, size);
        if (at_ + size > memory_.size()) at_ = 0;
        check(memory_.to_host(at_, slot), "copy from the device");
        at_ += size;
        left_ = slot;
    }
    void wait_for_errors() {
        pollfd entry{fd(), 0, 0};
        if (::poll(&entry, 1, -1) < 0) devmem::throw_errno("poll");
        complete();
    }
    // TCP is done with sends in their order, as long as nothing is lost.
    void complete() {
        std::array<std::byte, 256> control{};
        msghdr message{};
        for (;;) {
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            if (::recvmsg(fd(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
            const auto said =
                devmem::parse_completion(std::span(control).first(message.msg_controllen));
            if (!said || said->first != completed_) throw std::runtime_error("odd completion");
            completed_ = said->last + 1;
            done_ = ends_[said->last % sends_at_most] - (is_partly_done() ? 1 : 0);
        }
    }

    // There is more of the buffer that the last completed send was from.
    [[nodiscard]] bool is_partly_done() const {
        if (completed_ == sends_) return !left_.empty();
        return ends_[completed_ % sends_at_most] == ends_[(completed_ - 1) % sends_at_most];
    }

    const devmem::DmaBuf& memory_;
    std::size_t piece_, slots_;
    std::vector<std::byte> buffers_;
    std::span<const std::byte> left_;           // of the newest buffer, not sent yet
    std::size_t at_ = 0, used_ = 0, done_ = 0;  // used_, done_: buffers
    std::uint32_t sends_ = 0, completed_ = 0;
    std::array<std::size_t, sends_at_most> ends_{};  // which buffers each send is past
};

class Library final : public SendWay {
  public:
    Library(devmem::Fd connection, const devmem::TxBinding& binding, std::size_t piece)
        : sender_(std::move(connection)), binding_(binding), piece_(piece) {}

    std::size_t write(std::size_t size, bool wait) override {
        using State = devmem::Sender::State;
        using Wait = devmem::Sender::Wait;
        const std::array extents{next(size)};
        sender_.complete();
        const auto sent = sender_.send(binding_.id(), extents, wait ? Wait::yes : Wait::no);
        if (sent.state == State::no_memory && wait) sender_.complete(Wait::yes);
        if (sent.state == State::reset || sent.state == State::failed)
            throw std::system_error(sent.error, "send");
        at_ += sent.bytes;
        return sent.bytes;
    }
    void finish() override {
        while (sender_.pending() > 0) sender_.complete(devmem::Sender::Wait::yes);
    }
    [[nodiscard]] int fd() const override { return sender_.fd(); }

  private:
    [[nodiscard]] devmem::Extent next(std::size_t size) {
        if (at_ == binding_.dmabuf().size()) at_ = 0;
        return {at_, std::min({size, piece_, binding_.dmabuf().size() - at_})};
    }

    devmem::Sender sender_;
    const devmem::TxBinding& binding_;
    std::size_t piece_;
    std::size_t at_ = 0;
};

}  // namespace

std::unique_ptr<SendWay> make_send_way(const std::string& way, devmem::Fd connection,
                                       const SendMemory& memory) {
    const std::size_t piece = memory.piece;
    if (way == "host") return std::make_unique<Copy>(std::move(connection), nullptr, piece);
    if (way == "copy") return std::make_unique<Copy>(std::move(connection), memory.memory, piece);
    if (way == "zerocopy")
        return std::make_unique<Zerocopy>(std::move(connection), *memory.memory, piece);
    if (way != "library") throw std::runtime_error("no way " + way);
    return std::make_unique<Library>(std::move(connection), *memory.binding, piece);
}
