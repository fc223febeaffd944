#include "api/errors.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "api/report.h"
#include "base/status.h"
#include "base/testing/status_matchers.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;

TEST(ErrorsTest, WhenSentAndReceived_CodeMessageAndDetailStay) {
  Report report;
  report.SetObject(3);
  report.Invalid("spec.replicas", "is negative", "use 0 or more");
  const absl::Status status = report.ToStatus("apply service web");

  const absl::Status received = FromGrpc(ToGrpc(status));

  EXPECT_THAT(received,
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "apply service web: spec.replicas: is negative"));
  const auto detail = DetailOf(received);
  ASSERT_TRUE(detail.has_value());
  ASSERT_EQ(detail->violations_size(), 1);
  EXPECT_EQ(detail->violations(0).object(), 3);
  EXPECT_EQ(detail->violations(0).remedy(), "use 0 or more");
}

TEST(ErrorsTest, WhenOk_NothingIsAdded) {
  EXPECT_TRUE(ToGrpc(WithRemedy(absl::OkStatus(), "x")).ok());
  EXPECT_OK(FromGrpc(grpc::Status::OK));
  EXPECT_OK(Report().ToStatus("apply"));
}

TEST(ErrorsTest, WhenUnavailable_ItIsNotTakenForALostConnection) {
  EXPECT_NE(ToGrpc(absl::UnavailableError("x")).error_details(), "");
  EXPECT_EQ(DetailOf(FromGrpc(ToGrpc(
                         WithRemedy(absl::UnavailableError("x"), "wait"))))
                ->remedy(),
            "wait");
}

TEST(ErrorsTest, WhenAnnotated_TheDetailStays) {
  const absl::Status status =
      Annotate(WithRemedy(absl::NotFoundError("x"), "look there"), "get");

  EXPECT_EQ(DetailOf(status)->remedy(), "look there");
}

TEST(ErrorsTest, WhenAllIsOnlyRefused_ThePreconditionFailed) {
  Report report;
  report.Refuse("spec.autoscale", "not yet");
  EXPECT_THAT(report.ToStatus("apply"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  report.Invalid("spec.replicas", "is negative");
  EXPECT_THAT(report.ToStatus("apply"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ErrorsTest, WhenThereAreManyViolations_TrailersStaySmall) {
  Report report;
  for (int i = 0; i < 1000; ++i) {
    report.Invalid(absl::StrCat("spec.containers[", i, "].image"),
                   std::string(5000, 'x'), "mend it");
  }
  const grpc::Status sent = ToGrpc(report.ToStatus(std::string(5000, 'y')));

  EXPECT_LT(sent.error_details().size() + sent.error_message().size(), 7000);
  const auto detail = DetailOf(FromGrpc(sent));
  ASSERT_TRUE(detail.has_value());
  const auto& last = detail->violations(detail->violations_size() - 1);
  EXPECT_EQ(
      last.message(),
      absl::StrCat("and ", 1001 - detail->violations_size(), " more problems"));
}

TEST(ErrorsTest, WhenTheMessageIsNotUtf8_ItIsMadeSo) {
  EXPECT_EQ(ToGrpc(absl::InternalError("a\xff"
                                       "b\xc3\xa9\xe2\x82"))
                .error_message(),
            "a?b\xc3\xa9??");
}

}  // namespace
}  // namespace bulwark::api
