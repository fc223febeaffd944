// The rows of the database: docs/formats/store-keys.md states the layout.
#ifndef STORE_ROCKS_ROWS_H_
#define STORE_ROCKS_ROWS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "store/commit.h"
#include "store/key.h"

namespace bulwark::store::rows {

// The layout that this program writes. A database of a newer one is refused.
inline constexpr uint64_t kSchema = 1;

// Facts about the whole store; the first, the instance id, is text, all other
// values are numbers.
inline constexpr absl::string_view kInstance = "m/instance";
inline constexpr absl::string_view kSchemaRow = "m/schema";
inline constexpr absl::string_view kRevision = "m/revision";  // last commit's
// No revision above it was ever handed out.
inline constexpr absl::string_view kLimit = "m/limit";
// The log holds every commit after it.
inline constexpr absl::string_view kFloor = "m/floor";

inline constexpr absl::string_view kObjects = "o/";
inline constexpr absl::string_view kLog = "l/";

std::string ObjectRow(const Key& key);
std::string LogRow(uint64_t revision);  // sorts by revision

// Each Decode returns DATA_LOSS, naming `row`, for what Encode cannot have
// written.
absl::StatusOr<Key> DecodeObjectRow(absl::string_view row);
absl::StatusOr<uint64_t> DecodeLogRow(absl::string_view row);

std::string EncodeNumber(uint64_t number);
absl::StatusOr<uint64_t> DecodeNumber(absl::string_view row,
                                      absl::string_view bytes);

std::string EncodeObject(uint64_t revision, absl::string_view value);
absl::StatusOr<Stored> DecodeObject(absl::string_view row,
                                    absl::string_view bytes);

std::string EncodeEntry(const CommitEntry& entry);
absl::StatusOr<CommitEntry> DecodeEntry(absl::string_view row,
                                        absl::string_view bytes);
// The entry's time alone.
absl::StatusOr<absl::Time> DecodeEntryTime(absl::string_view row,
                                           absl::string_view bytes);

// The first row name after all that begin with `prefix` (not empty).
std::string EndOf(absl::string_view prefix);

}  // namespace bulwark::store::rows

#endif  // STORE_ROCKS_ROWS_H_
