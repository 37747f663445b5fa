// SPDX-License-Identifier: GPL-2.0
#include "fault.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "process.h"

namespace {

constexpr const char* task_file = "/proc/thread-self/fail-nth";
constexpr const char* debugfs = "/sys/kernel/debug/";

std::string read_line(const std::string& file) {
    std::ifstream from(debugfs + file);
    std::string line;
    if (!std::getline(from, line)) throw std::runtime_error("can't read " + file);
    return line;
}

void write_line(const std::string& file, const std::string& line) {
    std::ofstream to(debugfs + file);
    if (!(to << line << std::flush)) throw std::runtime_error("can't write " + file);
}

// A fault that is armed already may be for just this call: then the next one is as good.
void write_number(int fd, unsigned number) {
    const std::string text = std::to_string(number);
    const auto fails = [&] { return ::pwrite(fd, text.data(), text.size(), 0) < 0; };
    if (fails() && fails()) throw_errno_of("arm a fault");
}

}  // namespace

std::string why_no_faults() {
    if (::access(task_file, W_OK) != 0) return "no fault injection in this kernel";
    for (const std::string kind : {"failslab", "fail_page_alloc"})
        if (::access((debugfs + kind).c_str(), X_OK) != 0) return "no " + kind + " in this kernel";
    return {};
}

FaultSettings::FaultSettings() {
    for (const std::string kind : {"failslab", "fail_page_alloc"}) {
        set(kind + "/verbose", "0");
        set(kind + "/ignore-gfp-wait", "N");
    }
    set("fail_page_alloc/ignore-gfp-highmem", "N");
    set("fail_page_alloc/min-order", "0");
}

FaultSettings::~FaultSettings() {
    for (const auto& [file, value] : before_) write_line(file, value);
}

void FaultSettings::set(const std::string& file, const std::string& value) {
    before_.try_emplace(file, read_line(file));
    write_line(file, value);
}

TaskFault::TaskFault(unsigned nth) : file_(::open(task_file, O_RDWR | O_CLOEXEC)) {
    write_number(file_.get(), nth);
}

TaskFault::~TaskFault() {
    fired();
}

// What is left to count is 0 if it has happened. Reading may be what fails, at last.
bool TaskFault::fired() {
    if (!file_.is_open()) return false;
    char left{};
    const bool fired = ::pread(file_.get(), &left, 1, 0) == 1 && left == '0';
    write_number(file_.get(), 0);
    file_.close();
    return fired;
}

AtomicFault::AtomicFault(FaultSettings& settings, Kind kind, unsigned nth)
    : settings_(settings), folder_(kind == Kind::slab ? "failslab/" : "fail_page_alloc/") {
    settings_.set(folder_ + "ignore-gfp-wait", "Y");
    settings_.set(folder_ + "space", "0");
    settings_.set(folder_ + "times", "1");
    settings_.set(folder_ + "interval", std::to_string(nth));
    settings_.set(folder_ + "probability", "100");
}

AtomicFault::~AtomicFault() {
    settings_.set(folder_ + "probability", "0");
    settings_.set(folder_ + "ignore-gfp-wait", "N");
}

bool AtomicFault::fired() const {
    return read_line(folder_ + "times") == "0";
}
