// Debian's docker-registry, on a port of loopback, for tests.
#ifndef TESTS_INTEGRATION_REAL_REGISTRY_H_
#define TESTS_INTEGRATION_REAL_REGISTRY_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/clock.h"

namespace bulwark::testing {

// Starts a program without standard output; its id.
pid_t Spawn(const std::vector<std::string>& args);
// Its exit code, or -1.
int RunToEnd(const std::vector<std::string>& args);

class RealRegistry {
 public:
  static constexpr char kUser[] = "user";
  static constexpr char kPassword[] = "closed-registry-d41c7a90f2-password";

  struct Options {
    bool password = false;              // kUser with kPassword
    bool tls = false;                   // with an authority of its own
    bool client_certificate = false;    // with `tls`
    bool expired = false;               // its certificate; with `tls`
    std::string name = "IP:127.0.0.1";  // of its certificate
  };

  static bool IsInstalled();

  // Keeps everything in `dir`, which exists and is empty.
  RealRegistry(std::string dir, Clock& clock, const Options& options);
  RealRegistry(std::string dir, Clock& clock)
      : RealRegistry(std::move(dir), clock, Options()) {}
  ~RealRegistry() { Stop(); }

  // Blocks until it answers; a failure of the test if it does not.
  void Start();
  void Stop();

  const std::string& address() const { return address_; }  // 127.0.0.1:PORT
  // With `tls`: PEM files.
  std::string authority() const { return dir_ + "/ca.crt"; }
  std::string client_certificate() const { return dir_ + "/client.cert"; }
  std::string client_key() const { return dir_ + "/client.key"; }

 private:
  void MakeCertificate(const std::string& certificate, const std::string& key,
                       const std::string& extension);

  const std::string dir_;
  Clock& clock_;
  int port_ = 0;
  std::string address_;
  pid_t pid_ = -1;
};

}  // namespace bulwark::testing

#endif  // TESTS_INTEGRATION_REAL_REGISTRY_H_
