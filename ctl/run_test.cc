// What runs: run, exec, logs, ps; and images: pull, load, build, rmi, tag.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "absl/strings/match.h"
#include "ctl/log_printer.h"
#include "ctl/references.h"
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// Threads of gRPC's that live longer than a test must not take the signal,
// so it is blocked before there is any.
const bool kBlocked = [] {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0;
}();

v1::ImageInfo Image(const std::string& name) {
  v1::ImageInfo image;
  image.add_references(name);
  image.set_digest("sha256:0123456789abcdef");
  image.set_size_bytes(5200000);
  image.set_platform("linux/amd64");
  return image;
}

v1::ImageProgress Progress(const std::string& id, const std::string& status,
                           int64_t current, int64_t total) {
  v1::ImageProgress progress;
  progress.set_id(id);
  progress.set_status(status);
  progress.set_current(current);
  progress.set_total(total);
  return progress;
}

TEST_F(CtlTest, WhenLogsInAPipe_PrintsLinesAsTheyAre) {
  server_.Put(MakeService("web", 2, 2));
  v1::LogLine begun = Line("web-0-abcde", "be");
  begun.set_partial(true);
  v1::LogLine error = Line("web-1-abcde", "oops");
  error.set_is_stderr(true);
  server_.set_log_lines({begun, Line("web-0-abcde", "gun"), error});
  EXPECT_EQ(Ctl({"logs", "web", "--tail", "5"}), kExitOk) << err_;
  EXPECT_EQ(out_, "begun\n");
  EXPECT_EQ(err_, "oops\n");
  EXPECT_THAT(server_.calls(), ElementsAre("Logs web  5"));
  EXPECT_EQ(Ctl({"logs", "web", "-t", "--prefix"}), kExitOk);
  EXPECT_EQ(out_, "2030-01-01T00:00:00.000000Z web-0-abcde | begun\n");
}

TEST_F(CtlTest, WhenLogsOnATerminal_NamesReplicasInColour) {
  server_.Put(MakeService("web", 2, 2));
  server_.set_log_lines({Line("web-0-abcde", "a"), Line("web-1-abcde", "b")});
  io_.tty = true;
  EXPECT_EQ(Ctl({"logs", "web"}), kExitOk);
  EXPECT_EQ(out_,
            "\x1b[31mweb-0-abcde | \x1b[0ma\n\x1b[32mweb-1-abcde | \x1b[0mb\n");
}

TEST_F(CtlTest, WhenLogsOfAReplica_AsksForItsService) {
  server_.Put(MakeReplica("web", 1));
  EXPECT_EQ(Ctl({"logs", "web-1-abcde"}), kExitOk) << err_;
  EXPECT_THAT(server_.calls(), ElementsAre("Logs web web-1-abcde"));
  EXPECT_EQ(Ctl({"logs", "nobody"}), kExitError);
  EXPECT_EQ(Ctl({"logs", "web-1-abcde", "--since", "soon"}), kExitUsage);
}

TEST_F(CtlTest, WhenExec_PassesInputOutputAndExitCode) {
  server_.set_exit_code(7);
  io_.SetInput("hello\n");
  EXPECT_EQ(Ctl({"exec", "-i", "-e", "A=b", "web", "cat", "-n", "-i"}), 7)
      << err_;
  EXPECT_EQ(out_, "HELLO\n");
  EXPECT_EQ(err_, "started\n");
  const v1::ExecStart start = server_.last_exec();
  EXPECT_EQ(start.target(), "web");
  EXPECT_THAT(start.command(), ElementsAre("cat", "-n", "-i"));
  EXPECT_THAT(start.env(), ElementsAre("A=b"));
}

