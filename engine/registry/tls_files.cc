#include "engine/registry/tls_files.h"

#include <unistd.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::registry {
namespace {

constexpr int64_t kMaxCertificates = 4 << 20;

absl::Status Unusable(const std::string& path, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("use certificates of a registry: ", path, ": ", why));
}

absl::StatusOr<TlsFiles> ReadDirectory(const std::string& dir,
                                       const std::vector<std::string>& list) {
  TlsFiles files;
  const std::set<std::string> names(list.begin(), list.end());
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(dir, "/", name);
    if (absl::EndsWith(name, ".crt")) {
      absl::StatusOr<std::string> text = os::ReadFile(path, kMaxCertificates);
      if (!text.ok()) return Unusable(path, text.status().message());
      if (!absl::StrContains(*text, "-----BEGIN CERTIFICATE-----")) {
        return Unusable(path, "it holds no certificate in PEM form");
      }
      absl::StrAppend(&files.authorities, *text, "\n");
    } else if (absl::EndsWith(name, ".cert") && files.certificate.empty()) {
      const std::string key =
          absl::StrCat(absl::StripSuffix(name, ".cert"), ".key");
      if (names.count(key) == 0) {
        return Unusable(
            path, absl::StrCat("its key ", key,
                               " is missing; name authorities NAME.crt and"
                               " client certificates NAME.cert"));
      }
      files.certificate = path;
      files.key = absl::StrCat(dir, "/", key);
      for (const std::string& file : {files.certificate, files.key}) {
        if (access(file.c_str(), R_OK) != 0) {
          return Unusable(file, ErrnoStatus("read", file).message());
        }
      }
    } else if (absl::EndsWith(name, ".key") &&
               names.count(absl::StrCat(absl::StripSuffix(name, ".key"),
                                        ".cert")) == 0) {
      return Unusable(path, "its certificate (NAME.cert) is missing");
    }
  }
  return files;
}

}  // namespace

absl::StatusOr<TlsFiles> FindTlsFiles(
    const std::vector<std::string>& directories, const std::string& registry) {
  std::vector<std::string> names = {registry};
  if (registry.find(':') == std::string::npos) {
    names.push_back(absl::StrCat(registry, ":443"));
  }
  for (const std::string& directory : directories) {
    if (directory.empty()) continue;
    for (const std::string& name : names) {
      const std::string dir = absl::StrCat(directory, "/", name);
      absl::StatusOr<std::vector<std::string>> list = os::ListDir(dir);
      if (absl::IsNotFound(list.status())) continue;
      if (!list.ok()) return Unusable(dir, list.status().message());
      if (list->empty()) continue;
      return ReadDirectory(dir, *list);
    }
  }
  return TlsFiles();
}

}  // namespace bulwark::engine::registry
