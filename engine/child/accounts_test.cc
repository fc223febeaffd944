#include "engine/child/accounts.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/unique_fd.h"

namespace bulwark::child {
namespace {

UniqueFd File(const std::string& text) {
  UniqueFd fd(memfd_create("accounts", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

class AccountsTest : public ::testing::Test {
 protected:
  int Resolve(const char* user) {
    account_ = Account();
    return ResolveAccount(user, passwd_.get(), group_.get(), &account_);
  }

  UniqueFd passwd_ = File(
      "root:x:0:0:root:/root:/bin/sh\n"
      "broken line\n"
      "huge:x:99999999999:1::/:\n"
      "app:x:1000:1001:App:/srv/app:/bin/sh");
  UniqueFd group_ =
      File("root:x:0:\nextra:x:44:other,app\nweb:x:33:app2\napp:x:1001:app\n");
  Account account_;
};

TEST_F(AccountsTest, WhenUserIsEmpty_IsRoot) {
  EXPECT_EQ(Resolve(""), 0);
  EXPECT_EQ(account_.uid, 0u);
  EXPECT_STREQ(account_.home, "/root");
}

TEST_F(AccountsTest, WhenUserIsAName_TakesItsIdsGroupsAndHome) {
  EXPECT_EQ(Resolve("app"), 0);
  EXPECT_EQ(account_.uid, 1000u);
  EXPECT_EQ(account_.gid, 1001u);
  ASSERT_EQ(account_.group_count, 1);
  EXPECT_EQ(account_.groups[0], 44u);
  EXPECT_STREQ(account_.home, "/srv/app");
}

TEST_F(AccountsTest, WhenUserIsAKnownId_TakesTheRestFromItsLine) {
  EXPECT_EQ(Resolve("1000"), 0);
  EXPECT_EQ(account_.gid, 1001u);
  EXPECT_EQ(account_.group_count, 1);
}

TEST_F(AccountsTest, WhenUserIsAnUnknownId_HasGroupZeroAndRootAsHome) {
  EXPECT_EQ(Resolve("4242"), 0);
  EXPECT_EQ(account_.uid, 4242u);
  EXPECT_EQ(account_.gid, 0u);
  EXPECT_STREQ(account_.home, "/");
}

TEST_F(AccountsTest, WhenGroupIsGiven_ItWins) {
  EXPECT_EQ(Resolve("app:web"), 0);
  EXPECT_EQ(account_.gid, 33u);
  EXPECT_EQ(account_.group_count, 0);
  EXPECT_EQ(Resolve("7:8"), 0);
  EXPECT_EQ(account_.uid, 7u);
  EXPECT_EQ(account_.gid, 8u);
}

TEST_F(AccountsTest, WhenNameOrIdIsBad_FailsWithoutBecomingRoot) {
  EXPECT_EQ(Resolve("nobody-here"), -ESRCH);
  EXPECT_EQ(Resolve("app:nogroup"), -ESRCH);
  EXPECT_EQ(Resolve("2147483648"), -ERANGE);
  EXPECT_EQ(Resolve("4294967296"), -ERANGE);
  EXPECT_EQ(Resolve("18446744073709551616"), -ERANGE);
  EXPECT_EQ(Resolve("huge"), -ESRCH);
  EXPECT_EQ(Resolve("app:"), -EINVAL);
  EXPECT_EQ(Resolve("-1"), -ESRCH);
}

TEST_F(AccountsTest, WhenThereAreNoFiles_OnlyIdsResolve) {
  Account account;
  EXPECT_EQ(ResolveAccount("", -1, -1, &account), 0);
  EXPECT_EQ(account.uid, 0u);
  EXPECT_EQ(ResolveAccount("root", -1, -1, &account), -ESRCH);
}

TEST(LinesTest, WhenALineIsLongerThanTheBuffer_SkipsItAlone) {
  UniqueFd fd =
      File("first\n" + std::string(50000, 'x') + "\nlast\n" +
           std::string(3000, 'y') + "\n" + std::string(6000, 'z') + "\nend");
  Lines lines(fd.get());
  EXPECT_STREQ(lines.Next(), "first");
  EXPECT_STREQ(lines.Next(), "last");
  EXPECT_EQ(std::string(lines.Next()).size(), 3000u);
  EXPECT_EQ(std::string(lines.Next()).size(), 6000u);
  EXPECT_STREQ(lines.Next(), "end");
  EXPECT_EQ(lines.Next(), nullptr);
}

}  // namespace
}  // namespace bulwark::child
