// Detach keys, ends that nobody saw, and archives taken apart.
#include "ctl/attach.h"

#include <fcntl.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "ctl/tar.h"
#include "ctl/testing/fixture.h"
#include "ctl/untar.h"

namespace bulwark::ctl::testing {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

TEST(DetachKeysTest, WhenTheSequenceComes_ItDetaches) {
  ASSERT_OK_AND_ASSIGN(DetachKeys keys, DetachKeys::Parse("ctrl-p,ctrl-q"));
  EXPECT_EQ(keys.Take("ab"), "ab");
  EXPECT_EQ(keys.Take("c\x10"), "c");
  EXPECT_EQ(keys.Take("d"),
            "\x10"
            "d");
  EXPECT_EQ(keys.Take("\x10\x10"), "\x10");
  EXPECT_FALSE(keys.detached());
  EXPECT_EQ(keys.Take("\x11 never"), "");
  EXPECT_TRUE(keys.detached());
}

TEST(DetachKeysTest, WhenThereAreNone_NothingDetaches) {
  ASSERT_OK_AND_ASSIGN(DetachKeys keys, DetachKeys::Parse(""));
  EXPECT_EQ(keys.Take("\x10\x11"), "\x10\x11");
  EXPECT_FALSE(keys.detached());
}

TEST(DetachKeysTest, WhenTheyAreWrong_SaysWhich) {
  for (const char* text : {"ctrl-", "ctrl-ab", "escape", "a,,b", "ctrl-5"}) {
    EXPECT_FALSE(DetachKeys::Parse(text).ok()) << text;
  }
  for (const char* text : {"a", "ctrl-]", "ctrl-@,b", "ctrl-C"}) {
    EXPECT_OK(DetachKeys::Parse(text).status()) << text;
  }
}

class UntarTest : public ::testing::Test {
 protected:
  absl::Status Unpack(const std::string& tar, UntarOptions options = {},
                      size_t piece = 100) {
    const UniqueFd fd(
        open((dir_ / "out").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Untar untar(fd.get(), std::move(options));
    for (size_t i = 0; i < tar.size(); i += piece) {
      const absl::Status status =
          untar.Add(absl::string_view(tar).substr(i, piece));
      if (!status.ok()) return status;
    }
    return untar.Finish();
  }
  void SetUp() override { std::filesystem::create_directory(dir_ / "out"); }
  std::string Out(const std::string& name) {
    std::ifstream in(dir_ / ("out/" + name));
    std::string text;
    std::getline(in, text, '\0');
    return text;
  }

  // One entry.
  static std::string Entry(const std::string& name, char type,
                           const std::string& data,
                           const std::string& link = "") {
    std::string b(512, '\0');
    b.replace(0, name.size(), name);
    b.replace(100, 7, "0000644");
    b.replace(124, 11, absl::StrFormat("%011o", data.size()));
    b[156] = type;
    b.replace(157, link.size(), link);
    b.replace(257, 5, "ustar");
    b.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : b) sum += static_cast<unsigned char>(c);
    b.replace(148, 7, absl::StrFormat("%06o", sum) + std::string(1, '\0'));
    std::string content = data;
    content.resize((data.size() + 511) / 512 * 512);
    return b + content;
  }

  bulwark::testing::TempDir dir_;
};

TEST_F(UntarTest, WhenPackedAndUnpacked_IsTheSame) {
  namespace fs = std::filesystem;
  const std::string deep(150, 'd');
  fs::create_directories(dir_ / ("in/" + deep));
  std::ofstream(dir_ / ("in/" + deep + "/f")) << std::string(5000, 'x');
  std::ofstream(dir_ / "in/empty");
  fs::create_symlink("/etc", dir_ / "in/link");
  auto tar = TarFolder::Of(dir_ / "in", "in");
  std::string bytes;
  for (;;) {
    ASSERT_OK_AND_ASSIGN(const std::string piece, tar->Next());
    if (piece.empty()) break;
    bytes += piece;
  }
  for (const size_t piece : {size_t{1}, size_t{512}, bytes.size()}) {
    UntarOptions options;
    options.first = absl::StrCat("new", piece);
    ASSERT_OK(Unpack(bytes, options, piece));
    EXPECT_EQ(Out(options.first + "/" + deep + "/f"), std::string(5000, 'x'));
    EXPECT_TRUE(fs::is_symlink(dir_ / ("out/" + options.first + "/link")));
    EXPECT_TRUE(fs::exists(dir_ / ("out/" + options.first + "/empty")));
  }
  EXPECT_THAT(Unpack(bytes.substr(0, bytes.size() - 3000), {}),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(UntarTest, WhenTheArchiveIsHostile_NothingLeavesTheFolder) {
  UntarOptions as_is;
  as_is.has_first = false;
  EXPECT_THAT(Unpack(Entry("../x", '0', "evil"), as_is),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(Unpack(Entry("/x", '0', "in"), as_is));
  EXPECT_EQ(Out("x"), "in");
  // A link that is there, or that the archive makes, is not followed.
  EXPECT_FALSE(
      Unpack(Entry("l", '2', "", dir_ / "") + Entry("l/planted", '0', "evil"),
             as_is)
          .ok());
  EXPECT_FALSE(std::filesystem::exists(dir_ / "planted"));
  std::ofstream(dir_ / "victim") << "mine";
  EXPECT_OK(Unpack(
      Entry("v", '2', "", dir_ / "victim") + Entry("v", '0', "evil"), as_is));
  std::ifstream in(dir_ / "victim");
  std::string text;
  in >> text;
  EXPECT_EQ(text, "mine");
  EXPECT_FALSE(Unpack(Entry("h", '1', "", "../victim"), as_is).ok());
  // What cannot be copied removes nothing.
  UntarOptions pipe;
  pipe.first = "x";
  EXPECT_THAT(Unpack(Entry("f", '6', ""), pipe),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_OK(Unpack(Entry("x", '3', ""), as_is));
  EXPECT_EQ(Out("x"), "in");
  EXPECT_THAT(Unpack(std::string(512, 'x')),
              StatusIs(absl::StatusCode::kDataLoss));
}

// The engine's 255 is no status of the command's.
TEST_F(CtlTest, WhenTheEndOfARunIsNotSeen_ThereIsNoStatus) {
  server_.set_on_apply([&](const v1::Object&) {
    v1::Object object = MakeReplica("a", 0);
    v1::ReplicaStatus& status = *object.mutable_replica()->mutable_status();
    status.set_state(v1::ReplicaStatus::FAILED);
    status.set_reason("ShimLost");
    status.set_message("ended unseen: its shim was killed");
    v1::ContainerStatus& container = *status.add_containers();
    container.mutable_start_time()->set_seconds(1);
    container.mutable_finish_time()->set_seconds(2);
    container.set_exit_code(255);
    server_.Put(object);
  });
  EXPECT_EQ(Ctl({"run", "--name", "a", "busybox", "x"}), kExitNoStatus);
  EXPECT_THAT(err_, HasSubstr("run a: ended unseen: its shim was killed"));
  Context context(io_, clock_, [](absl::string_view) { return std::nullopt; });
  v1::ExitResult exit;
  exit.set_exit_code(255);
  EXPECT_EQ(ReportExit(context, "a", exit).value(), 255);
  exit.set_message("its shim was killed");
  EXPECT_EQ(ExitCodeOf(ReportExit(context, "a", exit).status()), kExitNoStatus);
  exit.set_exit_code(127);
  EXPECT_EQ(ExitCodeOf(ReportExit(context, "a", exit).status()), 127);
}

}  // namespace
}  // namespace bulwark::ctl::testing
