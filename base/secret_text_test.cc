#include "base/secret_text.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

// What was in memory when it was given back.
std::vector<std::string>* freed = nullptr;
constexpr size_t kNoted = 64;

}  // namespace

// Each piece is made zero, and has room for the note.
void* operator new[](size_t size) {
  void* memory = calloc(1, size < kNoted ? kNoted : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete[](void* memory) noexcept {
  if (freed != nullptr && memory != nullptr) {
    std::vector<std::string>* to = std::exchange(freed, nullptr);
    to->emplace_back(static_cast<const char*>(memory), kNoted);
    freed = to;
  }
  free(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  operator delete[](memory);
}

namespace bulwark {
namespace {

template <typename T>
concept Formats = requires(std::ostream& out, const T& value) {
  out << value;
};

TEST(SecretTextTest, WhenSomebodyWouldPrintIt_DoesNotCompile) {
  static_assert(!Formats<SecretText>);
  static_assert(!std::is_convertible_v<SecretText, absl::string_view>);
}

TEST(SecretTextTest, WhenItGoes_NoCopyIsLeft) {
  std::vector<std::string> seen;
  freed = &seen;
  {
    const SecretText joined = SecretText::Join({"correct ", "horse"});
    SecretText copy = joined;
    SecretText other("battery staple");
    copy = other;
    const SecretText moved = std::move(other);
    EXPECT_EQ(joined.Reveal(), "correct horse");
    EXPECT_STREQ(copy.c_str(), "battery staple");
    EXPECT_EQ(moved, copy);
    // What is no SecretText is seen.
    const std::unique_ptr<char[]> plain(new char[kNoted]());
    memcpy(plain.get(), "plain", 5);
  }
  freed = nullptr;
  ASSERT_GE(seen.size(), 5u);
  int plain = 0;
  for (const std::string& text : seen) {
    if (text.substr(0, 5) == "plain") {
      ++plain;
    } else {
      EXPECT_EQ(text, std::string(kNoted, '\0'));
    }
  }
  EXPECT_EQ(plain, 1);
}

TEST(SecretTextTest, WhenNothingIsInIt_IsEmpty) {
  const SecretText none;
  EXPECT_TRUE(none.empty());
  EXPECT_STREQ(none.c_str(), "");
  EXPECT_EQ(none, SecretText(""));
  EXPECT_EQ(SecretText(none).size(), 0u);
}

}  // namespace
}  // namespace bulwark
