// Declaring and showing: apply, get, describe, delete, wait, rollout, errors.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::string_view kWeb =
    "kind: Service\nname: web\nimage: nginx:1.27\nports: [\"8080:80\"]\n";

TEST_F(CtlTest, WhenApplied_PrintsWhatChangedAndWarnings) {
  server_.set_warnings({"port 8080 listens on localhost only"});
  EXPECT_EQ(Ctl({"apply", "-f", File("web.yaml", kWeb)}), kExitOk) << err_;
  EXPECT_EQ(out_, "service web created\n");
  EXPECT_EQ(err_,
            "warning: service web: port 8080 listens on localhost only\n");
  EXPECT_EQ(Ctl({"apply", "-f", File("web.yaml", kWeb)}), kExitOk);
  EXPECT_EQ(out_, "service web configured\n");
}

TEST_F(CtlTest, WhenAnArgumentIsNotUtf8_SaysSo) {
  EXPECT_EQ(Ctl({"exec", "web", "echo", "gr\xfcn"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("argument \"gr\\xfcn\" is not UTF-8 text"));
}

TEST_F(CtlTest, WhenManifestIsWrong_PrintsEachPlaceAndSendsNothing) {
  const std::string path =
      File("bad.yaml", "kind: Service\nname: web\nimage: x\nreplcias: 3\n");
  EXPECT_EQ(Ctl({"apply", "-f", path}), kExitError);
  EXPECT_EQ(err_, absl::StrCat("error: ", path,
                               ":4:1: spec.replcias: unknown field; did you "
                               "mean replicas?\n"));
  EXPECT_EQ(server_.last_apply().objects_size(), 0);
}

TEST_F(CtlTest, WhenTheServerLeavesRecordsOut_WarnsOnceAndShowsTheOthers) {
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    v1::Object object;
    object.mutable_service()->mutable_metadata()->set_name(name);
    server_.Put(object);
  }
  server_.set_unreadable("left out: service/default/\x1b[31m");
  EXPECT_EQ(Ctl({"get", "services", "-o", "name"}), kExitOk);
  EXPECT_EQ(out_, "service/a\nservice/b\nservice/c\nservice/d\nservice/e\n");
  // The pages of a list all say so; what others wrote does no harm.
  EXPECT_EQ(err_, "warning: left out: service/default/\\x1b[31m\n");
}

TEST_F(CtlTest, WhenServerFindsViolations_MapsThemToTheManifest) {
  v1::ErrorDetail detail;
  v1::Violation& violation = *detail.add_violations();
  violation.set_object(0);
  violation.set_field("spec.ports[0].hostPort");
  violation.set_message("port 8080 is taken by service other");
  violation.set_remedy("choose another");
  server_.FailNext("Apply",
                   grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "invalid",
                                detail.SerializeAsString()));
  const std::string path = File("web.yaml", kWeb);
  EXPECT_EQ(Ctl({"apply", "-f", path}), kExitError);
  EXPECT_EQ(err_, absl::StrCat("error: ", path,
                               ":4:9: spec.ports[0].hostPort: port 8080 is "
                               "taken by service other; choose another\n"));
}

TEST_F(CtlTest, WhenDryRun_PrintsTheFullFormAndChangesNothing) {
  EXPECT_EQ(
      Ctl({"apply", "-f", File("web.yaml", kWeb), "--dry-run", "-o", "yaml"}),
      kExitOk);
  EXPECT_THAT(out_, HasSubstr("spec:\n  containers:\n    - name: web\n"));
  EXPECT_TRUE(server_.last_apply().validate_only());
  EXPECT_EQ(Ctl({"get", "service", "web"}), kExitError);
  EXPECT_EQ(Ctl({"apply", "-f", File("web.yaml", kWeb), "--dry-run"}), kExitOk);
  EXPECT_EQ(out_, "service web created (dry run)\n");
}

TEST_F(CtlTest, WhenFolderAndStdin_ReadsAll) {
  File("b.yml", "kind: Volume\nname: b\n");
  File("a.yaml", "kind: Volume\nname: a\n");
  File("notes.txt", "not a manifest");
  io_.SetInput("kind: Volume\nname: ${NAME:-c}\n");
  environment_["NAME"] = "d";
  EXPECT_EQ(Ctl({"apply", "-f", dir_.path(), "-f", "-"}), kExitOk) << err_;
  EXPECT_EQ(out_, "volume a created\nvolume b created\nvolume d created\n");
}

