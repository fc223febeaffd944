// Who may connect, who calls, and the server's bounds.
#include <dlfcn.h>
#include <fcntl.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "tests/integration/api/connect_as.h"
#include "tests/integration/api/fixture.h"
#include "tests/integration/api/generic_call.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr gid_t kGroup = 54321;

class AccessTest : public ApiTest {
 protected:
  void SetUp() override {}

  // Serves where other users may look for the socket.
  void StartForGroup() {
    ASSERT_EQ(chmod(dir_.path().c_str(), 0711), 0);
    ASSERT_EQ(chdir(dir_.path().c_str()), 0);
    options_.group = absl::StrCat(kGroup);
    // Every answer names its caller.
    authorizer_ = [](const Peer& peer, const std::string&) {
      return absl::PermissionDeniedError(absl::StrCat(
          "you are ", peer.identity.uid(), " of ", peer.identity.gid()));
    };
    StartServer();
  }

  static std::string WhoAmI(const std::shared_ptr<grpc::Channel>& channel) {
    return GenericCall(channel, "/bulwark.v1.System/Version").error_message();
  }

  // Descriptors that the identity table has dealt out.
  static std::set<std::string> ServerSockets() {
    std::set<std::string> found;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      const int fd = std::stoi(entry.path().filename());
      struct stat info;
      if (fd >= 512 && fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) {
        found.insert(absl::StrCat(fd, ":", info.st_ino));
      }
    }
    return found;
  }

  template <typename Condition>
  bool Eventually(Condition condition) {
    const absl::Duration deadline = clock_.Steady() + absl::Seconds(15);
    while (!condition()) {
      if (clock_.Steady() > deadline) return false;
      clock_.Sleep(absl::Milliseconds(5));
    }
    return true;
  }
};

TEST_F(AccessTest, WhenTheUserIsNotOfTheGroup_TheSocketIsClosedToThem) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to be somebody else";
  StartForGroup();

  EXPECT_LT(ConnectAs(10000, 10000), 0);
  EXPECT_EQ(errno, EACCES);
  UniqueFd member(ConnectAs(10000, kGroup));
  EXPECT_TRUE(member.ok());
}

TEST_F(AccessTest, WhenManyUsersComeAndGo_NobodyIsTakenForAnother) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to be somebody else";
  StartForGroup();
  struct Client {
    uid_t uid;
    std::shared_ptr<grpc::Channel> channel;
  };
  std::vector<Client> clients;
  for (uid_t uid = 20000; uid < 20200; ++uid) {
    const int fd = ConnectAs(uid, kGroup);
    ASSERT_GE(fd, 0) << strerror(errno);
    clients.push_back({uid, ChannelOn(fd)});
    EXPECT_THAT(WhoAmI(clients.back().channel),
                HasSubstr(absl::StrCat("you are ", uid, " of ", kGroup)));
    if (clients.size() < 20) continue;
    // One that is in the middle goes, another is asked again.
    clients.erase(clients.begin() + uid % 17);
    const Client& other = clients[uid % clients.size()];
    EXPECT_THAT(WhoAmI(other.channel),
                HasSubstr(absl::StrCat("you are ", other.uid, " of ", kGroup)));
  }
}

// What the identity table rests on: gRPC keeps a connection's descriptor for as
// long as a call of it is at work, even if the client has gone.
TEST_F(AccessTest, WhenTheClientGoesDuringACall_ItsNumberStaysTaken) {
  absl::Notification started, finish;
  ServerDependencies dependencies{store_, engine_, images_, clock_, entropy_};
  dependencies.normalize = [](absl::string_view t) { return std::string(t); };
  dependencies.shutdown = [&](absl::Duration) {
    started.Notify();
    finish.WaitForNotification();
    return std::vector<std::string>();
  };
  options_.socket_path = dir_ / "api.sock";
  options_.state_dir = dir_ / "state";
  ASSERT_OK_AND_ASSIGN(server_, Server::Start(options_, dependencies));
  channel_ = Connect();
  auto context = std::make_unique<grpc::ClientContext>();
  std::thread caller([&] {
    v1::ShutdownResponse response;
    EXPECT_FALSE(v1::System::NewStub(channel_)
                     ->Shutdown(context.get(), v1::ShutdownRequest(), &response)
                     .ok());
  });
  started.WaitForNotification();
  const std::set<std::string> during = ServerSockets();
  ASSERT_EQ(during.size(), 1);

  context->TryCancel();
  caller.join();
  context.reset();  // it holds the connection
  channel_.reset();

  // Other calls come, and get other numbers.
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(GenericCall(Connect(), "/bulwark.v1.System/Version").ok());
    EXPECT_EQ(ServerSockets().count(*during.begin()), 1);
  }
  finish.Notify();
  EXPECT_TRUE(
      Eventually([&] { return ServerSockets().count(*during.begin()) == 0; }));
}

