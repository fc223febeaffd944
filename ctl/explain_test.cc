// That `ctl explain` says something of all that a manifest can hold.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "ctl/testing/fixture.h"
#include "manifest/kinds.h"
#include "manifest/scalar.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::ctl::testing {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::ContainsRegex;

class ExplainTest : public CtlTest {
 protected:
  void Walk(const std::string& path, const Descriptor& type) {
    if (!seen_.insert(type.full_name()).second) return;
    ASSERT_EQ(Ctl({"explain", path}), kExitOk) << path << ": " << err_;
    const std::string out = out_;
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.options().GetExtension(v1::output_only)) continue;
      ++fields_;
      // A line of its own, and a comment below it.
      EXPECT_THAT(out, ContainsRegex(absl::StrCat("\n  ", field.json_name(),
                                                  "  <[^\n]*\n      [^ \n]")))
          << path;
      if (manifest::IsScalarField(field) || field.is_map()) continue;
      Walk(absl::StrCat(path, ".", field.json_name()), *field.message_type());
    }
  }

  std::set<std::string> seen_;
  int fields_ = 0;
};

TEST_F(ExplainTest, EveryFieldOfEveryKindIsExplained) {
  int kinds = 0;
  for (const manifest::Kind& kind : manifest::AllKinds()) {
    const FieldDescriptor* spec =
        kind.field->message_type()->FindFieldByName("spec");
    if (!kind.declared || spec == nullptr) continue;
    ++kinds;
    Walk(absl::StrCat(kind.name, ".spec"), *spec->message_type());
  }
  EXPECT_GE(kinds, 9);
  EXPECT_GE(fields_, 150);
}

}  // namespace
}  // namespace bulwark::ctl::testing
