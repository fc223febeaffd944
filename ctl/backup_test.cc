// ctl backup and ctl restore.
#include <pty.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "ctl/output_file.h"
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class BackupTest : public CtlTest {
 protected:
  BackupTest() {
    server_.set_archive("the archive");
    password_ = File("password", "pass\n");
  }

  int Backup(const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"backup", file, "--password-file", password_});
    return Ctl(more);
  }
  int Restore(const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"restore", file, "--password-file", password_});
    return Ctl(more);
  }
  static v1::ApplyResult Becomes(const std::string& service,
                                 v1::ApplyResult::Action action) {
    v1::ApplyResult result;
    result.set_action(action);
    result.mutable_object()->mutable_service()->mutable_metadata()->set_name(
        service);
    return result;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // A new folder of the test's.
  std::string Folder(const std::string& name) {
    std::filesystem::create_directory(dir_ / name);
    return dir_ / name;
  }
  static std::vector<std::string> Names(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  // Runs ctl on a terminal where somebody answers each question so.
  int CtlAnswered(
      const std::vector<std::string>& arguments,
      const std::vector<std::pair<std::string, std::string>>& answers) {
    int ours = -1;
    int theirs = -1;
    EXPECT_EQ(openpty(&ours, &theirs, nullptr, nullptr, nullptr), 0);
    const UniqueFd terminal(ours);
    io_.SetTerminal(UniqueFd(theirs));
    std::atomic<bool> over = false;
    std::thread person([&] {
      size_t seen = 0;
      for (const auto& [question, answer] : answers) {
        size_t at = std::string::npos;
        while (!over && at == std::string::npos) {
          at = io_.PeekErr().find(question, seen);
          clock_.Sleep(absl::Milliseconds(2));
        }
        if (over) return;
        seen = at + question.size();
        const std::string line = answer + "\n";
        EXPECT_EQ(write(ours, line.data(), line.size()),
                  static_cast<ssize_t>(line.size()));
      }
    });
    const int code = Ctl(arguments);
    over = true;
    person.join();
    return code;
  }

  std::string password_;
};

TEST_F(BackupTest, WhenBackedUp_TheFileIsWholeAndForItsOwnerOnly) {
  const std::string folder = Folder("out");
  const std::string path = folder + "/state.backup";
  umask(0);
  EXPECT_EQ(Backup(path), kExitOk) << err_;
  EXPECT_EQ(Read(path), "the archive");
  EXPECT_THAT(out_, HasSubstr("the control state is in " + path + " (11 B)"));
  EXPECT_THAT(Names(folder), ElementsAre("state.backup"));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_THAT(server_.calls(), ElementsAre("Backup pass"));
  EXPECT_THAT(out_ + err_, Not(HasSubstr("\x1b")));
}

TEST_F(BackupTest, WhenTheFileIsThere_ForceReplacesIt) {
  const std::string path = File("old", "precious");
  EXPECT_EQ(Backup(path), kExitError);
  EXPECT_THAT(err_, AllOf(HasSubstr("there is such a file already"),
                          HasSubstr("--force")));
  EXPECT_THAT(server_.calls(), IsEmpty());
  EXPECT_EQ(Read(path), "precious");
  EXPECT_EQ(Backup(path, {"--force"}), kExitOk) << err_;
  EXPECT_EQ(Read(path), "the archive");
  // What is behind a link is replaced, not the link.
  const std::string link = dir_ / "link";
  std::filesystem::create_symlink(path, link);
  server_.set_archive("another");
  EXPECT_EQ(Backup(link, {"--force"}), kExitOk) << err_;
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(Read(path), "another");
}

TEST_F(BackupTest, WhenItBreaksOff_NothingIsLeftAndTheOldFileStays) {
  const std::string folder = Folder("out");
  const auto broken = grpc::Status(grpc::StatusCode::INTERNAL, "disk trouble");
  server_.FailNext("Backup", broken);
  EXPECT_EQ(Backup(folder + "/new"), kExitError);
  EXPECT_THAT(err_, HasSubstr("disk trouble"));
  EXPECT_THAT(Names(folder), IsEmpty());
  const std::string path = File("out/old", "precious");
  server_.FailNext("Backup", broken);
  EXPECT_EQ(Backup(path, {"-f"}), kExitError);
  EXPECT_EQ(Read(path), "precious");
  EXPECT_THAT(Names(folder), ElementsAre("old"));
}

TEST_F(BackupTest, WhenThePlaceIsBad_SaysWhatToDo) {
  EXPECT_EQ(Backup(dir_ / "none/file"), kExitError);
  EXPECT_THAT(err_, AllOf(HasSubstr("No such file or directory"),
                          HasSubstr("make the folder")));
  EXPECT_EQ(Backup(""), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("name a file; - is standard output"));
  EXPECT_EQ(Backup(Folder("folder"), {"--force"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("it is a folder"));
  EXPECT_EQ(Backup("/dev/null", {"--force"}), kExitError);
  EXPECT_THAT(err_, AllOf(HasSubstr("special file"), HasSubstr("- is stand")));
  EXPECT_EQ(Backup("/proc/none"), kExitError);
  EXPECT_THAT(server_.calls(), IsEmpty());
}

TEST_F(BackupTest, WhenTheFolderGoesMeanwhile_SaysSo) {
  const std::string folder = Folder("out");
  auto file = OutputFile::Create(folder + "/file", false);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Write("x").ok());
  std::filesystem::remove_all(folder);
  const absl::Status status = file->Commit();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(FormatError(status), HasSubstr("make the folder"));
}

TEST_F(BackupTest, WhenAnotherFileComesMeanwhile_ItStays) {
  const std::string folder = Folder("out");
  auto file = OutputFile::Create(folder + "/file", false);
  ASSERT_TRUE(file.ok()) << file.status();
  File("out/file", "theirs");
  EXPECT_EQ(file->Commit().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Read(folder + "/file"), "theirs");
  EXPECT_THAT(Names(folder), ElementsAre("file"));
}

TEST_F(BackupTest, WhenToStandardOutput_NothingElseIsThere) {
  EXPECT_EQ(Backup("-"), kExitOk) << err_;
  EXPECT_EQ(out_, "the archive");
  EXPECT_EQ(err_, "");
  io_.tty = true;
  EXPECT_EQ(Backup("-"), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("standard output"));
}

TEST_F(BackupTest, WhenThereIsNoTerminal_APasswordFileIsNeeded) {
  EXPECT_EQ(Ctl({"backup", dir_ / "file"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--password-file"));
  io_.SetInput("from stdin\n");
  EXPECT_EQ(Ctl({"backup", dir_ / "file", "--password-file", "-"}), kExitOk);
  EXPECT_THAT(server_.calls(), ElementsAre("Backup from stdin"));
  EXPECT_EQ(Ctl({"backup", dir_ / "b", "--password-file", File("e", "\n")}),
            kExitUsage);
  EXPECT_THAT(err_, HasSubstr("the password is empty"));
}

TEST_F(BackupTest, WhenTyped_ThePasswordIsAskedForTwice) {
  EXPECT_EQ(CtlAnswered({"backup", dir_ / "file"},
                        {{"Password: ", "pass"}, {"again: ", "pas"}}),
            kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("Password: "),
                          HasSubstr("the two are not the same")));
  EXPECT_EQ(CtlAnswered({"backup", dir_ / "file"},
                        {{"Password: ", "pass"}, {"again: ", "pass"}}),
            kExitOk)
      << err_;
  EXPECT_THAT(server_.calls(), ElementsAre("Backup pass"));
}

TEST_F(BackupTest, WhenRestored_TheFileIsSent) {
  const std::string big(3000000, 'x');
  const std::string path = File("state", big);
  EXPECT_EQ(Restore(path, {"--yes", "--replace"}), kExitOk) << err_;
  EXPECT_EQ(server_.uploaded(), big);
  EXPECT_THAT(out_, HasSubstr("2 objects are declared as of 2030-01-01T"));
  EXPECT_THAT(server_.calls(), ElementsAre("Restore pass replace"));
}

TEST_F(BackupTest, WhenADryRun_SaysWhatItWouldDo) {
  const std::string path = File("state", "x");
  // A daemon that does not say more.
  EXPECT_EQ(Restore(path, {"--dry-run"}), kExitOk) << err_;
  EXPECT_EQ(out_, "2 objects would be declared as of 2030-01-01T00:00:00Z\n");
  server_.set_restored({Becomes("web", v1::ApplyResult::CREATED),
                        Becomes("extra", v1::ApplyResult::DELETED),
                        Becomes("db", v1::ApplyResult::CONFIGURED)});
  EXPECT_EQ(Restore(path, {"--dry-run", "--replace"}), kExitOk) << err_;
  EXPECT_EQ(out_,
            "+ service web\n~ service db\n- service extra\n"
            "2 objects would be declared as of 2030-01-01T00:00:00Z: 1 "
            "created, 1 changed, 1 deleted\n");
  EXPECT_THAT(server_.calls(),
              ElementsAre("Restore pass dry", "Restore pass replace dry"));
}

TEST_F(BackupTest, WhenAProgramAsks_TheAnswerIsJson) {
  const std::string path = File("state", "x");
  server_.set_restored({Becomes("extra", v1::ApplyResult::DELETED)});
  EXPECT_EQ(Restore(path, {"--dry-run", "-o", "json"}), kExitOk) << err_;
  EXPECT_THAT(
      out_, AllOf(HasSubstr("\"results\": ["), HasSubstr("\"name\": \"extra\""),
                  Not(HasSubstr("would be"))));
  EXPECT_EQ(Restore(path, {"--yes", "-o", "yaml"}), kExitOk) << err_;
  EXPECT_THAT(out_,
              AllOf(HasSubstr("name: extra"), Not(HasSubstr("get services"))));
  EXPECT_EQ(Restore(path, {"--dry-run", "-o", "name"}), kExitUsage);
  EXPECT_EQ(Restore(path, {"-o", "json"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--dry-run or --yes"));
}

TEST_F(BackupTest, WhenOnATerminal_Asks) {
  const std::string path = File("state", "x");
  server_.set_restored({Becomes("extra", v1::ApplyResult::DELETED)});
  EXPECT_EQ(
      CtlAnswered({"restore", path}, {{"Password: ", "pass"}, {"[y/N] ", "n"}}),
      kExitError);
  EXPECT_THAT(
      err_, AllOf(HasSubstr("Go on? [y/N]"), HasSubstr("nothing was changed")));
  EXPECT_THAT(server_.calls(), ElementsAre("Restore pass dry"));
  EXPECT_THAT(out_, HasSubstr(" service extra\n"));
  EXPECT_EQ(
      CtlAnswered({"restore", path}, {{"Password: ", "pass"}, {"[y/N] ", "y"}}),
      kExitOk)
      << err_;
  EXPECT_THAT(out_, HasSubstr("2 objects would be declared"));
  EXPECT_THAT(out_, HasSubstr("2 objects are declared"));
  EXPECT_EQ(server_.calls().back(), "Restore pass");
}

TEST_F(BackupTest, WhenNobodyCanBeAsked_YesIsNeeded) {
  const std::string path = File("state", "x");
  EXPECT_EQ(Restore(path), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--yes"));
  EXPECT_EQ(Ctl({"restore", "-", "--yes"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("standard input is the archive"));
  EXPECT_EQ(Ctl({"restore", "-", "--yes", "--password-file", "-"}), kExitUsage);
  EXPECT_EQ(Restore(dir_ / "none", {"--yes"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("No such file"));
  EXPECT_EQ(Restore(Folder("folder"), {"--yes"}), kExitUsage);
  EXPECT_THAT(server_.calls(), IsEmpty());
  io_.SetInput("piped");
  EXPECT_EQ(Restore("-", {"--yes"}), kExitOk) << err_;
  EXPECT_EQ(server_.uploaded(), "piped");
}

TEST_F(BackupTest, WhenThePipeIsReadOnce_YesIsNeededOnATerminalToo) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd read_end(fds[0]);
  {
    const UniqueFd write_end(fds[1]);
    ASSERT_EQ(write(fds[1], "piped", 5), 5);
  }
  const std::string path = absl::StrCat("/proc/self/fd/", fds[0]);
  const std::vector<std::string> asking = {"restore", path, "--password-file",
                                           password_};
  EXPECT_EQ(CtlAnswered(asking, {{"[y/N] ", "y"}}), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("give --yes, or --dry-run"),
                          HasSubstr(path + " can be read only once"),
                          Not(HasSubstr("[y/N]"))));
  EXPECT_EQ(CtlAnswered({"restore", "-", "--password-file", password_}, {}),
            kExitUsage);
  EXPECT_THAT(err_, HasSubstr("give --yes, as nobody can be asked here"));
  EXPECT_THAT(server_.calls(), IsEmpty());
  // Nothing of it was lost.
  EXPECT_EQ(Restore(path, {"--yes"}), kExitOk) << err_;
  EXPECT_EQ(server_.uploaded(), "piped");
}

TEST_F(BackupTest, WhenTheServerRefuses_ItsWordsComeWithTheFilesName) {
  v1::ErrorDetail detail;
  detail.set_remedy("take another copy");
  server_.FailNext("Restore",
                   grpc::Status(grpc::StatusCode::DATA_LOSS, "its end is lost",
                                detail.SerializeAsString()));
  const std::string path = File("state", std::string(5000000, 'x'));
  EXPECT_EQ(Restore(path, {"--yes"}), kExitError);
  EXPECT_EQ(err_, absl::StrCat("error: ", path, ": its end is lost\n",
                               "hint: take another copy\n"));
  server_.FailNext("Restore",
                   grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone"));
  EXPECT_EQ(Restore(path, {"--yes"}), kExitError);
  EXPECT_THAT(err_, AllOf(HasSubstr("as a whole, or not at all"),
                          HasSubstr("--replace")));
}

}  // namespace
}  // namespace bulwark::ctl::testing
