#include "ctl/why/why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"

namespace bulwark::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using State = v1::ReplicaStatus;

constexpr int64_t kNow = 1893456000;  // 2030-01-01T00:00:00Z

void Set(google::protobuf::Timestamp* time, int64_t seconds_ago) {
  time->set_seconds(kNow - seconds_ago);
}

// Sentences about one service, "web", of the project "default".
class World {
 public:
  World() {
    facts.now = absl::FromUnixSeconds(kNow);
    v1::Service& web = facts.service;
    web.mutable_metadata()->set_name("web");
    web.mutable_metadata()->set_generation(1);
    web.mutable_spec()->add_containers()->set_image("shop:1.4");
    v1::ServiceStatus& status = *web.mutable_status();
    status.set_observed_generation(1);
    status.set_desired_replicas(1);
    status.set_revision(1);
  }

  World& Healthy() {
    v1::ServiceStatus& status = *facts.service.mutable_status();
    status.set_replicas(1);
    status.set_ready_replicas(1);
    status.set_updated_replicas(1);
    status.set_available_replicas(1);
    return *this;
  }
  World& Condition(const char* type, bool value, const char* reason,
                   const char* message, int64_t ago = 5) {
    v1::Condition& c = *facts.service.mutable_status()->add_conditions();
    c.set_type(type);
    c.set_status(value ? v1::Condition::TRUE : v1::Condition::FALSE);
    c.set_reason(reason);
    c.set_message(message);
    Set(c.mutable_last_transition_time(), ago);
    return *this;
  }
  v1::ReplicaStatus& Replica(const char* name, State::State state,
                             int64_t revision = 1) {
    v1::Replica& r = facts.replicas.emplace_back();
    r.mutable_metadata()->set_name(name);
    r.mutable_spec()->set_revision(revision);
    r.mutable_status()->set_state(state);
    return *r.mutable_status();
  }
  World& Failed(const char* name, const char* reason, const char* message,
                int64_t ago, int64_t ran = 2) {
    v1::ReplicaStatus& s = Replica(name, State::FAILED);
    s.set_reason(reason);
    s.set_message(message);
    Set(s.mutable_start_time(), ago + ran);
    Set(s.mutable_finish_time(), ago);
    return *this;
  }
  World& Event(const char* reason, const char* message, int64_t ago,
               bool warning = false) {
    v1::Event& e = facts.events.emplace_back();
    e.set_reason(reason);
    e.set_message(message);
    e.set_count(1);
    e.set_severity(warning ? v1::Event::WARNING : v1::Event::NORMAL);
    Set(e.mutable_last_time(), ago);
    Set(e.mutable_first_time(), ago);
    return *this;
  }
  v1::Revision& Revision(int64_t number, int64_t ago) {
    v1::Revision& r = facts.revisions.emplace_back();
    r.set_service("web");
    r.set_number(number);
    (*r.mutable_image_digests())["shop:1.4"] =
        "sha256:0123456789abcdef0123456789abcdef";
    Set(r.mutable_metadata()->mutable_create_time(), ago);
    return r;
  }

  WhyFacts facts;
};

std::string Lines(const std::vector<Moment>& moments) {
  std::string out;
  for (const Moment& m : moments) {
    absl::StrAppend(&out, kNow - absl::ToUnixSeconds(m.time),
                    m.bad ? "! " : " ", m.word, ": ", m.text, "\n");
  }
  return out;
}

