// GoogleTest matchers for absl::Status and absl::StatusOr.
//
//   EXPECT_OK(store.Commit(batch));
//   EXPECT_THAT(Parse("x"), StatusIs(absl::StatusCode::kInvalidArgument,
//                                    HasSubstr("is not")));
//   EXPECT_THAT(Parse("1"), IsOkAndHolds(1));
//   ASSERT_OK_AND_ASSIGN(auto value, Parse("1"));
#ifndef BASE_TESTING_STATUS_MATCHERS_H_
#define BASE_TESTING_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status.h"

namespace bulwark::testing {

inline const absl::Status& GetStatus(const absl::Status& s) { return s; }
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& s) {
  return s.status();
}

MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).ok();
}

MATCHER_P(StatusIs, code,
          "has code " + absl::StatusCodeToString(code)) {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).code() == code;
}

MATCHER_P2(StatusIs, code, message,
           "has code " + absl::StatusCodeToString(code) +
               " and a matching message") {
  *result_listener << GetStatus(arg).ToString();
  return GetStatus(arg).code() == code &&
         ::testing::Matches(message)(std::string(GetStatus(arg).message()));
}

MATCHER_P(IsOkAndHolds, value, "is OK and holds a matching value") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value, *arg, result_listener);
}

}  // namespace bulwark::testing

#define EXPECT_OK(expr) EXPECT_THAT((expr), ::bulwark::testing::IsOk())
#define ASSERT_OK(expr) ASSERT_THAT((expr), ::bulwark::testing::IsOk())
#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  BULWARK_ASSERT_ASSIGN_(BULWARK_CONCAT_(bulwark_or_, __COUNTER__), lhs, expr)
#define BULWARK_ASSERT_ASSIGN_(var, lhs, expr) \
  auto var = (expr);                           \
  ASSERT_THAT(var, ::bulwark::testing::IsOk()); \
  lhs = *std::move(var)

#endif  // BASE_TESTING_STATUS_MATCHERS_H_
