// Colours of state words in tables.
#ifndef CTL_PRINT_TINT_H_
#define CTL_PRINT_TINT_H_

#include <string>
#include <vector>

namespace bulwark::ctl {

// The colour for Colored() of a cell: 2 (green) what is as it should be, 3
// (yellow) what is on its way or worth a look, 1 (red) what is wrong; 0 for
// none: the column tells no state, or nothing is wanted of the object. Pure.
int TintOf(const std::vector<std::string>& header,
           const std::vector<std::string>& row, size_t column);

}  // namespace bulwark::ctl

#endif  // CTL_PRINT_TINT_H_
