#include "secrets/envelope.h"

#include <gmock/gmock.h>

#include <cstring>
#include <set>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"

namespace bulwark::secrets {
namespace {

using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;

SecretBytes Of(absl::string_view text) {
  SecretBytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

template <typename T>
concept Formats = requires(const T& value) {
  absl::StrCat(value);
};

TEST(SecretBytesTest, WhenSomebodyWouldPrintOrCopyIt_DoesNotCompile) {
  static_assert(!Formats<SecretBytes>);
  static_assert(!std::is_copy_constructible_v<SecretBytes>);
  static_assert(!std::is_copy_assignable_v<SecretBytes>);
  static_assert(!std::is_convertible_v<SecretBytes, absl::string_view>);
}

TEST(SecretBytesTest, WhenMoved_TheBytesAreInOnePlace) {
  SecretBytes a = Of("abc");
  const uint8_t* place = a.data();
  SecretBytes b = std::move(a);
  EXPECT_EQ(b.data(), place);
  EXPECT_EQ(b.Reveal(), "abc");
  EXPECT_TRUE(a.empty());
  b = Of("longer");
  EXPECT_EQ(b.Reveal(), "longer");
}

TEST(EnvelopeTest, WhenEncrypted_OpensAgainAndHoldsNoPlaintext) {
  const SecretBytes key = SecretBytes::Random(kKeySize);
  const Binding binding{"secret", "default", "db", 3};
  for (const size_t size : {size_t{1}, size_t{64}, kMaxValue}) {
    const SecretBytes plain = Of(std::string(size, 'p'));
    const v1::Value value = Encrypt(plain, key, ValueContext(binding));
    if (size > 1) {
      EXPECT_EQ(value.SerializeAsString().find("pppp"), std::string::npos);
    }
    ASSERT_OK_AND_ASSIGN(const SecretBytes back,
                         Decrypt(value, key, ValueContext(binding)));
    EXPECT_TRUE(back.Reveal() == plain.Reveal());
  }
}

TEST(EnvelopeTest, WhenAnythingDiffers_DoesNotOpen) {
  const SecretBytes key = SecretBytes::Random(kKeySize);
  const Binding binding{"secret", "default", "db", 3};
  const v1::Value value = Encrypt(Of("hunter2"), key, ValueContext(binding));
  const auto fails = [](const absl::StatusOr<SecretBytes>& opened) {
    return opened.status().code() == absl::StatusCode::kDataLoss;
  };
  EXPECT_TRUE(fails(
      Decrypt(value, SecretBytes::Random(kKeySize), ValueContext(binding))));
  for (const Binding& other : {Binding{"registry", "default", "db", 3},
                               Binding{"secret", "shop", "db", 3},
                               Binding{"secret", "default", "dc", 3},
                               Binding{"secret", "default", "db", 4},
                               Binding{"secret", "defaul", "tdb", 3}}) {
    EXPECT_TRUE(fails(Decrypt(value, key, ValueContext(other))));
  }
  for (size_t i = 0; i < value.ciphertext().size(); ++i) {
    v1::Value changed = value;
    (*changed.mutable_ciphertext())[i] ^= 1;
    EXPECT_TRUE(fails(Decrypt(changed, key, ValueContext(binding)))) << i;
  }
  for (v1::Value bad : {v1::Value(), value}) {
    bad.set_nonce("short");
    EXPECT_TRUE(fails(Decrypt(bad, key, ValueContext(binding))));
  }
  v1::Value cut = value;
  cut.mutable_ciphertext()->resize(5);
  EXPECT_TRUE(fails(Decrypt(cut, key, ValueContext(binding))));
}

TEST(EnvelopeTest, WhenAKeyIsWrapped_OnlyItsWrapperAndContextOpenIt) {
  const SecretBytes key = SecretBytes::Random(kKeySize);
  const SecretBytes wrapper = SecretBytes::Random(kKeySize);
  const Binding binding{"secret", "default", "db", 3};
  const v1::WrappedKey wrapped = Wrap(key, wrapper, DataKeyContext(binding, 1));
  ASSERT_OK_AND_ASSIGN(const SecretBytes back,
                       Unwrap(wrapped, wrapper, DataKeyContext(binding, 1)));
  EXPECT_TRUE(back.Reveal() == key.Reveal());
  EXPECT_THAT(Unwrap(wrapped, wrapper, DataKeyContext(binding, 2)).status(),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Unwrap(wrapped, wrapper, ValueContext(binding)).status(),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Unwrap(v1::WrappedKey(), wrapper, "").status(),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(EnvelopeTest, WhenEncryptedTwice_DiffersInNonceAndBytes) {
  const SecretBytes key = SecretBytes::Random(kKeySize);
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    seen.insert(Encrypt(Of("same"), key, "c").SerializeAsString());
  }
  EXPECT_THAT(seen, SizeIs(100));
}

TEST(EnvelopeTest, WhenDigested_TellsEqualityToWhoHasTheKeyOnly) {
  const SecretBytes a = SecretBytes::Random(kKeySize);
  const SecretBytes b = SecretBytes::Random(kKeySize);
  EXPECT_EQ(KeyedDigest(Of("x"), a), KeyedDigest(Of("x"), a));
  EXPECT_NE(KeyedDigest(Of("x"), a), KeyedDigest(Of("x"), b));
  EXPECT_NE(KeyedDigest(Of("x"), a), KeyedDigest(Of("y"), a));
  EXPECT_NE(KeyId(a), KeyId(b));
  EXPECT_THAT(KeyId(a), SizeIs(16));
}

}  // namespace
}  // namespace bulwark::secrets
