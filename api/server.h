// The API server: everything that clients reach over the unix socket.
#ifndef API_SERVER_H_
#define API_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/audit/audit_log.h"
#include "api/call_stats.h"
#include "api/gate.h"
#include "api/images_service.h"
#include "api/stats_stream.h"
#include "api/system_service.h"
#include "api/validation.h"
#include "api/volumes_service.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "engine/container_access.h"
#include "engine/container_files.h"
#include "engine/engine.h"
#include "engine/image_commits.h"
#include "engine/image_content.h"
#include "engine/image_exchange.h"
#include "engine/images.h"
#include "secrets/secrets.h"
#include "store/store.h"

namespace bulwark::api {

struct ServerOptions {
  std::string socket_path;
  // Of the socket, whose mode is 0660: a name or a number; empty: the group of
  // this process.
  std::string group;
  // Uploads are kept in state_dir/uploads while they are worked on. That folder
  // is emptied at start.
  std::string state_dir;
  VersionInfo version;
  // More are closed at once.
  size_t max_connections = 256;
  // Calls at work at once; each has a thread.
  int max_threads = 512;
  int64_t max_archive_bytes = int64_t{64} << 30;
  int64_t max_context_bytes = int64_t{16} << 30;
};

// What the server works with. All must outlive it.
struct ServerDependencies {
  store::MetadataStore& store;
  engine::Engine& engine;
  engine::Images& images;
  Clock& clock;
  Entropy& entropy;
  // engine::NormalizeReference.
  NormalizeReference normalize;
  UnpackFunction unpack;
  ShutdownFunction shutdown;
  // Null: Members over the store.
  Authorizer authorizer = nullptr;
  // Without it nothing is known to be used.
  StatsFunction stats = [](absl::Duration) { return v1::StatsResponse(); };
  HostFunctions host = {};
  // Those that are missing are answered with UNIMPLEMENTED.
  VolumeActions volumes;
  // Loaded. Null (tests): no calls of Secrets, no log-ins, and no backups of
  // the control state.
  secrets::Vault* vault = nullptr;
  // Null (tests): no calls about the inside of containers.
  engine::ContainerAccess* access = nullptr;
  engine::ContainerFiles* files = nullptr;
  engine::ImageCommits* commits = nullptr;
  engine::ImageContent* content = nullptr;
  engine::ImageExchange* exchange = nullptr;
  // Null (tests): the server has one of its own over `store`.
  AuditLog* audit = nullptr;
  // With `vault`.
  RegistryFunctions registries = {};
  // The vault was opened. Must not block; may be null.
  std::function<void()> unsealed = nullptr;
};

// Thread-compatible.
class Server {
 public:
  // Serves when it returns. Errors: those of ListenSocket::Open(), and of
  // making the folder for uploads.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, const ServerDependencies& dependencies);

  virtual ~Server() = default;

  // Takes no new connections and calls, ends streams that follow something
  // (UNAVAILABLE: clients resume), waits up to `grace` for the other calls, and
  // cancels what is left. Idempotent; the destructor calls it with 5 s.
  virtual void Stop(absl::Duration grace) = 0;

  // Of all calls since the start. Thread-safe.
  virtual std::vector<CallStats::Method> GetStats() const = 0;
};

}  // namespace bulwark::api

#endif  // API_SERVER_H_