TEST(WhyTest, GoldenStoryOfACrashLoop) {
  World world;
  world.facts.service.mutable_status()->set_revision(2);
  world.facts.service.mutable_status()->set_last_good_revision(1);
  v1::Revision& revision = world.Revision(2, 60);
  revision.mutable_actor()->set_name("alice");
  v1::InputVersion& input = *revision.mutable_template_()->add_inputs();
  input.set_kind("secret");
  input.set_name("db-password");
  input.set_version(2);
  v1::Object secret;
  secret.mutable_secret()->mutable_metadata()->set_name("db-password");
  secret.mutable_secret()->mutable_metadata()->set_project("default");
  for (int version : {1, 2}) {
    v1::ValueVersion& v =
        *secret.mutable_secret()->mutable_status()->add_versions();
    v.set_version(version);
    v.mutable_actor()->set_name("bob");
    Set(v.mutable_create_time(), version == 1 ? 9000 : 70);
  }
  world.facts.inputs.push_back(secret);
  world.Event("Applied", "service web was configured", 61)
      .Event("RevisionCreated", "revision 2 is recorded", 60)
      .Event("RolloutStarted", "revision 2 is being rolled out to 1 replica",
             59)
      .Event("ReplicaFailed", "web-0-aaaaa failed (OOMKilled): x", 40, true)
      .Failed("web-0-aaaaa", "OOMKilled", "web was killed: out of memory", 40)
      .Failed("web-0-bbbbb", "Error",
              "web exited with status 1; last log lines: no config | bye", 10)
      .Condition("CrashLoop", true, "CrashLoop",
                 "web-0-bbbbb failed, as did 3 before it in its slot: web "
                 "exited with status 1; last log lines: no config | bye");
  world.facts.replicas[0].mutable_status()->add_containers()->set_name("web");
  world.facts.replicas[0]
      .mutable_status()
      ->mutable_containers(0)
      ->set_oom_killed(true);
  world.facts.replicas[0]
      .mutable_status()
      ->mutable_containers(0)
      ->set_exit_code(137);
  Set(world.facts.replicas[0]
          .mutable_status()
          ->mutable_containers(0)
          ->mutable_finish_time(),
      40);
  EXPECT_EQ(
      WhyText(world.facts, {}, {}),
      "service web is CrashLoop: web-0-bbbbb failed, as did 3 before it in its "
      "slot: web exited with status 1\n"
      "what to do: see its last log lines below; mend the image or its "
      "configuration, and apply again; ctl rollout undo web goes back to "
      "revision 1\n"
      "\n"
      "replicas   0 ready of 1\n"
      "revision   2: image shop:1.4 (sha256:0123456789ab), secret db-password "
      "version 2\n"
      "\n"
      "TIME                   AGO   WHAT             MESSAGE\n"
      "2029-12-31T21:30:00Z   2h    NewValue         secret db-password "
      "version "
      "1, by bob\n"
      "2029-12-31T23:58:50Z   70s   NewValue         secret db-password "
      "version "
      "2, by bob\n"
      "2029-12-31T23:58:59Z   61s   Applied          service web was "
      "configured\n"
      "2029-12-31T23:59:00Z   60s   Revision         revision 2: image "
      "shop:1.4 "
      "(sha256:0123456789ab), secret db-password version 2, by alice\n"
      "2029-12-31T23:59:01Z   59s   RolloutStarted   revision 2 is being "
      "rolled "
      "out to 1 replica\n"
      "2029-12-31T23:59:20Z   40s   OOMKilled        web-0-aaaaa ended after "
      "2s: web was killed: out of memory [web out of memory, status 137]\n"
      "2029-12-31T23:59:50Z   10s   Error            web-0-bbbbb ended after "
      "2s: web exited with status 1\n"
      "\n"
      "Last log lines of web-0-bbbbb (ended 10s ago):\n"
      "  no config\n"
      "  bye\n");
}

