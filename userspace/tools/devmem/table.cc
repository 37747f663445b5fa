// SPDX-License-Identifier: MIT
#include "table.h"

#include <fmt/core.h>

#include <algorithm>

void Table::add(Row row) {
    widths_.resize(std::max(widths_.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths_[i] = std::max(widths_[i], row[i].size());
    rows_.push_back(std::move(row));
}

std::string Table::text(const std::string& indent) const {
    std::string text;
    for (const Row& row : rows_) {
        std::string line = indent;
        for (std::size_t i = 0; i + 1 < row.size(); ++i)
            line += fmt::format("{:<{}}  ", row[i], widths_[i]);
        text += line + row.back() + "\n";
    }
    return text;
}
