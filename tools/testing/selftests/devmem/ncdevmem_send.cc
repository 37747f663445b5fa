// SPDX-License-Identifier: GPL-2.0
// Standard input to a connection, by way of device memory.
#include <devmem/binding.h>
#include <devmem/error.h>
#include <devmem/netdev.h>
#include <devmem/sender.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <vector>

#include "ncdevmem.h"

namespace {

using Clock = std::chrono::steady_clock;
using State = devmem::Sender::State;

class Input {
  public:
    Input(devmem::Fd socket, const devmem::TxBinding& binding, std::uint64_t chunk)
        : sender_(std::move(socket)),
          binding_(binding),
          chunk_(chunk),
          slots_(std::min<std::uint64_t>(binding.dmabuf().size() / slot_size(), max_slots)),
          buffer_(slot_size()) {}

    void send() {
        for (std::size_t i = 0; fill(i % slots_.size()); ++i) {
        }
        if (::shutdown(sender_.fd(), SHUT_WR) < 0) devmem::throw_errno("shutdown");
        while (sender_.pending() > 0) wait_for_room(0);
        check_connection();
    }

    void print(Clock::duration took) const {
        fmt::print(stderr, "sent {} from dmabuf {}; {} calls\n",
                   amount(bytes_, std::chrono::duration<double>(took).count()), binding_.id(),
                   calls_);
        if (sender_.copied() > 0)
            fmt::print(stderr, "the kernel says it copied {} of them\n", sender_.copied());
    }

  private:
    static constexpr std::uint64_t max_slots = 64;

    // Several, so that one is filled while the others are on their way.
    [[nodiscard]] std::uint64_t slot_size() const {
        return std::clamp<std::uint64_t>(binding_.dmabuf().size() / 4, 1, 1 << 20);
    }

    // What can be read goes out by way of that slot; false at the end.
    bool fill(std::size_t slot) {
        while (!sender_.done(slots_[slot])) wait_for_room(0);
        wait_for(STDIN_FILENO, POLLIN);
        const ssize_t got = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
        if (got < 0) devmem::throw_errno("read standard input");
        if (got == 0) return false;
        const auto bytes = std::span(buffer_).first(static_cast<std::size_t>(got));
        const std::size_t offset = slot * slot_size();
        if (auto error = binding_.dmabuf().to_device(offset, bytes))
            throw std::system_error(error, "copying into the dmabuf");
        send_range(slots_[slot], offset, bytes.size());
        return true;
    }

    void send_range(devmem::Sender::Ticket& ticket, std::size_t offset, std::size_t size) {
        const std::size_t most = chunk_ > 0 ? std::min<std::size_t>(chunk_, size) : size;
        extents_.clear();
        for (std::size_t at = 0; at < size; at += most)
            extents_.push_back({offset + at, std::min(most, size - at)});
        for (std::span<devmem::Extent> left = extents_; !left.empty();) {
            const auto sent = sender_.send(binding_.id(), left);
            ++calls_;
            if (sent.state != State::sent) {
                wait_after(sent);
                continue;
            }
            ticket = sent.ticket;
            bytes_ += sent.bytes;
            left = devmem::drop_front(left, sent.bytes);
        }
    }

    void wait_after(const devmem::Sender::Result& sent) {
        if (sent.state == State::would_block) return wait_for_room(POLLOUT);
        if (sent.state == State::no_memory) return wait_for_room(0);
        throw std::system_error(sent.error, "sending from the dmabuf");
    }

    // Completions that are there to be read would end every wait, so they are read first.
    void wait_for_room(short events) {
        if (sender_.complete() == 0) wait_for(sender_.fd(), events);
    }

    // The kernel is done with memory also where the connection broke.
    void check_connection() const {
        int error = 0;
        socklen_t size = sizeof(error);
        ::getsockopt(sender_.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) throw std::system_error(error, std::system_category(), "sending");
    }

    devmem::Sender sender_;
    const devmem::TxBinding& binding_;
    std::uint64_t chunk_;
    std::vector<devmem::Sender::Ticket> slots_;  // the last send from each
    std::vector<std::byte> buffer_;
    std::vector<devmem::Extent> extents_;
    std::uint64_t bytes_ = 0, calls_ = 0;
};

}  // namespace

int send_input(const Options& options) {
    if (options.validate > 0 || options.no_host_bytes)
        throw Failure("-v and -L check what is received: they need -l");
    const auto memory = make_memory(options);
    const devmem::TxBinding binding(devmem::interface_index(options.interface), memory);
    Input input(connect_to(options), binding, options.chunk);
    const auto start = Clock::now();
    input.send();
    input.print(Clock::now() - start);
    return 0;
}
