#include "api/validation.h"

#include "absl/strings/str_cat.h"
#include "api/cidr.h"
#include "api/fields.h"
#include "api/rules.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

// The store takes 4 MiB, and status grows too.
constexpr size_t kMaxObject = size_t{1} << 20;
constexpr int kMaxLabels = 64;
constexpr size_t kMaxLabelText = 63;

const Rule<v1::Metadata> kMetadataRules[] = {
    {"name",
     [](const v1::Metadata& m) {
       return m.name().empty() || IsLabel(m.name());
     },
     kNotLabel, kLabelRemedy, [](const v1::Metadata& m) { return m.name(); }},
    {"project", [](const v1::Metadata& m) { return IsLabel(m.project()); },
     kNotLabel, kLabelRemedy,
     [](const v1::Metadata& m) { return m.project(); }},
    {"labels",
     [](const v1::Metadata& m) { return m.labels_size() <= kMaxLabels; },
     "has more than 64 entries", "use fewer labels"},
};

const Rule<v1::NetworkSpec> kNetworkRules[] = {
    {"subnet",
     [](const v1::NetworkSpec& s) {
       const auto cidr = Cidr::Parse(s.subnet());
       return s.subnet().empty() || (cidr.has_value() && cidr->is_ipv4() &&
                                     cidr->bits() >= 8 && cidr->bits() <= 29);
     },
     "is not an IPv4 subnet of 8 to 29 bits, without host bits",
     "write it like 10.20.0.0/24, or leave it out to get a free one",
     [](const v1::NetworkSpec& s) { return s.subnet(); }},
    {"subnet",
     [](const v1::NetworkSpec& s) {
       const auto cidr = Cidr::Parse(s.subnet());
       return !cidr.has_value() || !cidr->is_ipv4() || cidr->IsUsable();
     },
     "is loopback, link-local, multicast or reserved",
     "use a private one, e.g. from 10.0.0.0/8",
     [](const v1::NetworkSpec& s) { return s.subnet(); }},
    {"subnet6",
     [](const v1::NetworkSpec& s) {
       const auto cidr = Cidr::Parse(s.subnet6());
       return s.subnet6().empty() ||
              (cidr.has_value() && !cidr->is_ipv4() && cidr->bits() == 64);
     },
     "is not an IPv6 subnet of 64 bits, without host bits",
     "write it like fd12:3456:789a:1::/64, or leave it out to get a free one",
     [](const v1::NetworkSpec& s) { return s.subnet6(); }},
    {"subnet6",
     [](const v1::NetworkSpec& s) {
       const auto cidr = Cidr::Parse(s.subnet6());
       return !cidr.has_value() || cidr->is_ipv4() || cidr->IsUsable();
     },
     "is loopback, link-local, multicast or reserved",
     "use a unique local one, from fd00::/8",
     [](const v1::NetworkSpec& s) { return s.subnet6(); }},
};

void ValidateLabels(const v1::Metadata& metadata, Report& report) {
  for (const auto& [key, value] : metadata.labels()) {
    const std::string path = absl::StrCat("metadata.labels.", key);
    if (key.empty() || key.size() > kMaxLabelText || !IsPrintable(key)) {
      report.Invalid("metadata.labels",
                     absl::StrCat(Quoted(key), " is not a label key"),
                     "use 1 to 63 printable characters");
    }
    if (value.size() > kMaxLabelText || !IsPrintable(value)) {
      report.Invalid(path, absl::StrCat(Quoted(value), " is not a label value"),
                     "use at most 63 printable characters");
    }
  }
}

const google::protobuf::Message& Inner(const v1::Object& object) {
  const auto& reflection = *object.GetReflection();
  return reflection.GetMessage(
      object, reflection.GetOneofFieldDescriptor(
                  object, object.GetDescriptor()->oneof_decl(0)));
}

}  // namespace

void ValidateMetadata(const v1::Metadata& metadata, Report& report) {
  CheckRules<v1::Metadata>(metadata, kMetadataRules, "metadata", report);
  ValidateLabels(metadata, report);
}

void ValidateNetworkSpec(const v1::NetworkSpec& spec, Report& report) {
  CheckRules<v1::NetworkSpec>(spec, kNetworkRules, "spec", report);
}

void ValidateObject(const v1::Object& object,
                    const NormalizeReference& normalize, Report& report) {
  ValidateFields(Inner(object), "", report);
  ValidateMetadata(store::MetadataOf(object), report);
  if (object.ByteSizeLong() > kMaxObject) {
    report.Invalid("", "the object is larger than 1 MiB", "make it smaller");
  }
  if (object.has_service()) {
    ValidateServiceSpec(object.service().spec(), normalize, report);
  } else if (object.has_job()) {
    ValidateJobSpec(object.job().spec(), normalize, "spec", report);
  } else if (object.has_cron_job()) {
    ValidateCronJob(object.cron_job(), normalize, report);
  } else if (object.has_network()) {
    ValidateNetworkSpec(object.network().spec(), report);
  } else if (object.has_config()) {
    ValidateConfigSpec(object.config().spec(), report);
  } else if (object.has_volume()) {
    ValidateVolumeSpec(object.volume().spec(), report);
  } else if (object.has_project()) {
    if (object.project().metadata().project() != "default") {
      report.Invalid("metadata.project", "a project is not part of a project",
                     "leave it out");
    }
    ValidateProjectSpec(object.project().spec(), report);
  }
}

}  // namespace bulwark::api
