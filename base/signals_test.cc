#include "base/signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace bulwark {
namespace {

TEST(ParseSignalTest, WhenANameOrNumberIsGiven_FindsTheNumber) {
  const struct {
    const char* text;
    int number;
  } kCases[] = {
      {"SIGQUIT", SIGQUIT},
      {"quit", SIGQUIT},
      {"sigHup", SIGHUP},
      {"3", 3},
      {"64", 64},
      {"SIGTSTP", SIGTSTP},
      {"STOP", SIGSTOP},
      {"SIGSTKFLT", SIGSTKFLT},
      {"POLL", SIGIO},
      {"SIGRTMIN", SIGRTMIN},
      {"SIGRTMIN+3", SIGRTMIN + 3},
      {"RTMAX", SIGRTMAX},
      {"SIGRTMAX-30", SIGRTMAX - 30},
  };
  for (const auto& c : kCases)
    EXPECT_EQ(ParseSignal(c.text), c.number) << c.text;
}

TEST(ParseSignalTest, WhenTheTextIsNoSignal_FindsNothing) {
  for (const char* text :
       {"", "0", "65", "999", "-9", "+9", "9 ", " TERM", "SIG", "SIGNONSENSE",
        "TERM2", "RTMIN+", "RTMIN+31", "RTMIN-1", "RTMAX-31", "RTMAX+1",
        "RTMIN+-1", "99999999999999999999"}) {
    EXPECT_EQ(ParseSignal(text), std::nullopt) << text;
  }
}

// Every number that has a name is reached by one.
TEST(ParseSignalTest, WhenEveryNameOfThisMachineIsAsked_NoneIsMissing) {
  for (int number = 1; number < 32; ++number) {
    const char* name = sigabbrev_np(number);
    ASSERT_NE(name, nullptr) << number;
    EXPECT_EQ(ParseSignal(name), number) << name;
  }
}

}  // namespace
}  // namespace bulwark
