// A layer is unpacked beside a folder that must stay as it is.
#ifndef ENGINE_IMAGE_TESTING_UNPACK_FIXTURE_H_
#define ENGINE_IMAGE_TESTING_UNPACK_FIXTURE_H_

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/unpack.h"
#include "os/files.h"

namespace bulwark::engine::image::testing {

class UnpackFixture : public ::testing::Test {
 protected:
  UnpackFixture() {
    EXPECT_OK(os::MakeDirs(out_ / "root", 0755));
    EXPECT_OK(os::MakeDirs(out_ / "outside", 0755));
    EXPECT_OK(os::WriteFileDurably(out_ / "outside/file", "untouched"));
  }
  void TearDown() override {
    EXPECT_THAT(
        os::ListDir(out_ / "outside"),
        ::bulwark::testing::IsOkAndHolds(::testing::ElementsAre("file")));
    EXPECT_THAT(os::ReadFile(out_ / "outside/file", 100),
                ::bulwark::testing::IsOkAndHolds("untouched"));
  }

  absl::StatusOr<UnpackResult> Unpack(absl::string_view data) {
    EXPECT_OK(os::RemoveTree(out_ / "root"));
    EXPECT_OK(os::MakeDirs(out_ / "root", 0755));
    const UniqueFd root(
        open((out_ / "root").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSIGN_OR_RETURN(auto source,
                     NewDecompressor(std::make_unique<StringSource>(data)));
    return UnpackLayer(source.get(), root.get(), limits_);
  }
  std::string Path(const std::string& name) {
    return absl::StrCat(out_.path(), "/root/", name);
  }
  struct stat Stat(const std::string& name) {
    struct stat st = {};
    EXPECT_EQ(lstat(Path(name).c_str(), &st), 0) << name;
    return st;
  }
  bool Exists(const std::string& name) {
    struct stat st;
    return lstat(Path(name).c_str(), &st) == 0;
  }
  // What GNU tar makes of the folder `from`.
  std::string GnuTar(const std::string& flags) {
    const std::string command = absl::StrCat(
        "tar -C ", out_.path(), "/from -c ", flags, " -f - . 2>/dev/null");
    std::string result;
    FILE* pipe = popen(command.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
      result.append(buffer, n);
    }
    EXPECT_EQ(pclose(pipe), 0) << command;
    return result;
  }

  ::bulwark::testing::TempDir out_;
  UnpackLimits limits_;
};

}  // namespace bulwark::engine::image::testing

#endif  // ENGINE_IMAGE_TESTING_UNPACK_FIXTURE_H_
