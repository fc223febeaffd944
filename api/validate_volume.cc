#include "absl/strings/str_cat.h"
#include "api/rules.h"
#include "api/validation.h"
#include "base/units.h"

namespace bulwark::api {
namespace {

// Smaller ones have no room for their own tables.
constexpr int64_t kMinImage = int64_t{16} << 20;
constexpr int64_t kMinTmpfs = int64_t{4} << 10;
// What ext4 can hold with blocks of 4 KiB.
constexpr int64_t kMaxSize = int64_t{16} << 40;

std::string Size(const v1::VolumeSpec& spec) {
  return FormatBytes(spec.size());
}

const Rule<v1::VolumeSpec> kVolumeRules[] = {
    {"size",
     [](const v1::VolumeSpec& s) {
       return s.driver() != v1::VolumeSpec::IMAGE || s.size() != 0;
     },
     "is required by the driver image", "say how much it may hold, e.g. 10Gi"},
    {"size",
     [](const v1::VolumeSpec& s) {
       return s.driver() != v1::VolumeSpec::IMAGE || s.size() == 0 ||
              s.size() >= kMinImage;
     },
     "is less than 16Mi, of which a file system needs a part for itself",
     "make it larger", Size},
    {"size",
     [](const v1::VolumeSpec& s) {
       return s.driver() != v1::VolumeSpec::TMPFS || s.size() >= kMinTmpfs;
     },
     "is less than 4Ki", "make it larger", Size},
    {"size",
     [](const v1::VolumeSpec& s) {
       return s.driver() != v1::VolumeSpec::LOCAL || s.size() == 0;
     },
     "cannot be kept to by the driver local, which has no quota",
     "use `driver: image`, or leave the size out", Size},
    {"size", [](const v1::VolumeSpec& s) { return s.size() <= kMaxSize; },
     "is more than 16Ti", "make it smaller", Size},
};

}  // namespace

void ValidateVolumeSpec(const v1::VolumeSpec& spec, Report& report) {
  CheckRules<v1::VolumeSpec>(spec, kVolumeRules, "spec", report);
}

void ValidateVolumeChange(const v1::VolumeSpec& before,
                          const v1::VolumeSpec& after, Report& report) {
  if (after.driver() == v1::VolumeSpec::IMAGE && after.size() < before.size()) {
    report.Refuse("spec.size",
                  absl::StrCat(FormatBytes(after.size()), " is less than the ",
                               FormatBytes(before.size()),
                               " that it has: a volume only grows"),
                  "copy what is in it to a new, smaller one");
  }
}

}  // namespace bulwark::api