TEST_F(AccessTest, WhenTooManyConnect_TheyAreTurnedAwayUntilOneGoes) {
  options_.max_connections = 3;
  StartServer();
  std::vector<std::shared_ptr<grpc::Channel>> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(Connect());
    ASSERT_TRUE(GenericCall(open.back(), "/bulwark.v1.System/Version").ok());
  }

  EXPECT_EQ(GenericCall(Connect(), "/bulwark.v1.System/Version").error_code(),
            grpc::StatusCode::UNAVAILABLE);

  open.pop_back();
  EXPECT_TRUE(Eventually([&] {
    return GenericCall(Connect(), "/bulwark.v1.System/Version").ok();
  }));
}

TEST_F(AccessTest, WhenAMessageIsTooLarge_ItIsRefused) {
  StartServer();
  EXPECT_EQ(GenericCall(channel_, "/bulwark.v1.Resources/Apply",
                        std::string((16 << 20) + 1, 'x'))
                .error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(AccessTest, WhenAMessageIsCompressed_ItIsNotInflated) {
  StartServer();
  v1::ApplyRequest request;
  *request.add_objects() = Service("web");
  request.mutable_objects(0)->mutable_service()->mutable_spec()->set_network(
      std::string(8 << 20, 'x'));
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::ApplyResponse response;

  const grpc::Status status =
      v1::Resources::NewStub(channel_)->Apply(&context, request, &response);

  EXPECT_NE(status.error_code(), grpc::StatusCode::OK);
  EXPECT_NE(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
      << "it was read";
}

TEST_F(AccessTest, WhenAsked_HealthAndReflectionAnswer) {
  StartServer();
  std::string reply;
  ASSERT_TRUE(
      GenericCall(channel_, "/grpc.health.v1.Health/Check", "", &reply).ok());
  EXPECT_EQ(reply, "\x08\x01");  // status: SERVING
  reply.clear();
  ASSERT_TRUE(GenericCall(channel_,
                          "/grpc.reflection.v1alpha.ServerReflection/"
                          "ServerReflectionInfo",
                          std::string("\x3a\x00", 2),
                          &reply)  // list_services: ""
                  .ok());
  EXPECT_THAT(reply, HasSubstr("bulwark.v1.Resources"));
}

void OfThisProgram() {}

// api/grpc_sleep.cc has to change when one of these fails.
TEST_F(AccessTest, WhenIdle_ThreadsOfGrpcDoNotSleep) {
  StartServer();
  ASSERT_OK(Apply({Service("web")}));
  std::set<std::string> names;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    std::getline(file, name);
    names.insert(name);
  }
  EXPECT_THAT(names, ::testing::Contains("nexting_thread"));

  // gRPC's libraries find ours.
  Dl_info found = {}, ours = {};
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "gpr_sleep_until"), &found), 0);
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&OfThisProgram), &ours), 0);
  EXPECT_STREQ(found.dli_fname, ours.dli_fname);

  const auto sleep = [](const char* name, int milliseconds) {
    RealClock clock;
    const absl::Duration begin = clock.Steady();
    std::thread([&] {
      pthread_setname_np(pthread_self(), name);
      gpr_sleep_until(
          gpr_time_add(gpr_now(GPR_CLOCK_REALTIME),
                       gpr_time_from_millis(milliseconds, GPR_TIMESPAN)));
    }).join();
    return clock.Steady() - begin;
  };
  EXPECT_LT(sleep("nexting_thread", 60000), absl::Seconds(30));
  EXPECT_GE(sleep("other", 100), absl::Milliseconds(100));
}

TEST_F(AccessTest, WhenServedTwice_TheSecondIsRefusedAndTheFirstGoesOn) {
  StartServer();
  ServerDependencies dependencies{store_, engine_, images_, clock_, entropy_};

  EXPECT_THAT(Server::Start(options_, dependencies),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_OK(Apply({Service("web")}));
}

TEST_F(AccessTest, WhenStopped_TheSocketIsGoneAndCanBeServedAgain) {
  StartServer();
  ASSERT_OK(Apply({Service("web")}));

  server_->Stop(absl::Seconds(5));
  server_->Stop(absl::Seconds(5));

  EXPECT_NE(access(options_.socket_path.c_str(), F_OK), 0);
  server_.reset();
  StartServer();
  EXPECT_OK(Get("service", "web"));
}

}  // namespace
}  // namespace bulwark::api
