// A service that is right, and ways to spoil it.
#ifndef API_VALIDATION_TESTING_H_
#define API_VALIDATION_TESTING_H_

#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/defaulting.h"
#include "api/validation.h"

namespace bulwark::api {

inline absl::StatusOr<std::string> NormalizeForTest(
    absl::string_view reference) {
  if (reference == "two words") {
    return absl::InvalidArgumentError("\"two words\" is no image reference");
  }
  return std::string(reference);
}

inline v1::Object WebService() {
  v1::Object object;
  v1::Service& service = *object.mutable_service();
  service.mutable_metadata()->set_name("web");
  service.mutable_spec()->add_containers()->set_image("nginx:1.27");
  v1::Port& port = *service.mutable_spec()->add_ports();
  port.set_container_port(80);
  port.set_host_port(8080);
  return object;
}

inline std::vector<v1::Violation> Problems(v1::Object object) {
  SetDefaults(object);
  Report report;
  ValidateObject(object, NormalizeForTest, report);
  return report.violations();
}

struct SpoiledCase {
  const char* name;
  std::function<void(v1::Service&)> spoil;
  const char* field;
  const char* message;
};

inline void PrintTo(const SpoiledCase& c, std::ostream* out) { *out << c.name; }

inline v1::Container& Main(v1::Service& s) {
  return *s.mutable_spec()->mutable_containers(0);
}
inline v1::Port& FirstPort(v1::Service& s) {
  return *s.mutable_spec()->mutable_ports(0);
}
inline v1::Probe& Readiness(v1::Service& s) {
  v1::Probe& probe = *Main(s).mutable_readiness();
  probe.mutable_tcp()->set_port(80);
  return probe;
}
inline v1::VolumeMount& Mount(v1::Service& s, const char* volume,
                              const char* path) {
  v1::VolumeMount& mount = *Main(s).add_volumes();
  mount.set_volume(volume);
  mount.set_path(path);
  return mount;
}

inline v1::SecretMount& Secret(v1::Service& s, const char* name,
                               const char* path) {
  v1::SecretMount& mount = *Main(s).add_secrets();
  mount.set_name(name);
  mount.set_path(path);
  return mount;
}

class SpoiledTest : public ::testing::TestWithParam<SpoiledCase> {
 protected:
  void ExpectOneProblem() {
    v1::Object object = WebService();
    GetParam().spoil(*object.mutable_service());
    const std::vector<v1::Violation> problems = Problems(object);
    ASSERT_EQ(problems.size(), 1)
        << (problems.empty() ? "none" : problems.back().DebugString());
    EXPECT_EQ(problems[0].field(), GetParam().field);
    EXPECT_TRUE(absl::StrContains(problems[0].message(), GetParam().message))
        << problems[0].message();
  }
};

inline std::string CaseName(const ::testing::TestParamInfo<SpoiledCase>& info) {
  return info.param.name;
}

}  // namespace bulwark::api

#endif  // API_VALIDATION_TESTING_H_
