#include "engine/oci/config/parse.h"

#include <sched.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/json.h"
#include "engine/oci/config/json_reader.h"
#include "engine/oci/config/parse_parts.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

namespace bulwark::engine::oci {
namespace {

void ReadMounts(const JsonReader& in, absl::string_view bundle,
                std::vector<Mount>& out) {
  in.ForEach([&](const JsonReader& element) {
    Mount mount;
    element["destination"].Get(mount.destination);
    if (mount.destination.empty()) {
      element["destination"].Fail("is required");
    } else if (mount.destination[0] != '/') {
      // The specification before 1.0 allowed it, and so do the others.
      mount.destination = "/" + mount.destination;
    }
    element["type"].Get(mount.type);
    element["source"].Get(mount.source);
    element["options"].Get(mount.options);
    const auto has = [&](const char* option) {
      return std::find(mount.options.begin(), mount.options.end(), option) !=
             mount.options.end();
    };
    const bool bind = mount.type == "bind" || has("bind") || has("rbind");
    if (bind) {
      mount.type = "bind";
      if (mount.source.empty()) {
        element["source"].Fail("a bind mount needs one");
      } else if (mount.source[0] != '/') {
        mount.source = absl::StrCat(bundle, "/", mount.source);
      }
    } else if (mount.type.empty()) {
      element["type"].Fail("is required where `options` names no bind");
    }
    ReadIdMappings(element["uidMappings"], mount.uid_mappings);
    ReadIdMappings(element["gidMappings"], mount.gid_mappings);
    out.push_back(std::move(mount));
  });
}

void ReadHooks(const JsonReader& in, std::vector<Hook>& out) {
  in.ForEach([&](const JsonReader& element) {
    Hook hook;
    element["path"].Get(hook.path);
    element["args"].Get(hook.args);
    element["env"].Get(hook.env);
    const JsonReader timeout = element["timeout"];
    timeout.Get(hook.timeout_seconds);
    if (timeout.present() && hook.timeout_seconds <= 0) {
      timeout.Fail("must be more than 0");
    }
    if (hook.path.empty() || hook.path[0] != '/') {
      element["path"].Fail(
          absl::StrCat("\"", hook.path, "\" is not an absolute path"));
    }
    if (hook.args.empty()) hook.args.push_back(hook.path);
    out.push_back(std::move(hook));
  });
}

void ReadSpec(const JsonReader& in, absl::string_view bundle, Spec& out) {
  in["ociVersion"].Get(out.version);
  if (out.version.substr(0, 2) != "1.") {
    in["ociVersion"].Fail(
        out.version.empty()
            ? "is required"
            : absl::StrCat("\"", out.version, "\" is not a version 1"));
  }
  in["root"]["path"].Get(out.root);
  in["root"]["readonly"].Get(out.root_read_only);
  if (out.root.empty()) {
    in["root"]["path"].Fail("is required");
  } else if (out.root[0] != '/') {
    out.root = absl::StrCat(bundle, "/", out.root);
  }
  if (in["process"].present()) {
    out.process.emplace();
    ReadProcess(in["process"], *out.process);
  }
  in["hostname"].Get(out.hostname);
  in["domainname"].Get(out.domainname);
  ReadMounts(in["mounts"], bundle, out.mounts);
  const JsonReader hooks = in["hooks"];
  ReadHooks(hooks["prestart"], out.hooks.prestart);
  ReadHooks(hooks["createRuntime"], out.hooks.create_runtime);
  ReadHooks(hooks["createContainer"], out.hooks.create_container);
  ReadHooks(hooks["startContainer"], out.hooks.start_container);
  ReadHooks(hooks["poststart"], out.hooks.poststart);
  ReadHooks(hooks["poststop"], out.hooks.poststop);
  in["annotations"].ForEachMember(
      [&](const std::string& key, const JsonReader& value) {
        if (key.empty()) value.Fail("a key is empty");
        value.Get(out.annotations[key]);
      });
  ReadLinux(in["linux"], out.linux_);
}

template <typename T, typename Read>
absl::StatusOr<T> Parse(absl::string_view text, Read read) {
  if (text.size() > kMaxConfigBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("document: more than ", kMaxConfigBytes, " bytes"));
  }
  ASSIGN_OR_RETURN(const Json document, image::ParseObject(text, "document"));
  absl::Status error;
  T value;
  read(JsonReader(&document, "", &error), value);
  RETURN_IF_ERROR(error);
  return value;
}

const Namespace* FindNamespace(const Spec& spec, uint64_t type) {
  for (const Namespace& ns : spec.linux_.namespaces) {
    if (ns.type == type) return &ns;
  }
  return nullptr;
}

absl::Status Contradiction(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

// Whether the name, where slashes separate, has a part that is empty or leads
// up: "net/../kernel/core_pattern".
bool LeadsElsewhere(absl::string_view name) {
  if (name.find('/') == name.npos) return false;
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") return true;
  }
  return false;
}

// Which namespace a sysctl belongs to; 0: to the whole host.
uint64_t NamespaceOfSysctl(absl::string_view name) {
  if (LeadsElsewhere(name)) return 0;
  constexpr const char* kIpc[] = {"kernel.msgmax", "kernel.msgmnb",
                                  "kernel.msgmni", "kernel.sem",
                                  "kernel.shmall", "kernel.shmmax",
                                  "kernel.shmmni", "kernel.shm_rmid_forced"};
  const auto starts = [&](absl::string_view prefix) {
    return name.substr(0, prefix.size()) == prefix;
  };
  if (starts("net.") || starts("net/")) return CLONE_NEWNET;
  if (starts("fs.mqueue.") || starts("fs/mqueue/")) return CLONE_NEWIPC;
  for (const char* ipc : kIpc) {
    if (name == ipc) return CLONE_NEWIPC;
  }
  if (name == "kernel.domainname" || name == "kernel.hostname") {
    return CLONE_NEWUTS;
  }
  return 0;
}

}  // namespace

