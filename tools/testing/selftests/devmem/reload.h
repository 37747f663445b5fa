// SPDX-License-Identifier: GPL-2.0
// A module that is unloaded for a while.
#pragma once

#include <string>
#include <utility>

#include "ktap.h"
#include "topology.h"

/// While it lives, a module may be unloaded; then it is loaded again, whatever happens.
class Reload {
  public:
    explicit Reload(std::string name) : name_(std::move(name)), file_(module_file(name_)) {
        if (file_.empty()) ktap_skip("nobody knows where %s.ko is", name_.c_str());
    }
    ~Reload() {
        if (!module_loaded(name_)) load_module(file_);
    }
    Reload(const Reload&) = delete;
    Reload& operator=(const Reload&) = delete;

  private:
    std::string name_, file_;
};