TEST_F(CtlTest, WhenEnvFile_SubstitutesUnlessTheEnvironmentSays) {
  const std::string env = File("env", "A=file\nB=file\n");
  environment_["B"] = "environment";
  EXPECT_EQ(Ctl({"apply", "--env-file", env, "-f",
                 File("x.yaml",
                      "kind: Volume\nname: ${A}\n---\n"
                      "kind: Volume\nname: ${B}\n")}),
            kExitOk)
      << err_;
  EXPECT_EQ(out_, "volume file created\nvolume environment created\n");
}

TEST_F(CtlTest, WhenObjectIsGivenTwice_NamesBothPlaces) {
  EXPECT_EQ(Ctl({"apply", "-f",
                 File("x.yaml",
                      "kind: Volume\nname: a\n---\n"
                      "kind: Volume\nname: a\n")}),
            kExitError);
  EXPECT_THAT(err_, HasSubstr("x.yaml:5:1: volume a is given twice; first at"));
  EXPECT_THAT(err_, HasSubstr("x.yaml:2:1"));
}

TEST_F(CtlTest, WhenProjectFlag_FillsItInOrRefuses) {
  EXPECT_EQ(Ctl({"apply", "-p", "shop", "-f",
                 File("x.yaml", "kind: Volume\nname: a\n")}),
            kExitOk);
  EXPECT_EQ(server_.last_apply().objects(0).volume().metadata().project(),
            "shop");
  EXPECT_EQ(Ctl({"apply", "-p", "shop", "-f",
                 File("x.yaml", "kind: Volume\nname: a\nproject: other\n")}),
            kExitError);
  EXPECT_THAT(err_, HasSubstr(":3:1: metadata.project: is other, but "
                              "--project says shop"));
}

TEST_F(CtlTest, WhenPruning_SendsLabels) {
  EXPECT_EQ(
      Ctl({"apply", "--prune", "-l", "app=shop", "-f", File("web.yaml", kWeb)}),
      kExitOk);
  EXPECT_EQ(server_.last_apply().prune_labels().at("app"), "shop");
  EXPECT_EQ(server_.last_apply().prune_project(), "default");
  EXPECT_EQ(Ctl({"apply", "--prune", "-f", File("web.yaml", kWeb)}),
            kExitUsage);
}

TEST_F(CtlTest, WhenApplyWaits_ReturnsWhenAvailable) {
  server_.set_on_apply([this](const v1::Object&) {
    v1::Object now = MakeService("web", 1, 1);
    server_.Put(now);
  });
  EXPECT_EQ(Ctl({"apply", "--wait", "--timeout", "20s", "-f",
                 File("web.yaml", kWeb)}),
            kExitOk)
      << err_;
  EXPECT_THAT(err_, HasSubstr("service web: revision 3 is available, 1 of 1"));
}

