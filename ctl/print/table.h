// Columns of text.
#ifndef CTL_PRINT_TABLE_H_
#define CTL_PRINT_TABLE_H_

#include <string>
#include <vector>

namespace bulwark::ctl {

// Collects rows, then lays them out in columns three spaces apart; the last
// column is not padded. An empty cell prints "-". With `color` cells of the
// columns that TintOf() knows are coloured. Thread-compatible.
class Table {
 public:
  explicit Table(std::vector<std::string> header, bool color = false);

  // As many cells as the header has.
  void Add(std::vector<std::string> row);

  bool empty() const { return rows_.size() == 1; }

  // The lines of the rows that were not printed yet, the header first. Later
  // rows keep the columns' widths, as far as they fit.
  std::string Take();

 private:
  // The text of a cell as it is printed.
  std::string Cell(size_t row, size_t column) const;

  const bool color_;
  std::vector<size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
  size_t taken_ = 0;
};

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_TABLE_H_
