// SPDX-License-Identifier: GPL-2.0
// Takes connections and reads them, checking every byte wherever it landed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "devmem/dmabuf.h"
#include "devmem/fd.h"
#include "devmem/receiver.h"
#include "sender.h"

/// The memory behind each binding, by RxBinding::id().
using Memories = std::map<std::uint32_t, const devmem::DmaBuf*>;

class Listener {
  public:
    /// IPv4 and IPv6. rcvbuf: for SO_RCVBUF of the connections; 0: the kernel's own choice.
    explicit Listener(std::uint16_t port = 5201, int rcvbuf = 0);
    /// Somebody waits to be accepted, within so long.
    [[nodiscard]] bool waits(double seconds) const;
    /// Throws if nobody comes.
    [[nodiscard]] devmem::Fd accept(double seconds = 60) const;
    void close() { fd_.close(); }

  private:
    devmem::Fd fd_;
};

/// One connection from a Sender, and what has arrived on it.
class Reader {
  public:
    Reader(devmem::Fd connection, Memories memories, const devmem::Receiver::Options& options = {});

    /// Reads until `bytes` have arrived in all, or to the end. False if nothing came for so long,
    /// or it is starved(); see ended() and wrong() for the other ways to stop early.
    bool read(std::uint64_t bytes = endless, double patience = 60);
    /// One receive(). False if there was nothing to read.
    bool step();
    /// What somebody else's call of receiver().receive() gave, which did not fail.
    void take_in(const devmem::Receiver::Result& got);

    /// From now on frags are kept, or they are not.
    void hold(bool on) { hold_ = on; }
    [[nodiscard]] std::size_t held() const { return held_.size(); }
    /// Gives back the oldest of the kept frags.
    void let_go(std::size_t frags);
    /// Gives back every second of them, whose tokens do not adjoin.
    void let_go_every_second();
    /// The last step() was refused memory.
    [[nodiscard]] bool starved() const { return starved_; }
    /// What is wrong with the kept frags: empty, if each still has the bytes it came with.
    [[nodiscard]] std::string check_held();
    void give_back();
    /// Looks for frags of this binding there.
    void knows(std::uint32_t id, const devmem::DmaBuf* memory) { memories_[id] = memory; }
    /// Frags of this binding can't be looked at any more; the stream goes on unchecked there.
    void forget(std::uint32_t id) { memories_[id] = nullptr; }

    [[nodiscard]] std::uint64_t bytes() const { return position_; }
    [[nodiscard]] std::uint64_t device_bytes() const { return device_; }
    [[nodiscard]] std::uint64_t host_bytes() const { return position_ - device_; }
    [[nodiscard]] std::uint64_t frags() const { return frags_; }
    [[nodiscard]] std::uint64_t most_pieces() const { return most_pieces_; }
    [[nodiscard]] const std::set<std::uint32_t>& bindings() const { return bindings_; }
    /// The first thing that was not as it must be; empty if there was none.
    [[nodiscard]] const std::string& wrong() const { return wrong_; }
    /// The stream is over, one way or another.
    [[nodiscard]] bool over() const { return over_; }
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] bool reset() const { return reset_; }
    devmem::Receiver& receiver() { return receiver_; }

  private:
    struct Held {
        devmem::Frag frag;
        std::uint64_t position;
    };

    void take(const devmem::Piece& piece);
    void stop(const devmem::Receiver::Result& result);
    std::string check_device(std::uint32_t id, std::uint64_t offset, std::uint32_t size,
                             std::uint64_t position);
    void note(const std::string& what);

    Pattern pattern_;
    Memories memories_;
    devmem::Receiver receiver_;
    std::vector<Held> held_;
    std::vector<std::byte> scratch_;
    std::uint64_t position_ = 0, device_ = 0, frags_ = 0, most_pieces_ = 0;
    std::set<std::uint32_t> bindings_;
    std::string wrong_;
    bool hold_ = false, starved_ = false, over_ = false, ended_ = false, reset_ = false;
};

/// Reads several until each is over. False if nothing came for so long.
bool read_all(std::span<Reader> readers, double patience = 60);
