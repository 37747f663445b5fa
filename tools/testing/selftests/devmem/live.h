// SPDX-License-Identifier: GPL-2.0
// What tests stand on that do something to a binding while it is in use.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "bound.h"
#include "expect.h"

/// A stream without end, and frags of it that are held.
struct Live {
    explicit Live(std::shared_ptr<Topology> pair = std::make_shared<Topology>(),
                  std::uint16_t port = 6000)
        : bound(std::move(pair), {.memory = 4 << 20, .rcvbuf = 256 << 10}),
          sender(std::in_place, bound.topology.there_fd(),
                 SendPlan{.first_port = port, .bytes = endless}),
          reader(bound.accept()) {
        reader->hold(true);
        EXPECT("a stream begins", reader->read(100'000), reader->bytes());
        reader->hold(false);
    }

    Bound bound;
    std::optional<Sender> sender;
    std::optional<Reader> reader;
};

/// The stream goes on, and it and the held frags are as they should be.
inline void expect_flow(Reader& reader, const std::string& when, std::uint64_t more = 300'000) {
    const auto from = reader.bytes();
    EXPECT(when + ": the stream goes on", reader.read(from + more), reader.bytes() - from);
    EXPECT(when + ": the stream is not over", !reader.over(), reader.bytes());
    EXPECT_EQUAL(when + ": first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL(when + ": frags held", std::string(), reader.check_held());
}

/// The same, and by now it lands on the device, or it does not.
inline void expect_flow_on(bool device, Reader& reader, const std::string& when) {
    expect_flow(reader, when);
    const auto bytes = reader.bytes(), on_device = reader.device_bytes();
    expect_flow(reader, when);
    const auto seen = reader.device_bytes() - on_device;
    EXPECT_EQUAL(when + ": bytes on the device", device ? reader.bytes() - bytes : 0, seen);
}
