// Apply, Get, List, Watch and Delete over the socket.
#include <unistd.h>

#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;
using Action = v1::ApplyResult;

class ResourcesTest : public ApiTest {
 protected:
  std::vector<v1::Event> Events() {
    std::vector<v1::Event> events;
    const auto listing = store::ListObjects(store_, "event");
    for (const v1::Object& object : listing->objects) {
      events.push_back(object.event());
    }
    return events;
  }
};

TEST_F(ResourcesTest, WhenApplied_ObjectIsStoredWithDefaultsAndIdentity) {
  ASSERT_OK_AND_ASSIGN(auto response, Apply({Service("web")}));

  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).action(), Action::CREATED);
  ASSERT_OK_AND_ASSIGN(v1::Object stored, Get("service", "web"));
  EXPECT_EQ(stored.SerializeAsString(),
            response.results(0).object().SerializeAsString());
  EXPECT_EQ(stored.service().metadata().generation(), 1);
  EXPECT_EQ(stored.service().metadata().uid().size(), 16);
  EXPECT_EQ(stored.service().spec().containers(0).name(), "web");
  EXPECT_EQ(stored.service().metadata().resource_version(),
            absl::StrCat(response.revision()));
  const std::vector<v1::Event> events = Events();
  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(events[0].reason(), "Applied");
  EXPECT_EQ(events[0].subject().uid(), stored.service().metadata().uid());
  EXPECT_EQ(events[0].actor().uid(), getuid());
  EXPECT_EQ(events[0].actor().pid(), getpid());
  EXPECT_FALSE(events[0].actor().name().empty());
}

TEST_F(ResourcesTest, WhenARecordIsBad_TheOthersAreListedWithAWarning) {
  ASSERT_OK(Apply({Service("a"), Service("b"), Service("c")}));
  const store::Key key = store::ObjectKey("service", "default", "b");
  ASSERT_OK(store_.Commit(store::Batch().Put(key, "\xff\xff")));
  v1::ListRequest request;
  request.set_kind("service");

  grpc::ClientContext context;
  v1::ListResponse response;
  ASSERT_TRUE(v1::Resources::NewStub(channel_)
                  ->List(&context, request, &response)
                  .ok());

  ASSERT_EQ(response.objects_size(), 2);
  EXPECT_EQ(response.objects(1).service().metadata().name(), "c");
  const auto& metadata = context.GetServerInitialMetadata();
  const auto warning = metadata.find("bulwark-warning-bin");
  ASSERT_NE(warning, metadata.end());
  EXPECT_THAT(std::string(warning->second.data(), warning->second.size()),
              HasSubstr("service/default/b"));
}

TEST_F(ResourcesTest, WhenAVolumeInMemoryIsTooLarge_TheHostsRecordTells) {
  v1::Object volume;
  volume.mutable_volume()->mutable_metadata()->set_name("scratch");
  volume.mutable_volume()->mutable_spec()->set_driver(v1::VolumeSpec::TMPFS);
  volume.mutable_volume()->mutable_spec()->set_size(int64_t{2} << 30);
  ASSERT_OK_AND_ASSIGN(auto applied, Apply({volume}));
  EXPECT_EQ(applied.results(0).warnings_size(), 0);
  v1::Object node;
  node.mutable_node()->mutable_metadata()->set_name("local");
  node.mutable_node()->mutable_status()->set_memory(int64_t{1} << 30);
  Put(node);
  ASSERT_OK_AND_ASSIGN(applied, Apply({volume}));
  ASSERT_EQ(applied.results(0).warnings_size(), 1);
  EXPECT_THAT(applied.results(0).warnings(0), HasSubstr("which is 1024Mi"));
}

