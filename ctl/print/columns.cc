#include "ctl/print/columns.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/units.h"
#include "ctl/print/text.h"
#include "manifest/scalar.h"

namespace bulwark::ctl {
namespace {

// A column that only -o wide shows begins with "+".
struct Column {
  const char* header;
  std::string (*cell)(const v1::Object& object, absl::Time now);
};

// The cell of objects of one kind: `get` takes the inner message `o`.
#define CELL(kind, ...)                                         \
  [](const v1::Object& object, absl::Time now) -> std::string { \
    [[maybe_unused]] const auto& o = object.kind();             \
    [[maybe_unused]] const absl::Time unused = now;             \
    __VA_ARGS__                                                 \
  }

constexpr size_t kMostOfMessage = 120;  // characters

// A message may end in what the container printed: that is not for a table.
std::string Shorten(const std::string& text) {
  size_t characters = 0, end = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) == 0x80) continue;
    if (++characters == kMostOfMessage) end = i;
  }
  return characters > kMostOfMessage ? absl::StrCat(text.substr(0, end), "…")
                                     : text;
}

std::string CellName(const v1::Object& object, absl::Time) {
  return manifest::MetadataOf(object).name();
}

std::string CellAge(const v1::Object& object, absl::Time now) {
  return Age(manifest::MetadataOf(object).create_time(), now);
}

template <typename Enum>
std::string Word(const google::protobuf::EnumDescriptor* type, Enum value) {
  const auto* descriptor = type->FindValueByNumber(value);
  if (descriptor == nullptr || value == 0) return "";
  return manifest::EnumWord(*descriptor);
}

// A word for people from the condition `type`, which should be TRUE.
template <typename Object>
std::string Ready(const Object& o, absl::string_view type) {
  if (o.metadata().has_delete_time()) return "Deleting";
  const v1::Condition* condition = FindCondition(o.status().conditions(), type);
  if (condition == nullptr) return "";
  if (condition->status() == v1::Condition::TRUE) return std::string(type);
  return condition->reason().empty() ? absl::StrCat("Not", type)
                                     : condition->reason();
}

std::string VolumeState(const v1::Volume& volume) {
  const v1::Condition* restoring =
      FindCondition(volume.status().conditions(), "Restoring");
  const bool is = restoring != nullptr &&
                  restoring->status() == v1::Condition::TRUE &&
                  !volume.metadata().has_delete_time();
  return is ? "Restoring" : Ready(volume, "Ready");
}

std::string Ports(const v1::Service& service) {
  if (service.status().published_size() > 0) {
    return absl::StrJoin(service.status().published(), ",");
  }
  std::vector<std::string> ports;
  for (const v1::Port& port : service.spec().ports()) {
    const bool udp = port.protocol() == v1::Port::UDP;
    ports.push_back(
        absl::StrCat(port.port() != 0 ? port.port() : port.container_port(),
                     udp ? "/udp" : "/tcp"));
  }
  return absl::StrJoin(ports, ",");
}

const std::vector<Column>& ServiceColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"READY",
       CELL(service, return absl::StrCat(o.status().ready_replicas(), "/",
                                         o.status().desired_replicas());)},
      {"UP-TO-DATE",
       CELL(service, return absl::StrCat(o.status().updated_replicas());)},
      {"AVAILABLE",
       CELL(service, return absl::StrCat(o.status().available_replicas());)},
      {"REVISION", CELL(service, return absl::StrCat(o.status().revision());)},
      {"PORTS", CELL(service, return Ports(o);)},
      {"AGE", CellAge},
      {"+IMAGES", CELL(service, return JoinImages(o.spec().containers());)},
      {"+ADDRESS", CELL(service, return o.status().virtual_address();)},
      {"STATUS", CELL(service, return ServiceState(o);)},
      {"+MESSAGE", CELL(service, return ServiceMessage(o);)},
  };
  return columns;
}

const std::vector<Column>& ReplicaColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"SLOT", CELL(replica, return absl::StrCat(o.spec().slot());)},
      {"REVISION", CELL(replica, return absl::StrCat(o.spec().revision());)},
      {"STATE", CELL(replica, return ReplicaState(o);)},
      {"READY", CELL(replica, return o.status().ready() ? "yes" : "no";)},
      {"ADDRESS", CELL(replica, return o.spec().address();)},
      {"RESTARTS", CELL(replica, return absl::StrCat(ReplicaRestarts(o));)},
      {"AGE", CellAge},
      {"+PID",
       CELL(replica, const bool runs = !o.status().containers().empty() &&
                                       o.status().containers(0).pid() != 0;
            return runs ? absl::StrCat(o.status().containers(0).pid()) : "";)},
      {"MESSAGE", CELL(replica, return ReplicaMessage(o);)},
  };
  return columns;
}

