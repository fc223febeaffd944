// ctl login, logout: credentials for registries, kept by the daemon.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/seal.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string registry;
  std::string username;
  bool password_stdin = false;
  bool no_check = false;
};

std::string NameOf(const std::string& registry) {
  return registry.empty() ? "Docker Hub" : registry;
}

absl::StatusOr<int> Login(Context& context, const Flags& flags) {
  if (!flags.password_stdin && !context.io.in_tty()) {
    return UsageError(
        "give --password-stdin, and the password on standard input");
  }
  ValueSource source;
  source.password = true;
  if (flags.password_stdin) source.file = "-";
  ASSIGN_OR_RETURN(Value password, ReadValue(context, source));
  v1::LoginRequest request;
  request.set_registry(flags.registry);
  request.set_username(flags.username);
  request.set_no_check(flags.no_check);
  ASSIGN_OR_RETURN(*request.mutable_sealed_password(),
                   SealValue(context, std::move(password)));
  ASSIGN_OR_RETURN(const v1::LoginResponse response,
                   context.client().Login(request));
  context.io.Out(absl::StrCat("logged in to ", response.registry(), " as ",
                              flags.username, "\n"));
  return kExitOk;
}

absl::StatusOr<int> Logout(Context& context, const Flags& flags) {
  v1::LogoutRequest request;
  request.set_registry(flags.registry);
  RETURN_IF_ERROR(context.client().Logout(request).status());
  context.io.Out(absl::StrCat("logged out of ", NameOf(flags.registry), "\n"));
  return kExitOk;
}

}  // namespace

void AddLogin(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "login",
          "Have the daemon keep credentials for a registry, encrypted")
      .Word("REGISTRY", flags->registry,
            "HOST or HOST:PORT; default Docker Hub")
      .Option("-u,--username", flags->username, "Name at the registry",
              Command::kRequired)
      .Flag("--password-stdin", flags->password_stdin,
            "Read the password from standard input")
      .Flag("--no-check", flags->no_check, "Do not ask the registry")
      .Action([flags](Context& c) { return Login(c, *flags); });
  Command(app, context, "logout", "Forget the credentials for a registry")
      .Word("REGISTRY", flags->registry,
            "HOST or HOST:PORT; default Docker Hub")
      .Action([flags](Context& c) { return Logout(c, *flags); });
}

}  // namespace bulwark::ctl
