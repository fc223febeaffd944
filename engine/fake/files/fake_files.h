// Files of containers in memory, with the port's behaviour: archives are real
// ones, links are followed inside of the container's root only.
#ifndef ENGINE_FAKE_FILES_FAKE_FILES_H_
#define ENGINE_FAKE_FILES_FAKE_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/container_files.h"
#include "engine/engine.h"
#include "engine/image/tar_reader.h"

namespace bulwark::engine {

// Thread-safe.
class FakeFiles final : public ContainerFiles {
 public:
  // `engine` says which containers there are; it outlives this.
  explicit FakeFiles(Engine& engine) : engine_(engine) {}
  // Removes what WritableLayer() has made on the disk.
  ~FakeFiles() override;

  // The files, by absolute path, of the image of containers that are first
  // looked at from now on.
  void SetImage(std::map<std::string, std::string> files);
  // What a container does: replaces or makes a file, and removes a path with
  // all below it.
  void Write(const std::string& id, const std::string& path,
             const std::string& text);
  void Erase(const std::string& id, const std::string& path);

  absl::Status CopyFrom(absl::string_view id, const std::string& path,
                        bool follow_link, const TarSink& sink) override;
  absl::StatusOr<int64_t> CopyTo(absl::string_view id, const std::string& path,
                                 bool keep_ids,
                                 const TarSource& source) override;
  absl::Status Export(absl::string_view id, const TarSink& sink) override;
  absl::StatusOr<std::vector<FileChange>> Diff(absl::string_view id) override;
  absl::StatusOr<std::string> WritableLayer(absl::string_view id) override;

 private:
  struct Node {
    image::TarEntry::Type type = image::TarEntry::Type::kDirectory;
    mode_t mode = 0755;
    int64_t uid = 0;
    int64_t gid = 0;
    std::string text;  // contents, or where a link leads

    bool operator==(const Node&) const = default;
  };
  using Tree = std::map<std::string, Node>;  // by path; that of / is empty
  struct Container {
    Tree image;
    Tree now;
  };

  static void Make(Tree& tree, const std::string& path,
                   const std::string& text);
  // Without a trailing slash; links on the way are followed, and the last one
  // if `last`. NOT_FOUND.
  static absl::StatusOr<std::string> Resolve(const Tree& tree,
                                             const std::string& path,
                                             bool last);
  static absl::Status Unpack(const std::string& archive, bool keep_ids,
                             const std::string& folder, Tree& tree);
  static absl::Status Pack(const Tree& tree, const std::string& top,
                           const std::string& name, const TarSink& sink);
  Container& Of(absl::string_view id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // OK if it is there, and runs.
  absl::Status Check(absl::string_view id, bool running);

  Engine& engine_;
  absl::Mutex mu_;
  Tree image_ ABSL_GUARDED_BY(mu_) = {{"", Node()}};
  std::map<std::string, Container> containers_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> folders_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine

#endif  // ENGINE_FAKE_FILES_FAKE_FILES_H_
