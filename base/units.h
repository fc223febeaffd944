// Quantities as people write them in manifests and read them in output.
#ifndef BASE_UNITS_H_
#define BASE_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bulwark {

// Each Parse function takes the whole text and returns INVALID_ARGUMENT with
// what it expected, for example `"10 m" is not a duration such as 500ms, 10s,
// 5m or 1h30m`. Each Format function gives the shortest text that Parse reads
// back to the same value.

// "500ms", "10s", "1h30m", "2d". A bare number is refused, except "0".
// Negative and infinite durations are refused. absl::FormatDuration prints what
// this reads back.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// Bytes: "1024", "64Ki", "256Mi", "2Gi", "1Ti" (powers of 1024), "10k", "10M",
// "10G" (powers of 1000). Fractions are allowed with a unit ("1.5Gi") when the
// result is whole.
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);
std::string FormatBytes(int64_t bytes);

// Processor time in thousandths of a core: "500m", "2", "0.5".
absl::StatusOr<int64_t> ParseMillicores(absl::string_view text);
std::string FormatMillicores(int64_t millicores);

// "70%" -> 70. Whole numbers from 0 to 1000.
absl::StatusOr<int32_t> ParsePercent(absl::string_view text);
std::string FormatPercent(int32_t percent);

}  // namespace bulwark

#endif  // BASE_UNITS_H_
