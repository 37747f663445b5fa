// SPDX-License-Identifier: MIT
// What the examples of event loops do with several connections: the n-th stream ends up in the file
// FOLDER/n. To keep payload on the device instead: see gather.
#pragma once

#include <devmem/binding.h>
#include <devmem/netdev.h>
#include <devmem/nic_session.h>
#include <devmem/receiver.h>

#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "listen.h"

class Stream {
  public:
    Stream(devmem::Fd connection, const devmem::DmaBuf& memory, const std::string& file)
        : receiver_(std::move(connection)), memory_(memory), file_(file, std::ios::binary) {}

    devmem::Receiver& receiver() { return receiver_; }
    [[nodiscard]] bool over() const { return over_; }

    /// What a receive() gave; would_block is nothing.
    void save(const devmem::Receiver::Result& got) {
        using State = devmem::Receiver::State;
        for (const devmem::Piece& piece : got.pieces) write(piece);
        if (got.state == State::reset || got.state == State::failed)
            throw std::system_error(got.error, "receive");
        over_ = got.state == State::end;
        if (over_) file_.close();
    }

  private:
    void write(const devmem::Piece& piece) {
        bytes_.assign(piece.host.begin(), piece.host.end());
        bytes_.resize(piece.size);
        if (piece.on_device())
            if (const auto error = memory_.to_host(piece.offset, bytes_))
                throw std::system_error(error, "copy to the host");
        file_.write(reinterpret_cast<const char*>(bytes_.data()),
                    static_cast<std::streamsize>(bytes_.size()));
    }

    devmem::Receiver receiver_;
    const devmem::DmaBuf& memory_;
    std::ofstream file_;
    std::vector<std::byte> bytes_;
    bool over_ = false;
};

/// A NIC that receives into memory, and connections to it.
class Server {
  public:
    Server(const std::string& interface, std::uint16_t port)
        : ifindex_(devmem::interface_index(interface)),
          memory_(devmem::DmaBuf::accelmem(16 << 20)),
          nic_(ifindex_, {.flows = devmem::flows_to_port(port)}),
          binding_(ifindex_, nic_.queues(), memory_),
          listener_(listen_on(port)) {}

    std::vector<Stream> accept(int count, const std::string& folder) {
        std::vector<Stream> streams;
        for (int i = 0; i < count; ++i)
            streams.emplace_back(accept_from(listener_), memory_, folder + "/" + std::to_string(i));
        return streams;
    }

  private:
    std::uint32_t ifindex_;
    devmem::DmaBuf memory_;
    devmem::NicSession nic_;
    devmem::RxBinding binding_;
    devmem::Fd listener_;
};

/// For main(): INTERFACE PORT COUNT FOLDER.
template <class Run>
int save_streams(int argc, char** argv, Run run) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: %s INTERFACE PORT COUNT FOLDER\n", argv[0]);
        return 2;
    }
    try {
        Server server(argv[1], static_cast<std::uint16_t>(std::stoi(argv[2])));
        auto streams = server.accept(std::stoi(argv[3]), argv[4]);
        run(streams);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
        return 1;
    }
    return 0;
}
