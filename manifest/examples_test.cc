// The manifests of examples/.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "manifest/codec.h"

namespace bulwark::manifest {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream out;
  out << in.rdbuf();
  EXPECT_FALSE(out.str().empty()) << path;
  return out.str();
}

TEST(ExamplesTest, WhenExamplesAreRead_TheyHaveNoProblems) {
  for (const char* name : {"minimal", "web", "full"}) {
    ParseOptions options = {.file = "web.yaml"};
    options.variables = [](absl::string_view) { return std::nullopt; };
    ParseResult result =
        Parse(ReadFile(absl::StrCat("examples/", name, ".yaml")), options);
    EXPECT_EQ(ToString(result.problems), "") << name;
    EXPECT_THAT(result.objects, Not(IsEmpty())) << name;
  }
}

// full.yaml promises every field: each that a manifest can set is set there,
// except the ones whose meaning is "nothing" (false, 0, or a shorthand).
void CollectUnset(const google::protobuf::Message& message,
                  const std::string& path, std::vector<std::string>& unset) {
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const auto* field = message.GetDescriptor()->field(i);
    const std::string name = absl::StrCat(path, ".", field->name());
    const bool set = field->is_repeated()
                         ? reflection->FieldSize(message, field) > 0
                         : reflection->HasField(message, field);
    if (!set) unset.push_back(name);
    if (set && !field->is_repeated() &&
        field->cpp_type() ==
            google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE &&
        field->message_type()->name() != "Duration") {
      CollectUnset(reflection->GetMessage(message, field), name, unset);
    }
  }
}

TEST(ExamplesTest, WhenFullExampleIsRead_EveryServiceFieldIsSet) {
  ParseOptions options = {.file = "web.yaml"};
  options.variables = [](absl::string_view) { return std::nullopt; };
  ParseResult result = Parse(ReadFile("examples/full.yaml"), options);
  std::vector<std::string> unset;
  for (const ParsedObject& parsed : result.objects) {
    if (!parsed.object.has_service()) continue;
    const v1::ServiceSpec& spec = parsed.object.service().spec();
    CollectUnset(spec, "spec", unset);
    CollectUnset(spec.containers(0), "container", unset);
  }
  EXPECT_THAT(
      unset,
      testing::UnorderedElementsAre(
          "spec.stopped", "container.health", "container.tty",
          "container.stdin", "container.host_users", "container.readiness.tcp",
          "container.readiness.exec", "container.liveness.http",
          "container.liveness.exec", "container.liveness.timeout",
          "container.liveness.success", "container.liveness.failure",
          "container.startup.http", "container.startup.tcp",
          "container.startup.timeout", "container.startup.success"));
}

}  // namespace
}  // namespace bulwark::manifest
