// SPDX-License-Identifier: MIT
// ROCm memory, with an imitation of the HSA runtime: what is called, what is left afterwards, and
// what happens when any of it fails.
#include "rocm_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

#include "devmem/error.h"
#include "fake_library.h"
#include "fake_rocm.h"
#include "probe_host.h"
#include "scratch_folder.h"

namespace devmem {
namespace {

using test::dmabuf;
using test::FakeRocm;
using test::pattern;
using test::thrown;
using testing::HasSubstr;

constexpr std::uint64_t mebibyte = 1 << 20;

class RocmTest : public testing::Test {
  protected:
    RocmTest() { library_.find<test::FakeRocmReset>("fake_rocm_reset")(); }
    ~RocmTest() override {
        EXPECT_EQ(fake().allocations, 0U);
        EXPECT_EQ(fake().signals, 0U);
        EXPECT_EQ(fake().under_way, 0U);
        EXPECT_EQ(fake().freed_while_exported, 0);
        EXPECT_EQ(fake().started, 0);
    }

    [[nodiscard]] FakeRocm& fake() const {
        return library_.find<test::FakeRocmState>("fake_rocm")();
    }
    static DmaBuf make(const RocmDriver& driver, std::uint64_t size = mebibyte,
                       const Gpu& gpu = {}) {
        return dmabuf(rocm_memory(driver, size, gpu));
    }
    void fail(const char* call, int how = 0x1000, int after = 0) const {
        fake().made.clear();
        fake().failing = call;
        fake().failure = how;
        fake().failing_after = after;
    }

  private:
    test::FakeLibrary library_{FAKE_ROCM};
};

TEST_F(RocmTest, RoundTrip) {
    const RocmDriver driver(FAKE_ROCM);
    DmaBuf memory = make(driver);
    memory = make(driver, 3 * mebibyte);
    EXPECT_EQ(memory.size(), 4 * mebibyte);
    const auto out = pattern(100000);
    std::vector<std::byte> in(out.size()), seen(out.size());
    ASSERT_FALSE(memory.to_device(77, out));
    ASSERT_FALSE(memory.to_host(77, in));
    EXPECT_EQ(in, out);
    ASSERT_EQ(::pread(memory.fd(), seen.data(), seen.size(), 77), 100000);
    EXPECT_EQ(seen, out);
    EXPECT_FALSE(memory.to_device(0, {}));
}

TEST_F(RocmTest, GathersOnTheDeviceManyAtATime) {
    const RocmDriver driver(FAKE_ROCM);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver);
    const auto out = pattern(100 * 1000);
    std::vector<std::byte> in(out.size());
    ASSERT_FALSE(from.to_device(0, out));
    std::vector<CopyRange> ranges;
    for (std::uint64_t i = 0; i < 100; ++i) {
        ranges.push_back({(99 - i) * 1000, 1000, i * 1000});
        ranges.push_back({0, 0, i * 1000 + 1000});
    }
    ASSERT_FALSE(from.gather(ranges, to));
    EXPECT_EQ(fake().made["hsa_amd_memory_async_copy"], 100);
    EXPECT_GT(fake().most_under_way, 1U);
    ASSERT_FALSE(to.to_host(0, in));
    for (std::ptrdiff_t i = 0; i < 100; ++i)
        ASSERT_TRUE(std::equal(in.begin() + i * 1000, in.begin() + (i + 1) * 1000,
                               out.begin() + (99 - i) * 1000))
            << i;
}

// Later ranges win, and see what earlier ones did, though the device may turn them round.
TEST_F(RocmTest, GathersInOrder) {
    const RocmDriver driver(FAKE_ROCM);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver);
    const auto out = pattern(3000);
    std::vector<std::byte> in(1000);
    ASSERT_FALSE(from.to_device(0, out));
    ASSERT_FALSE(from.gather(
        std::vector<CopyRange>{
            {0, 1000, 500}, {1000, 1000, 500}, {2000, 100, 400}, {2000, 100, 599}},
        to));
    ASSERT_FALSE(to.to_host(500, in));
    EXPECT_TRUE(std::equal(in.begin(), in.begin() + 99, out.begin() + 1000));
    EXPECT_TRUE(std::equal(in.begin() + 99, in.begin() + 199, out.begin() + 2000));
    EXPECT_TRUE(std::equal(in.begin() + 199, in.end(), out.begin() + 1199));

    ASSERT_FALSE(from.gather(std::vector<CopyRange>{{0, 1000, 5000}, {5000, 1000, 9000}}, from));
    ASSERT_FALSE(from.to_host(9000, in));
    EXPECT_TRUE(std::equal(in.begin(), in.end(), out.begin()));
}

