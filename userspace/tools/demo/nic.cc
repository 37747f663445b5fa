// SPDX-License-Identifier: MIT
// The guest's side of `./lab demo --nic`: moves bytes between a TCP peer, which is the host of this
// virtual machine, and device memory, and tells the peer where they are. Whether that is true the
// peer sees for itself: both the device's memory and this machine's are files there.
//
// On the one connection this sends a line of what it is going to do. Then
//   receive: the peer sends the bytes; this says "OFFSET LENGTH" of each piece, and "."
//   send:    the peer puts the bytes into the device, and says "go"; this sends them
// and waits until the peer, who now looks around, closes.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "devmem/binding.h"
#include "devmem/dmabuf.h"
#include "devmem/error.h"
#include "devmem/header_split.h"
#include "devmem/memory_kind.h"
#include "devmem/netdev.h"
#include "devmem/receiver.h"
#include "devmem/sender.h"

namespace {

struct Options {
    std::string interface, address, memory;
    std::uint16_t port = 5201;
    std::uint64_t bytes = 16 << 20, device_bytes = 64 << 20;
    bool send = false, host = false;
};

/// The NIC resets when its queue gets other memory. While its link comes back nobody is found
/// there, which takes Linux 3 s to say.
devmem::Fd connect_to(const Options& options) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(options.port);
    ::inet_pton(AF_INET, options.address.c_str(), &to.sin_addr);
    for (int tries = 0;; tries++) {
        devmem::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!fd.is_open()) devmem::throw_errno("socket");
        if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) return fd;
        if (errno != EHOSTUNREACH || tries == 20) devmem::throw_errno("connect " + options.address);
    }
}

void write_all(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0) devmem::throw_errno("send");
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

void say(int fd, const std::string& line) {
    write_all(fd, std::as_bytes(std::span(line)));
}

/// The peer has nothing to say but this, and then that it closes.
void wait_for_go(int fd) {
    std::array<char, 3> word{};
    if (::recv(fd, word.data(), word.size(), MSG_WAITALL) != 3)
        devmem::throw_errno("wait for the peer");
}

void wait_for_close(int fd) {
    std::byte nothing{};
    while (::recv(fd, &nothing, 1, 0) > 0) {
    }
}

/// All of the device, so that offsets in the dmabuf are offsets in the device. What has been bound
/// comes back when the kernel has looked after it, which it does once a second.
devmem::DmaBuf allocate(const Options& options) {
    for (int tries = 0;; tries++) {
        try {
            return devmem::MemoryKind(options.memory).allocate(options.device_bytes);
        } catch (const devmem::Error& error) {
            if (error.code().value() != ENOSPC || tries == 300) throw;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

std::string announce(const Options& options) {
    return fmt::format("{} {} {}\n", options.send ? "send" : "receive", options.bytes,
                       options.host ? "host" : "device");
}

/// All frags are kept until the peer has looked.
void receive_into_device(const Options& options) {
    const auto ifindex = devmem::interface_index(options.interface);
    const auto memory = allocate(options);
    const devmem::HeaderSplit split(ifindex);
    const devmem::RxBinding binding(ifindex, devmem::queue_range(0, 1), memory);
    devmem::Receiver receiver(connect_to(options));
    say(receiver.fd(), announce(options));

    std::vector<devmem::Frag> kept;
    std::string table;
    for (std::uint64_t bytes = 0; bytes < options.bytes;) {
        const auto got = receiver.receive(devmem::Receiver::Wait::yes);
        if (got.state != devmem::Receiver::State::data &&
            got.state != devmem::Receiver::State::would_block)
            throw devmem::Error(got.error ? got.error.value() : EBADMSG, "receive");
        for (const auto& piece : got.pieces) {
            if (!piece.on_device())
                throw devmem::Error(EBADMSG, "receive", "bytes came by way of host memory");
            table += fmt::format("{} {}\n", piece.offset, piece.size);
            kept.push_back(receiver.take(piece));
        }
        bytes += got.bytes;
    }
    say(receiver.fd(), table + ".\n");
    (void)receiver.receive(devmem::Receiver::Wait::yes);  // the peer closes
}

void send_from_device(const Options& options) {
    const auto memory = allocate(options);
    const devmem::TxBinding binding(devmem::interface_index(options.interface), memory);
    devmem::Sender sender(connect_to(options));
    say(sender.fd(), announce(options));
    wait_for_go(sender.fd());

    devmem::Extent extent{0, options.bytes};
    for (std::span<devmem::Extent> left(&extent, 1); !left.empty();) {
        const auto result = sender.send(binding.id(), left, devmem::Sender::Wait::yes);
        if (result.error || result.state == devmem::Sender::State::reset)
            throw devmem::Error(result.error.value(), "send from device memory");
        if (result.state == devmem::Sender::State::no_memory)
            sender.complete(devmem::Sender::Wait::yes);
        left = devmem::drop_front(left, result.bytes);
    }
    while (sender.pending() > 0) sender.complete(devmem::Sender::Wait::yes);
    if (sender.copied() > 0) throw devmem::Error(EBADMSG, "send", "the kernel copied the payload");
    wait_for_close(sender.fd());
}

/// As without device memory: recv(), and a copy to the device where it is to be.
void receive_and_copy(const Options& options) {
    const auto memory = allocate(options);
    const auto fd = connect_to(options);
    say(fd.get(), announce(options));
    std::vector<std::byte> bytes(1 << 18);
    for (std::uint64_t done = 0; done < options.bytes;) {
        const ssize_t n = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
        if (n <= 0) devmem::throw_errno("recv");
        const auto got = std::span<const std::byte>(bytes).first(static_cast<std::size_t>(n));
        if (const auto error = memory.to_device(done, got))
            throw devmem::Error(error, "copy to the device");
        done += got.size();
    }
    say(fd.get(), fmt::format("0 {}\n.\n", options.bytes));
    wait_for_close(fd.get());
}

void copy_and_send(const Options& options) {
    const auto memory = allocate(options);
    const auto fd = connect_to(options);
    say(fd.get(), announce(options));
    wait_for_go(fd.get());
    std::vector<std::byte> bytes(1 << 18);
    for (std::uint64_t done = 0; done < options.bytes;) {
        const auto part =
            std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), options.bytes - done));
        if (const auto error = memory.to_host(done, part))
            throw devmem::Error(error, "copy from the device");
        write_all(fd.get(), part);
        done += part.size();
    }
    wait_for_close(fd.get());
}

void run(const Options& options) {
    if (options.host) return options.send ? copy_and_send(options) : receive_and_copy(options);
    return options.send ? send_from_device(options) : receive_into_device(options);
}

}  // namespace

int main(int argc, char** argv) try {
    Options options;
    CLI::App app("Moves bytes between a TCP peer and device memory, and says where they are.");
    app.add_option("--interface", options.interface, "the NIC")->required();
    app.add_option("--address", options.address, "the peer's IPv4 address")->required();
    app.add_option("--port", options.port, "its TCP port")->capture_default_str();
    app.add_option("--memory", options.memory, "kind of memory")->required();
    app.add_option("--device-bytes", options.device_bytes, "how much of it to take");
    app.add_option("--bytes", options.bytes, "how much to move")->capture_default_str();
    app.add_flag("--send", options.send, "send; else receive");
    app.add_flag("--host", options.host, "by way of host memory, as without devmem TCP");
    CLI11_PARSE(app, argc, argv);
    run(options);
    return 0;
} catch (const std::exception& error) {
    fmt::print(stderr, "FAILED: {}\n", error.what());
    return 1;
}
