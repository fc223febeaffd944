#include "api/kept_contexts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"

namespace bulwark::api {
namespace {

namespace fs = std::filesystem;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kTime = 1'700'000'000;
constexpr int64_t kAlice = 1000, kBob = 1001;

v1::ContextEntry File(const std::string& path, const std::string& version,
                      int64_t size = 3) {
  v1::ContextEntry entry;
  entry.set_path(path);
  entry.set_mode(S_IFREG | 0644);
  entry.set_mtime_seconds(kTime);
  entry.set_size_bytes(size);
  entry.set_version(version);
  return entry;
}

v1::ContextEntry Folder(const std::string& path, mode_t mode = 0755) {
  v1::ContextEntry entry;
  entry.set_path(path);
  entry.set_mode(S_IFDIR | mode);
  entry.set_mtime_seconds(kTime);
  return entry;
}

v1::ContextEntry LinkTo(const std::string& path, const std::string& target) {
  v1::ContextEntry entry;
  entry.set_path(path);
  entry.set_mode(S_IFLNK | 0777);
  entry.set_mtime_seconds(kTime);
  entry.set_target(target);
  return entry;
}

class KeptContextsTest : public ::testing::Test {
 protected:
  using Entries = std::vector<v1::ContextEntry>;

  KeptContextsTest() : uploads_(dir_ / "state", entropy_) {
    EXPECT_OK(uploads_.Prepare());
    KeptContexts::Limits limits;
    limits.free = 0;
    limits.bytes = 1000;
    kept_ = std::make_unique<KeptContexts>(clock_, entropy_, limits);
  }

  static v1::OfferContextRequest Request(const Entries& entries,
                                         const std::string& origin = "/src") {
    v1::OfferContextRequest request;
    request.set_origin(origin);
    for (const auto& entry : entries) *request.add_entries() = entry;
    return request;
  }

  v1::OfferContextResponse Offer(const Entries& entries, int64_t uid = kAlice) {
    auto response = kept_->Offer(uid, Request(entries));
    EXPECT_OK(response.status());
    return response.value_or(v1::OfferContextResponse());
  }

  // What unpacking the client's tar makes: all but the files that it skips.
  std::unique_ptr<UploadDir> Sent(
      const Entries& entries, const v1::OfferContextResponse& response,
      const std::function<std::string(const std::string&)>& content) {
    auto dir = *uploads_.NewDir();
    const auto& missing = response.missing();
    for (size_t i = 0; i < entries.size(); ++i) {
      const v1::ContextEntry& entry = entries[i];
      const std::string path = absl::StrCat(dir->path(), "/", entry.path());
      if (S_ISDIR(entry.mode())) fs::create_directories(path);
      if (S_ISLNK(entry.mode())) fs::create_symlink(entry.target(), path);
      if (!S_ISREG(entry.mode()) ||
          std::find(missing.begin(), missing.end(), i) == missing.end()) {
        continue;
      }
      fs::create_directories(fs::path(path).parent_path());
      std::ofstream(path) << content(entry.path());
    }
    for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
      const std::string path = absl::StrCat(dir->path(), "/", it->path());
      const timespec times[2] = {{it->mtime_seconds(), 0},
                                 {it->mtime_seconds(), 0}};
      if (!S_ISLNK(it->mode())) chmod(path.c_str(), it->mode() & 07777);
      utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
    }
    return dir;
  }

  // One whole build, of which every file holds `content`.
  std::shared_ptr<const KeptContext> Build(const Entries& entries,
                                           const std::string& content,
                                           int64_t uid = kAlice) {
    const v1::OfferContextResponse response = Offer(entries, uid);
    auto offer = kept_->Take(uid, response.id());
    EXPECT_OK(offer.status());
    if (offer->complete) return offer->base;
    auto whole = kept_->Complete(
        *std::move(offer),
        Sent(entries, response, [&](const std::string&) { return content; }));
    EXPECT_OK(whole.status());
    return whole.value_or(nullptr);
  }