TEST_F(CtlTest, WhenRolloutFails_WaitSaysWhyAndExitsWithOne) {
  v1::Object object = MakeService("web", 0, 1);
  v1::Condition& condition =
      *object.mutable_service()->mutable_status()->add_conditions();
  condition.set_type("RolledBack");
  condition.set_status(v1::Condition::TRUE);
  condition.set_message("revision 4 exited with 3");
  server_.Put(object);
  EXPECT_EQ(Ctl({"rollout", "status", "web"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("error: service web: rolled back: revision 4 "
                              "exited with 3\nhint: "));
}

TEST_F(CtlTest, WhenWaitTakesTooLong_ExitsWith124) {
  server_.Put(MakeService("web", 0, 1));
  EXPECT_EQ(Ctl({"wait", "service/web", "--timeout", "200ms"}), kExitTimeout);
  EXPECT_THAT(err_, HasSubstr("timed out: 1 of 1 updated, 0 ready"));
}

TEST_F(CtlTest, WhenWaitingForDeletion_EndsWithIt) {
  server_.Put(MakeService("web", 1, 1));
  std::thread later([this] {
    clock_.Sleep(absl::Milliseconds(50));
    server_.Remove("service", "web");
  });
  EXPECT_EQ(
      Ctl({"wait", "service", "web", "--for", "deleted", "--timeout", "20s"}),
      kExitOk)
      << err_;
  later.join();
}

TEST_F(CtlTest, WhenWatchBreaks_WaitGoesOn) {
  server_.Put(MakeService("web", 1, 1));
  server_.FailNext("Watch",
                   grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "too old"));
  EXPECT_EQ(Ctl({"wait", "service", "web", "--timeout", "20s"}), kExitOk)
      << err_;
}

TEST_F(CtlTest, WhenGettingServices_PrintsTheTable) {
  server_.Put(MakeService("web", 2, 3));
  server_.Put(MakeService("api", 1, 1));
  server_.Put(MakeService("db", 1, 1));
  EXPECT_EQ(Ctl({"get", "svc"}), kExitOk);
  EXPECT_EQ(
      out_,
      "NAME   READY   UP-TO-DATE   AVAILABLE   REVISION   PORTS            "
      "AGE   STATUS\n"
      "api    1/1     1            1           3          127.0.0.1:8080   "
      "-     Available\n"
      "db     1/1     1            1           3          127.0.0.1:8080   "
      "-     Available\n"
      "web    2/3     3            2           3          127.0.0.1:8080   "
      "-     Progressing\n");
  EXPECT_EQ(Ctl({"get", "svc", "-o", "name"}), kExitOk);
  EXPECT_EQ(out_, "service/api\nservice/db\nservice/web\n");
}

TEST_F(CtlTest, WhenGettingReplicas_PrintsTheTable) {
  v1::Object broken = MakeReplica("web", 1);
  broken.mutable_replica()->mutable_status()->set_state(
      v1::ReplicaStatus::FAILED);
  broken.mutable_replica()->mutable_status()->set_ready(false);
  broken.mutable_replica()->mutable_status()->set_reason("Error");
  broken.mutable_replica()->mutable_status()->set_message("exit status 3");
  server_.Put(MakeReplica("web", 0));
  server_.Put(broken);
  server_.Put(MakeReplica("other", 0));
  EXPECT_EQ(Ctl({"get", "replicas", "--service", "web"}), kExitOk);
  EXPECT_EQ(
      out_,
      "NAME          SLOT   REVISION   STATE     READY   ADDRESS    RESTARTS   "
      "AGE   MESSAGE\n"
      "web-0-abcde   0      3          running   yes     10.1.0.2   0          "
      "-     -\n"
      "web-1-abcde   1      3          failed    no      10.1.0.3   0          "
      "-     Error: exit status 3\n");
}

TEST_F(CtlTest, WhenGettingOne_PrintsYamlOrJson) {
  server_.Put(MakeService("web", 1, 1));
  EXPECT_EQ(Ctl({"get", "service/web", "-o", "yaml"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("readyReplicas: 1"));
  EXPECT_EQ(Ctl({"get", "service", "web", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_[0], '{');
  EXPECT_EQ(Ctl({"get", "service", "-o", "json"}), kExitOk);
  EXPECT_EQ(out_[0], '[');
  EXPECT_EQ(Ctl({"get", "service", "web", "-o", "manifest"}), kExitOk);
  EXPECT_THAT(out_, Not(HasSubstr("status")));
  EXPECT_EQ(Ctl({"get", "service", "web", "-o", "xml"}), kExitUsage);
}

TEST_F(CtlTest, WhenOneIsMissing_PrintsTheOthersAndFails) {
  server_.Put(MakeService("web", 1, 1));
  EXPECT_EQ(Ctl({"get", "service", "web", "gone"}), kExitError);
  EXPECT_THAT(out_, HasSubstr("web"));
  EXPECT_EQ(err_, "error: get service gone: there is none\n");
  EXPECT_EQ(Ctl({"get", "volumes"}), kExitOk);
  EXPECT_EQ(err_, "no volumes in project default\n");
}

TEST_F(CtlTest, WhenWaitingForAMissingSecret_SaysWhich) {
  v1::Object service = MakeService("web", 0, 1);
  v1::Condition& condition =
      *service.mutable_service()->mutable_status()->add_conditions();
  condition.set_type("InputsReady");
  condition.set_status(v1::Condition::FALSE);
  condition.set_message("waits for secret db, which does not exist");
  server_.Put(service);
  EXPECT_EQ(Ctl({"wait", "service/web", "--timeout", "100ms"}), kExitTimeout);
  EXPECT_THAT(err_, HasSubstr("0 available; waits for secret db"));
}

TEST_F(CtlTest, WhenWatching_PrintsChangesUntilTheTimeout) {
  server_.Put(MakeService("web", 0, 1));
  std::thread later([this] {
    clock_.Sleep(absl::Milliseconds(100));
    server_.Put(MakeService("web", 1, 1));
  });
  EXPECT_EQ(Ctl({"get", "service", "web", "-w", "--timeout", "2s"}),
            kExitTimeout);
  later.join();
  EXPECT_THAT(out_, HasSubstr("web    0/1"));
  EXPECT_THAT(out_, HasSubstr("web    1/1"));
}

TEST_F(CtlTest, WhenDeleted_SaysSo) {
  server_.Put(MakeService("web", 1, 1));
  server_.Put(MakeService("api", 1, 1));
  EXPECT_EQ(Ctl({"delete", "service", "web", "--dry-run"}), kExitOk);
  EXPECT_EQ(out_, "service web deleted (dry run)\n");
  EXPECT_EQ(Ctl({"delete", "service/web"}), kExitOk);
  EXPECT_EQ(Ctl({"delete", "service", "web"}), kExitError);
  EXPECT_EQ(Ctl({"delete", "service", "web", "api", "--ignore-not-found"}),
            kExitOk)
      << err_;
  EXPECT_EQ(out_, "service api deleted\n");
  EXPECT_EQ(Ctl({"delete", "services"}), kExitUsage);
}

TEST_F(CtlTest, WhenDeletedByManifest_TakesItsObjects) {
  server_.Put(MakeService("web", 1, 1));
  EXPECT_EQ(Ctl({"delete", "-f", File("web.yaml", kWeb), "--wait"}), kExitOk)
      << err_;
  EXPECT_EQ(Ctl({"get", "service", "web"}), kExitError);
}

TEST_F(CtlTest, WhenDescribing_TellsStateReplicasAndEvents) {
  v1::Object service = MakeService("web", 0, 1);
  v1::Condition& condition =
      *service.mutable_service()->mutable_status()->add_conditions();
  condition.set_type("ImageResolved");
  condition.set_status(v1::Condition::FALSE);
  condition.set_reason("ImageNotFound");
  condition.set_message("nginx:1.27 is in no registry");
  server_.Put(service);
  server_.Put(MakeReplica("web", 0));
  v1::Object event;
  event.mutable_event()->mutable_metadata()->set_name("e1");
  event.mutable_event()->mutable_subject()->set_kind("service");
  event.mutable_event()->mutable_subject()->set_name("web");
  event.mutable_event()->set_reason("Applied");
  server_.Put(event);
  EXPECT_EQ(Ctl({"describe", "service", "web"}), kExitOk) << err_;
  for (const char* part :
       {"Name:           web\n", "Status:         ImageNotFound\n",
        "Message:        nginx:1.27 is in no registry\n", "Replicas:\n",
        "web-0-abcde", "Applied", "image: nginx:1.27"}) {
    EXPECT_THAT(out_, HasSubstr(part));
  }
}

TEST_F(CtlTest, WhenAVolumeIsCreated_WarningsArePrinted) {
  server_.set_warnings({"it holds up to 1Ti"});
  EXPECT_EQ(Ctl({"volume", "create", "v", "--driver", "tmpfs"}), kExitOk);
  EXPECT_EQ(err_, "warning: it holds up to 1Ti\n");
}

TEST_F(CtlTest, WhenScalingStoppingAndUndoing_CallsTheServer) {
  EXPECT_EQ(Ctl({"scale", "web", "3"}), kExitOk);
  EXPECT_EQ(Ctl({"scale", "web=1", "api=2"}), kExitOk);
  EXPECT_EQ(Ctl({"scale", "service/web", "--replicas", "4"}), kExitOk);
  EXPECT_EQ(Ctl({"stop", "web"}), kExitOk);
  EXPECT_EQ(Ctl({"start", "web"}), kExitOk);
  EXPECT_EQ(Ctl({"rollout", "undo", "web", "--to-revision", "2"}), kExitOk);
  EXPECT_THAT(
      server_.calls(),
      ElementsAre("Scale web 3", "Scale web 1", "Scale api 2", "Scale web 4",
                  "Stop web", "Start web", "Undo web 2"));
  EXPECT_EQ(Ctl({"scale", "web", "many"}), kExitUsage);
  EXPECT_EQ(Ctl({"scale", "volume/web", "1"}), kExitUsage);
}

TEST_F(CtlTest, WhenHistory_ListsRevisionsInOrder) {
  server_.Put(MakeService("web", 1, 1));
  for (int number : {10, 3, 9}) {
    v1::Object object;
    v1::Revision& revision = *object.mutable_revision();
    revision.mutable_metadata()->set_name(absl::StrCat("web-", number));
    revision.set_service("web");
    revision.set_number(number);
    revision.set_good(number == 9);
    revision.mutable_template_()->add_containers()->set_image("i");
    server_.Put(object);
  }
  EXPECT_EQ(Ctl({"rollout", "history", "web"}), kExitOk);
  EXPECT_EQ(out_,
            "REVISION   STATE     IMAGES   BY   AGE   FAILURE\n"
            "3          current   i        -    -     -\n"
            "9          good      i        -    -     -\n"
            "10         -         i        -    -     -\n");
}

TEST_F(CtlTest, WhenCommandLineIsWrong_ExitsWithTwo) {
  EXPECT_EQ(Ctl({"aply"}), kExitUsage);
  EXPECT_EQ(err_, "error: \"aply\" is no command; did you mean apply?\n");
  EXPECT_EQ(Ctl({"get"}), kExitUsage);
  EXPECT_EQ(Ctl({"get", "servcies"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("did you mean services?"));
  EXPECT_EQ(Ctl({"get", "svc", "--timeout", "10"}), kExitUsage);
  EXPECT_EQ(Ctl({}), kExitUsage);
  EXPECT_EQ(Ctl({"--help"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("Exit status: 0 success"));
}

TEST_F(CtlTest, WhenNoDaemon_SaysWhatToDo) {
  const std::string path = dir_ / "none.sock";
  EXPECT_EQ(CtlAnywhere({"--socket", "unix://" + path, "version"}), kExitError);
  EXPECT_THAT(err_,
              HasSubstr(absl::StrCat("error: connect to bulwarkd at ", path,
                                     ": there is no such socket\n"
                                     "hint: start the daemon")));
  // A socket that nobody listens on.
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  EXPECT_EQ(CtlAnywhere({"--socket", path, "version"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("nobody listens there\nhint: "));
}

TEST_F(CtlTest, WhenVersionAndExplain_PrintThem) {
  EXPECT_EQ(Ctl({"version"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("bulwarkd  1.2.3, instance bulwark, pid 42"));
  EXPECT_EQ(Ctl({"explain", "service.spec.rollout.maxSurge"}), kExitOk);
  EXPECT_EQ(out_,
            "service.spec.rollout.maxSurge  <number>\n"
            "  Replicas above the declared count during a rollout. Default "
            "1.\n");
  // Words of the API are said in a user's.
  EXPECT_EQ(Ctl({"explain", "secret.spec.sealedValue"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("<text>, never given back\n  The value sealed"));
  EXPECT_EQ(Ctl({"explain", "service.metadata.name"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("required, cannot change\n  Unique among"));
  EXPECT_EQ(Ctl({"explain", "replica"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("Replica  made by the server\n  One execution"));
  EXPECT_EQ(Ctl({"explain", "secret"}), kExitOk);
  EXPECT_THAT(out_, Not(HasSubstr("_ONLY")));
  EXPECT_EQ(Ctl({"explain", "service.spec.image"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("required"));
  EXPECT_EQ(Ctl({"explain", "service.spec.ports[0]"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("Short: \"8080:80\""));
  EXPECT_EQ(Ctl({"explain", "service.spec.prots"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("did you mean ports?"));
}

TEST_F(CtlTest, WhenCompletion_NamesEveryVerb) {
  EXPECT_EQ(Ctl({"completion", "bash"}), kExitOk);
  for (const char* word :
       {"apply", "rollout", "--dry-run", "services", "status history undo"}) {
    EXPECT_THAT(out_, HasSubstr(word));
  }
  // And a shell takes it.
  const std::string script = File("completion.bash", out_);
  auto complete = [&](absl::string_view words, int index) {
    const std::string line = absl::StrCat(
        "bash -c 'source ", script, " && COMP_WORDS=(ctl ", words,
        ") COMP_CWORD=", index, " && _ctl && echo ${COMPREPLY[@]}'");
    FILE* pipe = popen(line.c_str(), "r");
    std::string text(1024, '\0');
    text.resize(fread(text.data(), 1, text.size(), pipe));
    return pclose(pipe) == 0 ? text : "failed";
  };
  EXPECT_EQ(complete("ro", 1), "rollout\n");
  EXPECT_EQ(complete("rollout hi", 2), "history\n");
  EXPECT_EQ(complete("get sec", 2), "secrets\n");
  EXPECT_EQ(complete("apply --dr", 2), "--dry-run\n");
  EXPECT_EQ(Ctl({"completion", "fish"}), kExitUsage);
}

}  // namespace
}  // namespace bulwark::ctl::testing
