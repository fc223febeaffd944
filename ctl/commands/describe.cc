// ctl describe: all about one object.
#include "ctl/describe.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "manifest/codec.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::vector<std::string> words;
  std::string output;
};

std::string Indent(absl::string_view text) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!line.empty()) absl::StrAppend(&out, "  ", line, "\n");
  }
  return out;
}

void Line(std::string& out, absl::string_view name, absl::string_view value) {
  if (value.empty()) return;
  absl::StrAppend(&out, name, ":",
                  std::string(std::max<size_t>(1, 15 - name.size()), ' '),
                  value, "\n");
}

std::string MetadataText(const v1::Object& object, absl::Time now) {
  const v1::Metadata& metadata = manifest::MetadataOf(object);
  std::string out;
  Line(out, "Kind", manifest::KindOf(object)->name);
  Line(out, "Name", metadata.name());
  Line(out, "Project", metadata.project());
  Line(out, "Labels", JoinLabels(metadata.labels()));
  if (metadata.has_create_time()) {
    Line(out, "Created",
         absl::StrCat(FormatTimestamp(metadata.create_time()), " (",
                      Age(metadata.create_time(), now), " ago)"));
  }
  if (metadata.has_delete_time()) {
    Line(out, "Deleted", FormatTimestamp(metadata.delete_time()));
  }
  Line(out, "UID", metadata.uid());
  if (metadata.generation() > 0) {
    Line(out, "Generation", absl::StrCat(metadata.generation()));
  }
  return out;
}

// "app:1 waits for its window (sha256:ab…); the last look failed: …".
std::string ImageUpdateText(const v1::ImageUpdateStatus& update) {
  constexpr size_t kShown = 19;  // "sha256:" and twelve digits
  std::vector<std::string> parts;
  const auto add = [&](const auto& map, const char* what) {
    for (const auto& [image, digest] :
         std::map<std::string, std::string>(map.begin(), map.end())) {
      parts.push_back(
          absl::StrCat(image, " ", what, " (", digest.substr(0, kShown), ")"));
    }
  };
  add(update.pending(), "waits to be rolled out");
  add(update.rejected(), "came back and is not tried again");
  if (!update.error().empty()) {
    parts.push_back(absl::StrCat("the last look failed: ", update.error()));
  }
  return parts.empty() ? "nothing new" : absl::StrJoin(parts, "; ");
}

std::string ServiceText(const v1::Service& service) {
  const v1::ServiceStatus& status = service.status();
  std::string out;
  Line(out, "Status", ServiceState(service));
  Line(out, "Message", ServiceMessage(service));
  Line(out, "Replicas",
       absl::StrCat(status.desired_replicas(), " desired, ",
                    status.updated_replicas(), " updated, ",
                    status.ready_replicas(), " ready, ",
                    status.available_replicas(), " available"));
  Line(out, "Revision",
       absl::StrCat(status.revision(), " (last good: ",
                    status.last_good_revision() == 0
                        ? std::string("none")
                        : absl::StrCat(status.last_good_revision()),
                    ")"));
  Line(out, "Address", status.virtual_address());
  for (const std::string& address : status.published()) {
    Line(out, "Published", address);
  }
  if (status.has_image_update()) {
    Line(out, "Image update", ImageUpdateText(status.image_update()));
  }
  return out;
}

std::string ConditionsText(
    const google::protobuf::RepeatedPtrField<v1::Condition>& conditions,
    absl::Time now) {
  if (conditions.empty()) return "";
  Table table({"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"});
  for (const v1::Condition& c : conditions) {
    const char* status = c.status() == v1::Condition::TRUE    ? "true"
                         : c.status() == v1::Condition::FALSE ? "false"
                                                              : "unknown";
    table.Add({c.type(), status, c.reason(), Age(c.last_transition_time(), now),
               c.message()});
  }
  return absl::StrCat("Conditions:\n", Indent(table.Take()));
}

// The parts `spec`, `template` and `status` as YAML, what tables say left out.
std::string PartText(const v1::Object& object, absl::string_view part) {
  const google::protobuf::Message& inner = manifest::Inner(object);
  const auto* field = inner.GetDescriptor()->FindFieldByName(std::string(part));
  if (field == nullptr || !inner.GetReflection()->HasField(inner, field)) {
    return "";
  }
  const google::protobuf::Message& message =
      inner.GetReflection()->GetMessage(inner, field);
  std::unique_ptr<google::protobuf::Message> copy(message.New());
  copy->CopyFrom(message);
  const auto* conditions = copy->GetDescriptor()->FindFieldByName("conditions");
  if (conditions != nullptr) {
    copy->GetReflection()->ClearField(copy.get(), conditions);
  }
  if (copy->ByteSizeLong() == 0) return "";
  std::string title(part);
  title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return absl::StrCat(title, ":\n", Indent(manifest::PrintYaml(*copy)));
}

