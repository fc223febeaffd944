#include "manifest/shorthand.h"

#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"
#include "proto/bulwark/v1/container.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::manifest {
namespace {

using bulwark::testing::StatusIs;

template <typename T>
std::string Read(absl::string_view text) {
  T message;
  absl::Status status = ReadShortForm(text, message);
  return status.ok() ? message.ShortDebugString() : "error";
}

TEST(ShorthandTest, WhenPort_ReadsAllForms) {
  EXPECT_EQ(Read<v1::Port>("80"), "container_port: 80");
  EXPECT_EQ(Read<v1::Port>("8080:80"), "container_port: 80 host_port: 8080");
  EXPECT_EQ(Read<v1::Port>("8080:80/udp"),
            "container_port: 80 host_port: 8080 protocol: UDP");
  EXPECT_EQ(Read<v1::Port>("80/TCP"), "container_port: 80 protocol: TCP");
  EXPECT_EQ(Read<v1::Port>("127.0.0.1:8080:80"),
            "container_port: 80 host_port: 8080 listen: LOCALHOST");
  EXPECT_EQ(Read<v1::Port>("[::1]:8080:80"),
            "container_port: 80 host_port: 8080 listen: LOCALHOST");
  EXPECT_EQ(Read<v1::Port>("0.0.0.0:8080:80"),
            "container_port: 80 host_port: 8080 listen: ALL");
  EXPECT_EQ(Read<v1::Port>("all:53:53/udp"),
            "container_port: 53 host_port: 53 listen: ALL protocol: UDP");
}

TEST(ShorthandTest, WhenPortIsWrong_Refuses) {
  for (const char* text :
       {"", "0", "65536", "x", ":80", "80:", "8080:", "80:80:80:80/sctp", "-1",
        "8000-8010:80", "192.168.1.5:8080:80", " 80", "80 ", "::", "1e3", "80/",
        "/udp", "123456789012345678901234567890"}) {
    EXPECT_EQ(Read<v1::Port>(text), "error") << text;
  }
}

TEST(ShorthandTest, WhenMount_TellsVolumesFromPaths) {
  EXPECT_EQ(Read<v1::VolumeMount>("uploads:/var/lib/uploads"),
            "volume: \"uploads\" path: \"/var/lib/uploads\"");
  EXPECT_EQ(Read<v1::VolumeMount>("./conf:/etc/app:ro"),
            "host_path: \"./conf\" path: \"/etc/app\" read_only: true");
  EXPECT_EQ(Read<v1::VolumeMount>("/srv:/srv:rw"),
            "host_path: \"/srv\" path: \"/srv\"");
  EXPECT_EQ(Read<v1::VolumeMount>(".:/app"), "host_path: \".\" path: \"/app\"");
  for (const char* text : {"", "data", ":/x", "data:x", "data:/x:z",
                           "a:/b:ro:c", "~/x:/y", "a/b:/c"}) {
    EXPECT_EQ(Read<v1::VolumeMount>(text), "error") << text;
  }
}

TEST(ShorthandTest, WhenProbe_ReadsPortAndPath) {
  EXPECT_EQ(Read<v1::HttpProbe>(":80/healthz"), "port: 80 path: \"/healthz\"");
  EXPECT_EQ(Read<v1::HttpProbe>("/a?b=1:2"), "path: \"/a?b=1:2\"");
  EXPECT_EQ(Read<v1::HttpProbe>(":80"), "port: 80 path: \"/\"");
  for (const char* text : {"", ":", ":x/", "http://x/"}) {
    EXPECT_EQ(Read<v1::HttpProbe>(text), "error") << text;
  }
  EXPECT_EQ(Read<v1::TcpProbe>(":80"), "port: 80");
  EXPECT_EQ(Read<v1::TcpProbe>("80"), "port: 80");
  EXPECT_EQ(Read<v1::TcpProbe>("80/x"), "error");
  EXPECT_EQ(Read<v1::ExecProbe>("test -f /x"),
            "command: \"/bin/sh\" command: \"-c\" command: \"test -f /x\"");
  EXPECT_EQ(Read<v1::ExecProbe>(" "), "error");
}

TEST(ShorthandTest, WhenResource_SetsRequestAndLimit) {
  EXPECT_EQ(Read<v1::Cpu>("500m"), "request: 500 limit: 500");
  EXPECT_EQ(Read<v1::Memory>("1Ki"), "request: 1024 limit: 1024");
  EXPECT_EQ(Read<v1::Cpu>("-1"), "error");
}

TEST(ShorthandTest, WhenNameOrConfig_ReadsIt) {
  EXPECT_EQ(Read<v1::SecretMount>("db"), "name: \"db\"");
  EXPECT_EQ(Read<v1::SecretMount>(""), "error");
  EXPECT_EQ(Read<v1::ConfigMount>("c:/etc/c"), "name: \"c\" path: \"/etc/c\"");
  EXPECT_EQ(Read<v1::ConfigMount>("c"), "error");
  EXPECT_EQ(Read<v1::ConfigMount>("c:etc"), "error");
}

TEST(ShorthandTest, WhenDevice_ReadsPathAndAccess) {
  EXPECT_EQ(Read<v1::DeviceMount>("/dev/fuse"), "host_path: \"/dev/fuse\"");
  EXPECT_EQ(Read<v1::DeviceMount>("/dev/fuse:r"),
            "host_path: \"/dev/fuse\" access: \"r\"");
  EXPECT_EQ(Read<v1::DeviceMount>("/dev/sdb:/dev/xvda:rwm"),
            "host_path: \"/dev/sdb\" path: \"/dev/xvda\" access: \"rwm\"");
  for (const char* text : {"", "fuse", "/dev/a:b", "/dev/a:/b:", "/dev/a:/b:x",
                           "/dev/a:/b:rr", "/dev/a:/b:/c", "/a:/b:r:w"}) {
    EXPECT_EQ(Read<v1::DeviceMount>(text), "error") << text;
  }
}

TEST(ShorthandTest, WhenUlimit_ReadsNameAndLimits) {
  EXPECT_EQ(Read<v1::Ulimit>("nofile=4096"), "name: \"nofile\" soft: 4096");
  EXPECT_EQ(Read<v1::Ulimit>("core=0:unlimited"), "name: \"core\" hard: -1");
  for (const char* text : {"", "4096", "=1", "nofile=", "nofile=1:", "a=-2",
                           "a=1:2:3", "a=x", "a=1k"}) {
    EXPECT_EQ(Read<v1::Ulimit>(text), "error") << text;
  }
  v1::Ulimit named;
  named.set_name("nofile");
  EXPECT_OK(ReadShortForm("4096:8192", named));
  EXPECT_EQ(named.ShortDebugString(), "name: \"nofile\" soft: 4096 hard: 8192");
}

TEST(ShorthandTest, WhenTmpfs_ReadsOptions) {
  EXPECT_EQ(Read<v1::TmpfsMount>("/run"), "path: \"/run\"");
  EXPECT_EQ(Read<v1::TmpfsMount>("/run:size=16Mi,mode=0755"),
            "path: \"/run\" size: 16777216 mode: 493");
  for (const char* text : {"", "run", "/run:", "/run:size=x", "/run:mode=9",
                           "/run:mode=10000", "/run:noexec", "/run:/x"}) {
    EXPECT_EQ(Read<v1::TmpfsMount>(text), "error") << text;
  }
}

TEST(ShorthandTest, WhenLogging_ReadsTheDriver) {
  EXPECT_EQ(Read<v1::Logging>("json-file"), "driver: JSON_FILE");
  EXPECT_EQ(Read<v1::Logging>("syslog"), "error");
}

TEST(ShorthandTest, WhenTypeHasNone_Refuses) {
  v1::Stop stop;
  EXPECT_THAT(ReadShortForm("x", stop),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace bulwark::manifest
