#include "engine/image/manifest.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing/status_matchers.h"
#include "engine/image/digest.h"
#include "engine/image/index_tree.h"

namespace bulwark::engine::image {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string Digest(char c) { return "sha256:" + std::string(64, c); }

std::string ManifestText() {
  return absl::StrReplaceAll(
      R"({"schemaVersion":2,
          "config":{"mediaType":"x","digest":"$c","size":7},
          "layers":[{"mediaType":"y","digest":"$1","size":10},
                    {"mediaType":"z","digest":"$2","size":20}]})",
      {{"$c", Digest('c')}, {"$1", Digest('1')}, {"$2", Digest('2')}});
}

TEST(ParseManifestTest, WhenWellFormed_GivesConfigAndLayersInOrder) {
  ASSERT_OK_AND_ASSIGN(Manifest manifest, ParseManifest(ManifestText()));
  EXPECT_EQ(manifest.config.digest, Digest('c'));
  ASSERT_EQ(manifest.layers.size(), 2);
  EXPECT_EQ(manifest.layers[0].digest, Digest('1'));
  EXPECT_EQ(manifest.layers[1].size, 20);
}

TEST(ParseManifestTest, WhenFormatted_ReadsBackTheSame) {
  ASSERT_OK_AND_ASSIGN(Manifest manifest, ParseManifest(ManifestText()));
  ASSERT_OK_AND_ASSIGN(Manifest again, ParseManifest(FormatManifest(manifest)));
  EXPECT_EQ(FormatManifest(again), FormatManifest(manifest));
}

TEST(ParseManifestTest, WhenHostile_IsRefused) {
  auto with = [](absl::string_view from, absl::string_view to) {
    return absl::StrReplaceAll(ManifestText(), {{from, to}});
  };
  const struct {
    std::string text;
    std::string why;
  } cases[] = {
      {"", "not valid JSON"},
      {"[]", "not a JSON object"},
      {"{}", "neither a manifest nor an index"},
      {std::string(100, '['), "nested deeper"},
      {with(Digest('1'), "sha256:../../../etc/passwd"), "64 hex digits"},
      {with(Digest('1'), "sha512:" + std::string(64, 'a')), "64 hex digits"},
      {with(Digest('c'), "sha256:" + std::string(64, 'A')), "64 hex digits"},
      {with("\"size\":20", "\"size\":-1"), "negative"},
      {with("\"size\":7", "\"size\":99999999999"), "configuration of"},
      {with("\"layers\":[", "\"manifests\":[],\"layers\":["), "at once"},
      {with("\"schemaVersion\":2",
            "\"schemaVersion\":2,\"mediaType\":"
            "\"application/vnd.oci.image.index.v1+json\""),
       "but is a manifest"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ParseManifest(c.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.why)))
        << c.text;
  }
}

TEST(ParseManifestTest, WhenUnsupported_SaysSo) {
  EXPECT_THAT(
      ParseManifest(R"({"schemaVersion":1,"fsLayers":[]})"),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("schema 1")));
  EXPECT_THAT(
      ParseManifest(absl::StrReplaceAll(
          ManifestText(),
          {{"\"y\"", "\"application/vnd.docker.image.rootfs.foreign.diff\""}})),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("fetched from elsewhere")));
}

TEST(ParseManifestTest, WhenTooManyLayers_IsRefused) {
  std::string layers;
  for (size_t i = 0; i <= kMaxLayers; ++i) {
    absl::StrAppend(&layers, i ? "," : "", R"({"digest":")", Digest('1'),
                    R"(","size":1})");
  }
  EXPECT_THAT(
      ParseManifest(absl::StrCat(R"({"config":{"digest":")", Digest('c'),
                                 R"(","size":1},"layers":[)", layers, "]}")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("498")));
}

std::string IndexText() {
  return absl::StrReplaceAll(
      R"({"manifests":[
        {"digest":"$1","size":1,"platform":{"os":"linux","architecture":"arm64",
         "variant":"v8"}},
        {"digest":"$2","size":1,"platform":{"os":"linux",
         "architecture":"amd64"}},
        {"digest":"$3","size":1,"platform":{"os":"unknown",
         "architecture":"unknown"}}]})",
      {{"$1", Digest('1')}, {"$2", Digest('2')}, {"$3", Digest('3')}});
}

