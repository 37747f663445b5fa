// SPDX-License-Identifier: MIT
// CUDA memory, with an imitation of the driver: what is called, in which context, what is left
// afterwards, and what happens when any of it fails.
#include "cuda_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

#include "cuda_context.h"
#include "devmem/error.h"
#include "fake_cuda.h"
#include "fake_library.h"
#include "probe_host.h"
#include "scratch_folder.h"

namespace devmem {
namespace {

using test::dmabuf;
using test::FakeCuda;
using test::pattern;
using test::thrown;
using testing::HasSubstr;

constexpr std::uint64_t mebibyte = 1 << 20;

class CudaTest : public testing::Test {
  protected:
    CudaTest() { library_.find<test::FakeCudaReset>("fake_cuda_reset")(); }
    ~CudaTest() override {
        EXPECT_EQ(fake().pushes, fake().pops);
        EXPECT_EQ(depth(), 0U);
        EXPECT_EQ(fake().allocations, 0U);
        EXPECT_EQ(fake().streams, 0U);
        EXPECT_EQ(fake().freed_while_exported, 0);
        for (const auto& device : fake().devices) EXPECT_EQ(device.retained, 0);
    }

    [[nodiscard]] FakeCuda& fake() const {
        return library_.find<test::FakeCudaState>("fake_cuda")();
    }
    [[nodiscard]] std::size_t depth() const {
        return library_.find<test::FakeCudaDepth>("fake_cuda_depth")();
    }
    static DmaBuf make(const CudaDriver& driver, std::uint64_t size = mebibyte,
                       const Gpu& gpu = {}) {
        return dmabuf(cuda_memory(driver, size, gpu));
    }
    void fail(const char* call, int how = 999, int after = 0) const {
        fake().made.clear();
        fake().failing = call;
        fake().failure = how;
        fake().failing_after = after;
    }

  private:
    test::FakeLibrary library_{FAKE_CUDA};
};

TEST_F(CudaTest, RoundTrip) {
    const CudaDriver driver(FAKE_CUDA);
    const DmaBuf memory = make(driver, 3 * mebibyte);
    EXPECT_EQ(memory.size(), 4 * mebibyte);
    const auto out = pattern(100000);
    std::vector<std::byte> in(out.size());
    ASSERT_FALSE(memory.to_device(4 * mebibyte - out.size(), out));
    ASSERT_FALSE(memory.to_host(4 * mebibyte - out.size(), in));
    EXPECT_EQ(in, out);
    EXPECT_EQ(memory.to_host(4 * mebibyte - out.size() + 1, in), std::errc::invalid_argument);
    ASSERT_FALSE(memory.to_device(0, {}));
}

TEST_F(CudaTest, DmabufIsTheMemory) {
    const CudaDriver driver(FAKE_CUDA);
    const DmaBuf memory = make(driver);
    const DmaBuf seen =
        DmaBuf::import(Fd::duplicate(memory.fd()), memory.size(), std::unique_ptr<CopyEngine>());
    const auto out = pattern(5000);
    std::vector<std::byte> in(out.size());
    ASSERT_FALSE(memory.to_device(77, out));
    ASSERT_EQ(::pread(seen.fd(), in.data(), in.size(), 77), 5000);
    EXPECT_EQ(in, out);
}

TEST_F(CudaTest, GathersOnTheDevice) {
    const CudaDriver driver(FAKE_CUDA);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver);
    const auto out = pattern(10000);
    std::vector<std::byte> in(out.size());
    ASSERT_FALSE(from.to_device(77, out));
    fake().made.clear();
    const std::vector<CopyRange> ranges{{77 + 5000, 5000, 0}, {77, 0, 9}, {77, 5000, 5000}};
    ASSERT_FALSE(from.gather(ranges, to));
    EXPECT_EQ(fake().made["cuMemcpyDtoDAsync"], 2);
    EXPECT_EQ(fake().made["cuMemcpyDtoHAsync"], 0);
    EXPECT_EQ(fake().made["cuStreamSynchronize"], 1);
    ASSERT_FALSE(to.to_host(0, in));
    EXPECT_TRUE(std::equal(in.begin(), in.begin() + 5000, out.begin() + 5000));
    EXPECT_TRUE(std::equal(in.begin() + 5000, in.end(), out.begin()));
}

TEST_F(CudaTest, GathersBetweenDevicesByWayOfTheHost) {
    fake().devices.push_back({.pci_address = "0000:5e:00.0"});
    const CudaDriver driver(FAKE_CUDA);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver, mebibyte, {.pci_address = "0000:5e:00.0"});
    const auto out = pattern(50000);
    std::vector<std::byte> in(out.size());
    ASSERT_FALSE(from.to_device(0, out));
    ASSERT_FALSE(from.gather(std::vector<CopyRange>{{0, out.size(), 100}}, to));
    ASSERT_FALSE(to.to_host(100, in));
    EXPECT_EQ(in, out);
    EXPECT_EQ(fake().made["cuMemcpyDtoDAsync"], 0);
    EXPECT_EQ(fake().devices[1].retained, 1);
}

