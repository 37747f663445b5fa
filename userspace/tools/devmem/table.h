// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

/// Rows of text whose columns line up. The last column is as wide as it is.
class Table {
  public:
    using Row = std::vector<std::string>;

    explicit Table(Row head) { add(std::move(head)); }
    void add(Row row);
    /// All of it, each line begun with indent.
    [[nodiscard]] std::string text(const std::string& indent) const;

  private:
    std::vector<Row> rows_;
    std::vector<std::size_t> widths_;
};