TEST_F(RocmTest, GathersBetweenDevicesByWayOfTheHost) {
    fake().gpus = {0x3b00, 0x5e08};
    const RocmDriver driver(FAKE_ROCM);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver, mebibyte, {.pci_address = "0001:5e:01.0"});
    const auto out = pattern(50000);
    std::vector<std::byte> in(out.size());
    ASSERT_FALSE(from.to_device(0, out));
    ASSERT_FALSE(from.gather(std::vector<CopyRange>{{0, out.size(), 100}}, to));
    ASSERT_FALSE(to.to_host(100, in));
    EXPECT_EQ(in, out);
    EXPECT_EQ(fake().made["hsa_amd_memory_async_copy"], 0);
}

TEST_F(RocmTest, ThreadsShareAnEngine) {
    const RocmDriver driver(FAKE_ROCM);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver);
    constexpr std::size_t part = 100000;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 8; ++i)
        threads.emplace_back([&, i] {
            const auto out = pattern(part, i + 3);
            std::vector<std::byte> in(part);
            const std::uint64_t at = i * part;
            for (int turn = 0; turn < 20; ++turn) {
                EXPECT_FALSE(from.to_device(at, out));
                EXPECT_FALSE(from.gather(
                    std::vector<CopyRange>{{at, 7, at}, {at + 7, part - 7, at + 7}}, to));
                EXPECT_FALSE(to.to_host(at, in));
                EXPECT_EQ(in, out);
            }
        });
    for (std::thread& thread : threads) thread.join();
}

// ---- memory of the program's own ------------------------------------------

class ImportedRocmTest : public RocmTest {
  protected:
    ImportedRocmTest() {
        driver.check(
            driver.call().allocate(driver.memory_of(driver.agent({})), mebibyte, 0, &address), "");
    }
    ~ImportedRocmTest() override {
        EXPECT_EQ(fake().allocations, 1U);
        EXPECT_EQ(driver.call().free(address), 0);
    }
    std::string refused(void* at, std::uint64_t size) {
        return thrown([&] { import_rocm_memory(driver, at, size); }, std::errc::invalid_argument);
    }

    // The runtime is shut down with the driver, before the base class looks.
    RocmDriver driver{FAKE_ROCM};
    void* address = nullptr;
};

TEST_F(ImportedRocmTest, IsNotFreed) {
    const DmaBuf memory = dmabuf(import_rocm_memory(driver, address, mebibyte));
    const auto out = pattern(5000);
    std::vector<std::byte> in(out.size());
    ASSERT_FALSE(memory.to_device(0, out));
    ASSERT_FALSE(memory.to_host(0, in));
    EXPECT_EQ(in, out);
}

TEST_F(ImportedRocmTest, IsAWholeAllocationOfAGpu) {
    auto* base = static_cast<std::byte*>(address);
    EXPECT_THAT(refused(base + 1, 4096), HasSubstr("whole pages"));
    EXPECT_THAT(refused(base, 0), HasSubstr("whole pages"));
    EXPECT_THAT(refused(base + 4096, 4096), HasSubstr("whole allocations"));
    EXPECT_THAT(refused(base, 4096), HasSubstr("whole allocations"));
    EXPECT_THAT(refused(reinterpret_cast<void*>(4096), 4096), HasSubstr("not memory of a GPU"));
    fail("hsa_amd_pointer_info", 0x1001);
    EXPECT_THAT(refused(base, mebibyte), HasSubstr("import rocm memory"));
    fail("");
}

// ---- failures -------------------------------------------------------------

TEST_F(RocmTest, NoLibrary) {
    try {
        const RocmDriver driver("/no/such/library.so");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code().value(), ELIBACC);
        EXPECT_THAT(error.what(), HasSubstr("No such file"));
    }
}

TEST_F(RocmTest, LibraryTooOld) {
    EXPECT_THAT(thrown([] { const RocmDriver driver(FAKE_ROCM_TOO_OLD); },
                       std::errc::function_not_supported),
                HasSubstr("it has no hsa_amd_portable_export_dmabuf"));
}

TEST_F(RocmTest, NoDevice) {
    fake().gpus.clear();
    EXPECT_THAT(thrown([] { const RocmDriver driver(FAKE_ROCM); }, std::errc::no_such_device),
                HasSubstr("rocminfo"));
    fail("hsa_init", 0x1008);
    EXPECT_THAT(thrown([] { const RocmDriver driver(FAKE_ROCM); }, std::errc::not_enough_memory),
                HasSubstr("HSA_STATUS_ERROR_OUT_OF_RESOURCES: there is not enough"));
    fail("");
}

TEST_F(RocmTest, NoSuchDevice) {
    const RocmDriver driver(FAKE_ROCM);
    EXPECT_THAT(thrown([&] { make(driver, mebibyte, {.ordinal = 1}); }, std::errc::no_such_device),
                HasSubstr("find rocm device 1"));
    EXPECT_THAT(thrown([&] { make(driver, mebibyte, {.pci_address = "0001:77:00.0"}); },
                       std::errc::no_such_device),
                HasSubstr("find rocm device 0001:77:00.0"));
}