TEST_F(CudaTest, FlushesWhatANicWroteWhereTheDeviceDoesNotOrderIt) {
    fake().devices = {{.ordering = 0},
                      {.pci_address = "1", .ordering = 100},
                      {.pci_address = "2", .ordering = 0, .flush_options = 2}};
    const CudaDriver driver(FAKE_CUDA);
    std::vector<std::byte> host(10);
    for (unsigned device = 0; device < 3; ++device) {
        const DmaBuf memory = make(driver, mebibyte, {.ordinal = device});
        fake().made.clear();
        ASSERT_FALSE(memory.to_device(0, host));
        EXPECT_EQ(fake().made["cuFlushGPUDirectRDMAWrites"], 0);
        ASSERT_FALSE(memory.to_host(0, host));
        ASSERT_FALSE(memory.gather(std::vector<CopyRange>{{0, 5, 5}, {0, 5, 10}}, memory));
        EXPECT_EQ(fake().made["cuFlushGPUDirectRDMAWrites"], device == 0 ? 2 : 0) << device;
    }
}

TEST_F(CudaTest, LeavesTheThreadsContextAlone) {
    fake().devices.push_back({.pci_address = "0000:5e:00.0"});
    const CudaDriver driver(FAKE_CUDA);
    const CudaContext mine = CudaContext::primary(driver, 1);
    mine.with([&] {
        const DmaBuf memory = make(driver);
        std::vector<std::byte> host(10);
        EXPECT_FALSE(memory.to_device(0, host));
        EXPECT_EQ(depth(), 1U);
        return cuda::success;
    });
}

TEST_F(CudaTest, ThreadsOfAllSorts) {
    const CudaDriver driver(FAKE_CUDA);
    const DmaBuf from = make(driver);
    const DmaBuf to = make(driver);
    constexpr std::size_t part = 100000;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 8; ++i)
        threads.emplace_back([&, i] {
            const auto out = pattern(part, i + 3);
            std::vector<std::byte> in(part);
            for (int turn = 0; turn < 20; ++turn) {
                EXPECT_FALSE(from.to_device(i * part, out));
                EXPECT_FALSE(from.gather(std::vector<CopyRange>{{i * part, part, i * part}}, to));
                EXPECT_FALSE(to.to_host(i * part, in));
                EXPECT_EQ(in, out);
            }
            EXPECT_EQ(depth(), 0U);
        });
    for (std::thread& thread : threads) thread.join();
}

TEST_F(CudaTest, MovedOverIsFreedInOrder) {
    const CudaDriver driver(FAKE_CUDA);
    DmaBuf memory = make(driver);
    memory = make(driver);
    EXPECT_EQ(fake().allocations, 1U);
    EXPECT_EQ(fake().freed_while_exported, 0);
}

// ---- memory of the program's own ------------------------------------------

class ImportedCudaTest : public CudaTest {
  protected:
    cuda::Address allocate(const CudaContext& context) {
        cuda::Address address = 0;
        driver.check(context.with([&] { return driver.call().allocate(&address, mebibyte); }), "");
        return address;
    }
    void round_trip(cuda::Address address) {
        const DmaBuf memory =
            dmabuf(import_cuda_memory(driver, reinterpret_cast<void*>(address), mebibyte));
        EXPECT_EQ(memory.size(), mebibyte);
        const auto out = pattern(5000);
        std::vector<std::byte> in(out.size());
        ASSERT_FALSE(memory.to_device(0, out));
        ASSERT_FALSE(memory.to_host(0, in));
        EXPECT_EQ(in, out);
    }

    CudaDriver driver{FAKE_CUDA};
};

