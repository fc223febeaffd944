// Manifests that cannot be: each is refused as a whole, with the place, the
// cause and the remedy, and nothing else notices.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/unique_fd.h"
#include "tests/e2e/bad_suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class BadInputTest : public BadSuite {
 protected:
  static void SetUpTestSuite() { OpenWithAnchor("e2ebadin"); }
  static void TearDownTestSuite() { CloseAll(); }

  void TearDown() override {
    // All or nothing: it was nothing.
    EXPECT_EQ(Services(), "service/anchor\n");
    BadSuite::TearDown();
  }

  // Applies `text` as bad.yaml, behind a good service; IMAGE is one that there
  // is. What ctl says.
  static std::string Refused(const std::string& text) {
    return RefusedAlone(absl::StrReplaceAll(
        "kind: Service\nname: good\nimage: IMAGE\n---\n" + text,
        {{"IMAGE", busybox()}}));
  }
  static std::string RefusedAlone(const std::string& text) {
    WriteFile(File(), text);
    return CtlFails({"apply", "-f", File()}).err;
  }
  static std::string File() { return world().Path("bad.yaml"); }
};

struct Case {
  const char* text;
  // What ctl says of it: the line and column, then the rest.
  const char* place;
  const char* message;
};

// The good service takes four lines.
const Case kFields[] = {
    {"kind: Service\nname: web\nimage: IMAGE\ncolour: blue\n", "8:1",
     "spec.colour: unknown field; `ctl explain service.spec` lists what there "
     "is"},
    {"kind: Service\nname: web\nimage: IMAGE\nreplcias: 2\n", "8:1",
     "spec.replcias: unknown field; did you mean replicas?"},
    {"kind: Service\nname: web\nimage: IMAGE\nrollout: {maxSurg: 1}\n", "8:11",
     "spec.rollout.maxSurg: unknown field; did you mean maxSurge?"},
    {"kind: Servise\nname: web\nimage: IMAGE\n", "5:7",
     "kind: \"Servise\" is unknown; did you mean Service?"},
    {"name: web\nimage: IMAGE\n", "5:1", "kind: is missing; kinds are Service"},
    {"kind: Service\nname: web\nimage: IMAGE\nreplicas: many\n", "8:11",
     "spec.replicas: \"many\" is not a whole number"},
    {"kind: Service\nname: web\nimage: IMAGE\nreplicas: -1\n", "8:1",
     "spec.replicas: is negative; use 0 or more"},
    {"kind: Service\nname: web\nimage: IMAGE\nports: 8080\n", "8:8",
     "spec.ports: must be a list, not a single value; write ["},
    {"kind: Service\nname: web\nimage: IMAGE\nports: [\"99999:80\"]\n", "8:9",
     "is not a port"},
    {"kind: Service\nname: web\nimage: IMAGE\nstop: {timeout: soon}\n", "8:17",
     "spec.stop.timeout: \"soon\" is not a duration such as 500ms"},
    {"kind: Service\nname: web\nimage: IMAGE\nresources: {memory: 1Ki}\n",
     "8:13", "is below 4Mi; allow at least 4Mi"},
    {"kind: Service\nname: web\nimage: IMAGE\nreplicas: 1\nreplicas: 2\n",
     "9:1", "replicas: given twice; first in line 8"},
    {"kind: Service\nname: Web Shop\nimage: IMAGE\n", "6:1",
     "metadata.name: \"Web Shop\" is not a name; use a to z"},
    {"kind: Service\nname: web\nimage: 'in valid'\n", "7:1",
     "spec.containers[0].image"},
    {"kind: Service\nname: web\n", "5:1",
     "spec.containers: is missing; give it, or image"},
    {"kind: Service\nname: web\nimage: IMAGE\nworkingDir: a/b\n", "8:1",
     "spec.containers[0].workingDir"},
};

TEST_F(BadInputTest, WhenAFieldIsWrong_SaysWhereWhyAndWhatInstead) {
  for (const Case& c : kFields) {
    EXPECT_THAT(Refused(c.text),
                HasSubstr(absl::StrCat("error: ", File(), ":", c.place, ": ")))
        << c.text;
    EXPECT_THAT(Refused(c.text), HasSubstr(c.message));
  }
}

