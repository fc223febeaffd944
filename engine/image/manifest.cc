#include "engine/image/manifest.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"

namespace bulwark::engine::image {
namespace {

// A media type, or a part of a platform. Those of an index are kept for each of
// its entries.
constexpr size_t kMaxWordBytes = 255;

absl::Status CheckWord(absl::string_view word, absl::string_view what) {
  if (word.size() <= kMaxWordBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "read manifest: ", what, " has ", word.size(), " bytes, and ",
      kMaxWordBytes, " are supported: \"", word.substr(0, 20), "…\""));
}

absl::StatusOr<Descriptor> ParseDescriptor(const Json* object,
                                           absl::string_view what) {
  if (object == nullptr || !object->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("read manifest: ", what, " is missing"));
  }
  Descriptor result;
  result.media_type = StringField(*object, "mediaType");
  result.digest = StringField(*object, "digest");
  result.size = IntField(*object, "size");
  RETURN_IF_ERROR(
      CheckWord(result.media_type, absl::StrCat("media type of ", what)));
  if (!IsDigest(result.digest)) {
    return absl::InvalidArgumentError(
        absl::StrCat("read manifest: digest of ", what,
                     " is not sha256: and 64 hex digits: "
                     "\"",
                     result.digest.substr(0, 100), "\""));
  }
  if (result.size < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "read manifest: size of ", what, " is negative: ", result.size));
  }
  return result;
}

absl::Status CheckLayerType(const Descriptor& layer) {
  absl::string_view type = layer.media_type;
  if (IsForeignLayer(layer)) {
    return absl::FailedPreconditionError(
        absl::StrCat("read manifest: layer ", layer.digest,
                     " must be fetched from elsewhere (", type,
                     "), which is not supported"));
  }
  if (absl::StrContains(type, "encrypted")) {
    return absl::FailedPreconditionError(
        absl::StrCat("read manifest: layer ", layer.digest,
                     " is encrypted, which is not supported"));
  }
  return absl::OkStatus();
}

absl::Duration Nanoseconds(const Json& object, const char* key) {
  int64_t n = IntField(object, key);
  return n > 0 ? absl::Nanoseconds(n) : absl::ZeroDuration();
}

std::optional<ImageHealthcheck> ParseHealthcheck(const Json& config) {
  const Json* object = Find(config, "Healthcheck");
  if (object == nullptr) return std::nullopt;
  std::vector<std::string> test = StringList(*object, "Test");
  if (test.size() < 2) return std::nullopt;  // none, or ["NONE"]
  ImageHealthcheck result;
  if (test[0] == "CMD") {
    result.command.assign(test.begin() + 1, test.end());
  } else if (test[0] == "CMD-SHELL") {
    result.command = {"/bin/sh", "-c", test[1]};
  } else {
    return std::nullopt;
  }
  result.interval = Nanoseconds(*object, "Interval");
  result.timeout = Nanoseconds(*object, "Timeout");
  result.start_period = Nanoseconds(*object, "StartPeriod");
  result.start_interval = Nanoseconds(*object, "StartInterval");
  int64_t retries = IntField(*object, "Retries");
  result.retries = retries > 0 && retries <= 1000 ? retries : 0;
  return result;
}

ImageConfig ParseRuntimeConfig(const Json& config) {
  ImageConfig result;
  result.entrypoint = StringList(config, "Entrypoint");
  result.command = StringList(config, "Cmd");
  for (std::string& entry : StringList(config, "Env")) {
    size_t equals = entry.find('=');
    if (equals != std::string::npos && equals > 0) {
      result.env.push_back(std::move(entry));
    }
  }
  result.working_dir = StringField(config, "WorkingDir");
  result.user = StringField(config, "User");
  result.stop_signal = StringField(config, "StopSignal");
  result.exposed_ports = KeysOf(config, "ExposedPorts");
  result.volumes = KeysOf(config, "Volumes");
  result.labels = StringMap(config, "Labels");
  result.healthcheck = ParseHealthcheck(config);
  return result;
}

std::vector<HistoryEntry> ParseHistory(const Json& object) {
  std::vector<HistoryEntry> result;
  const Json* history = Find(object, "history");
  if (history == nullptr || !history->is_array()) return result;
  for (const Json& item : *history) {
    const Json* empty = Find(item, "empty_layer");
    result.push_back(
        {StringField(item, "created"), StringField(item, "created_by"),
         StringField(item, "comment"),
         empty != nullptr && empty->is_boolean() && empty->get<bool>()});
  }
  return result;
}

// A NUL would end a string early where the kernel reads it.
absl::Status RefuseNul(const ImageConfig& config) {
  auto has_nul = [](absl::string_view text) {
    return text.find('\0') != absl::string_view::npos;
  };
  bool bad = has_nul(config.working_dir) || has_nul(config.user);
  for (const auto* list : {&config.entrypoint, &config.command, &config.env,
                           &config.volumes, &config.exposed_ports}) {
    for (const std::string& text : *list) bad = bad || has_nul(text);
  }
  if (!bad) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "read image configuration: a value holds a NUL character");
}

}  // namespace

