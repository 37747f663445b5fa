// SPDX-License-Identifier: MIT
// Drives a fuzz target where libFuzzer is not to be had: files named on the command line, or with
// -max_total_time=N that many seconds of random bytes with plausible small numbers among them.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

// Lengths, types and ids are small numbers in 2, 4 or 8 bytes: random bytes alone rarely get past
// the first check.
Input random_input(std::mt19937& random) {
    static constexpr std::uint64_t typical[] = {0, 1, 2, 3, 4, 8, 16, 20, 24, 36, 40, 78, 79, 255};
    Input input;
    const std::size_t size = random() % 256;
    while (input.size() < size) {
        const std::size_t width = std::size_t{1} << (random() % 4);
        std::uint64_t value = typical[random() % std::size(typical)];
        if (random() % 4 == 0) value = (std::uint64_t{random()} << 32) | random();
        for (std::size_t i = 0; i < width; ++i, value >>= 8)
            input.push_back(static_cast<std::uint8_t>(value));
    }
    return input;
}

void fuzz(std::chrono::seconds seconds) {
    std::mt19937 random(std::random_device{}());
    const auto end = std::chrono::steady_clock::now() + seconds;
    std::uint64_t inputs = 0;
    while (std::chrono::steady_clock::now() < end)
        for (int i = 0; i < 1000; ++i, ++inputs) {
            const Input input = random_input(random);
            LLVMFuzzerTestOneInput(input.data(), input.size());
        }
    std::printf("%llu inputs\n", static_cast<unsigned long long>(inputs));
}

}  // namespace

int main(int argc, char** argv) {
    constexpr std::string_view time_option = "-max_total_time=";
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument(argv[i]);
        if (argument.starts_with(time_option)) {
            fuzz(std::chrono::seconds(std::strtol(argv[i] + time_option.size(), nullptr, 10)));
            continue;
        }
        std::ifstream file(argv[i], std::ios::binary);
        const Input input{std::istreambuf_iterator<char>(file), {}};
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    return 0;
}
