// Gives a fuzz target every input of its corpus: a file of records {u32 size,
// little-endian; bytes}, which tools/fuzz writes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "tests/fuzz/input.h"

namespace bulwark::fuzz {
namespace {

void Try(const std::string& input) {
  // In memory of its own size, where a sanitizer sees a byte too far.
  auto bytes = std::make_unique<uint8_t[]>(input.size());
  std::copy(input.begin(), input.end(), bytes.get());
  LLVMFuzzerTestOneInput(bytes.get(), input.size());
}

TEST(CorpusTest, WhenReplayed_NothingBreaks) {
  const char* path = std::getenv("CORPUS");
  ASSERT_NE(path, nullptr);
  std::ifstream file(path, std::ios::binary);
  ASSERT_TRUE(file.good()) << path;
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  size_t count = 0;
  for (size_t at = 0; at < bytes.size(); ++count) {
    Input header(reinterpret_cast<const uint8_t*>(bytes.data()) + at,
                 bytes.size() - at);
    const size_t size = header.Int(4);
    ASSERT_LE(size + 4, bytes.size() - at) << "the corpus is cut short";
    SCOPED_TRACE(count);
    Try(bytes.substr(at + 4, size));
    at += 4 + size;
  }
  EXPECT_GT(count, 10u);
  Try("");
}

}  // namespace
}  // namespace bulwark::fuzz
