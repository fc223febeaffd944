// A connection to the system's message bus.
#ifndef ENGINE_OCI_CGROUP_DBUS_CONNECTION_H_
#define ENGINE_OCI_CGROUP_DBUS_CONNECTION_H_

#include <deque>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "engine/oci/cgroup/dbus_message.h"

namespace bulwark::engine::oci {

// Thread-compatible. Every function blocks, at most until the deadline that
// Open() was given: DEADLINE_EXCEEDED. UNAVAILABLE if the bus hangs up,
// DATA_LOSS if it sends what is no message.
class DbusConnection {
 public:
  // Connects to $DBUS_SYSTEM_BUS_ADDRESS ("unix:path=..."), or else to
  // /run/dbus/system_bus_socket, and says who we are. UNAVAILABLE if nobody
  // answers there, PERMISSION_DENIED if we are not let in.
  static absl::StatusOr<DbusConnection> Open(absl::Duration timeout,
                                             Clock& clock);

  // Sends a call (its type and serial are set here) and waits for the answer,
  // which may be an error: see DbusErrorStatus.
  absl::StatusOr<DbusMessage> Call(DbusMessage call);

  // The first signal since Open() that `matches`.
  absl::StatusOr<DbusMessage> AwaitSignal(
      const std::function<bool(const DbusMessage&)>& matches);

  const std::string& address() const { return address_; }

 private:
  DbusConnection(Clock& clock, absl::Duration deadline)
      : clock_(&clock), deadline_(deadline) {}
  absl::Status Connect();
  absl::Status Authenticate();
  absl::Status Hello();
  absl::Status Send(absl::string_view bytes);
  absl::Status Fill();  // waits for more in the buffer
  absl::StatusOr<DbusMessage> Receive();

  Clock* clock_;
  absl::Duration deadline_;
  std::string address_;
  UniqueFd socket_;
  std::string buffer_;
  std::deque<DbusMessage> signals_;
  uint32_t serial_ = 0;
};

// What an error message says, as INTERNAL or the code that its name stands for.
absl::Status DbusErrorStatus(const DbusMessage& error,
                             absl::string_view context);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_DBUS_CONNECTION_H_