std::string CronJobState(const v1::CronJob& cron_job) {
  if (cron_job.metadata().has_delete_time()) return "Deleting";
  const v1::Condition* c =
      FindCondition(cron_job.status().conditions(), "Scheduled");
  if (c == nullptr) return "Pending";
  return c->reason() == "Waiting" ? "Scheduled" : c->reason();
}

const std::vector<Column>& JobColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"COMPLETIONS",
       CELL(job, return absl::StrCat(o.status().succeeded(), "/",
                                     std::max(1, o.spec().completions()));)},
      {"ACTIVE", CELL(job, return absl::StrCat(o.status().active());)},
      {"FAILED", CELL(job, return absl::StrCat(o.status().failed());)},
      {"DURATION",
       CELL(job, if (!o.status().has_start_time()) return "";
            const absl::Time end = o.status().has_completion_time()
                                       ? ToTime(o.status().completion_time())
                                       : now;
            return ShortDuration(end - ToTime(o.status().start_time()));)},
      {"AGE", CellAge},
      {"+IMAGES", CELL(job, return JoinImages(o.spec().containers());)},
      {"STATUS", CELL(job, return JobState(o);)},
  };
  return columns;
}

const std::vector<Column>& CronJobColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"SCHEDULE", CELL(cron_job, return o.spec().schedule();)},
      {"SUSPEND", CELL(cron_job, return o.spec().suspend() ? "yes" : "no";)},
      {"ACTIVE",
       CELL(cron_job, return absl::StrCat(o.status().active_size());)},
      {"LAST",
       CELL(cron_job, return Age(o.status().last_schedule_time(), now);)},
      {"NEXT", CELL(cron_job,
                    return FormatTimestamp(o.status().next_schedule_time());)},
      {"AGE", CellAge},
      {"+IMAGES",
       CELL(cron_job, return JoinImages(o.spec().job().containers());)},
      {"STATUS", CELL(cron_job, return CronJobState(o);)},
  };
  return columns;
}

const std::vector<Column>& SecretColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"VERSION", CELL(secret, return absl::StrCat(o.status().version());)},
      {"AGE", CellAge},
      {"+DIGEST", CELL(secret, return o.status().digest();)},
  };
  return columns;
}

const std::vector<Column>& ConfigColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"VERSION", CELL(config, return absl::StrCat(o.status().version());)},
      {"BYTES", CELL(config, return absl::StrCat(o.spec().value().size());)},
      {"AGE", CellAge},
      {"+DIGEST", CELL(config, return o.status().digest();)},
  };
  return columns;
}

const std::vector<Column>& VolumeColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"DRIVER", CELL(volume, return Word(v1::VolumeSpec::Driver_descriptor(),
                                          o.spec().driver());)},
      {"SIZE",
       CELL(volume,
            return o.spec().size() == 0 ? "" : FormatBytes(o.spec().size());)},
      {"USED", CELL(volume, return HumanSize(o.status().used_bytes());)},
      {"AGE", CellAge},
      {"STATUS", CELL(volume, return VolumeState(o);)},
      {"+PATH", CELL(volume, return o.status().path();)},
  };
  return columns;
}

const std::vector<Column>& NetworkColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"SUBNET", CELL(network, return o.status().subnet().empty()
                                          ? o.spec().subnet()
                                          : o.status().subnet();)},
      {"SUBNET6", CELL(network, return o.status().subnet6().empty()
                                           ? o.spec().subnet6()
                                           : o.status().subnet6();)},
      {"GATEWAY", CELL(network, return o.status().gateway();)},
      {"INTERNAL", CELL(network, return o.spec().internal() ? "yes" : "no";)},
      {"AGE", CellAge},
      {"STATUS", CELL(network, return Ready(o, "Ready");)},
  };
  return columns;
}

const std::vector<Column>& PolicyColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"SELECTOR",
       CELL(network_policy, return JoinLabels(o.spec().selector());)},
      {"INGRESS",
       CELL(network_policy, return absl::StrCat(o.spec().ingress_size());)},
      {"EGRESS",
       CELL(network_policy, return absl::StrCat(o.spec().egress_size());)},
      {"AGE", CellAge},
  };
  return columns;
}

const std::vector<Column>& ProjectColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"DESCRIPTION", CELL(project, return o.spec().description();)},
      {"AGE", CellAge},
  };
  return columns;
}

const std::vector<Column>& RevisionColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"SERVICE",
       CELL(revision, return o.job().empty() ? o.service()
                                             : absl::StrCat("job/", o.job());)},
      {"NUMBER", CELL(revision, return absl::StrCat(o.number());)},
      {"GOOD", CELL(revision, return o.good() ? "yes" : "no";)},
      {"IMAGES",
       CELL(revision, return JoinImages(o.template_().containers());)},
      {"ACTOR", CELL(revision, return o.actor().name();)},
      {"AGE", CellAge},
      {"FAILURE", CELL(revision, return o.failure();)},
      {"+HASH", CELL(revision, return o.hash();)},
  };
  return columns;
}

