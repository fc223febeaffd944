#include "tests/contract/files_contract.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/tar_reader.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::testing::TarBuilder;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;

absl::StatusOr<std::vector<std::string>> Entries(const std::string& tar) {
  image::StringSource source(tar);
  image::TarReader reader(&source);
  image::TarEntry entry;
  std::vector<std::string> entries;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
    if (!more) return entries;
    entries.push_back(
        absl::StrCat(entry.path, " ", entry.size, " ", entry.uid));
  }
}

std::string SmallTree() {
  image::testing::TarOptions owned;
  owned.mode = 0640;
  owned.uid = 1000;
  owned.gid = 44;
  return TarBuilder()
      .Dir("x")
      .File("x/f", "hello\n", owned)
      .Symlink("x/l", "f")
      .Build();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FilesContractTest::From(
    const std::string& path, bool follow) {
  std::string tar;
  RETURN_IF_ERROR(
      files().CopyFrom("a", path, follow, [&](absl::string_view data) {
        tar.append(data.data(), data.size());
        return absl::OkStatus();
      }));
  return Entries(tar);
}

absl::StatusOr<std::vector<std::string>> FilesContractTest::Exported() {
  std::string tar;
  RETURN_IF_ERROR(files().Export("a", [&](absl::string_view data) {
    tar.append(data.data(), data.size());
    return absl::OkStatus();
  }));
  return Entries(tar);
}

absl::StatusOr<int64_t> FilesContractTest::To(const std::string& path,
                                              const std::string& tar,
                                              bool keep_ids) {
  size_t at = 0;
  return files().CopyTo("a", path, keep_ids,
                        [&]() -> absl::StatusOr<std::string> {
                          const std::string piece = tar.substr(at, 1000);
                          at += piece.size();
                          return piece;
                        });
}

std::vector<std::string> FilesContractTest::Changes() {
  const auto changes = files().Diff("a");
  EXPECT_OK(changes.status());
  if (!changes.ok()) return {};
  EXPECT_TRUE(std::is_sorted(changes->begin(), changes->end(),
                             [](const FileChange& a, const FileChange& b) {
                               return a.path < b.path;
                             }));
  std::vector<std::string> lines;
  for (const FileChange& change : *changes) {
    lines.push_back(absl::StrCat(change.kind == FileChange::Kind::kAdded ? "A "
                                 : change.kind == FileChange::Kind::kChanged
                                     ? "C "
                                     : "D ",
                                 change.path));
  }
  return lines;
}

TEST_P(FilesContractTest, WhenCopiedInAndOut_ItIsTheSame) {
  const std::string tar = SmallTree();
  // What comes after the end of an archive need not be read.
  EXPECT_THAT(
      To("/", tar),
      IsOkAndHolds(AllOf(Gt(1024), Le(static_cast<int64_t>(tar.size())))));
  EXPECT_THAT(From("/x"),
              IsOkAndHolds(ElementsAre("x/ 0 0", "x/f 6 0", "x/l 0 0")));
  ASSERT_OK(To("/", tar, true).status());
  EXPECT_THAT(From("/x/f"), IsOkAndHolds(ElementsAre("f 6 1000")));
  EXPECT_THAT(From("x/l"), IsOkAndHolds(ElementsAre("l 0 0")));
  EXPECT_EQ(From("/x/l", true)->size(), 1u);
  EXPECT_THAT(From("/x/l", true), IsOkAndHolds(Contains("l 6 1000")));
  EXPECT_THAT(Exported(), IsOkAndHolds(Contains("x/f 6 1000")));
}

TEST_P(FilesContractTest, WhenThereIsNoSuch_IsNotFound) {
  const auto no = StatusIs(absl::StatusCode::kNotFound);
  EXPECT_THAT(From("/nothing"), no);
  EXPECT_THAT(From("/nothing/below"), no);
  EXPECT_THAT(To("/nothing", SmallTree()), no);
  const TarSink sink = [](absl::string_view) { return absl::OkStatus(); };
  const TarSource source = [] { return absl::StatusOr<std::string>(""); };
  EXPECT_THAT(files().CopyFrom("other", "/", false, sink), no);
  EXPECT_THAT(files().CopyTo("other", "/", false, source), no);
  EXPECT_THAT(files().Export("other", sink), no);
  EXPECT_THAT(files().Diff("other"), no);
  EXPECT_THAT(files().WritableLayer("other"), no);
}

TEST_P(FilesContractTest, WhenAnArchiveIsWrong_SaysSo) {
  EXPECT_THAT(To("/", TarBuilder().File("../../f", "evil").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(To("/", TarBuilder().File("keep", "over a folder").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(To("/", std::string(2000, 'x')),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(From("/keep/one"), IsOkAndHolds(ElementsAre("one 1 0")));
}

TEST_P(FilesContractTest, WhenTheOtherSideFails_ItsErrorComesBack) {
  const absl::Status broken = absl::AbortedError("the other side is gone");
  const auto is_that =
      StatusIs(absl::StatusCode::kAborted, HasSubstr("the other side is gone"));
  const TarSink sink = [&](absl::string_view) { return broken; };
  EXPECT_THAT(files().CopyFrom("a", "/keep", false, sink), is_that);
  EXPECT_THAT(files().Export("a", sink), is_that);
  const TarSource source = [&]() -> absl::StatusOr<std::string> {
    return broken;
  };
  EXPECT_THAT(files().CopyTo("a", "/", false, source), is_that);
}

TEST_P(FilesContractTest, WhenFilesChange_TheDifferenceTells) {
  harness_->Write("/n", "new");
  harness_->Write("/etc/group", "other");
  harness_->Erase("/keep/one");
  harness_->Write("/keep/two", "2");
  const std::vector<std::string> changes = Changes();
  for (const char* line :
       {"A /n", "C /etc/group", "D /keep/one", "A /keep/two"}) {
    EXPECT_THAT(changes, Contains(line));
  }
  ASSERT_OK_AND_ASSIGN(const std::string layer, files().WritableLayer("a"));
  EXPECT_THAT(os::ReadFile(layer + "/n", 100), IsOkAndHolds("new"));
  EXPECT_THAT(os::ReadFile(layer + "/keep/two", 100), IsOkAndHolds("2"));
  EXPECT_THAT(os::ReadFile(layer + "/keep/one", 100),
              Not(::bulwark::testing::IsOk()));

  harness_->Erase("/keep");
  EXPECT_THAT(Changes(), Contains("D /keep"));
  EXPECT_THAT(Changes(), Not(Contains("D /keep/one")));
}

TEST_P(FilesContractTest, WhenItHasExited_ItCanOnlyBeRead) {
  harness_->Write("/n", "new");
  ASSERT_OK(harness_->engine().Kill("a"));
  EXPECT_THAT(To("/", SmallTree()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Exported(), IsOkAndHolds(Contains("n 3 0")));
  EXPECT_THAT(From("/n"), IsOkAndHolds(ElementsAre("n 3 0")));
  EXPECT_THAT(Changes(), Contains("A /n"));
  EXPECT_OK(files().WritableLayer("a").status());
}

}  // namespace bulwark::engine
