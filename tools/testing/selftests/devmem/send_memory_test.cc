// SPDX-License-Identifier: GPL-2.0
// Sending from what several exporters make of memory: in one piece, in a few, in single pages that
// are in no order. Every byte exact, above all around the ends of the pieces.
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <random>
#include <vector>

#include "devmem/memory_kind.h"
#include "leftovers.h"
#include "process.h"
#include "tx_stage.h"

namespace {

constexpr std::uint64_t page = 4096;

// ---- memory ---------------------------------------------------------------

devmem::DmaBuf accelmem() {
    return devmem::MemoryKind(device_memory()).allocate(4 * mebibyte);
}

devmem::DmaBuf whole_udmabuf() {
    nic_need(NIC_REMAPS);
    return devmem::DmaBuf::udmabuf(4 * mebibyte);
}

// What the kernel's page allocator has: blocks of 1 MiB, 64 KiB or a page.
devmem::DmaBuf heap() {
    nic_need(NIC_REMAPS);
    if (::access("/dev/dma_heap/system", R_OK | W_OK) != 0)
        ktap_skip("no /dev/dma_heap/system (CONFIG_DMABUF_HEAPS_SYSTEM)");
    return devmem::DmaBuf::heap(4 * mebibyte);
}

devmem::Fd sealed_memfd(std::uint64_t size) {
    devmem::Fd fd(::memfd_create("scattered", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    KTAP_NEED(fd.is_open() && ::ftruncate(fd.get(), static_cast<off_t>(size)) == 0 &&
              ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    return fd;
}

/// struct udmabuf_create_list, with room for what follows it.
struct PageList {
    std::uint32_t flags = UDMABUF_FLAGS_CLOEXEC, count = 1024;
    std::array<udmabuf_create_item, 1024> items{};
};
static_assert(offsetof(PageList, items) == sizeof(udmabuf_create_list));

// The pages of four memfds by turns, and of each with others in between.
devmem::DmaBuf scattered_udmabuf() {
    nic_need(NIC_REMAPS);
    constexpr std::uint64_t each = 256;
    std::array<devmem::Fd, 4> memfds;
    for (devmem::Fd& fd : memfds) fd = sealed_memfd(each * page);
    PageList list;
    for (std::size_t i = 0; i < list.items.size(); i++) {
        udmabuf_create_item& item = list.items[i];
        item.memfd = static_cast<std::uint32_t>(memfds[i % memfds.size()].get());
        item.offset = i / memfds.size() * 101 % each * page;
        item.size = page;
    }
    const devmem::Fd device(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
    if (!device.is_open()) throw_errno_of("open /dev/udmabuf");
    devmem::Fd fd(::ioctl(device.get(), UDMABUF_CREATE_LIST, &list));
    if (!fd.is_open()) throw_errno_of("UDMABUF_CREATE_LIST");
    return devmem::DmaBuf::import(std::move(fd), list.items.size() * page);
}

// ---- tests ----------------------------------------------------------------

template <devmem::DmaBuf (*make)()>
void borders() {
    const TxStage stage({}, TxMemory(make()));
    TxStream stream = stage.stream();
    for (std::uint64_t border = page; border < stage.memory.size(); border += page)
        for (const auto& [before, after] : {std::pair{1U, 1U}, {0U, 3U}, {5U, 0U}, {77U, 1500U}})
            stream.send(Extent{border - before, before + after});
    expect_whole(stream);
}

template <devmem::DmaBuf (*make)()>
void whole() {
    const TxStage stage({.mtu = 9000}, TxMemory(make()));
    TxStream stream = stage.stream();
    const std::uint64_t size = stage.memory.size();
    for (const std::uint64_t offset : {0UL, 1UL, page - 1, page, 3 * page + 17})
        stream.send(Extent{offset, size - offset});
    expect_whole(stream);
}

template <devmem::DmaBuf (*make)(), std::size_t count>
void iovecs() {
    const TxStage stage({}, TxMemory(make()));
    TxStream stream = stage.stream();
    std::minstd_rand random(count);
    for (int call = 0; call < 20; call++) {
        std::vector<Extent> extents(count);
        for (Extent& extent : extents) {
            extent.length = 1 + random() % (call % 2 ? 2 * page : 100);
            extent.offset = random() % (stage.memory.size() - extent.length);
        }
        stream.send(extents);
    }
    expect_whole(stream);
}

template <devmem::DmaBuf (*make)()>
void lost() {
    const TxStage stage({}, TxMemory(make()));
    stage.topology.here("ip link set dm0 gso_max_segs 4");
    stage.netem("delay 1ms loss 3%");
    TxStream stream = stage.stream();
    send_all(stream, stage.memory, 2 * mebibyte, 50'021);
    expect_whole(stream, 120);
    EXPECT("segments were sent again", retransmitted() > 0, 0);
}

const ktap_test tests[] = {
    {"accelmem, all of it at once: exact", clean<whole<accelmem>>},
    {"accelmem, page borders: exact", clean<borders<accelmem>>},
    {"udmabuf of a memfd, all of it at once: exact", clean<whole<whole_udmabuf>>},
    {"udmabuf of a memfd, page borders: exact", clean<borders<whole_udmabuf>>},
    {"system heap, all of it at once: exact", clean<whole<heap>>},
    {"system heap, page borders: exact", clean<borders<heap>>},
    {"system heap, 17 iovecs: exact", clean<iovecs<heap, 17>>},
    {"pages of four memfds, all of it at once: exact", clean<whole<scattered_udmabuf>>},
    {"pages of four memfds, page borders: exact", clean<borders<scattered_udmabuf>>},
    {"pages of four memfds, 1 iovec: exact", clean<iovecs<scattered_udmabuf, 1>>},
    {"pages of four memfds, 2 iovecs: exact", clean<iovecs<scattered_udmabuf, 2>>},
    {"pages of four memfds, 17 iovecs: exact", clean<iovecs<scattered_udmabuf, 17>>},
    {"pages of four memfds, 1024 iovecs: exact", clean<iovecs<scattered_udmabuf, 1024>>},
    {"pages of four memfds, 3 % loss: exact", clean<lost<scattered_udmabuf>>},
};

}  // namespace

int main(int argc, char** argv) {
    const std::string why = why_no_sending();
    if (!why.empty()) return ktap_skip_all(why.c_str());
    return run_tests(tests, argc, argv);
}
