// A store's files, for tests that ruin them.
#ifndef TESTS_FAULT_STORE_FILES_H_
#define TESTS_FAULT_STORE_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace bulwark::store {

// Paths of the files with this extension in the database of the store at
// `path`, sorted.
std::vector<std::string> FilesOf(const std::string& path,
                                 const std::string& extension);

// All contents of that database, to see that nothing was changed. The info log
// is RocksDB's diary, not data.
std::string ContentsOf(const std::string& path);

// Twice, and it is as it was.
void FlipByte(const std::string& path, int64_t at);

}  // namespace bulwark::store

#endif  // TESTS_FAULT_STORE_FILES_H_
