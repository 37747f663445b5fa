// SPDX-License-Identifier: MIT
#include "lanes.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>
#include <thread>

#include "devmem/error.h"
#include "endpoint.h"
#include "intake.h"
#include "outflow.h"

namespace {

constexpr std::size_t most_at_once = 1 << 20;

std::vector<std::byte> buffer_for(const Lane& lane) {
    return std::vector<std::byte>(std::clamp<std::size_t>(lane.part.length, 1, most_at_once));
}

// A piece of the lane's memory after the other, round and round.
class Place {
  public:
    explicit Place(devmem::Extent part) : part_(part) {}
    std::uint64_t take(std::size_t size) {
        if (used_ + size > part_.length) used_ = 0;
        const std::uint64_t offset = part_.offset + used_;
        used_ += size;
        return offset;
    }

  private:
    devmem::Extent part_;
    std::size_t used_ = 0;
};

void throw_if(const std::error_code& error, const char* what) {
    if (error) throw std::system_error(error, what);
}

void send_all(int socket, std::span<const std::byte> bytes, const Waiter& waiter) {
    while (!bytes.empty()) {
        const ssize_t sent =
            ::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            waiter.wait(socket, POLLOUT);
        } else if (errno != EINTR) {
            devmem::throw_errno("send");
        }
    }
    waiter.check();
}

// The end of the stream included.
void wait_until_acknowledged(int socket, const Waiter& waiter) {
    for (int left = 1; left > 0; waiter.sleep(std::chrono::milliseconds(1))) {
        if (::ioctl(socket, TIOCOUTQ, &left) < 0) devmem::throw_errno("ioctl TIOCOUTQ");
        if (const int error = error_of(socket)) throw devmem::Error(error, "send");
    }
}

}  // namespace

std::size_t Limit::room(std::uint64_t sent, std::size_t most) const {
    if (time && std::chrono::steady_clock::now() >= *time) return 0;
    return bytes ? std::min<std::uint64_t>(most, *bytes - sent) : most;
}

std::vector<Lane> lanes_for(const std::vector<devmem::Fd>& connections, std::uint64_t size) {
    std::vector<Lane> lanes;
    lanes.reserve(connections.size());
    const std::size_t each = size / connections.size();
    for (const devmem::Fd& connection : connections)
        lanes.push_back({.socket = connection.get(), .part = {lanes.size() * each, each}});
    return lanes;
}

void run_side_by_side(std::vector<Lane>& lanes, const std::function<void(Lane&)>& work) {
    std::vector<std::exception_ptr> failed(lanes.size());
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < lanes.size(); ++i)
            threads.emplace_back([&, i] {
                try {
                    work(lanes[i]);
                } catch (...) {
                    failed[i] = std::current_exception();
                }
            });
    }
    for (const auto& failure : failed)
        if (failure) std::rethrow_exception(failure);
}

void receive_into_device(Lane& lane, const devmem::RxBinding& binding, const Waiter& waiter) {
    Intake intake(devmem::Fd::duplicate(lane.socket), binding, waiter);
    while (!intake.next().empty()) {
    }
    lane.bytes = intake.counts().bytes;
    lane.device_bytes = intake.counts().device_bytes;
}

void receive_and_copy(Lane& lane, const devmem::DmaBuf& memory, const Waiter& waiter) {
    auto buffer = buffer_for(lane);
    Place place(lane.part);
    for (;;) {
        const ssize_t got = ::recv(lane.socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got == 0) return;
        if (got < 0 && errno != EAGAIN && errno != EINTR) devmem::throw_errno("receive");
        if (got < 0) {
            waiter.wait(lane.socket, POLLIN);
            continue;
        }
        const auto bytes = std::span(buffer).first(static_cast<std::size_t>(got));
        throw_if(memory.to_device(place.take(bytes.size()), bytes), "copy to device memory");
        lane.bytes += bytes.size();
        waiter.check();
    }
}

void send_from_device(Lane& lane, const devmem::TxBinding& binding, const Limit& limit,
                      const Waiter& waiter) {
    Outflow outflow(devmem::Fd::duplicate(lane.socket), binding, waiter, {.part = lane.part});
    outflow.send(
        [&](devmem::Extent slot) { return limit.room(outflow.counts().bytes, slot.length); });
    outflow.finish();
    lane.bytes = lane.device_bytes = outflow.counts().bytes;
}

void copy_and_send(Lane& lane, const devmem::DmaBuf& memory, const Limit& limit,
                   const Waiter& waiter) {
    auto buffer = buffer_for(lane);
    Place place(lane.part);
    while (const std::size_t size = limit.room(lane.bytes, buffer.size())) {
        const auto bytes = std::span(buffer).first(size);
        throw_if(memory.to_host(place.take(size), bytes), "copy from device memory");
        send_all(lane.socket, bytes, waiter);
        lane.bytes += size;
    }
    if (::shutdown(lane.socket, SHUT_WR) < 0) devmem::throw_errno("shutdown");
    wait_until_acknowledged(lane.socket, waiter);
}