TEST(ChoosePlatformTest, WhenPresent_TakesTheEntry) {
  ASSERT_OK_AND_ASSIGN(auto index, ParseIndex(IndexText()));
  const struct {
    std::string platform;
    std::string digest;
  } cases[] = {
      {"linux/amd64", Digest('2')},
      {"amd64", Digest('2')},
      {"linux/arm64", Digest('1')},
      {"linux/arm64/v8", Digest('1')},
  };
  for (const auto& c : cases) {
    ASSERT_OK_AND_ASSIGN(Platform platform, ParsePlatform(c.platform));
    ASSERT_OK_AND_ASSIGN(Descriptor chosen, ChoosePlatform(index, platform));
    EXPECT_EQ(chosen.digest, c.digest) << c.platform;
  }
}

TEST(ChoosePlatformTest, WhenAbsent_ListsWhatThereIs) {
  ASSERT_OK_AND_ASSIGN(auto index, ParseIndex(IndexText()));
  EXPECT_THAT(ChoosePlatform(index, {"linux", "riscv64", ""}),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("linux/riscv64; available: linux/amd64, "
                                 "linux/arm64/v8")));
}

TEST(ChoosePlatformTest, WhenThereAreVariants_TheNewestThatRunsIsTaken) {
  const struct {
    const char* has;
    const char* wanted;
    bool runs;
  } cases[] = {
      {"linux/arm64/v8", "linux/arm64", true},
      {"linux/arm64", "linux/arm64/v8", true},
      {"linux/arm64/v9", "linux/arm64/v8", false},
      {"linux/arm64/v8", "linux/aarch64", true},
      {"linux/amd64", "linux/x86_64", true},
      {"linux/amd64/v2", "linux/amd64", false},
      {"linux/amd64/v2", "linux/amd64/v3", true},
      {"linux/amd64", "linux/amd64/v3", true},
      {"linux/arm/v6", "linux/arm/v7", true},
      {"linux/arm/v7", "linux/arm/v6", false},
      {"linux/arm/v7", "linux/arm", true},
      {"windows/amd64", "linux/amd64", false},
      {"linux/riscv64", "linux/riscv64", true},
      {"linux/ppc64le/power9", "linux/ppc64le", false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Runs(*ParsePlatform(c.has), *ParsePlatform(c.wanted)), c.runs)
        << c.has << " on " << c.wanted;
  }
  std::vector<IndexEntry> index;
  for (const char* variant : {"v5", "v7", "v6"}) {
    IndexEntry entry;
    entry.descriptor.digest = variant;
    entry.platform = {"linux", "arm", variant};
    index.push_back(entry);
  }
  EXPECT_EQ(ChoosePlatform(index, {"linux", "arm", "v6"})->digest, "v6");
  EXPECT_EQ(ChoosePlatform(index, {"linux", "arm", ""})->digest, "v7");
  EXPECT_EQ(ChoosePlatform(index, {"linux", "arm", "v8"})->digest, "v7");
}

