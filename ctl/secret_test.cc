// Values of secrets on ctl's side.
#include <gmock/gmock.h>
#include <sodium.h>

#include <string>

#include "ctl/errors.h"
#include "ctl/seal.h"
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SecretTest : public CtlTest {
 protected:
  absl::StatusOr<Value> Read(const ValueSource& source) {
    Context context(io_, clock_,
                    [](absl::string_view) { return std::nullopt; });
    return ReadValue(context, source);
  }
  static std::string Text(Value& value) {
    return std::string(reinterpret_cast<char*>(value.data()), value.size());
  }
};

TEST_F(SecretTest, WhenAValueIsOnTheCommandLine_RefusesAndDoesNotRepeatIt) {
  EXPECT_EQ(Ctl({"secret", "create", "db", "hunter2"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--from-file"));
  EXPECT_THAT(err_, Not(HasSubstr("hunter2")));
}

TEST_F(SecretTest, WhenTheSourceIsBad_SaysSoAndSendsNothing) {
  EXPECT_EQ(Ctl({"secret", "create", "db", "-"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("empty"));
  EXPECT_EQ(Ctl({"secret", "create", "db", "--generate=0"}), kExitUsage);
  EXPECT_EQ(Ctl({"secret", "create", "db", "--generate=5000"}), kExitUsage);
  EXPECT_EQ(Ctl({"secret", "create", "db", "--generate", "--from-file", "x"}),
            kExitUsage);
  EXPECT_EQ(Ctl({"secret", "create", "db", "--from-file", "/no/such"}),
            kExitError);
  EXPECT_EQ(Ctl({"secret", "create"}), kExitUsage);
  EXPECT_EQ(Ctl({"secret", "create", "db", "--from-file",
                 File("big", std::string(500 * 1024 + 1, 'x'))}),
            kExitUsage);
  EXPECT_EQ(Ctl({"config", "create", "app", "--from-file", "/no/such"}),
            kExitError);
  EXPECT_EQ(Ctl({"login", "r:5000", "-u", "me"}), kExitUsage);
}

TEST_F(SecretTest, WhenAConfigsContentIsEmpty_OneHasToMeanIt) {
  EXPECT_EQ(Ctl({"config", "create", "app", "-"}), kExitUsage);
  EXPECT_EQ(err_,
            "error: the content is empty: standard input has nothing in it; "
            "--allow-empty if that is meant\n");
  const std::string empty = File("empty", "");
  EXPECT_EQ(Ctl({"config", "set", "app", "--from-file", empty}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr(empty + " has nothing in it"));
  EXPECT_FALSE(server_.Has("config", "app"));

  EXPECT_EQ(Ctl({"config", "create", "app", "-", "--allow-empty"}), kExitOk)
      << err_;
  EXPECT_TRUE(server_.Has("config", "app"));
}

TEST_F(SecretTest, WhenRead_IsKeptByteByByte) {
  io_.SetInput("line\n");
  ValueSource source;
  source.file = "-";
  auto value = Read(source);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(Text(*value), "line\n");
  EXPECT_THAT(io_.TakeErr(), HasSubstr("newline"));
  source.file = File("value", std::string("\0\xff\n", 3));
  auto bytes = Read(source);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(Text(*bytes), std::string("\0\xff\n", 3));
}

TEST_F(SecretTest, WhenAPassword_IsOneLine) {
  io_.SetInput("pass word\r\nmore");
  ValueSource source;
  source.password = true;
  source.file = "-";
  auto value = Read(source);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(Text(*value), "pass word");
}

TEST_F(SecretTest, WhenGenerated_IsRandomLettersAndDigits) {
  ValueSource source;
  source.generate = 64;
  auto a = Read(source);
  auto b = Read(source);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->size(), 64u);
  EXPECT_NE(Text(*a), Text(*b));
  EXPECT_EQ(Text(*a).find_first_not_of(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                "0123456789"),
            std::string::npos);
}

}  // namespace
}  // namespace bulwark::ctl::testing