const std::vector<Column>& EventColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"LAST", CELL(event, return Age(o.last_time(), now);)},
      {"TYPE", CELL(event, return Word(v1::Event::Severity_descriptor(),
                                       o.severity());)},
      {"SUBJECT", CELL(event, return absl::StrCat(o.subject().kind(), "/",
                                                  o.subject().name());)},
      {"REASON", CELL(event, return o.reason();)},
      {"COUNT", CELL(event, return absl::StrCat(std::max(1, o.count()));)},
      {"+ACTOR", CELL(event, return o.actor().name();)},
      {"MESSAGE", CELL(event, return o.message();)},
  };
  return columns;
}

const std::vector<Column>& NodeColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"VERSION", CELL(node, return o.status().version();)},
      {"KERNEL", CELL(node, return o.status().kernel();)},
      {"CGROUPS", CELL(node, return o.status().cgroups();)},
      {"CPU", CELL(node, return FormatMillicores(o.status().cpu());)},
      {"MEMORY", CELL(node, return HumanSize(o.status().memory());)},
      {"UP", CELL(node, return Age(o.status().start_time(), now);)},
  };
  return columns;
}

// "cpu 93%/70%, connections 4/10".
std::string ScaleMetrics(const v1::Scale& scale) {
  return absl::StrJoin(
      scale.metrics(), ", ", [](std::string* out, const v1::MetricSample& m) {
        const char* unit = m.name() == "connections" ? "" : "%";
        absl::StrAppend(
            out, m.name(), " ",
            m.error().empty() ? absl::StrCat(m.value(), unit) : "unknown", "/",
            m.target(), unit);
      });
}

const std::vector<Column>& ScaleColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"NAME", CellName},
      {"REPLICAS", CELL(scale, return absl::StrCat(o.replicas());)},
      {"WANTED", CELL(scale, return absl::StrCat(o.recommended());)},
      {"METRICS", CELL(scale, return ScaleMetrics(o);)},
      {"LAST SCALE", CELL(scale, return Age(o.last_scale_time(), now);)},
      {"AGE", CellAge},
      {"+MESSAGE", CELL(scale, return o.message();)},
  };
  return columns;
}

const std::vector<Column>& ColumnsOf(const manifest::Kind& kind) {
  switch (kind.field->number()) {
    case v1::Object::kServiceFieldNumber:
      return ServiceColumns();
    case v1::Object::kJobFieldNumber:
      return JobColumns();
    case v1::Object::kCronJobFieldNumber:
      return CronJobColumns();
    case v1::Object::kSecretFieldNumber:
      return SecretColumns();
    case v1::Object::kConfigFieldNumber:
      return ConfigColumns();
    case v1::Object::kVolumeFieldNumber:
      return VolumeColumns();
    case v1::Object::kNetworkFieldNumber:
      return NetworkColumns();
    case v1::Object::kNetworkPolicyFieldNumber:
      return PolicyColumns();
    case v1::Object::kProjectFieldNumber:
      return ProjectColumns();
    case v1::Object::kRevisionFieldNumber:
      return RevisionColumns();
    case v1::Object::kReplicaFieldNumber:
      return ReplicaColumns();
    case v1::Object::kEventFieldNumber:
      return EventColumns();
    case v1::Object::kScaleFieldNumber:
      return ScaleColumns();
    default:
      return NodeColumns();
  }
}

}  // namespace

std::vector<std::string> HeaderOf(const manifest::Kind& kind,
                                  const TableForm& form) {
  std::vector<std::string> header;
  if (form.projects) header.push_back("PROJECT");
  for (const Column& column : ColumnsOf(kind)) {
    const bool extra = column.header[0] == '+';
    if (!extra || form.wide) header.push_back(column.header + (extra ? 1 : 0));
  }
  return header;
}

std::vector<std::string> RowOf(const v1::Object& object, const TableForm& form,
                               absl::Time now) {
  std::vector<std::string> row;
  const manifest::Kind* kind = manifest::KindOf(object);
  if (kind == nullptr) return row;
  if (form.projects) row.push_back(manifest::MetadataOf(object).project());
  for (const Column& column : ColumnsOf(*kind)) {
    if (column.header[0] != '+' || form.wide) {
      std::string cell = column.cell(object, now);
      const absl::string_view header = column.header;
      // An event is its message.
      const bool message =
          (header == "MESSAGE" && !object.has_event()) || header == "FAILURE";
      row.push_back(message && !form.wide ? Shorten(cell) : std::move(cell));
    }
  }
  return row;
}

}  // namespace bulwark::ctl