TEST_F(ResourcesTest, WhenARecordIsBad_NothingOverwritesIt) {
  v1::Object config;
  config.mutable_config()->mutable_metadata()->set_name("conf");
  config.mutable_config()->mutable_spec()->set_value("x");
  ASSERT_OK(Apply({Service("a"), Service("b"), config}));
  const store::Key key = store::ObjectKey("service", "default", "b");
  ASSERT_OK(store_.Commit(store::Batch().Put(key, "\xff\xff")));

  EXPECT_THAT(Get("service", "b"), StatusIs(absl::StatusCode::kDataLoss,
                                            HasSubstr("cannot be read")));
  EXPECT_THAT(Apply({Service("b")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("record of service b cannot be read")));
  EXPECT_THAT(Delete("service", "b"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("cannot be read")));
  // Perhaps it reads this.
  EXPECT_THAT(Delete("config", "conf"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("service/b (perhaps")));
  ASSERT_OK_AND_ASSIGN(const store::Record record, store_.Get(key));
  EXPECT_EQ(record.value, "\xff\xff");

  // The others are as free as ever.
  EXPECT_OK(Apply({Service("a", "nginx:1.28"), Service("new")}));
  EXPECT_OK(Delete("service", "a"));
}

TEST_F(ResourcesTest, WhenARevisionIsBad_NoVersionOfAConfigGoes) {
  v1::Object config;
  config.mutable_config()->mutable_metadata()->set_name("conf");
  ASSERT_OK(store_.Commit(store::Batch().Put(
      store::ObjectKey("revision", "default", "web-1"), "\xff\xff")));
  for (int i = 0; i < 15; ++i) {
    config.mutable_config()->mutable_spec()->set_value(absl::StrCat(i));
    ASSERT_OK(Apply({config}));
  }
  ASSERT_OK_AND_ASSIGN(const v1::Object stored, Get("config", "conf"));
  EXPECT_EQ(stored.config().status().versions_size(), 15);
}

TEST_F(ResourcesTest, WhenNothingChanges_NothingIsWritten) {
  ASSERT_OK(Apply({Service("web")}));
  const uint64_t before = store_.CurrentRevision();

  ASSERT_OK_AND_ASSIGN(auto response, Apply({Service("web")}));

  EXPECT_EQ(response.results(0).action(), Action::UNCHANGED);
  EXPECT_EQ(store_.CurrentRevision(), before);
}

TEST_F(ResourcesTest, WhenOnlyLabelsChange_GenerationStays) {
  ASSERT_OK(Apply({Service("web")}));
  v1::Object labelled = Service("web");
  (*labelled.mutable_service()->mutable_metadata()->mutable_labels())["a"] =
      "b";

  ASSERT_OK_AND_ASSIGN(auto response, Apply({labelled}));

  EXPECT_EQ(response.results(0).action(), Action::CONFIGURED);
  EXPECT_EQ(response.results(0).object().service().metadata().generation(), 1);
}

TEST_F(ResourcesTest, WhenSpecChanges_GenerationGrowsAndStatusStays) {
  ASSERT_OK(Apply({Service("web")}));
  ASSERT_OK_AND_ASSIGN(v1::Object stored, Get("service", "web"));
  stored.mutable_service()->mutable_status()->set_replicas(3);
  Put(stored);
  v1::Object sent = Service("web", "nginx:1.28");
  sent.mutable_service()->mutable_status()->set_replicas(99);
  sent.mutable_service()->mutable_metadata()->set_uid("forged");

  ASSERT_OK_AND_ASSIGN(auto response, Apply({sent}));

  const v1::Service& after = response.results(0).object().service();
  EXPECT_EQ(after.metadata().generation(), 2);
  EXPECT_EQ(after.metadata().uid(), stored.service().metadata().uid());
  EXPECT_EQ(after.status().replicas(), 3);
  EXPECT_EQ(after.spec().containers(0).image(), "nginx:1.28");
}

TEST_F(ResourcesTest, WhenOneObjectIsWrong_NoneIsApplied) {
  const uint64_t before = store_.CurrentRevision();
  v1::Object wrong = Service("Bad_Name", "two words");

  const auto response = Apply({Service("web"), wrong});

  EXPECT_THAT(response, StatusIs(absl::StatusCode::kInvalidArgument));
  const auto detail = DetailOf(response.status());
  ASSERT_TRUE(detail.has_value());
  std::vector<std::string> fields;
  for (const v1::Violation& violation : detail->violations()) {
    EXPECT_EQ(violation.object(), 1);
    fields.push_back(violation.field());
  }
  EXPECT_THAT(fields, ::testing::IsSupersetOf(
                          {"metadata.name", "spec.containers[0].image"}));
  EXPECT_EQ(store_.CurrentRevision(), before);
}

TEST_F(ResourcesTest, WhenTheStoreFails_NothingIsWritten) {
  store_.SetFault(
      [](const store::Batch&) { return absl::ResourceExhaustedError("full"); });

  EXPECT_THAT(Apply({Service("web"), Service("db")}),
              StatusIs(absl::StatusCode::kResourceExhausted));

  store_.SetFault(nullptr);
  EXPECT_THAT(Get("service", "web"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(Events().empty());
}

TEST_F(ResourcesTest, WhenAControllerWritesInBetween_ApplyTriesAgain) {
  ASSERT_OK(Apply({Service("web")}));
  int losses = 2;
  store_.SetFault([&](const store::Batch&) -> absl::Status {
    return losses-- > 0 ? absl::AbortedError("lost") : absl::OkStatus();
  });

  ASSERT_OK_AND_ASSIGN(auto response, Apply({Service("web", "nginx:2")}));

  EXPECT_EQ(response.results(0).action(), Action::CONFIGURED);
  EXPECT_EQ(response.results(0).object().service().metadata().generation(), 2);
}

TEST_F(ResourcesTest, WhenTheResourceVersionIsOld_ApplyIsAborted) {
  ASSERT_OK_AND_ASSIGN(auto first, Apply({Service("web")}));
  ASSERT_OK(Apply({Service("web", "nginx:2")}));
  v1::Object stale = first.results(0).object();
  stale.mutable_service()->mutable_spec()->set_replicas(5);

  const auto response = Apply({stale});

  EXPECT_THAT(response, StatusIs(absl::StatusCode::kAborted,
                                 HasSubstr("apply service web")));
  EXPECT_FALSE(DetailOf(response.status())->remedy().empty());
}

TEST_F(ResourcesTest, WhenValidateOnly_NothingIsWritten) {
  const uint64_t before = store_.CurrentRevision();
  ASSERT_OK_AND_ASSIGN(auto response, Apply({Service("web")}, true));

  EXPECT_EQ(response.results(0).action(), Action::CREATED);
  EXPECT_EQ(response.results(0).object().service().spec().replicas(), 1);
  EXPECT_EQ(store_.CurrentRevision(), before);
}

TEST_F(ResourcesTest, WhenPruning_OnlyLabelledObjectsOfTheProjectGo) {
  v1::Object old = Service("old");
  (*old.mutable_service()->mutable_metadata()->mutable_labels())["app"] = "x";
  v1::Object other = old;
  other.mutable_service()->mutable_metadata()->set_project("shop");
  ASSERT_OK(Apply({old, other, Service("bystander")}));
  v1::ApplyRequest request;
  v1::Object kept = Service("new");
  (*kept.mutable_service()->mutable_metadata()->mutable_labels())["app"] = "x";
  *request.add_objects() = kept;
  (*request.mutable_prune_labels())["app"] = "x";

  grpc::ClientContext context;
  v1::ApplyResponse response;
  ASSERT_OK(FromGrpc(
      v1::Resources::NewStub(channel_)->Apply(&context, request, &response)));

  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(1).action(), Action::DELETED);
  EXPECT_EQ(response.results(1).object().service().metadata().name(), "old");
  EXPECT_TRUE(Get("service", "old")->service().metadata().has_delete_time());
  EXPECT_FALSE(
      Get("service", "bystander")->service().metadata().has_delete_time());
}

TEST_F(ResourcesTest, WhenBeingDeleted_ApplyIsRefused) {
  ASSERT_OK(Apply({Service("web")}));
  ASSERT_OK(Delete("service", "web"));
  ASSERT_OK(Delete("service", "web"));  // again is no error

  EXPECT_THAT(Apply({Service("web", "nginx:2")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("service web is being deleted")));
}

TEST_F(ResourcesTest, WhenANetworkIsInUse_DeleteNamesTheUsers) {
  v1::Object network;
  network.mutable_network()->mutable_metadata()->set_name("back");
  v1::Object web = Service("web");
  web.mutable_service()->mutable_spec()->set_network("back");
  ASSERT_OK(Apply({network, web}));

  EXPECT_THAT(Delete("network", "back"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("used by service web")));

  ASSERT_OK(Delete("service", "web"));
  EXPECT_OK(Delete("network", "back"));
  EXPECT_TRUE(Get("network", "back")->network().metadata().has_delete_time());
}

TEST_F(ResourcesTest, WhenDeletingTheUnknown_NotFoundAndNothingElseGoes) {
  ASSERT_OK(Apply({Service("web")}));
  v1::DeleteRequest request;
  for (const char* name : {"web", "nobody"}) {
    v1::ObjectReference& reference = *request.add_objects();
    reference.set_kind("service");
    reference.set_name(name);
  }
  grpc::ClientContext context;
  v1::DeleteResponse response;

  EXPECT_THAT(FromGrpc(v1::Resources::NewStub(channel_)->Delete(
                  &context, request, &response)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
  EXPECT_FALSE(Get("service", "web")->service().metadata().has_delete_time());
}

TEST_F(ResourcesTest, WhenTheKindIsUnknown_TheKindsAreListed) {
  const auto object = Get("servise", "web");

  EXPECT_THAT(object, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(DetailOf(object.status())->remedy(), HasSubstr("service"));
}

TEST_F(ResourcesTest, WhenListedInPages_EveryObjectComesOnce) {
  std::vector<v1::Object> objects;
  for (int i = 0; i < 25; ++i) {
    objects.push_back(Service(absl::StrCat("web", i)));
  }
  ASSERT_OK_AND_ASSIGN(auto applied, Apply(objects));
  v1::ListRequest request;
  request.set_kind("service");
  request.set_page_size(10);
  std::set<std::string> names;
  int pages = 0;
  int64_t revision = 0;
  do {
    ASSERT_OK_AND_ASSIGN(auto page, List(request));
    for (const v1::Object& object : page.objects()) {
      EXPECT_TRUE(names.insert(object.service().metadata().name()).second);
    }
    // The first page's, whatever is written meanwhile.
    if (pages++ == 0) revision = page.revision();
    EXPECT_EQ(page.revision(), revision);
    ASSERT_OK(Apply({Service("zebra", absl::StrCat("nginx:", pages))}));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());

  EXPECT_EQ(revision, applied.revision());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(names.size(), 26);
  request.set_page_token("not one");
  EXPECT_THAT(List(request), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ResourcesTest, WhenListedByService_OnlyItsReplicasAndEventsCome) {
  Put(Replica("web", 0, true, "c1"));
  Put(Replica("web-api", 0, true, "c2"));
  ASSERT_OK(Apply({Service("web"), Service("web-api")}));
  v1::ListRequest request;
  request.set_service("web");
  request.set_kind("replica");

  ASSERT_OK_AND_ASSIGN(auto replicas, List(request));
  request.set_kind("event");
  ASSERT_OK_AND_ASSIGN(auto events, List(request));

  ASSERT_EQ(replicas.objects_size(), 1);
  EXPECT_EQ(replicas.objects(0).replica().metadata().name(), "web-0-aaaaa");
  ASSERT_EQ(events.objects_size(), 1);
  EXPECT_EQ(events.objects(0).event().subject().name(), "web");
  request.set_kind("volume");
  EXPECT_THAT(List(request), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace bulwark::api