const Case kObjects[] = {
    {"kind: Service\nname: web\nimage: IMAGE\n---\n"
     "kind: Service\nname: web\nimage: IMAGE\n",
     "10:1", "service web is given twice; first at "},
    {"kind: Service\nname: a\nimage: IMAGE\ndependsOn: {b: healthy}\n---\n"
     "kind: Service\nname: b\nimage: IMAGE\ndependsOn: {a: started}\n",
     "8:1",
     "spec.dependsOn: depends on itself: a \u2192 b \u2192 a; take one of the "
     "dependencies out"},
    {"kind: Service\nname: web\nimage: IMAGE\ndependsOn: {nobody: healthy}\n",
     "8:13",
     "there is no service \"nobody\" in project default; declare it in the "
     "same apply, or mend the name"},
    {"kind: Service\nname: a\nimage: IMAGE\nports: [\"8090:80\"]\n---\n"
     "kind: Service\nname: b\nimage: IMAGE\nports: [\"8090:80\"]\n",
     "13:9", "host port 8090 belongs to service a; use another hostPort"},
    {"kind: Service\nname: web\nimage: IMAGE\nports: [\"8080:80\"]\n", "8:9",
     "host port 8080 belongs to service anchor; use another hostPort"},
    {"kind: Service\nname: web\nimage: IMAGE\nnetwork: nowhere\n", "8:1",
     "there is no network nowhere in project default; declare it in the same "
     "apply"},
};

TEST_F(BadInputTest, WhenObjectsContradictEachOther_NoneIsApplied) {
  for (const Case& c : kObjects) {
    EXPECT_THAT(Refused(c.text),
                HasSubstr(absl::StrCat("error: ", File(), ":", c.place, ": ")))
        << c.text;
    EXPECT_THAT(Refused(c.text), HasSubstr(c.message));
  }
}

std::string Repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST_F(BadInputTest, WhenTheFileIsHugeOrDeep_SaysSoInTime) {
  const std::string head = "kind: Service\nname: web\nimage: x\nenv: ";
  const absl::Time start = WallNow();
  EXPECT_THAT(RefusedAlone(head + Repeat("{a: ", 200) + Repeat("}", 200)),
              HasSubstr("nested more than 64 levels deep"));
  for (const char* bracket : {"[", "{a: ", "? "}) {
    const std::string err = RefusedAlone(Repeat(bracket, 100000));
    EXPECT_THAT(err, HasSubstr("nested more than 64 levels deep"));
    EXPECT_THAT(err, Not(HasSubstr("not YAML"))) << "that is not the cause";
  }
  EXPECT_THAT(RefusedAlone("#" + std::string(5 << 20, 'x')),
              HasSubstr("larger than 4 MiB; is it a manifest? Then split it"));
  EXPECT_THAT(RefusedAlone(Repeat("kind: Service\n---\n", 1100)),
              HasSubstr("more than 1000 documents; split it"));
  EXPECT_THAT(RefusedAlone(absl::StrCat(
                  "kind: Service\nname: web\nimage: ", busybox(),
                  "\nenv: {A: ", std::string(3 << 20, 'v'), "}\n")),
              HasSubstr(":1:1: the object is larger than 1 MiB"));
  // A billion laughs.
  std::string laughs = "kind: Service\nname: web\nx-0: &a0 [x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    absl::StrAppend(&laughs, "x-", i, ": &a", i, " [",
                    Repeat(absl::StrCat("*a", i - 1, ", "), 9), "]\n");
  }
  EXPECT_THAT(RefusedAlone(laughs + "image: x\ncommand: *a11\n"),
              HasSubstr("error: "));
  EXPECT_LT(WallNow() - start, absl::Seconds(40));
}

