#include "manifest/schema.h"

#include "absl/strings/str_split.h"
#include "proto/bulwark/v1/container.pb.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

struct Elsewhere {
  absl::string_view theirs;
  absl::string_view ours;
};

// Compose's and Kubernetes' names.
constexpr Elsewhere kElsewhere[] = {
    {"environment", "env"},
    {"entrypoint", "command"},
    {"cmd", "args"},
    {"container_name", "name"},
    {"healthcheck", "health"},
    {"livenessProbe", "liveness"},
    {"readinessProbe", "readiness"},
    {"startupProbe", "startup"},
    {"imagePullPolicy", "pull"},
    {"pull_policy", "pull"},
    {"volumeMounts", "volumes"},
    {"privileged", "profile: privileged"},
    {"networks", "network"},
    {"stop_grace_period", "stop: {timeout: …}"},
    {"stop_signal", "stop: {signal: …}"},
    {"scale", "replicas"},
    {"readOnlyRootFilesystem", "readOnly"},
    {"mountPath", "path"},
    {"httpGet", "http"},
    {"tcpSocket", "tcp"},
    {"periodSeconds", "period"},
    {"interval", "period"},
    {"timeoutSeconds", "timeout"},
    {"retries", "failure"},
    {"failureThreshold", "failure"},
    {"successThreshold", "success"},
    {"target", "containerPort"},
    {"targetPort", "containerPort"},
    {"published", "hostPort"},
    {"data", "value"},
    {"shm_size", "shmSize"},
    {"extra_hosts", "extraHosts"},
    {"hostAliases", "extraHosts"},
    {"logging", "log"},
    {"cap_add", "capabilities: {add: …}"},
    {"cap_drop", "capabilities: {drop: …}"},
    {"stdin_open", "stdin"},
    {"lifecycle", "preStop"},
};

}  // namespace

const FieldDescriptor* FindField(const Descriptor& type,
                                 absl::string_view name) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == name) return type.field(i);
  }
  return nullptr;
}

const FieldDescriptor* InlineField(const Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (field->is_repeated() && field->name() == "containers" &&
        field->message_type() == v1::Container::descriptor()) {
      return field;
    }
    if (!field->is_repeated() &&
        field->message_type() == v1::JobSpec::descriptor() &&
        &type == v1::CronJobSpec::descriptor()) {
      return field;
    }
  }
  return nullptr;
}

bool Knows(const Descriptor& type, absl::string_view name) {
  if (FindField(type, name) != nullptr) return true;
  const FieldDescriptor* inlined = InlineField(type);
  return inlined != nullptr && Knows(*inlined->message_type(), name);
}

std::vector<std::string> KnownNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->options().GetExtension(v1::output_only)) continue;
    names.push_back(type.field(i)->json_name());
  }
  if (const FieldDescriptor* inlined = InlineField(type)) {
    for (std::string& name : KnownNames(*inlined->message_type())) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

bool IsOfContainers(const Descriptor& type, absl::string_view name) {
  const FieldDescriptor* spec = FindField(type, "spec");
  return spec != nullptr && spec->message_type() != nullptr &&
         InlineField(*spec->message_type()) != nullptr &&
         FindField(*v1::Container::descriptor(), name) != nullptr;
}

absl::string_view NameElsewhere(absl::string_view name) {
  for (const Elsewhere& entry : kElsewhere) {
    if (entry.theirs == name) return entry.ours;
  }
  return "";
}

MapForm MapFormOf(const FieldDescriptor& field) {
  const std::string& form = field.options().GetExtension(v1::map_form);
  if (form.empty() || !field.is_repeated()) return {};
  const std::pair<std::string, std::string> names = absl::StrSplit(form, ',');
  const Descriptor& type = *field.message_type();
  return {type.FindFieldByName(names.first),
          names.second.empty() ? nullptr : type.FindFieldByName(names.second)};
}

}  // namespace bulwark::manifest