TEST(ParsePlatformTest, WhenMalformed_IsRefused) {
  for (const char* text : {"/", "linux/", "a/b/c/d", "/amd64"}) {
    EXPECT_THAT(ParsePlatform(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(ParseConfigTest, WhenWellFormed_TakesTheKnownFieldsOnly) {
  ASSERT_OK_AND_ASSIGN(
      ConfigFile file,
      ParseConfig(absl::StrReplaceAll(
          R"({"os":"linux","architecture":"amd64","author":"A <a@b>",
          "created":"2024-05-01T10:20:30.5Z",
          "config":{"Entrypoint":["/init"],"Cmd":["serve"],
            "Env":["PATH=/bin","bad","=x","A=b=c"],"WorkingDir":"/srv",
            "User":"1000:app","StopSignal":"SIGQUIT",
            "ExposedPorts":{"80/tcp":{},"53/udp":{}},
            "Volumes":{"/data":{}},"Labels":{"a":"b","n":3},
            "Healthcheck":{"Test":["CMD-SHELL","curl localhost"],
              "Interval":2000000000,"StartInterval":500000000,
              "Retries":4},
            "Binds":["/:/host"],"Privileged":true},
          "rootfs":{"type":"layers","diff_ids":["$1"]}})",
          {{"$1", Digest('1')}})));
  EXPECT_EQ(file.author, "A <a@b>");
  EXPECT_THAT(file.config.entrypoint, ElementsAre("/init"));
  EXPECT_THAT(file.config.command, ElementsAre("serve"));
  EXPECT_THAT(file.config.env, ElementsAre("PATH=/bin", "A=b=c"));
  EXPECT_EQ(file.config.working_dir, "/srv");
  EXPECT_EQ(file.config.user, "1000:app");
  EXPECT_EQ(file.config.stop_signal, "SIGQUIT");
  EXPECT_THAT(file.config.exposed_ports, ElementsAre("53/udp", "80/tcp"));
  EXPECT_THAT(file.config.volumes, ElementsAre("/data"));
  EXPECT_THAT(file.config.labels, ElementsAre(Pair("a", "b")));
  ASSERT_TRUE(file.config.healthcheck.has_value());
  EXPECT_THAT(file.config.healthcheck->command,
              ElementsAre("/bin/sh", "-c", "curl localhost"));
  EXPECT_EQ(file.config.healthcheck->interval, absl::Seconds(2));
  EXPECT_EQ(file.config.healthcheck->start_interval, absl::Milliseconds(500));
  EXPECT_EQ(file.config.healthcheck->retries, 4);
  EXPECT_THAT(file.diff_ids, ElementsAre(Digest('1')));
  EXPECT_EQ(file.platform.ToString(), "linux/amd64");
}

TEST(ParseConfigTest, WhenFieldsHaveWrongTypes_TheyAreLeftOut) {
  ASSERT_OK_AND_ASSIGN(
      ConfigFile file,
      ParseConfig(R"({"config":{"Entrypoint":"sh","Cmd":[1,2],"Env":{},
                      "User":5,"Labels":[],"Healthcheck":{"Test":["NONE"]}},
                      "rootfs":[]})"));
  EXPECT_THAT(file.config.entrypoint, IsEmpty());
  EXPECT_THAT(file.config.command, IsEmpty());
  EXPECT_EQ(file.config.user, "");
  EXPECT_FALSE(file.config.healthcheck.has_value());
}

TEST(ParseConfigTest, WhenAValueHoldsNul_IsRefused) {
  EXPECT_THAT(ParseConfig(R"({"config":{"Cmd":["a\u0000b"]}})"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NUL")));
}

TEST(ReadIndexTreeTest, WhenNestedDocumentsAreLargeTogether_IsRefused) {
  const auto index_of = [](const std::vector<Descriptor>& listed) {
    std::vector<IndexEntry> entries;
    for (const Descriptor& descriptor : listed) {
      entries.push_back({descriptor, {}, "", ""});
    }
    return FormatIndex(entries);
  };
  std::map<std::string, std::string> texts;
  const auto add = [&texts](const std::string& text) -> Descriptor {
    texts[DigestOf(text)] = text;
    return {kOciIndex, DigestOf(text), static_cast<int64_t>(text.size())};
  };
  const auto large = [](int from) {
    std::vector<Descriptor> listed;
    for (int i = from; i < from + 10; ++i) {
      listed.push_back(
          {kOciManifest, DigestOf(absl::StrCat(i)), kMaxManifestBytes});
    }
    return listed;
  };
  const auto read =
      [&texts](const Descriptor& document) -> absl::StatusOr<std::string> {
    const auto it = texts.find(document.digest);
    if (it == texts.end()) return absl::NotFoundError("");
    return it->second;
  };
  const Descriptor first = add(index_of(large(0)));
  EXPECT_OK(ReadIndexTree(first, read));
  EXPECT_THAT(
      ReadIndexTree(add(index_of({first, add(index_of(large(10)))})), read),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("manifests have more than 67108864 bytes")));
  // What two of them list counts once.
  EXPECT_OK(
      ReadIndexTree(add(index_of({first, add(index_of(large(1)))})), read));
}

TEST(ParseConfigTest, WhenADiffIdIsAPath_IsRefused) {
  EXPECT_THAT(ParseConfig(R"({"rootfs":{"diff_ids":["../../x"]}})"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace bulwark::engine::image
