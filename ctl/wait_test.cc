// What apply --wait, wait and rollout status wait for, as conditions tell it.
#include <thread>

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class WaitTest : public CtlTest {
 protected:
  static v1::Object Limited(v1::Condition::Status status,
                            const std::string& message) {
    v1::Object object = MakeService("web", 1, 1);
    v1::Condition& c =
        *object.mutable_service()->mutable_status()->add_conditions();
    c.set_type("LimitsApplied");
    c.set_status(status);
    c.set_message(message);
    return object;
  }
};

TEST_F(WaitTest, WhileLimitsAreBeingSet_ItIsNotOver) {
  server_.Put(Limited(v1::Condition::UNKNOWN, "web-0 is being given them"));
  EXPECT_EQ(Ctl({"rollout", "status", "web", "--timeout", "200ms"}),
            kExitTimeout);
  EXPECT_THAT(err_, HasSubstr("1 available; web-0 is being given them"));
  std::thread later([this] {
    clock_.Sleep(absl::Milliseconds(50));
    server_.Put(Limited(v1::Condition::TRUE, "every container has them"));
  });
  EXPECT_EQ(Ctl({"rollout", "status", "web", "--timeout", "20s"}), kExitOk)
      << err_;
  later.join();
  EXPECT_THAT(err_, HasSubstr("revision 3 is available, 1 of 1 replica ready"));
  EXPECT_THAT(err_, Not(HasSubstr("every container")));
}

TEST_F(WaitTest, WhenLimitsWereRefused_ItIsOverAndSaysSo) {
  server_.Put(Limited(v1::Condition::FALSE, "9 bytes are in use"));
  EXPECT_EQ(Ctl({"rollout", "status", "web", "--timeout", "20s"}), kExitOk)
      << err_;
  EXPECT_THAT(err_, HasSubstr("1 of 1 replica ready; 9 bytes are in use"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