absl::Status CheckSpec(const Spec& spec) {
  const Linux& l = spec.linux_;
  const auto has = [&](uint64_t type) {
    return FindNamespace(spec, type) != nullptr;
  };
  if (!has(CLONE_NEWNS)) {
    return Contradiction("linux.namespaces",
                         "bulwark-oci runs nothing in the host's mount "
                         "namespace: add {\"type\": \"mount\"}");
  }
  if (!spec.hostname.empty() && !has(CLONE_NEWUTS)) {
    return Contradiction("hostname", "needs a uts namespace");
  }
  if (!spec.domainname.empty() && !has(CLONE_NEWUTS)) {
    return Contradiction("domainname", "needs a uts namespace");
  }
  const Namespace* user = FindNamespace(spec, CLONE_NEWUSER);
  const bool maps = !l.uid_mappings.empty() || !l.gid_mappings.empty();
  if (maps && user == nullptr) {
    return Contradiction("linux.uidMappings", "need a user namespace");
  }
  if (user != nullptr && user->path.empty() &&
      (l.uid_mappings.empty() || l.gid_mappings.empty())) {
    return Contradiction("linux.uidMappings",
                         "a new user namespace needs uidMappings and "
                         "gidMappings");
  }
  if (!l.time_offsets.empty() && !has(CLONE_NEWTIME)) {
    return Contradiction("linux.timeOffsets", "need a time namespace");
  }
  for (const auto& [name, value] : l.sysctl) {
    const uint64_t type = NamespaceOfSysctl(name);
    if (type == 0 || !has(type)) {
      return Contradiction(absl::StrCat("linux.sysctl[\"", name, "\"]"),
                           type == 0 ? "would change the whole host"
                                     : "needs a namespace of its own");
    }
  }
  for (const Mount& mount : spec.mounts) {
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
      return Contradiction(absl::StrCat("mount on ", mount.destination),
                           "has only one of uidMappings and gidMappings");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Spec> ParseSpec(absl::string_view text,
                               absl::string_view bundle) {
  ASSIGN_OR_RETURN(Spec spec,
                   Parse<Spec>(text, [&](const JsonReader& in, Spec& out) {
                     ReadSpec(in, bundle, out);
                   }));
  RETURN_IF_ERROR(CheckSpec(spec));
  return spec;
}

absl::StatusOr<Process> ParseProcess(absl::string_view text) {
  return Parse<Process>(text, ReadProcess);
}

absl::StatusOr<Resources> ParseResources(absl::string_view text) {
  return Parse<Resources>(text, ReadResources);
}

}  // namespace bulwark::engine::oci
