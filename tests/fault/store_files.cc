#include "tests/fault/store_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bulwark::store {

std::vector<std::string> FilesOf(const std::string& path,
                                 const std::string& extension) {
  std::vector<std::string> paths;
  for (const auto& e : std::filesystem::directory_iterator(path + "/db")) {
    if (e.path().extension() == extension) paths.push_back(e.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string ContentsOf(const std::string& path) {
  std::vector<std::filesystem::path> paths;
  for (const auto& e : std::filesystem::directory_iterator(path + "/db")) {
    if (!absl::StartsWith(e.path().filename().string(), "LOG")) {
      paths.push_back(e.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::string all;
  for (const auto& p : paths) {
    std::ifstream in(p, std::ios::binary);
    absl::StrAppend(&all, p.string(), "\n",
                    std::string(std::istreambuf_iterator<char>(in), {}));
  }
  return all;
}

void FlipByte(const std::string& path, int64_t at) {
  std::fstream f(path, std::ios::binary | std::ios::in | std::ios::out);
  f.seekg(at);
  const char c = static_cast<char>(f.get());
  f.seekp(at);
  f.put(static_cast<char>(c ^ 0x40));
}

}  // namespace bulwark::store
