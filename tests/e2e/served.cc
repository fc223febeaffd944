#include "tests/e2e/served.h"

#include <cstdio>
#include <filesystem>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace bulwark::e2e {
namespace {

constexpr char kRepositories[] = R"(
set -e
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
git config --global user.email t@example.org
git config --global user.name test
git config --global init.defaultBranch main
git config --global protocol.file.allow always
mkdir lib && cd lib && git init -q
echo library > lib.txt && git add . && git commit -qm lib && cd ..
mkdir app && cd app && git init -q
printf 'FROM scratch\nCOPY . /\n' > Dockerfile
mkdir -p sub/deep
printf 'FROM scratch\nCOPY . /\n' > sub/Dockerfile
echo deep > sub/deep/file
ln -s ../../../../../../../../etc out
ln -s sub in
echo one > version && git add . && git commit -qm one
git tag -a v1 -m v1
git rev-parse HEAD > ../first
git checkout -qb next
echo two > version && git commit -qam two
git checkout -q main
git submodule --quiet add ../lib lib
git config -f .gitmodules submodule.lib.url "$1" && git add .gitmodules
echo three > version && git add . && git commit -qm three
cd .. && ln -s lib lib.git && ln -s app app.git
mkdir web.git && cd web.git && git init -q
printf 'FROM scratch\nCOPY . /\n' > Dockerfile
git submodule --quiet add ../lib.git lib
git add . && git commit -qm web && cd ..
git clone -q --bare app old.git && cd old.git && git update-server-info
)";

std::string MakeFolder(const std::string& path) {
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace

Served::Served(World& world, int port)
    : port_(port),
      path_(MakeFolder(world.Path("served"))),
      git_({"git", "daemon", "--reuseaddr", "--listen=127.0.0.1",
            absl::StrCat("--port=", port), "--export-all",
            "--base-path=" + path_},
           world.Path("git.log")),
      http_({"python3", "-m", "http.server", "--bind", "127.0.0.1",
             "--directory", path_, absl::StrCat(port + 1)},
            world.Path("http.log")),
      smart_({"python3", World::Runfile("tests/e2e/images/git_server.py"),
              "--root", path_, "--port", absl::StrCat(port + 2), "--user",
              kUser, "--password", kPassword},
             world.Path("smart.log")) {
  // The submodule has its server's address.
  const Result made =
      Run({"sh", "-c", absl::StrCat("cd '", path_, "'; ", kRepositories),
           "make", Url("lib")});
  if (!made.ok()) fprintf(stderr, "%s\n", made.ToString().c_str());
  CHECK(made.ok());
  CHECK(Eventually([this] {
    return Run({"curl", "-sf", Http("")}).ok() &&
           Run({"git", "ls-remote", Url("app")}).ok() &&
           Run({"git", "ls-remote", Smart("open/app.git")}).ok();
  }));
}

std::string Served::Url(const std::string& repository) const {
  return absl::StrCat("git://127.0.0.1:", port_, "/", repository);
}

std::string Served::Http(const std::string& path) const {
  return absl::StrCat("http://127.0.0.1:", port_ + 1, "/", path);
}

std::string Served::SmartHost() const {
  return absl::StrCat("127.0.0.1:", port_ + 2);
}

std::string Served::Smart(const std::string& path,
                          const std::string& user) const {
  return absl::StrCat("http://", user, SmartHost(), "/", path);
}

std::string Served::First() const {
  return std::string(absl::StripAsciiWhitespace(ReadFile(path_ + "/first")));
}

}  // namespace bulwark::e2e