TEST_F(RocmTest, DeviceThatExportsNothing) {
    const RocmDriver driver(FAKE_ROCM);
    fake().exports = false;
    EXPECT_THAT(thrown([&] { make(driver); }, std::errc::operation_not_supported),
                HasSubstr("export rocm memory of gfx000 at 0001:3b:00.0"));
    fake().exports = true;
    fail("hsa_system_get_info", 0x1001);  // an older one, which does not know the question
    EXPECT_THAT(thrown([&] { make(driver); }, std::errc::operation_not_supported),
                HasSubstr("export rocm memory"));
    fail("");
}

TEST_F(RocmTest, DmabufWithOtherMemoryToo) {
    const RocmDriver driver(FAKE_ROCM);
    fake().export_offset = 4096;
    EXPECT_THAT(thrown([&] { make(driver); }, std::errc::invalid_argument),
                HasSubstr("other memory too"));
    fake().export_offset = 0;
    fake().export_more = 4096;
    EXPECT_THAT(thrown([&] { make(driver); }, std::errc::invalid_argument),
                HasSubstr("other memory too"));
}

// Whichever step fails, those before it are undone; the fixture counts.
TEST_F(RocmTest, EachStepMayFail) {
    const RocmDriver driver(FAKE_ROCM);
    const std::vector<std::pair<const char*, int>> steps = {
        {"hsa_agent_get_info", 0},
        {"hsa_agent_get_info", 1},
        {"hsa_amd_agent_iterate_memory_pools", 0},
        {"hsa_amd_memory_pool_get_info", 0},
        {"hsa_amd_memory_pool_get_info", 3},
        {"hsa_amd_memory_pool_allocate", 0},
        {"hsa_signal_create", 0},
        {"hsa_signal_create", 1},
        {"hsa_amd_portable_export_dmabuf", 0},
    };
    for (const auto& [step, after] : steps) {
        fail(step, 0x1000, after);
        EXPECT_THROW(make(driver), Error) << step << after;
        fail("");
        EXPECT_EQ(fake().allocations, 0U) << step << after;
        EXPECT_EQ(fake().signals, 0U) << step << after;
    }
}

TEST_F(RocmTest, CopiesReturnWhatTheDriverSaid) {
    const RocmDriver driver(FAKE_ROCM);
    const DmaBuf memory = make(driver);
    std::vector<std::byte> host(10);
    fail("hsa_memory_copy");
    EXPECT_EQ(memory.to_device(0, host).message(), "HSA_STATUS_ERROR: it went wrong");
    EXPECT_EQ(memory.to_host(0, host).value(), 0x1000);
    fail("");
    EXPECT_EQ(driver.code(0x1234).message(), "HSA status 4660");
}

TEST_F(RocmTest, FailedGatherWaitsForWhatItStarted) {
    const RocmDriver driver(FAKE_ROCM);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver);
    const std::vector<CopyRange> ranges{{0, 10, 0}, {10, 10, 10}, {20, 10, 20}};
    fail("hsa_amd_memory_async_copy", 0x1000, 2);
    EXPECT_EQ(from.gather(ranges, to).value(), 0x1000);
    EXPECT_EQ(fake().under_way, 0U);
    fail("");
    fake().copies_fail = true;
    EXPECT_EQ(from.gather(ranges, to).value(), 0x1000);
    EXPECT_EQ(fake().under_way, 0U);
    fake().copies_fail = false;
    EXPECT_FALSE(from.gather(ranges, to));
}

// ---- what devmem doctor says ----------------------------------------------

// With the device file there, and this library.
Exporter look(const std::string& library) {
    const test::ScratchFolder root;
    std::filesystem::create_directory(root.path() / "dev");
    root.write("dev/kfd", "");
    for (const Exporter& exporter : look_at_memory(root.path(), {.rocm = library}).exporters)
        if (exporter.name == "rocm") return exporter;
    return {};
}

TEST_F(RocmTest, DoctorTellsThemApart) {
    fake().gpus.push_back(0x5e08);
    EXPECT_EQ(look(FAKE_ROCM).state, Exporter::State::ready);
    EXPECT_EQ(look(FAKE_ROCM).seen, "gfx000 at 0001:3b:00.0, gfx000 at 0001:5e:01.0");
    fake().exports = false;
    EXPECT_EQ(look(FAKE_ROCM).state, Exporter::State::absent);
    EXPECT_EQ(look(FAKE_ROCM).seen,
              "gfx000 at 0001:3b:00.0, gfx000 at 0001:5e:01.0: exports no dmabufs");
    fake().gpus.clear();
    EXPECT_THAT(look(FAKE_ROCM).seen, HasSubstr("find rocm device: No such device"));
    EXPECT_THAT(look(FAKE_ROCM_TOO_OLD).seen,
                HasSubstr("it has no hsa_amd_portable_export_dmabuf"));
    EXPECT_THAT(look("/no/such/library.so").seen, HasSubstr("No such file"));
    EXPECT_EQ(look("/no/such/library.so").state, Exporter::State::absent);
}

}  // namespace
}  // namespace devmem
