// The version of this source tree.
#ifndef DAEMON_VERSION_H_
#define DAEMON_VERSION_H_

namespace bulwark::daemon {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace bulwark::daemon

#endif  // DAEMON_VERSION_H_
