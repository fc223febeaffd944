// The keeper itself: its sockets, its clients, its proxy. Libc only.
#ifndef DATAPLANE_KEEPER_KEEPER_H_
#define DATAPLANE_KEEPER_KEEPER_H_

#include <signal.h>
#include <sys/un.h>

#include "dataplane/keeper/packets.h"
#include "dataplane/keeper/proxy_process.h"
#include "dataplane/keeper/sockets.h"

namespace bulwark::dataplane {

// "keeper: WHAT OBJECT: errno" on standard error, and exit 1.
[[noreturn]] void Die(const char* what, const char* object);

struct SocketPath {
  char text[sizeof(sockaddr_un::sun_path)];
};

// Dies if the path is too long for a socket.
SocketPath InDir(const char* dir, const char* name);

// Serves keeper.sock of one runtime directory on one thread, and sees to it
// that a proxy runs.
class Keeper {
 public:
  // `host_netns` is an open descriptor, `netns` the data plane's path ("": the
  // same). `proxy_argv` ends with a null; the pointers are borrowed for ever.
  Keeper(const char* runtime_dir, const char* netns, int host_netns,
         char* const* proxy_argv);

  // Opens the sockets in the runtime directory, or dies.
  void Prepare();
  // Until `stop` becomes true or a client asks for the end: then ends the
  // proxy, closes everything and exits 0. The signals that set `stop` are
  // blocked outside of the wait.
  [[noreturn]] void Run(volatile sig_atomic_t& stop);

 private:
  static constexpr int kMaxClients = 32;

  // The proxy's control socket, opened at need; -1 and errno on failure.
  int Control();
  void Wait();
  // Listens anew if somebody removed our socket. The proxy, which pings us
  // several times a second, does so for its own.
  void KeepInPlace();
  void Accept();
  // One request. False: the connection is to be closed.
  bool Serve(int client);
  // Requests without descriptors. Returns those to send, response.count many.
  const int* Answer(const lb::KeeperRequest& request,
                    lb::KeeperResponse& response,
                    KeptSockets::Failure& failure);
  // Ends the proxy, closes and removes the sockets. Again: nothing happens.
  void StopAll();

  const SocketPath keeper_path_;
  const SocketPath control_path_;
  const SocketPath lock_path_;
  KeptSockets sockets_;
  ProxyProcess proxy_;
  bool stopping_ = false;
  int listener_ = -1;
  int control_ = -1;
  // On its way to a client; not kept.
  int passing_ = -1;
  int clients_[kMaxClients];
};

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_KEEPER_KEEPER_H_
