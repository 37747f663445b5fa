// SPDX-License-Identifier: GPL-2.0
// BPF programs of a few instructions, by way of the bpf() system call: no compiler, no library.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "devmem/fd.h"

namespace bpf {

using Code = std::vector<bpf_insn>;

/// 64-bit numbers, all 0 at first.
class ArrayMap {
  public:
    explicit ArrayMap(std::uint32_t entries);
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] std::int64_t get(std::uint32_t key) const;

  private:
    devmem::Fd fd_;
};

/// Sockets whose payload goes through a program.
class SockMap {
  public:
    explicit SockMap(std::uint32_t entries = 1);
    [[nodiscard]] int fd() const { return fd_.get(); }
    /// type: BPF_SK_SKB_STREAM_VERDICT and the like.
    void attach(const devmem::Fd& program, bpf_attach_type type) const;
    /// Throws std::system_error.
    void add(int socket, std::uint32_t key = 0) const;

  private:
    devmem::Fd fd_;
};

/// Throws std::system_error; what the verifier says goes to standard output.
devmem::Fd load(bpf_prog_type type, const Code& code);
void pin(const devmem::Fd& program, const std::string& path);

/// Returns a constant.
Code constant(std::int32_t value);

/// For BPF_PROG_TYPE_SK_SKB: the payload goes to the socket that a sockmap has there; flags 0: to
/// be sent, BPF_F_INGRESS: to be read.
Code redirect(const SockMap& map, std::uint32_t key, std::uint64_t flags);

/// What payload_probe() writes down, by its place in the map.
enum ProbeSlot : std::uint32_t { probed_load, probed_pull, probed_beyond, probed_packets, probed };

/// For BPF_PROG_TYPE_SCHED_CLS: of a packet longer than `offset`, writes down what
/// bpf_skb_load_bytes() and bpf_skb_pull_data() say of the byte there, and whether direct access
/// gets there. Lets every packet pass.
Code payload_probe(int map, std::int32_t offset);

}  // namespace bpf