TEST(WhyTest, TheVerdictSaysTheCauseAndWhatToDo) {
  const struct {
    const char* name;
    std::function<void(World&)> make;
    const char* state;
    const char* cause;
    const char* remedy;
  } kCases[] = {
      {"well", [](World& w) { w.Healthy(); }, "Available",
       "1 of 1 replicas are ready", ""},
      {"stopped",
       [](World& w) { w.facts.service.mutable_spec()->set_stopped(true); },
       "Stopped", "declared as stopped", "ctl start web"},
      {"no replicas",
       [](World& w) {
         w.facts.service.mutable_status()->set_desired_replicas(0);
       },
       "Idle", "no replica", "ctl scale web 1"},
      {"image",
       [](World& w) {
         w.Condition("ImageResolved", false, "ImageNotFound",
                     "pull shop:1.4: no such image");
       },
       "ImageNotFound", "no such image", "ctl pull shop:1.4"},
      {"a missing secret",
       [](World& w) {
         w.Condition("InputsReady", false, "Missing",
                     "waits for secret db, which does not exist");
       },
       "Missing", "waits for secret db", "make what is missing"},
      {"sealed, while it runs",
       [](World& w) {
         w.Healthy().Condition("InputsReady", false, "Sealed",
                               "the secrets are sealed: no key file");
       },
       "Sealed", "no key file", "ctl secret unseal"},
      {"credentials",
       [](World& w) {
         w.Condition("ImageResolved", false, "Unauthenticated",
                     "pull shop:1.4: who are you");
       },
       "Unauthenticated", "who are you", "ctl login"},
      {"dependency",
       [](World& w) {
         w.facts.service.mutable_spec()->add_depends_on()->set_service("db");
         w.Condition("DependenciesReady", false, "Waiting",
                     "service db is not healthy");
       },
       "Waiting", "db is not healthy", "ctl why db"},
      {"memory",
       [](World& w) {
         w.facts.service.mutable_spec()
             ->mutable_containers(0)
             ->mutable_resources()
             ->mutable_memory()
             ->set_limit(64 << 20);
         w.Failed("web-0-a", "OOMKilled", "web was killed: out of memory", 3)
             .Condition("CrashLoop", true, "CrashLoop", "web-0-a failed");
       },
       "CrashLoop", "web-0-a failed",
       "raise resources.memory.limit (now 64Mi)"},
      {"launch",
       [](World& w) {
         w.Failed("web-0-a", "LaunchFailed", "could not be started", 3)
             .Condition("CrashLoop", true, "CrashLoop", "web-0-a failed");
       },
       "CrashLoop", "", "correct the command"},
      {"probe",
       [](World& w) {
         w.Replica("web-0-a", State::RUNNING)
             .set_probe_message("http :80/healthz: 503");
         w.Condition("Progressing", true, "RollingOut", "0 of 1");
       },
       "Progressing", "web-0-a is not ready: http :80/healthz: 503",
       "its probe must succeed"},
      {"rolled back",
       [](World& w) {
         w.Condition("RolledBack", true, "RolloutFailed",
                     "revision 2 failed and is not tried again (crash loop: 3; "
                     "last log lines: a | b); revision 1 runs instead. Apply a "
                     "changed template to go on");
       },
       "RolledBack",
       "revision 2 failed and is not tried again (crash loop: 3); revision 1 "
       "runs instead",
       "ctl rollout history web"},
      {"rolled back to another value",
       [](World& w) {
         w.Condition("RolledBack", true, "RolloutFailed",
                     "revision 2 failed and is not tried again (crash loop: 3; "
                     "last log lines: a | b); revision 1 runs instead, with "
                     "version 1 of secret db instead of 2. To go on, set "
                     "another value (ctl secret set db), or whatever");
       },
       "RolledBack",
       "revision 2 failed and is not tried again (crash loop: 3); revision 1 "
       "runs instead, with version 1 of secret db instead of 2",
       "the last good revision serves, with the older value: set another value "
       "(ctl secret set db), or whatever"},
      {"port",
       [](World& w) {
         w.Condition("PortsOpen", false, "PortInUse", "port 80 is in use");
       },
       "PortInUse", "port 80 is in use", "ctl doctor"},
      {"shutdown",
       [](World& w) {
         w.Condition("Available", false, "HostShutdown",
                     "stopped for the host's shutdown");
       },
       "HostShutdown", "stopped", "systemctl restart bulwarkd"},
      {"new",
       [](World& w) {
         w.facts.service.mutable_status()->set_observed_generation(0);
       },
       "Pending", "0 of 1 replicas are ready", "wait"},
  };
  for (const auto& c : kCases) {
    World world;
    c.make(world);
    const Verdict verdict = Judge(world.facts);
    EXPECT_EQ(verdict.state, c.state) << c.name;
    EXPECT_THAT(verdict.cause, HasSubstr(c.cause)) << c.name;
    EXPECT_THAT(verdict.remedy, HasSubstr(c.remedy)) << c.name;
    EXPECT_EQ(verdict.remedy.empty(), *c.remedy == '\0') << c.name;
  }
}

