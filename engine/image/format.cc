// Writing the documents of images.
#include <string>

#include "engine/image/json.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::image {
namespace {

Json EmptyObjects(const std::vector<std::string>& keys) {
  Json result = Json::object();
  for (const std::string& key : keys) result[key] = Json::object();
  return result;
}

// Leaves out what is not set, as every other tool does.
void Set(Json* object, const char* key, Json value) {
  if (!value.empty() && value != "") (*object)[key] = std::move(value);
}

Json FormatHealthcheck(const ImageHealthcheck& check) {
  Json test = Json::array({"CMD"});
  for (const std::string& word : check.command) test.push_back(word);
  Json result = {{"Test", std::move(test)}};
  auto set = [&](const char* key, absl::Duration d) {
    if (d > absl::ZeroDuration()) result[key] = absl::ToInt64Nanoseconds(d);
  };
  set("Interval", check.interval);
  set("Timeout", check.timeout);
  set("StartPeriod", check.start_period);
  set("StartInterval", check.start_interval);
  if (check.retries > 0) result["Retries"] = check.retries;
  return result;
}

Json FormatHistory(const std::vector<HistoryEntry>& history) {
  Json result = Json::array();
  for (const HistoryEntry& entry : history) {
    Json item = Json::object();
    Set(&item, "created", entry.created);
    Set(&item, "created_by", entry.created_by);
    Set(&item, "comment", entry.comment);
    if (entry.empty_layer) item["empty_layer"] = true;
    result.push_back(std::move(item));
  }
  return result;
}

}  // namespace

std::string FormatManifest(const Manifest& manifest) {
  auto descriptor = [](const Descriptor& d) {
    return Json{
        {"mediaType", d.media_type}, {"digest", d.digest}, {"size", d.size}};
  };
  Json layers = Json::array();
  for (const Descriptor& layer : manifest.layers) {
    layers.push_back(descriptor(layer));
  }
  return Dump(Json{{"schemaVersion", 2},
                   {"mediaType", kOciManifest},
                   {"config", descriptor(manifest.config)},
                   {"layers", std::move(layers)}});
}

std::string FormatIndex(const std::vector<IndexEntry>& entries) {
  Json manifests = Json::array();
  for (const IndexEntry& entry : entries) {
    Json platform = {{"os", entry.platform.os},
                     {"architecture", entry.platform.architecture}};
    Set(&platform, "variant", entry.platform.variant);
    manifests.push_back(Json{{"mediaType", entry.descriptor.media_type},
                             {"digest", entry.descriptor.digest},
                             {"size", entry.descriptor.size},
                             {"platform", std::move(platform)}});
  }
  return Dump(Json{{"schemaVersion", 2},
                   {"mediaType", kOciIndex},
                   {"manifests", std::move(manifests)}});
}

std::string FormatConfig(const ConfigFile& file) {
  const ImageConfig& c = file.config;
  Json config = Json::object();
  Set(&config, "Entrypoint", c.entrypoint);
  Set(&config, "Cmd", c.command);
  Set(&config, "Env", c.env);
  Set(&config, "WorkingDir", c.working_dir);
  Set(&config, "User", c.user);
  Set(&config, "StopSignal", c.stop_signal);
  Set(&config, "ExposedPorts", EmptyObjects(c.exposed_ports));
  Set(&config, "Volumes", EmptyObjects(c.volumes));
  Set(&config, "Labels", c.labels);
  Set(&config, "Shell", file.shell);
  Set(&config, "OnBuild", file.on_build);
  if (c.healthcheck.has_value()) {
    config["Healthcheck"] = FormatHealthcheck(*c.healthcheck);
  }
  Json result = {
      {"created", absl::FormatTime(absl::RFC3339_full, file.create_time,
                                   absl::UTCTimeZone())},
      {"os", file.platform.os},
      {"architecture", file.platform.architecture},
      {"config", std::move(config)},
      {"rootfs", {{"type", "layers"}, {"diff_ids", file.diff_ids}}},
      {"history", FormatHistory(file.history)}};
  Set(&result, "variant", file.platform.variant);
  Set(&result, "author", file.author);
  return Dump(result);
}

}  // namespace bulwark::engine::image
