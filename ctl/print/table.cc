#include "ctl/print/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ctl/io.h"
#include "ctl/print/tint.h"

namespace bulwark::ctl {
namespace {

size_t Width(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

Table::Table(std::vector<std::string> header, bool color)
    : color_(color), widths_(header.size()) {
  Add(std::move(header));
}

void Table::Add(std::vector<std::string> row) {
  row.resize(widths_.size());
  for (std::string& cell : row) {
    if (cell.empty()) cell.assign(1, '-');
    // Messages may hold anything; a row stays one line.
    for (char& c : cell) {
      if ((static_cast<unsigned char>(c) < ' ') || c == '\x7f') c = ' ';
    }
  }
  rows_.push_back(std::move(row));
}

std::string Table::Take() {
  for (size_t r = taken_; r < rows_.size(); ++r) {
    for (size_t i = 0; i < widths_.size(); ++i) {
      widths_[i] = std::max(widths_[i], Width(rows_[r][i]));
    }
  }
  std::string out;
  for (; taken_ < rows_.size(); ++taken_) {
    const std::vector<std::string>& row = rows_[taken_];
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      absl::StrAppend(&out, Cell(taken_, i),
                      std::string(widths_[i] - Width(row[i]) + 3, ' '));
    }
    absl::StrAppend(&out, Cell(taken_, row.size() - 1), "\n");
  }
  return out;
}

std::string Table::Cell(size_t row, size_t column) const {
  const std::string& text = rows_[row][column];
  const int tint = color_ && row > 0 ? TintOf(rows_[0], rows_[row], column) : 0;
  return tint == 0 ? text : Colored(text, tint);
}

}  // namespace bulwark::ctl