TEST(WhyTest, TheCulpritIsTheLastToFail) {
  World world;
  EXPECT_EQ(Culprit(world.facts), nullptr);
  world.Replica("ready", State::RUNNING).set_ready(true);
  EXPECT_EQ(Culprit(world.facts), nullptr);
  world.Replica("starting", State::STARTING);
  EXPECT_EQ(Culprit(world.facts)->metadata().name(), "starting");
  world.Failed("older", "Error", "x", 100).Failed("newer", "Error", "x", 10);
  EXPECT_EQ(Culprit(world.facts)->metadata().name(), "newer");
  // A new revision that does not get ready is more telling than an old crash.
  world.Replica("unready", State::RUNNING, 2).set_probe_message("refused");
  EXPECT_EQ(Culprit(world.facts)->metadata().name(), "unready");
}

TEST(WhyTest, ARolledBackReplicaIsACulprit) {
  World world;
  v1::ReplicaStatus& s = world.Replica("web-0-a", State::STOPPED, 2);
  s.set_reason("RolledBack");
  Set(s.mutable_finish_time(), 10);
  ASSERT_NE(Culprit(world.facts), nullptr);
  EXPECT_EQ(Culprit(world.facts)->metadata().name(), "web-0-a");
  s.set_reason("ScaledDown");
  EXPECT_EQ(Culprit(world.facts), nullptr);
}

TEST(WhyTest, ARolledBackReplicaTellsWhatWasWrongWithIt) {
  World world;
  v1::ReplicaStatus& s = world.Replica("web-0-a", State::STOPPED, 2);
  s.set_reason("RolledBack");
  s.set_message(
      "its revision was rolled back; it was not ready: refused; last log "
      "lines: no database | giving up");
  Set(s.mutable_finish_time(), 10);
  world.Event("ReplicaRolledBack", "web-0-a has stopped: and so on", 10, true);
  EXPECT_EQ(Lines(Timeline(world.facts)),
            "10! RolledBack: web-0-a was stopped: its revision was rolled "
            "back; it was not ready: refused\n");
  EXPECT_THAT(WhyText(world.facts, {}, WhyForm()),
              HasSubstr("Last log lines of web-0-a (ended 10s ago):\n"
                        "  no database\n  giving up\n"));
}

TEST(WhyTest, WhenTheReplicaIsGone_AnEventHasItsLastWords) {
  World world;
  world.Condition("RolledBack", true, "RolloutFailed", "revision 2 failed")
      .Event("ReplicaFailed", "web-0-a failed (Error): x; last log lines: old",
             30, true)
      .Event("ReplicaRolledBack",
             "web-0-b has stopped: rolled back; last log lines: new | er", 20,
             true)
      .Event("RolledBack", "revision 2 failed; last log lines: x); revision 1",
             10, true);
  EXPECT_THAT(
      WhyText(world.facts, {}, WhyForm()),
      HasSubstr("\nLast log lines of web-0-b (20s ago):\n  new\n  er\n"));
  // Where all is well, that is history.
  World well;
  well.Healthy().Event("ReplicaFailed", "a failed; last log lines: old", 30);
  EXPECT_THAT(WhyText(well.facts, {}, WhyForm()),
              Not(HasSubstr("Last log lines")));
}