TEST_F(ImportedCudaTest, IsNotFreed) {
    const CudaContext context = CudaContext::primary(driver, 0);
    const cuda::Address address = allocate(context);
    round_trip(address);
    EXPECT_EQ(fake().allocations, 1U);
    EXPECT_EQ(fake().devices[0].retained, 1);
    EXPECT_EQ(context.with([&] { return driver.call().free(address); }), 0);
}

TEST_F(ImportedCudaTest, OfAContextOfTheProgram) {
    const auto own = CudaContext::borrowed(driver, reinterpret_cast<cuda::Context>(7));
    const cuda::Address address = allocate(own);
    round_trip(address);
    EXPECT_EQ(fake().made["cuDevicePrimaryCtxRetain"], 0);
    EXPECT_EQ(own.with([&] { return driver.call().free(address); }), 0);
}

TEST_F(ImportedCudaTest, OfNoContext) {
    const CudaContext context = CudaContext::primary(driver, 0);
    const cuda::Address address = allocate(context);
    fake().memory_without_context = true;
    round_trip(address);
    EXPECT_EQ(fake().made["cuDevicePrimaryCtxRetain"], 2);
    EXPECT_EQ(context.with([&] { return driver.call().free(address); }), 0);
}

TEST_F(ImportedCudaTest, IsWholePagesOfTheDriver) {
    const auto refuse = [&](std::uintptr_t address, std::uint64_t size) {
        return thrown([&] { import_cuda_memory(driver, reinterpret_cast<void*>(address), size); },
                      std::errc::invalid_argument);
    };
    EXPECT_THAT(refuse(4096, 5000), HasSubstr("whole pages"));
    EXPECT_THAT(refuse(4097, 4096), HasSubstr("whole pages"));
    EXPECT_THAT(refuse(4096, 0), HasSubstr("whole pages"));
    EXPECT_THAT(refuse(4096, 4096), HasSubstr("CUDA_ERROR_INVALID_VALUE"));
}

// ---- failures -------------------------------------------------------------

TEST_F(CudaTest, NoLibrary) {
    try {
        const CudaDriver driver("/no/such/library.so");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code().value(), ELIBACC);
        EXPECT_THAT(error.what(), HasSubstr("load /no/such/library.so"));
        EXPECT_THAT(error.what(), HasSubstr("No such file"));
    }
}

TEST_F(CudaTest, LibraryTooOld) {
    EXPECT_THAT(thrown([] { const CudaDriver driver(FAKE_CUDA_TOO_OLD); },
                       std::errc::function_not_supported),
                HasSubstr("it has no cuMemGetHandleForAddressRange"));
}

TEST_F(CudaTest, NoDevice) {
    fake().devices.clear();
    const auto what = thrown([] { const CudaDriver driver(FAKE_CUDA); }, std::errc::no_such_device);
    EXPECT_THAT(what, HasSubstr("CUDA_ERROR_NO_DEVICE, no CUDA-capable device is detected"));
    EXPECT_THAT(what, HasSubstr("nvidia-smi"));
}

TEST_F(CudaTest, NoSuchDevice) {
    const CudaDriver driver(FAKE_CUDA);
    EXPECT_THAT(thrown([&] { make(driver, mebibyte, {.ordinal = 1}); }, std::errc::no_such_device),
                HasSubstr("find cuda device 1"));
    EXPECT_THAT(thrown([&] { make(driver, mebibyte, {.pci_address = "0000:77:00.0"}); },
                       std::errc::no_such_device),
                HasSubstr("find cuda device 0000:77:00.0"));
}

TEST_F(CudaTest, DeviceThatExportsNothing) {
    fake().devices[0].dma_buf = 0;
    const CudaDriver driver(FAKE_CUDA);
    EXPECT_THAT(thrown([&] { make(driver); }, std::errc::operation_not_supported),
                HasSubstr("export cuda memory of Fake GPU at 0000:3b:00.0"));
    EXPECT_EQ(fake().made["cuMemAlloc"], 0);
}

TEST_F(CudaTest, NoMemory) {
    const CudaDriver driver(FAKE_CUDA);
    fail("cuMemAlloc", 2);
    EXPECT_THAT(thrown([&] { make(driver); }, std::errc::not_enough_memory),
                HasSubstr("CUDA_ERROR_OUT_OF_MEMORY, out of memory"));
    fail("");
    EXPECT_THAT(thrown([&] { make(driver, 0); }, std::errc::invalid_argument),
                HasSubstr("0 bytes"));
}

