// Namespaces, links, nftables.
#include <dirent.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "netmesh/linux/names.h"
#include "os/netlink.h"
#include "os/netns.h"
#include "os/nft.h"
#include "tests/leakcheck/scan.h"

namespace bulwark::leakcheck {
namespace {

using netmesh::LinkKind;
using nlohmann::json;

bool IsOurs(const os::Link& link, absl::string_view instance) {
  for (LinkKind kind :
       {LinkKind::kBridge, LinkKind::kSandbox, LinkKind::kSpare}) {
    if (absl::StartsWith(link.name, netmesh::LinkPrefix(instance, kind))) {
      return true;
    }
  }
  return link.name == netmesh::UplinkName(instance) ||
         HasInstance(link.name, instance) || HasInstance(link.alias, instance);
}

absl::Status ScanLinks(const Options& options, const std::string& place,
                       bool all, std::vector<Item>* items) {
  ASSIGN_OR_RETURN(os::Netlink netlink, os::Netlink::Open());
  ASSIGN_OR_RETURN(std::vector<os::Link> links, netlink.ListLinks());
  const std::string spare =
      netmesh::LinkPrefix(options.instance, LinkKind::kSpare);
  size_t spares = 0;
  for (const os::Link& link : links) {
    if (link.name == "lo" || (!all && !IsOurs(link, options.instance))) {
      continue;
    }
    // A daemon keeps some, as soon as it has started one sandbox; no more.
    if (absl::StartsWith(link.name, spare) &&
        ++spares <= netmesh::kSpareSandboxes) {
      continue;
    }
    items->push_back({"link", absl::StrCat(place, " ", link.name),
                      absl::StrCat(link.kind, " ", link.alias)});
  }
  return absl::OkStatus();
}

std::string Text(const json& object, const char* field) {
  auto it = object.find(field);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

absl::Status ScanRules(const Options& options, const std::string& place,
                       std::vector<Item>* items) {
  ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
  ASSIGN_OR_RETURN(std::string text, nft.List("list ruleset", true));
  json root = json::parse(text, nullptr, false);
  if (!root.is_object() || !root["nftables"].is_array()) {
    return absl::DataLossError("list nftables: malformed JSON");
  }
  for (const json& entry : root["nftables"]) {
    if (entry.contains("table")) {
      const json& table = entry["table"];
      if (!HasInstance(Text(table, "name"), options.instance)) continue;
      items->push_back({"nft-table",
                        absl::StrCat(place, " ", Text(table, "family"), " ",
                                     Text(table, "name")),
                        ""});
    }
    if (!entry.contains("set") && !entry.contains("map")) continue;
    const json& set = entry.contains("set") ? entry["set"] : entry["map"];
    if (!HasInstance(Text(set, "table"), options.instance) ||
        !set.contains("elem")) {
      continue;
    }
    for (const json& element : set["elem"]) {
      items->push_back({"nft-element",
                        absl::StrCat(place, " ", Text(set, "family"), " ",
                                     Text(set, "table"), " ", Text(set, "name"),
                                     " ", element.dump()),
                        ""});
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ScanPins(const Options& options, std::vector<Item>* items) {
  const std::string directory = options.runtime_dir + "/netns";
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  while (dirent* entry = dir == nullptr ? nullptr : readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = absl::StrCat(directory, "/", name);
    bool pinned = os::OpenNetns(path).ok();
    items->push_back({"netns", path, pinned ? "pinned" : "file only"});
  }
  return absl::OkStatus();
}

absl::Status ScanNetwork(const Options& options, std::vector<Item>* items) {
  RETURN_IF_ERROR(ScanLinks(options, "host", false, items));
  RETURN_IF_ERROR(ScanRules(options, "host", items));
  absl::StatusOr<UniqueFd> plane =
      os::OpenNetns(options.runtime_dir + "/netns/dataplane");
  if (!plane.ok()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::unique_ptr<os::NetnsWorker> worker,
                   os::NetnsWorker::Start());
  return worker->Run(plane->get(), [&]() -> absl::Status {
    RETURN_IF_ERROR(ScanLinks(options, "dataplane", true, items));
    return ScanRules(options, "dataplane", items);
  });
}

}  // namespace bulwark::leakcheck