TEST(WhyTest, AProbeThatFailsNowIsToldOnce_OnesBeforeToo) {
  World world;
  v1::ReplicaStatus& s = world.Replica("web-0-a", State::RUNNING);
  s.set_probe_message("refused");
  Set(s.mutable_state_time(), 60);
  world.Event("ProbeFailed", "web-0-a is not ready: timed out", 40, true)
      .Event("ProbeFailed", "web-0-a is not ready: refused", 30, true);
  EXPECT_EQ(Lines(Timeline(world.facts)),
            "60! NotReady: web-0-a runs, but is not ready: refused\n"
            "40! ProbeFailed: web-0-a is not ready: timed out\n");
}

TEST(WhyTest, WhatTwoSourcesTellIsToldOnce) {
  World world;
  world.Revision(1, 50);
  world.Event("RevisionCreated", "revision 1 is recorded with digests", 50)
      .Event("RevisionCreated", "revision 10 is recorded with digests", 49)
      .Event("ReplicaFailed", "web-0-a failed (Error): x", 20, true)
      .Event("ReplicaFailed", "web-1-z failed (Error): gone", 19, true)
      .Failed("web-0-a", "Error", "web exited with status 1", 20);
  EXPECT_EQ(Lines(Timeline(world.facts)),
            "50 Revision: revision 1: image shop:1.4 (sha256:0123456789ab)\n"
            "49 RevisionCreated: revision 10 is recorded with digests\n"
            "20! Error: web-0-a ended after 2s: web exited with status 1\n"
            "19! ReplicaFailed: web-1-z failed (Error): gone\n");
}

TEST(WhyTest, ProbesPortsScalesAndRepeatsAreMoments) {
  World world;
  v1::ReplicaStatus& ready = world.Replica("web-0-a", State::RUNNING);
  ready.set_ready(true);
  Set(ready.mutable_ready_time(), 30);
  v1::ReplicaStatus& unready = world.Replica("web-1-b", State::RUNNING);
  unready.set_probe_message("tcp :80: refused");
  Set(unready.mutable_state_time(), 25);
  world.Condition("PortsOpen", false, "PortInUse", "port 80 is in use", 20);
  v1::Scale scale;
  scale.set_message("2 -> 3: cpu 90% of 70%");
  Set(scale.mutable_last_scale_time(), 15);
  world.facts.scale = scale;
  world.Event("ConnectionsHeld", "2 connections waited", 10);
  world.facts.events[0].set_count(4);
  world.facts.events[0].mutable_actor()->set_name("system");
  EXPECT_EQ(Lines(Timeline(world.facts)),
            "30 Ready: web-0-a is ready (revision 1)\n"
            "25! NotReady: web-1-b runs, but is not ready: tcp :80: refused\n"
            "20! PortInUse: port 80 is in use\n"
            "15 Scaled: 2 -> 3: cpu 90% of 70%\n"
            "10 ConnectionsHeld: 2 connections waited (4 times since "
            "2029-12-31T23:59:50Z)\n");
}

TEST(WhyTest, LongTimelinesAreCutAndHostileLinesArePlain) {
  World world;
  for (int i = 0; i < 40; ++i) {
    world.Event("Applied", "again", 100 - i);
  }
  world.Failed("web-0-a", "Error", "boom", 3);
  const std::string text =
      WhyText(world.facts, {"\x1b[2Jevil\rline"}, WhyForm());
  EXPECT_THAT(text, HasSubstr("(11 earlier ones: --all)"));
  EXPECT_THAT(text, HasSubstr("   [2Jevil line\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(WhyText(world.facts, {}, {.moments = 0}),
              Not(HasSubstr("earlier ones")));
  EXPECT_THAT(WhyText(world.facts, {}, {.color = true}), HasSubstr("\x1b"));
}

}  // namespace
}  // namespace bulwark::ctl
