#include <fcntl.h>

#include <set>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/entropy.h"
#include "base/rollback.h"
#include "base/status.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"

namespace bulwark {
namespace {

using ::bulwark::testing::StatusIs;

TEST(StatusTest, ErrnoKeepsItsCanonicalCodeAndNamesTheObject) {
  EXPECT_THAT(ErrnoStatus(ENOENT, "open", "/x"),
              StatusIs(absl::StatusCode::kNotFound,
                       ::testing::StartsWith("open /x: ")));
  EXPECT_EQ(ErrnoStatus(ENOSPC, "write", "/x").code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(StatusTest, AnnotateKeepsCodeAndPayload) {
  absl::Status s = absl::NotFoundError("b");
  s.SetPayload("u", absl::Cord("p"));
  absl::Status annotated = Annotate(s, "a");
  EXPECT_EQ(annotated.message(), "a: b");
  EXPECT_EQ(annotated.GetPayload("u"), absl::Cord("p"));
  EXPECT_OK(Annotate(absl::OkStatus(), "a"));
}

TEST(RollbackTest, UndoesInReverseUnlessCommitted) {
  std::string log;
  {
    Rollback r;
    r.Add([&] { log += "1"; });
    r.Add([&] { log += "2"; });
  }
  EXPECT_EQ(log, "21");
  {
    Rollback r;
    r.Add([&] { log += "3"; });
    r.Commit();
  }
  EXPECT_EQ(log, "21");
}

TEST(UniqueFdTest, ClosesOnDestructionAndMove) {
  int raw;
  {
    UniqueFd a(open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = a.get();
    UniqueFd b = std::move(a);
    EXPECT_FALSE(a.ok());
    EXPECT_EQ(b.get(), raw);
    EXPECT_GE(fcntl(raw, F_GETFD), 0);
  }
  EXPECT_LT(fcntl(raw, F_GETFD), 0);
}

TEST(BackoffTest, DoublesUpToTheMaximumWithJitterBelow) {
  Backoff b{absl::Seconds(1), absl::Seconds(60), 0.5};
  EXPECT_EQ(b.Delay(0, 0), absl::Seconds(1));
  EXPECT_EQ(b.Delay(3, 0), absl::Seconds(8));
  EXPECT_EQ(b.Delay(1000, 0), absl::Seconds(60));
  EXPECT_GE(b.Delay(1000, 0.999), absl::Seconds(30));
}

TEST(EntropyTest, UidsAreUniqueAndSafeInNames) {
  SeededEntropy entropy(1);
  std::set<std::string> seen;
  for (int i = 0; i < 10000; ++i) {
    std::string uid = NewUid(entropy);
    EXPECT_EQ(uid.size(), 16);
    EXPECT_EQ(uid.find_first_not_of("0123456789abcdefghijklmnopqrstuv"),
              std::string::npos);
    EXPECT_TRUE(seen.insert(uid).second);
  }
}

}  // namespace
}  // namespace bulwark