// Whichever step fails, those before it are undone; the fixture counts.
TEST_F(CudaTest, EachStepMayFail) {
    const CudaDriver driver(FAKE_CUDA);
    for (const char* step : {"cuDeviceGet", "cuDeviceGetName", "cuDeviceGetPCIBusId",
                             "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent",
                             "cuMemAlloc", "cuStreamCreate", "cuMemGetHandleForAddressRange"}) {
        fail(step);
        EXPECT_THROW(make(driver), Error) << step;
        EXPECT_GT(fake().made[step], 0) << step;
        fail("");
        EXPECT_EQ(fake().allocations, 0U) << step;
        EXPECT_EQ(fake().streams, 0U) << step;
        EXPECT_EQ(fake().devices[0].retained, 0) << step;
    }
}

TEST_F(CudaTest, CopiesReturnWhatTheDriverSaid) {
    fake().devices[0].ordering = 0;
    const CudaDriver driver(FAKE_CUDA);
    const DmaBuf memory = make(driver);
    std::vector<std::byte> host(10);
    const std::vector<CopyRange> ranges{{0, 10, 100}};
    for (const char* call : {"cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuMemcpyDtoDAsync",
                             "cuFlushGPUDirectRDMAWrites", "cuStreamSynchronize",
                             "cuCtxPushCurrent", "cuCtxPopCurrent"}) {
        fail(call, 700);
        std::error_code first;
        for (const std::error_code error :
             {memory.to_device(0, host), memory.to_host(0, host), memory.gather(ranges, memory)})
            if (error) first = error;
        EXPECT_EQ(first.value(), 700) << call;
        EXPECT_EQ(first.message(),
                  "CUDA_ERROR_ILLEGAL_ADDRESS, an illegal memory access was encountered");
        EXPECT_EQ(depth(), 0U) << call;
        fail("");
        EXPECT_FALSE(memory.to_host(0, host)) << call;
    }
    EXPECT_EQ(driver.code(12345).message(), "CUDA error 12345");
}

// The program may use the memory for other things once it knows: nothing is under way any more.
TEST_F(CudaTest, FailedGatherWaitsForWhatItStarted) {
    const CudaDriver driver(FAKE_CUDA);
    const DmaBuf memory = make(driver);
    const auto out = pattern(10);
    std::vector<std::byte> in(10);
    ASSERT_FALSE(memory.to_device(0, out));
    fail("cuMemcpyDtoDAsync", 700, 1);
    EXPECT_TRUE(memory.gather(std::vector<CopyRange>{{0, 10, 100}, {0, 10, 200}}, memory));
    EXPECT_EQ(fake().made["cuStreamSynchronize"], 1);
    fail("");
    ASSERT_FALSE(memory.to_host(100, in));
    EXPECT_EQ(in, out);
}

// ---- what devmem doctor says ----------------------------------------------

// With the device file there, and this library.
Exporter look(const std::string& library) {
    const test::ScratchFolder root;
    std::filesystem::create_directory(root.path() / "dev");
    root.write("dev/nvidiactl", "");
    for (const Exporter& exporter : look_at_memory(root.path(), {.cuda = library}).exporters)
        if (exporter.name == "cuda") return exporter;
    return {};
}

TEST_F(CudaTest, DoctorTellsThemApart) {
    fake().devices.push_back({.name = "Other", .pci_address = "0000:5e:00.0", .dma_buf = 0});
    EXPECT_EQ(look(FAKE_CUDA).state, Exporter::State::ready);
    EXPECT_EQ(look(FAKE_CUDA).seen, "Fake GPU at 0000:3b:00.0");
    fake().devices[0].dma_buf = fake().devices[1].dma_buf = 0;
    EXPECT_EQ(look(FAKE_CUDA).state, Exporter::State::absent);
    EXPECT_EQ(look(FAKE_CUDA).seen,
              "Fake GPU at 0000:3b:00.0, Other at 0000:5e:00.0: exports no dmabufs");
    fake().devices.clear();
    EXPECT_THAT(look(FAKE_CUDA).seen, HasSubstr("CUDA_ERROR_NO_DEVICE"));
    EXPECT_THAT(look(FAKE_CUDA_TOO_OLD).seen, HasSubstr("it has no cuMemGetHandleForAddressRange"));
    EXPECT_THAT(look("/no/such/library.so").seen, HasSubstr("No such file"));
    EXPECT_EQ(look("/no/such/library.so").state, Exporter::State::absent);
}

}  // namespace
}  // namespace devmem