TEST_F(BadInputTest, WhenTheFileIsNoManifest_SaysWhatItIs) {
  std::string garbage;
  for (int i = 0; i < 4000; ++i) garbage.push_back(static_cast<char>(i * 37));
  EXPECT_THAT(RefusedAlone(garbage),
              HasSubstr(absl::StrCat(
                  "error: ", File(),
                  ":1:5: not UTF-8 text; is it a manifest? Then save it as")));
  EXPECT_THAT(RefusedAlone("kind: Service\n\tname: web\n"),
              HasSubstr(absl::StrCat(File(), ":2:1: not YAML: ")));
  EXPECT_THAT(RefusedAlone("just some text\n"),
              HasSubstr(":1:1: a document must be a mapping, not a single "
                        "value; start with \"kind: Service\""));
  // Nothing of it reaches the terminal as it is.
  EXPECT_THAT(RefusedAlone("kind: \"\\e[31mred\\a\"\nname: web\n"),
              AllOf(HasSubstr("\\x1b[31mred\\x07"), Not(HasSubstr("\x1b"))));
  for (const char* text : {"", "# a comment\n", "---\n---\n"}) {
    EXPECT_THAT(
        RefusedAlone(text),
        AllOf(HasSubstr(absl::StrCat("error: read ", File(),
                                     ": no object is declared there\n")),
              HasSubstr("hint: a manifest begins with")));
  }
}

TEST_F(BadInputTest, WhenThereIsNoFile_SaysWhere) {
  EXPECT_THAT(CtlFails({"apply", "-f", world().Path("none.yaml")}).err,
              AllOf(HasSubstr("none.yaml: No such file or directory"),
                    HasSubstr("hint: look at the path")));
  const std::string folder = world().Path("folder");
  std::filesystem::create_directories(folder);
  WriteFile(folder + "/readme.txt", "nothing");
  EXPECT_THAT(CtlFails({"apply", "-f", folder}).err,
              HasSubstr("folder: the folder has no .yaml, .yml or .json file"));
  // One bad file of a folder is enough to refuse the rest.
  WriteFile(folder + "/1-good.yaml",
            absl::StrCat("kind: Service\nname: good\nimage: ", busybox()));
  WriteFile(folder + "/2-bad.yaml", "kind: Service\nname: bad\nimage: x\nx: 1");
  EXPECT_THAT(CtlFails({"apply", "-f", folder}).err,
              HasSubstr("2-bad.yaml:4:1: spec.x: unknown field"));
}

TEST_F(BadInputTest, WhenAForeignProgramHoldsTheHostPort_OpensItWhenItIsFree) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(8099);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)),
            0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  const std::string manifest =
      absl::StrCat("kind: Service\nname: taken\nimage: ", busybox(),
                   "\ncommand: [httpd, -f, -p, '80', -h, /etc]\n"
                   "ports: ['8099:80']\nstop: {timeout: 1s}\n"
                   "health: {tcp: ':80', period: 200ms}\n"
                   "rollout: {minHealthyTime: 100ms}\n");
  const Result late =
      world().Ctl({"apply", "-f", "-", "--wait", "--timeout", "3s"},
                  absl::Seconds(30), manifest);
  EXPECT_EQ(late.code, 124) << late.ToString();
  EXPECT_THAT(late.err, HasSubstr("another program holds the port"));

  EXPECT_EQ(AwaitCondition(world(), "taken", "PortsOpen", "FALSE",
                           {"PortInUse", "127.0.0.1:8099", "another program",
                            "ss -ltunp", "choose another hostPort"}),
            "");
  EXPECT_THAT(Describe(world(), "taken"), HasSubstr("PortInUse"));
  EXPECT_TRUE(world().AwaitReady("taken", 1));
  listener.Reset();

  EXPECT_EQ(AwaitCondition(world(), "taken", "PortsOpen", "TRUE", {}), "");
  EXPECT_TRUE(Eventually([] { return Answers(8099); }));
  EXPECT_TRUE(world()
                  .Ctl({"apply", "-f", "-", "--wait", "--timeout", "20s"},
                       absl::Seconds(30), manifest)
                  .ok());
  Delete({"taken"});
}

}  // namespace
}  // namespace bulwark::e2e
