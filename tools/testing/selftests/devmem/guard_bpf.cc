// SPDX-License-Identifier: GPL-2.0
#include "guard_bpf.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "process.h"

namespace bpf {

namespace {

int call(bpf_cmd command, bpf_attr& attr) {
    return static_cast<int>(::syscall(SYS_bpf, command, &attr, sizeof(attr)));
}

std::uint64_t address(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
}

devmem::Fd make_map(bpf_map_type type, std::uint32_t value_size, std::uint32_t entries) {
    bpf_attr attr{};
    attr.map_type = type;
    attr.key_size = sizeof(std::uint32_t);
    attr.value_size = value_size;
    attr.max_entries = entries;
    devmem::Fd fd(call(BPF_MAP_CREATE, attr));
    if (!fd.is_open()) throw_errno_of("make a BPF map");
    return fd;
}

// ---- instructions, one function each --------------------------------------

using Register = std::uint8_t;

bpf_insn instruction(int code, Register to, Register from, int offset, std::int32_t value) {
    bpf_insn insn{};
    insn.code = static_cast<std::uint8_t>(code);
    insn.dst_reg = to & 15;
    insn.src_reg = from & 15;
    insn.off = static_cast<std::int16_t>(offset);
    insn.imm = value;
    return insn;
}

bpf_insn move(Register to, Register from) {
    return instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}

bpf_insn move(Register to, int value) {
    return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}

bpf_insn add(Register to, int value) {
    return instruction(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value);
}

bpf_insn load(int size, Register to, Register from, int offset) {
    return instruction(BPF_LDX | BPF_MEM | size, to, from, offset, 0);
}

bpf_insn store(int size, Register to, int offset, Register from) {
    return instruction(BPF_STX | BPF_MEM | size, to, from, offset, 0);
}

bpf_insn jump(int condition, Register left, Register right, int over) {
    return instruction(BPF_JMP | condition | BPF_X, left, right, over, 0);
}

bpf_insn jump_if(int condition, Register left, std::int32_t right, int over) {
    return instruction(BPF_JMP | condition | BPF_K, left, 0, over, right);
}

bpf_insn call(int helper) {
    return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

bpf_insn leave() {
    return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

constexpr Register r0 = 0, r1 = 1, r2 = 2, r3 = 3, r4 = 4, r6 = 6, r7 = 7, frame = 10;

// Two instructions long.
Code load_map(Register to, int map) {
    return {instruction(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_FD, 0, map),
            instruction(0, 0, 0, 0, 0)};
}

void append(Code& code, const Code& more) {
    code.insert(code.end(), more.begin(), more.end());
}

// Writes r7 down: the map wants pointers to both, so they are put in the stack frame.
void append_note(Code& code, int map, ProbeSlot slot) {
    append(code, {store(BPF_DW, frame, -16, r7), move(r1, static_cast<int>(slot)),
                  store(BPF_W, frame, -4, r1)});
    append(code, load_map(r1, map));
    append(code, {move(r2, frame), add(r2, -4), move(r3, frame), add(r3, -16), move(r4, 0),
                  call(BPF_FUNC_map_update_elem)});
}

}  // namespace

ArrayMap::ArrayMap(std::uint32_t entries)
    : fd_(make_map(BPF_MAP_TYPE_ARRAY, sizeof(std::int64_t), entries)) {}

std::int64_t ArrayMap::get(std::uint32_t key) const {
    std::int64_t value = 0;
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    attr.key = address(&key);
    attr.value = address(&value);
    if (call(BPF_MAP_LOOKUP_ELEM, attr) != 0) throw_errno_of("look up in a BPF map");
    return value;
}

SockMap::SockMap(std::uint32_t entries)
    : fd_(make_map(BPF_MAP_TYPE_SOCKMAP, sizeof(int), entries)) {}

void SockMap::attach(const devmem::Fd& program, bpf_attach_type type) const {
    bpf_attr attr{};
    attr.target_fd = static_cast<std::uint32_t>(fd_.get());
    attr.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
    attr.attach_type = type;
    if (call(BPF_PROG_ATTACH, attr) != 0) throw_errno_of("attach a program to a sockmap");
}

void SockMap::add(int socket, std::uint32_t key) const {
    bpf_attr attr{};
    attr.map_fd = static_cast<std::uint32_t>(fd_.get());
    attr.key = address(&key);
    attr.value = address(&socket);
    if (call(BPF_MAP_UPDATE_ELEM, attr) != 0) throw_errno_of("put a socket in a sockmap");
}

devmem::Fd load(bpf_prog_type type, const Code& code) {
    std::array<char, 8192> log{};
    bpf_attr attr{};
    attr.prog_type = type;
    attr.insns = address(code.data());
    attr.insn_cnt = static_cast<std::uint32_t>(code.size());
    attr.license = address("GPL");
    attr.log_buf = address(log.data());
    attr.log_size = log.size();
    attr.log_level = 1;
    devmem::Fd fd(call(BPF_PROG_LOAD, attr));
    if (!fd.is_open()) {
        const int error = errno;
        std::printf("# the verifier: %s\n", log.data());
        errno = error;
        throw_errno_of("load a BPF program");
    }
    return fd;
}

void pin(const devmem::Fd& program, const std::string& path) {
    bpf_attr attr{};
    attr.pathname = address(path.c_str());
    attr.bpf_fd = static_cast<std::uint32_t>(program.get());
    if (call(BPF_OBJ_PIN, attr) != 0) throw_errno_of("pin a BPF program as " + path);
}

Code constant(std::int32_t value) {
    return {move(r0, value), leave()};
}

Code redirect(const SockMap& map, std::uint32_t key, std::uint64_t flags) {
    Code code = load_map(r2, map.fd());
    append(code, {move(r3, static_cast<int>(key)), move(r4, static_cast<int>(flags)),
                  call(BPF_FUNC_sk_redirect_map), leave()});
    return code;
}

Code payload_probe(int map, std::int32_t offset) {
    Code code{move(r6, r1), load(BPF_W, r2, r6, offsetof(__sk_buff, len)),
              jump_if(BPF_JGT, r2, offset, 2), move(r0, 0), leave()};
    // r7 = is the byte in what data and data_end enclose?
    append(code, {move(r7, 0), load(BPF_W, r1, r6, offsetof(__sk_buff, data)),
                  load(BPF_W, r2, r6, offsetof(__sk_buff, data_end)), add(r1, offset + 1),
                  jump(BPF_JGT, r1, r2, 1), move(r7, 1)});
    append_note(code, map, probed_beyond);
    append(code, {move(r1, r6), move(r2, offset), move(r3, frame), add(r3, -8), move(r4, 1),
                  call(BPF_FUNC_skb_load_bytes), move(r7, r0)});
    append_note(code, map, probed_load);
    append(code, {move(r1, r6), move(r2, offset + 1), call(BPF_FUNC_skb_pull_data), move(r7, r0)});
    append_note(code, map, probed_pull);
    append(code, {move(r7, 1)});
    append_note(code, map, probed_packets);
    append(code, {move(r0, 0), leave()});
    return code;
}

}  // namespace bpf
