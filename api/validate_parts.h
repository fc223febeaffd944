// Rules that services and jobs share.
#ifndef API_VALIDATE_PARTS_H_
#define API_VALIDATE_PARTS_H_

#include <map>
#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "api/report.h"
#include "api/validation.h"
#include "google/protobuf/repeated_field.h"
#include "proto/bulwark/v1/container.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::api {

inline constexpr int kMaxContainers = 32;

// "SIGTERM", "TERM", "15", "SIGRTMIN+3"; empty means the image's.
bool IsSignal(absl::string_view text);

// Each of `containers`, which stand at `path`, and that no name is among
// `names` already; adds theirs.
void ValidateContainers(
    const google::protobuf::RepeatedPtrField<v1::Container>& containers,
    ContainerRole role, absl::string_view path,
    const NormalizeReference& normalize, std::set<std::string>& names,
    Report& report);

// Containers of one replica share its network, and so the settings of that.
class SharedSysctls {
 public:
  // Each of `containers`, which stand at `path`, against those before.
  void Check(
      const google::protobuf::RepeatedPtrField<v1::Container>& containers,
      absl::string_view path, Report& report);

 private:
  struct Setting {
    std::string value;
    std::string container;
  };
  std::map<std::string, Setting> seen_;  // by file
};

// `path`: of the spec that they are part of.
void ValidateDependencies(
    const google::protobuf::RepeatedPtrField<v1::Dependency>& dependencies,
    absl::string_view path, Report& report);

}  // namespace bulwark::api

#endif  // API_VALIDATE_PARTS_H_