TEST_F(CtlTest, WhenExecFlagsFollowTheTarget_AreStillFlags) {
  EXPECT_EQ(Ctl({"exec", "web", "-u", "root", "--", "id", "--", "-x"}), kExitOk)
      << err_;
  EXPECT_EQ(server_.last_exec().user(), "root");
  EXPECT_THAT(server_.last_exec().command(), ElementsAre("id", "--", "-x"));
  EXPECT_EQ(Ctl({"exec", "web"}), kExitUsage);
  EXPECT_EQ(Ctl({"exec", "-t", "web", "sh"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("needs a terminal"));
}

TEST_F(CtlTest, WhenExecHasATerminal_IsRawWhileItRuns) {
  UniqueFd user(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_EQ(grantpt(user.get()), 0);
  ASSERT_EQ(unlockpt(user.get()), 0);
  const std::string name = ptsname(user.get());
  UniqueFd terminal(open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  UniqueFd same(open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios before{};
  ASSERT_EQ(tcgetattr(same.get(), &before), 0);
  ASSERT_TRUE(before.c_lflag & ICANON);
  io_.SetTerminal(std::move(terminal));
  environment_["TERM"] = "xterm";
  server_.set_exit_code(5);
  bool raw = false;
  std::thread typing([&] {
    // Ctrl-C is a byte for the command once the terminal is raw.
    termios now{};
    for (int i = 0; i < 2000 && !raw; ++i) {
      raw = tcgetattr(same.get(), &now) == 0 && !(now.c_lflag & ICANON);
      if (!raw) clock_.Sleep(absl::Milliseconds(5));
    }
    EXPECT_EQ(write(user.get(), "a\x03z", 3), 3);
    // The fake answers what it got: then the user hangs up.
    while (!absl::StrContains(io_.PeekOut(), "Z")) {
      clock_.Sleep(absl::Milliseconds(5));
    }
    user.Reset();
  });
  EXPECT_EQ(Ctl({"exec", "-it", "web", "--", "sh"}), 5) << err_;
  typing.join();
  EXPECT_TRUE(raw);
  EXPECT_EQ(out_, "A\x03Z");
  EXPECT_TRUE(server_.last_exec().terminal());
  EXPECT_EQ(server_.last_exec().size().columns(), 80);
  EXPECT_THAT(server_.last_exec().env(), ElementsAre("TERM=xterm"));
}

TEST_F(CtlTest, WhenExecIsRefused_SaysWhy) {
  server_.FailNext("Exec", grpc::Status(grpc::StatusCode::NOT_FOUND,
                                        "exec in web: no replica runs"));
  EXPECT_EQ(Ctl({"exec", "web", "id"}), kExitNoStatus);
  EXPECT_EQ(err_, "error: exec in web: no replica runs\n");

  server_.FailNext("Exec", grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                                        "execute \"x\": no such file"));
  server_.set_exit_code(127);
  EXPECT_EQ(Ctl({"exec", "web", "x"}), 127);
  EXPECT_EQ(err_, "error: execute \"x\": no such file\n");
}

// The applied service's replica ends at once with `code`.
void EndAtOnce(FakeServer& server, const v1::Object& service, int code) {
  v1::Object object;
  v1::Replica& replica = *object.mutable_replica();
  const std::string name = service.service().metadata().name();
  replica.mutable_metadata()->set_name(absl::StrCat(name, "-0-abcde"));
  replica.mutable_spec()->set_service(name);
  replica.mutable_status()->set_state(v1::ReplicaStatus::FAILED);
  v1::ContainerStatus& c = *replica.mutable_status()->add_containers();
  c.set_exit_code(code);
  c.mutable_start_time()->set_seconds(1);
  server.Put(object);
}

TEST_F(CtlTest, WhenRunInTheForeground_PassesOutputAndStatusAndRemoves) {
  server_.set_log_lines(
      {Line("job-0-abcde", "one"), Line("job-0-abcde", "two")});
  server_.set_on_apply(
      [this](const v1::Object& o) { EndAtOnce(server_, o, 3); });
  EXPECT_EQ(Ctl({"run", "--name", "job", "-p", "8080:80", "-e", "A=b", "-v",
                 "data:/data", "-m", "64Mi", "busybox", "sh", "-c", "exit 3"}),
            3)
      << err_;
  // The follower was cancelled before the last line: it is not lost.
  EXPECT_EQ(out_, "one\ntwo\n");
  EXPECT_THAT(server_.calls(), Contains("Pull busybox"));
  const v1::Service service = server_.last_apply().objects(0).service();
  EXPECT_EQ(service.spec().replicas(), 1);
  EXPECT_EQ(service.spec().restart().policy(), v1::Restart::NEVER);
  EXPECT_EQ(service.spec().ports(0).host_port(), 8080);
  EXPECT_THAT(service.spec().containers(0).args(),
              ElementsAre("sh", "-c", "exit 3"));
  EXPECT_EQ(service.spec().containers(0).resources().memory().limit(),
            64 << 20);
  EXPECT_EQ(Ctl({"get", "service", "job"}), kExitError);
}

TEST_F(CtlTest, WhenRunAndImageIsThere_DoesNotPull) {
  server_.set_images({Image("docker.io/library/busybox:latest")});
  server_.set_on_apply(
      [this](const v1::Object& o) { EndAtOnce(server_, o, 0); });
  EXPECT_EQ(Ctl({"run", "busybox"}), 0) << err_;
  EXPECT_THAT(server_.calls(), Not(Contains("Pull busybox")));
  EXPECT_THAT(server_.last_apply().objects(0).service().metadata().name(),
              ::testing::StartsWith("busybox-"));
}

// `replica`, as one that could not be started; `code`: what a shell would say
// of its command, 0 if it is not to blame.
v1::Object NotStarted(v1::Object replica, int code) {
  v1::ReplicaStatus& status = *replica.mutable_replica()->mutable_status();
  status.set_state(v1::ReplicaStatus::FAILED);
  status.set_message("exec /x: No such file or directory");
  if (code != 0) status.add_containers()->set_exit_code(code);
  return replica;
}

TEST_F(CtlTest, WhenRunNeverStarts_SaysWhyAndRemoves) {
  int code = 0;
  server_.set_on_apply([&](const v1::Object&) {
    server_.Put(NotStarted(MakeReplica("a", 0), code));
  });
  EXPECT_EQ(Ctl({"run", "--name", "a", "busybox", "/x"}), kExitNoStatus);
  EXPECT_THAT(err_, HasSubstr("error: run a: exec /x: No such file"));
  EXPECT_EQ(Ctl({"get", "service", "a"}), kExitError);
  for (const int shells : {126, 127}) {
    code = shells;
    EXPECT_EQ(Ctl({"run", "--name", "a", "busybox", "/x"}), shells);
    EXPECT_THAT(err_, HasSubstr("error: run a: exec /x: No such file"));
    EXPECT_EQ(Ctl({"get", "service", "a"}), kExitError);
  }
}

TEST_F(CtlTest, WhenRunDetachedNeverStarts_EndsAsAShellWould) {
  server_.set_on_apply([this](const v1::Object&) {
    server_.Put(NotStarted(MakeReplica("a", 0), 127));
    v1::Object service = MakeService("a", 0, 1);
    v1::Condition& loop =
        *service.mutable_service()->mutable_status()->add_conditions();
    loop.set_type("CrashLoop");
    loop.set_status(v1::Condition::TRUE);
    loop.set_message("the command is not there");
    server_.Put(service);
  });
  EXPECT_EQ(Ctl({"run", "-d", "--name", "a", "busybox", "/x"}), 127) << err_;
  EXPECT_THAT(err_, HasSubstr("the command is not there"));
  EXPECT_EQ(Ctl({"ps", "-a"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("not started (127)"));
}

TEST_F(CtlTest, WhenRunDetached_PrintsTheNameAndLeavesIt) {
  server_.set_on_apply([this](const v1::Object& o) {
    server_.Put(MakeService(o.service().metadata().name(), 1, 1));
  });
  EXPECT_EQ(Ctl({"run", "-d", "--name", "web", "nginx"}), kExitOk) << err_;
  EXPECT_EQ(out_, "web\n");
  EXPECT_EQ(server_.last_apply().objects(0).service().spec().restart().policy(),
            v1::Restart::ALWAYS);
  EXPECT_EQ(Ctl({"get", "service", "web"}), kExitOk);
  // The name is taken now.
  EXPECT_EQ(Ctl({"run", "-d", "--name", "web", "nginx"}), kExitNoStatus);
  EXPECT_THAT(err_, HasSubstr("the service exists"));
  v1::Object leaving = MakeService("web", 1, 1);
  *leaving.mutable_service()->mutable_metadata()->mutable_delete_time() = {};
  server_.Put(leaving);
  EXPECT_EQ(Ctl({"run", "-d", "--name", "web", "nginx"}), kExitNoStatus);
  EXPECT_THAT(err_, HasSubstr("ctl delete service web --wait"));
  EXPECT_EQ(Ctl({"run", "-d", "--rm", "nginx"}), kExitUsage);
  EXPECT_EQ(Ctl({"run", "-p", "x", "nginx"}), kExitUsage);
}

TEST_F(CtlTest, WhenRunIsInterrupted_StopsAndRemoves) {
  ASSERT_TRUE(kBlocked);
  std::thread interrupt;
  server_.set_on_apply([&](const v1::Object& o) {
    server_.Put(MakeReplica(o.service().metadata().name(), 0));
    interrupt = std::thread([&] {
      kill(getpid(), SIGINT);
      // The daemon stops the replica of a deleted service.
      while (server_.Has("service", "slow")) {
        clock_.Sleep(absl::Milliseconds(5));
      }
      server_.Remove("replica", "slow-0-abcde");
    });
  });
  const int code = Ctl({"run", "--name", "slow", "busybox", "sleep", "100"});
  interrupt.join();
  EXPECT_EQ(code, 130);
  EXPECT_THAT(err_, HasSubstr("stopping slow"));
  EXPECT_FALSE(server_.Has("service", "slow"));
}

TEST_F(CtlTest, WhenPs_ListsRunningContainers) {
  v1::Object object = MakeReplica("web", 0);
  v1::ContainerStatus& c =
      *object.mutable_replica()->mutable_status()->add_containers();
  c.set_name("web");
  c.set_running(true);
  c.set_pid(77);
  server_.Put(object);
  EXPECT_EQ(Ctl({"ps"}), kExitOk);
  EXPECT_EQ(out_,
            "REPLICA       CONTAINER   PID   STATE   READY   ADDRESS\n"
            "web-0-abcde   web         77    up      yes     10.1.0.2\n");
}

TEST_F(CtlTest, WhenPulling_PrintsProgressAsLinesAndTheResult) {
  v1::ImageProgress done;
  *done.add_images() = Image("nginx:1.27");
  server_.set_progress(
      {Progress("sha256:aaaabbbbccccdddd", "downloading", 1, 9),
       Progress("sha256:aaaabbbbccccdddd", "downloading", 5, 9),
       Progress("sha256:aaaabbbbccccdddd", "done", 9, 9), done});
  EXPECT_EQ(Ctl({"pull", "nginx:1.27"}), kExitOk);
  EXPECT_EQ(err_, "aaaabbbbcccc: downloading\naaaabbbbcccc: done\n");
  EXPECT_EQ(out_, "nginx:1.27 sha256:0123456789abcdef\n");
  EXPECT_EQ(Ctl({"pull", "-q", "nginx:1.27"}), kExitOk);
  EXPECT_EQ(err_, "");
  io_.tty = true;
  EXPECT_EQ(Ctl({"pull", "nginx:1.27"}), kExitOk);
  EXPECT_THAT(err_, HasSubstr("[=====")) << err_;
  EXPECT_THAT(err_, HasSubstr("\x1b[1A\x1b[J"));
}

TEST_F(CtlTest, WhenLoading_SendsTheWholeArchive) {
  std::string archive(3 << 20, 'x');
  EXPECT_EQ(Ctl({"load", "-i", File("a.tar", archive)}), kExitOk) << err_;
  EXPECT_EQ(server_.uploaded(), archive);
  EXPECT_EQ(Ctl({"load", "-i", dir_ / "none"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("none: No such file"));
}

// Name -> content of the regular files, "dir" and "-> target" for the others.
std::map<std::string, std::string> Untar(const std::string& data) {
  std::map<std::string, std::string> out;
  archive* a = archive_read_new();
  archive_read_support_format_tar(a);
  EXPECT_EQ(archive_read_open_memory(a, data.data(), data.size()), ARCHIVE_OK);
  archive_entry* entry;
  while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
    const std::string name = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) == AE_IFDIR) {
      out[name] = "dir";
    } else if (archive_entry_filetype(entry) == AE_IFLNK) {
      out[name] = absl::StrCat("-> ", archive_entry_symlink(entry));
    } else {
      std::string content(archive_entry_size(entry), '\0');
      archive_read_data(a, content.data(), content.size());
      out[name] = content;
    }
  }
  EXPECT_EQ(archive_errno(a), 0) << archive_error_string(a);
  archive_read_free(a);
  return out;
}

TEST_F(CtlTest, WhenBuilding_SendsTheContextAndOptions) {
  const std::string long_name(120, 'n');
  mkdir((dir_ / "sub").c_str(), 0755);
  File("Dockerfile", "FROM scratch\n");
  File("sub/" + long_name, "deep");
  File("big", std::string(3 << 20, 'b'));
  File("empty", "");
  ASSERT_EQ(symlink(std::string(150, 't').c_str(), (dir_ / "link").c_str()), 0);
  ASSERT_EQ(mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  environment_["FROM_ENV"] = "e";
  v1::ImageProgress step = Progress("1/1", "FROM scratch", 0, 0);
  v1::ImageProgress output;
  output.set_output("hello");
  v1::ImageProgress done;
  *done.add_images() = Image("app:1");
  server_.set_progress({step, output, done});
  EXPECT_EQ(Ctl({"build", "-t", "app:1", "--build-arg", "A=b", "--build-arg",
                 "FROM_ENV", "--target", "t", "--no-cache", dir_.path()}),
            kExitOk)
      << err_;
  EXPECT_EQ(err_, "#1/1 FROM scratch\nhello\n");
  const v1::BuildOptions options = server_.last_build();
  EXPECT_EQ(options.dockerfile(), "Dockerfile");
  EXPECT_THAT(options.tags(), ElementsAre("app:1"));
  EXPECT_EQ(options.args().at("A"), "b");
  EXPECT_EQ(options.args().at("FROM_ENV"), "e");
  EXPECT_TRUE(options.no_cache());
  EXPECT_THAT(Untar(server_.uploaded()),
              UnorderedElementsAre(
                  Pair("Dockerfile", "FROM scratch\n"), Pair("sub/", "dir"),
                  Pair("sub/" + long_name, "deep"),
                  Pair("big", std::string(3 << 20, 'b')), Pair("empty", ""),
                  Pair("link", "-> " + std::string(150, 't'))));
}

TEST_F(CtlTest, WhenDockerfileIsOutside_AddsIt) {
  mkdir((dir_ / "context").c_str(), 0755);
  File("context/a", "a");
  EXPECT_EQ(Ctl({"build", "-f", File("Other", "FROM x\n"), dir_ / "context"}),
            kExitOk)
      << err_;
  EXPECT_THAT(Untar(server_.uploaded()), UnorderedElementsAre(Pair("a", "a")));
  EXPECT_EQ(server_.last_build().dockerfile_text(), "FROM x\n");
  EXPECT_EQ(server_.last_build().dockerfile(), "Other");
  EXPECT_EQ(Ctl({"build", dir_ / "context"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("Dockerfile: no such file\nhint: "));
}

TEST_F(CtlTest, WhenBuildFails_PassesTheReason) {
  File("Dockerfile", "FROM scratch\n");
  server_.FailNext("Build", grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                                         "Dockerfile:3: RUN exited with 1"));
  EXPECT_EQ(Ctl({"build", dir_.path()}), kExitError);
  EXPECT_EQ(err_, "error: Dockerfile:3: RUN exited with 1\n");
}

TEST_F(CtlTest, WhenImages_ListsTagsAndRemoves) {
  server_.set_images({Image("nginx:1.27")});
  EXPECT_EQ(Ctl({"images"}), kExitOk);
  EXPECT_EQ(out_,
            "IMAGE        DIGEST         PLATFORM      SIZE     CREATED\n"
            "nginx:1.27   0123456789ab   linux/amd64   5.2 MB   -\n");
  EXPECT_EQ(Ctl({"images", "-q"}), kExitOk);
  EXPECT_EQ(out_, "nginx:1.27\n");
  EXPECT_EQ(Ctl({"tag", "a", "b"}), kExitOk);
  server_.FailNext("Remove", grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                          "remove image a: it is used by web"));
  EXPECT_EQ(Ctl({"rmi", "a", "b"}), kExitError);
  EXPECT_EQ(err_, "error: remove image a: it is used by web\n");
  EXPECT_EQ(out_, "image b removed\n");
  EXPECT_THAT(server_.calls(), ElementsAre("Tag a b", "Remove a", "Remove b"));
}

TEST(ReferencesTest, WhenShort_IsFilledIn) {
  EXPECT_EQ(FullReference("nginx"), "docker.io/library/nginx:latest");
  EXPECT_EQ(FullReference("a/b:1"), "docker.io/a/b:1");
  EXPECT_EQ(FullReference("localhost/a"), "localhost/a:latest");
  EXPECT_EQ(FullReference("r:5000/a"), "r:5000/a:latest");
  EXPECT_EQ(FullReference("a@sha256:x"), "docker.io/library/a@sha256:x");
  EXPECT_EQ(NameFromReference("r:5000/team/My_App:1"), "my-app");
  EXPECT_EQ(NameFromReference("__"), "run");
}

}  // namespace
}  // namespace bulwark::ctl::testing
