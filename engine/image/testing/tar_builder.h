// Makes tar archives for tests, hostile ones too.
#ifndef ENGINE_IMAGE_TESTING_TAR_BUILDER_H_
#define ENGINE_IMAGE_TESTING_TAR_BUILDER_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

struct archive;

namespace bulwark::engine::image::testing {

struct TarOptions {
  mode_t mode = 0644;
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t mtime = 1'000'000'000;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// Each method adds one entry, and returns the builder.
class TarBuilder {
 public:
  TarBuilder();
  ~TarBuilder();
  TarBuilder(const TarBuilder&) = delete;
  TarBuilder& operator=(const TarBuilder&) = delete;

  TarBuilder& File(const std::string& path, absl::string_view contents,
                   const TarOptions& options = {});
  TarBuilder& Dir(const std::string& path, TarOptions options = {0755});
  TarBuilder& Symlink(const std::string& path, const std::string& target);
  TarBuilder& Hardlink(const std::string& path, const std::string& target);
  TarBuilder& Device(const std::string& path, mode_t type, int major,
                     int minor);

  // The archive; call once, last.
  std::string Build();

 private:
  void Add(const std::string& path, mode_t type, const TarOptions& options,
           absl::string_view contents, const std::string& symlink,
           const std::string& hardlink, dev_t device);
  archive* archive_;
  std::string data_;
};

// Compressed forms of `data`.
std::string Gzip(absl::string_view data);
std::string Zstd(absl::string_view data);

}  // namespace bulwark::engine::image::testing

#endif  // ENGINE_IMAGE_TESTING_TAR_BUILDER_H_