  static std::string Read(const KeptContext& context, const std::string& path) {
    std::ifstream in(context.path() + "/" + path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  size_t Directories() const {
    return std::distance(fs::directory_iterator(dir_ / "state/uploads"),
                         fs::directory_iterator());
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  SeededEntropy entropy_{7};
  Uploads uploads_;
  std::unique_ptr<KeptContexts> kept_;
};

TEST_F(KeptContextsTest, WhenNothingHasChanged_NothingIsMissing) {
  const Entries entries = {File("a", "1"), Folder("d"), File("d/b", "2"),
                           LinkTo("l", "d/b")};
  const v1::OfferContextResponse first = Offer(entries);
  EXPECT_FALSE(first.complete());
  EXPECT_THAT(first.missing(), ElementsAre(0, 2));
  const auto built = Build(entries, "old");
  const v1::OfferContextResponse again = Offer(entries);
  EXPECT_TRUE(again.complete());
  EXPECT_THAT(again.missing(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const OfferedContext offer,
                       kept_->Take(kAlice, again.id()));
  EXPECT_EQ(offer.base, built);
  EXPECT_EQ(Read(*built, "d/b"), "old");
}

TEST_F(KeptContextsTest, WhenSomethingHasChanged_ThatAloneIsMissing) {
  const Entries before = {File("a", "1"), Folder("d"), File("d/b", "2"),
                          LinkTo("l", "a")};
  const auto first = Build(before, "old");
  struct Case {
    const char* what;
    Entries entries;
    std::vector<uint32_t> missing;
  };
  v1::ContextEntry executable = File("a", "1");
  executable.set_mode(S_IFREG | 0755);
  v1::ContextEntry later = File("a", "1");
  later.set_mtime_seconds(kTime + 1);
  const Entries rest = {Folder("d"), File("d/b", "2"), LinkTo("l", "a")};
  const auto with = [&rest](const v1::ContextEntry& entry) {
    Entries all = {entry};
    all.insert(all.end(), rest.begin(), rest.end());
    return all;
  };
  const Case cases[] = {
      {"content of the same size and time", with(File("a", "9")), {0}},
      {"a change that is too new to be told", with(File("a", "")), {0}},
      {"size", with(File("a", "1", 4)), {0}},
      {"mode", with(executable), {0}},
      {"time", with(later), {0}},
      {"name", with(File("c", "1")), {0}},
      {"a file becomes a folder", with(Folder("a")), {}},
      {"a file is gone", rest, {}},
      {"a file has come", with(File("a", "1")), {}},
      {"a link leads elsewhere",
       {File("a", "1"), Folder("d"), File("d/b", "2"), LinkTo("l", "d/b")},
       {}},
      {"mode of a folder",
       {File("a", "1"), Folder("d", 0700), File("d/b", "2"), LinkTo("l", "a")},
       {}},
  };
  for (const Case& c : cases) {
    const v1::OfferContextResponse response = Offer(c.entries);
    EXPECT_THAT(response.missing(), ::testing::ElementsAreArray(c.missing))
        << c.what;
    EXPECT_EQ(response.complete(), std::string(c.what) == "a file has come")
        << c.what;
  }
}

TEST_F(KeptContextsTest, WhenAPartIsSent_TheRestIsAddedToIt) {
  Build({Folder("d"), File("d/a", "1"), File("d/b", "2"), File("gone", "3")},
        "old");
  const Entries entries = {Folder("d"), File("d/a", "1"), File("d/b", "8")};
  const auto whole = Build(entries, "new");
  EXPECT_EQ(Read(*whole, "d/a"), "old");
  EXPECT_EQ(Read(*whole, "d/b"), "new");
  EXPECT_FALSE(fs::exists(whole->path() + "/gone"));
  struct stat st;
  ASSERT_EQ(stat((whole->path() + "/d").c_str(), &st), 0);
  EXPECT_EQ(st.st_mtim.tv_sec, kTime);
  EXPECT_TRUE(Offer(entries).complete());
  EXPECT_EQ(Directories(), 1);
}

TEST_F(KeptContextsTest, WhenItIsAnothersOrAnotherFolder_NothingIsKnown) {
  const Entries entries = {File("a", "1")};
  Build(entries, "old");
  EXPECT_THAT(Offer(entries, kBob).missing(), ElementsAre(0));
  ASSERT_OK_AND_ASSIGN(const auto other,
                       kept_->Offer(kAlice, Request(entries, "/other")));
  EXPECT_THAT(other.missing(), ElementsAre(0));
  const std::string id = Offer(entries).id();
  EXPECT_THAT(kept_->Take(kBob, id), StatusIs(absl::StatusCode::kAborted));
  EXPECT_OK(kept_->Take(kAlice, id).status());
  EXPECT_THAT(kept_->Take(kAlice, id),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("build again")));
}

TEST_F(KeptContextsTest, WhenItChangedWhileItWasSent_ItIsForOneBuild) {
  const Entries entries = {File("a", "1")};
  const auto whole = Build(entries, "longer than was said");
  EXPECT_EQ(Read(*whole, "a"), "longer than was said");
  EXPECT_THAT(Offer(entries).missing(), ElementsAre(0));
  // A file that vanished before it could be sent.
  const v1::OfferContextResponse response = Offer(entries);
  ASSERT_OK_AND_ASSIGN(OfferedContext offer,
                       kept_->Take(kAlice, response.id()));
  EXPECT_OK(kept_->Complete(std::move(offer), *uploads_.NewDir()).status());
  EXPECT_FALSE(Offer(entries).complete());
}

TEST_F(KeptContextsTest, WhenAnEntryIsHostile_ItIsRefused) {
  std::vector<Entries> wrong = {
      {File("../a", "1")},
      {File("/a", "1")},
      {File("a//b", "1")},
      {File("", "1")},
      {File("d/../../a", "")},
      {File("./a", "1")},
      {File("a", "1"), File("a", "1")},
  };
  wrong.push_back({File("a", "1")});
  wrong.back()[0].set_mode(S_IFCHR | 0644);
  for (const Entries& entries : wrong) {
    EXPECT_THAT(kept_->Offer(kAlice, Request(entries)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << entries[0].path();
  }
  // What is sent puts a link where the offer has a folder.
  Build({Folder("d"), File("d/a", "1")}, "old");
  const Entries entries = {Folder("d"), File("d/a", "1"), File("b", "2")};
  const v1::OfferContextResponse response = Offer(entries);
  ASSERT_OK_AND_ASSIGN(OfferedContext offer,
                       kept_->Take(kAlice, response.id()));
  std::unique_ptr<UploadDir> dir = *uploads_.NewDir();
  fs::create_directories(dir_ / "outside");
  fs::create_symlink(dir_ / "outside", dir->path() + "/d");
  EXPECT_FALSE(kept_->Complete(std::move(offer), std::move(dir)).ok());
  EXPECT_TRUE(fs::is_empty(dir_ / "outside"));
  // The next build gets all of it.
  EXPECT_THAT(Offer(entries).missing(), ElementsAre(1, 2));
}

TEST_F(KeptContextsTest, WhenTheDiskIsNearlyFull_NothingIsKept) {
  KeptContexts::Limits limits;
  limits.free = 2;  // more than there is
  for (const auto& [bytes, kept] :
       {std::pair(int64_t{1000}, 1), std::pair(int64_t{1} << 50, 0)}) {
    limits.bytes = bytes;
    kept_ = std::make_unique<KeptContexts>(clock_, entropy_, limits);
    Build({File("a", "1")}, "abc");
    EXPECT_EQ(Directories(), kept) << bytes;
    kept_ = nullptr;
  }
}

TEST_F(KeptContextsTest, WhenThereIsNoRoom_TheLongestUnusedGo) {
  const auto build = [this](const std::string& origin, int64_t size) {
    const Entries entries = {File("a", "1", size)};
    const auto response = *kept_->Offer(kAlice, Request(entries, origin));
    OfferedContext offer = *kept_->Take(kAlice, response.id());
    auto sent = Sent(entries, response, [&](const std::string&) {
      return std::string(size, 'x');
    });
    EXPECT_OK(kept_->Complete(std::move(offer), std::move(sent)).status());
    clock_.Advance(absl::Minutes(1));
  };
  const auto is_kept = [this](const std::string& origin, int64_t size) {
    return kept_->Offer(kAlice, Request({File("a", "1", size)}, origin))
        ->complete();
  };
  build("one", 400);
  build("two", 400);
  EXPECT_TRUE(is_kept("one", 400));
  build("three", 400);
  EXPECT_TRUE(is_kept("one", 400));
  EXPECT_FALSE(is_kept("two", 400));
  build("huge", 1001);
  EXPECT_FALSE(is_kept("huge", 1001));
  EXPECT_TRUE(is_kept("three", 400));
  clock_.Advance(absl::Hours(25));
  EXPECT_FALSE(is_kept("three", 400));
  build("three", 400);
  kept_->Clear();
  EXPECT_FALSE(is_kept("three", 400));
}

}  // namespace
}  // namespace bulwark::api