absl::StatusOr<std::string> DocumentType(absl::string_view text,
                                         absl::string_view declared) {
  ASSIGN_OR_RETURN(Json object, ParseObject(text, "read manifest"));
  bool has_layers = object.contains("layers") || object.contains("config");
  bool has_manifests = object.contains("manifests");
  if (has_layers && has_manifests) {
    return absl::InvalidArgumentError(
        "read manifest: it is a manifest and an index at once");
  }
  if (IntField(object, "schemaVersion") == 1 || object.contains("fsLayers")) {
    return absl::FailedPreconditionError(
        "read manifest: Docker schema 1 is not supported; push the image again"
        " with a current tool");
  }
  std::string type = StringField(object, "mediaType");
  if (type.empty()) type = std::string(declared);
  if (has_manifests) return IsIndexType(type) ? type : std::string(kOciIndex);
  if (!has_layers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "read manifest: neither a manifest nor an index (", type, ")"));
  }
  if (IsIndexType(type)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "read manifest: it calls itself ", type, " but is a manifest"));
  }
  return type == kDockerManifest ? type : std::string(kOciManifest);
}

bool IsForeignLayer(const Descriptor& layer) {
  return absl::StrContains(layer.media_type, "foreign") ||
         absl::StrContains(layer.media_type, "nondistributable");
}

absl::StatusOr<Manifest> ParseManifest(absl::string_view text) {
  ASSIGN_OR_RETURN(Manifest manifest, ParseForeignManifest(text));
  for (const Descriptor& layer : manifest.layers) {
    RETURN_IF_ERROR(CheckLayerType(layer));
  }
  return manifest;
}

absl::StatusOr<Manifest> ParseForeignManifest(absl::string_view text) {
  RETURN_IF_ERROR(DocumentType(text, kOciManifest).status());
  ASSIGN_OR_RETURN(Json object, ParseObject(text, "read manifest"));
  Manifest result;
  ASSIGN_OR_RETURN(result.config,
                   ParseDescriptor(Find(object, "config"), "config"));
  if (result.config.size > kMaxConfigBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "read manifest: configuration of ", result.config.size, " bytes"));
  }
  const Json* layers = Find(object, "layers");
  if (layers == nullptr) return result;
  if (!layers->is_array()) {
    return absl::InvalidArgumentError("read manifest: layers is not a list");
  }
  if (layers->size() > kMaxLayers) {
    return absl::InvalidArgumentError(
        absl::StrCat("read manifest: ", layers->size(),
                     " layers are more than the ", kMaxLayers, " supported"));
  }
  for (const Json& item : *layers) {
    ASSIGN_OR_RETURN(
        Descriptor layer,
        ParseDescriptor(&item, absl::StrCat("layer ", result.layers.size())));
    result.layers.push_back(std::move(layer));
  }
  return result;
}

absl::StatusOr<std::vector<IndexEntry>> ParseIndex(absl::string_view text) {
  ASSIGN_OR_RETURN(std::string type, DocumentType(text, kOciIndex));
  if (!IsIndexType(type)) {
    return absl::InvalidArgumentError("read index: it is a manifest");
  }
  ASSIGN_OR_RETURN(Json object, ParseObject(text, "read index"));
  const Json* manifests = Find(object, "manifests");
  if (manifests == nullptr || !manifests->is_array()) {
    return absl::InvalidArgumentError("read index: manifests is not a list");
  }
  std::vector<IndexEntry> result;
  for (const Json& item : *manifests) {
    IndexEntry entry;
    ASSIGN_OR_RETURN(
        entry.descriptor,
        ParseDescriptor(&item, absl::StrCat("manifest ", result.size())));
    if (const Json* platform = Find(item, "platform")) {
      entry.platform.os = StringField(*platform, "os");
      entry.platform.architecture = StringField(*platform, "architecture");
      entry.platform.variant = StringField(*platform, "variant");
      for (const std::string& part :
           {entry.platform.os, entry.platform.architecture,
            entry.platform.variant}) {
        RETURN_IF_ERROR(CheckWord(
            part, absl::StrCat("platform of manifest ", result.size())));
      }
    }
    if (const Json* notes = Find(item, "annotations")) {
      entry.ref_name = StringField(*notes, "org.opencontainers.image.ref.name");
      entry.image_name = StringField(*notes, "io.containerd.image.name");
    }
    result.push_back(std::move(entry));
  }
  return result;
}

absl::StatusOr<ConfigFile> ParseConfig(absl::string_view text) {
  ASSIGN_OR_RETURN(Json object, ParseObject(text, "read image configuration"));
  ConfigFile result;
  result.platform = {StringField(object, "os"),
                     StringField(object, "architecture"),
                     StringField(object, "variant")};
  result.author = StringField(object, "author");
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, StringField(object, "created"),
                       &result.create_time, &error)) {
    result.create_time = absl::UnixEpoch();
  }
  if (const Json* config = Find(object, "config")) {
    result.config = ParseRuntimeConfig(*config);
    result.shell = StringList(*config, "Shell");
    result.on_build = StringList(*config, "OnBuild");
  }
  RETURN_IF_ERROR(RefuseNul(result.config));
  if (const Json* rootfs = Find(object, "rootfs")) {
    result.diff_ids = StringList(*rootfs, "diff_ids");
  }
  result.history = ParseHistory(object);
  for (const std::string& id : result.diff_ids) {
    if (!IsDigest(id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("read image configuration: \"", id.substr(0, 100),
                       "\" is not a layer's diff id"));
    }
  }
  return result;
}

}  // namespace bulwark::engine::image