std::string ConditionsOf(const v1::Object& object, absl::Time now) {
  const google::protobuf::Message& inner = manifest::Inner(object);
  const auto* status_field = inner.GetDescriptor()->FindFieldByName("status");
  if (status_field == nullptr) return "";
  const google::protobuf::Message& status =
      inner.GetReflection()->GetMessage(inner, status_field);
  const auto* field = status.GetDescriptor()->FindFieldByName("conditions");
  if (field == nullptr) return "";
  return ConditionsText(
      status.GetReflection()->GetRepeatedPtrField<v1::Condition>(status, field),
      now);
}

// A table of objects of one kind below its name.
std::string ObjectsText(const char* title, absl::string_view kind_name,
                        const std::vector<v1::Object>& objects,
                        absl::Time now) {
  if (objects.empty()) return absl::StrCat(title, ": none\n");
  Table table(HeaderOf(*manifest::FindKind(kind_name), {}));
  for (const v1::Object& object : objects) {
    table.Add(RowOf(object, {}, now));
  }
  return absl::StrCat(title, ":\n", Indent(table.Take()));
}

std::string ScaleText(const v1::ServiceSpec& spec, const v1::Scale& scale,
                      absl::Time now) {
  std::string out;
  Line(out, "Autoscale",
       absl::StrCat(spec.autoscale().min_replicas(), " to ",
                    spec.autoscale().max_replicas(), " replicas: has ",
                    scale.replicas(), ", wanted ", scale.recommended()));
  Line(out, "Last decision", scale.message());
  if (scale.has_last_scale_time()) {
    Line(out, "Last scaled",
         absl::StrCat(Age(scale.last_scale_time(), now), " ago"));
  }
  Table table(
      {"METRIC", "VALUE", "TARGET", "WANTED", "MISSING", "UNREADY", "ERROR"});
  for (const v1::MetricSample& m : scale.metrics()) {
    const char* unit = m.name() == "connections" ? "" : "%";
    const bool known = m.error().empty();
    table.Add({m.name(), known ? absl::StrCat(m.value(), unit) : "",
               absl::StrCat(m.target(), unit),
               known ? absl::StrCat(m.recommended()) : "",
               absl::StrCat(m.missing()), absl::StrCat(m.unready()),
               m.error()});
  }
  absl::StrAppend(&out, "Metrics:\n", Indent(table.Take()));
  std::string conditions = ConditionsText(scale.conditions(), now);
  if (!conditions.empty()) absl::StrAppend(&out, "Autoscale ", conditions);
  return out;
}

// What the autoscaler of the service decided last; empty without one.
std::string AutoscaleText(const Description& description, absl::Time now) {
  const v1::ServiceSpec& spec = description.object.service().spec();
  if (!spec.has_autoscale()) return "";
  if (!description.scale.has_value()) {
    return "Autoscale:      nothing is decided yet\n";
  }
  return ScaleText(spec, description.scale->scale(), now);
}

}  // namespace

std::string DescriptionText(const Description& description, absl::Time now) {
  const v1::Object& object = description.object;
  std::string out = MetadataText(object, now);
  const bool service = object.has_service();
  if (service) out += ServiceText(object.service());
  out += PartText(object, "spec");
  out += PartText(object, "template");
  if (!service) out += PartText(object, "status");
  out += ConditionsOf(object, now);
  if (service) out += AutoscaleText(description, now);
  if (service || object.has_job()) {
    out += ObjectsText("Replicas", "replica", description.replicas, now);
  } else if (object.has_cron_job()) {
    out += ObjectsText("Jobs", "job", description.jobs, now);
  }
  if (!object.has_event()) {
    out += ObjectsText("Events", "event", description.events, now);
  }
  return out;
}

namespace {

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  ASSIGN_OR_RETURN(std::vector<Target> targets, ParseTargets(flags.words));
  std::vector<v1::Object> objects;
  for (const Target& target : targets) {
    if (target.name.empty()) {
      ASSIGN_OR_RETURN(Listing listing, ListObjects(context, *target.kind, {}));
      objects = std::move(listing.objects);
      continue;
    }
    ASSIGN_OR_RETURN(v1::Object object,
                     GetObject(context, *target.kind, target.name));
    objects.push_back(std::move(object));
  }
  if (flags.output.empty()) {
    for (size_t i = 0; i < objects.size(); ++i) {
      if (i > 0) context.io.Out("\n");
      RETURN_IF_ERROR(DescribeObject(context, objects[i]));
    }
    return kExitOk;
  }
  std::vector<manifest::Node::Ptr> trees;
  for (const v1::Object& object : objects) {
    ASSIGN_OR_RETURN(Description description, GatherAbout(context, object));
    trees.push_back(DescriptionTree(description));
  }
  const bool single = targets.size() == 1 && !targets[0].name.empty();
  PrintTrees(context, trees, single, flags.output);
  return kExitOk;
}

}  // namespace

void AddDescribe(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "describe",
          "Tell all about objects: state, causes, replicas, events")
      .Words("KIND", flags->words, "KIND, KIND NAME… or KIND/NAME…",
             Command::kRequired)
      .Option("-o,--output", flags->output, kMessageForms)
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
