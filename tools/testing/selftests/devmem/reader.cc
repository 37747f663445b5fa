// SPDX-License-Identifier: GPL-2.0
#include "reader.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <stdexcept>

#include "devmem/error.h"

namespace {

using State = devmem::Receiver::State;

bool readable(int fd, double seconds) {
    pollfd ready{fd, POLLIN, 0};
    return ::poll(&ready, 1, static_cast<int>(seconds * 1000)) > 0;
}

std::uint16_t peer_port(int fd) {
    sockaddr_in6 peer{};
    socklen_t size = sizeof(peer);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
        devmem::throw_errno("getpeername");
    return ntohs(peer.sin6_port);
}

}  // namespace

Listener::Listener(std::uint16_t port, int rcvbuf)
    : fd_(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int one = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (rcvbuf != 0) ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_port = htons(port);
    if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0 ||
        ::listen(fd_.get(), 64) != 0)
        devmem::throw_errno("listen");
}

bool Listener::waits(double seconds) const {
    return readable(fd_.get(), seconds);
}

devmem::Fd Listener::accept(double seconds) const {
    if (!waits(seconds)) throw std::runtime_error("nobody connects");
    devmem::Fd connection(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.is_open()) devmem::throw_errno("accept");
    return connection;
}

Reader::Reader(devmem::Fd connection, Memories memories, const devmem::Receiver::Options& options)
    : pattern_(peer_port(connection.get())),
      memories_(std::move(memories)),
      receiver_(std::move(connection), options) {}

bool Reader::read(std::uint64_t bytes, double patience) {
    while (!over_ && position_ < bytes)
        if (!step() && (starved_ || !readable(receiver_.fd(), patience))) return false;
    return true;
}

bool Reader::step() {
    const auto got = receiver_.receive();
    starved_ = got.state == State::starved;
    if (got.state == State::would_block || starved_) return false;
    take_in(got);
    return true;
}

void Reader::take_in(const devmem::Receiver::Result& got) {
    most_pieces_ = std::max<std::uint64_t>(most_pieces_, got.pieces.size());
    for (const devmem::Piece& piece : got.pieces) take(piece);
    if (got.state != State::data && got.state != State::would_block) stop(got);
}

void Reader::take(const devmem::Piece& piece) {
    if (piece.on_device()) {
        note(check_device(piece.dmabuf_id, piece.offset, piece.size, position_));
        bindings_.insert(piece.dmabuf_id);
        device_ += piece.size;
        frags_++;
        if (hold_) held_.push_back({receiver_.take(piece), position_});
    } else if (const auto at = pattern_.differs(piece.host, position_); at >= 0) {
        note(fmt::format("host byte {} is wrong", position_ + static_cast<std::uint64_t>(at)));
    }
    position_ += piece.size;
}

void Reader::stop(const devmem::Receiver::Result& result) {
    over_ = true;
    ended_ = result.state == State::end;
    reset_ = result.state == State::reset;
    if (result.state == State::failed) note("receive: " + result.error.message());
}

std::string Reader::check_device(std::uint32_t id, std::uint64_t offset, std::uint32_t size,
                                 std::uint64_t position) {
    const auto memory = memories_.find(id);
    if (memory == memories_.end()) return fmt::format("a frag of unknown binding {}", id);
    if (!memory->second) return {};
    scratch_.resize(size);
    if (const auto error = memory->second->to_host(offset, scratch_))
        return fmt::format("copy from offset {}: {}", offset, error.message());
    const auto at = pattern_.differs(scratch_, position);
    if (at < 0) return {};
    return fmt::format("byte {} is wrong, in binding {} at {}",
                       position + static_cast<std::uint64_t>(at), id, offset);
}

void Reader::note(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
}

std::string Reader::check_held() {
    for (const Held& held : held_) {
        const auto bad = check_device(held.frag.dmabuf_id(), held.frag.offset(), held.frag.size(),
                                      held.position);
        if (!bad.empty()) return bad;
    }
    return {};
}

void Reader::let_go(std::size_t frags) {
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(frags));
}

void Reader::let_go_every_second() {
    bool second = true;
    std::erase_if(held_, [&](const Held&) { return second = !second; });
}

void Reader::give_back() {
    held_.clear();
    receiver_.give_back();
}

bool read_all(std::span<Reader> readers, double patience) {
    std::vector<pollfd> polls(readers.size());
    for (;;) {
        bool open = false;
        for (std::size_t i = 0; i < readers.size(); i++) {
            polls[i] = {readers[i].over() ? -1 : readers[i].receiver().fd(), POLLIN, 0};
            open |= !readers[i].over();
        }
        if (!open) return true;
        // What was read is ours to keep until the next receive(): don't sit on it.
        for (Reader& reader : readers) reader.receiver().give_back();
        if (::poll(polls.data(), polls.size(), static_cast<int>(patience * 1000)) <= 0)
            return false;
        for (std::size_t i = 0; i < readers.size(); i++)
            if (polls[i].fd >= 0 && polls[i].revents != 0) readers[i].step();
    }
}
