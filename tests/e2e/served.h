// What others serve, and builds take: files, and repositories by git's protocol
// and by http, open ones and such that want a password.
#ifndef TESTS_E2E_SERVED_H_
#define TESTS_E2E_SERVED_H_

#include <string>

#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Servers on loopback, which end with the object. Their repositories:
//   app      a branch next (version "two"), a tag v1 ("one") with a folder sub
//            and links to it and to the outside, main ("three") with lib as a
//            submodule at lib/
//   web.git  the same submodule, named from where it is itself
//   old.git  app, for servers that only give files
class Served {
 public:
  // What opens the repositories below "closed/" of Smart().
  static constexpr char kUser[] = "reader";
  static constexpr char kPassword[] = "git-password-5b0e77";

  // On three ports from `port` on. Blocks until all of them answer.
  Served(World& world, int port);

  // By git's own protocol.
  std::string Url(const std::string& repository) const;
  // Files of path().
  std::string Http(const std::string& path) const;
  // By git over HTTP; see git_server.py for the paths. `user` as it stands in a
  // URL, with its "@".
  std::string Smart(const std::string& path,
                    const std::string& user = "") const;
  // "127.0.0.1:PORT" of Smart().
  std::string SmartHost() const;
  // The commit that is tagged v1.
  std::string First() const;

  // The folder of everything that is served.
  const std::string& path() const { return path_; }

 private:
  const int port_;
  const std::string path_;
  Background git_, http_, smart_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_SERVED_H_
