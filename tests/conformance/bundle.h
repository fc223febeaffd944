// A bundle (bundle.md) on disk, with a configuration that a test edits.
#ifndef TESTS_CONFORMANCE_BUNDLE_H_
#define TESTS_CONFORMANCE_BUNDLE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bulwark::conformance {

using Json = nlohmann::json;

// What Docker gives to a container by default, among the capabilities' names.
Json DefaultCapabilities();

// A configuration with every namespace but user and time, the usual mounts, and
// `id`'s cgroup. It runs /bin/true.
Json BaseConfig(const std::string& id);

class Bundle {
 public:
  // Makes the directory `path` with a root file system.
  Bundle(const std::string& path, const std::string& id);
  Bundle(const Bundle&) = delete;
  Bundle& operator=(const Bundle&) = delete;
  ~Bundle();

  const std::string& path() const { return path_; }
  std::string rootfs() const { return path_ + "/rootfs"; }

  Json& config() { return config_; }
  Json& process() { return config_["process"]; }
  // The member `linux`, a macro of GNU C++.
  Json& os() { return config_["linux"]; }

  void Args(const std::vector<std::string>& args);
  // The process is `sh -c script`.
  void Script(const std::string& script);
  void AddMount(const std::string& destination, const std::string& type,
                const std::string& source,
                const std::vector<std::string>& options);
  void AddHook(const std::string& kind, const std::string& script);
  void RemoveNamespace(const std::string& type);
  // Replaces the entry of that type, or adds one.
  void SetNamespace(const std::string& type, const std::string& path);

  // Writes config.json.
  void Write() const;

 private:
  std::string path_;
  Json config_;
};

}  // namespace bulwark::conformance

#endif  // TESTS_CONFORMANCE_BUNDLE_H_
