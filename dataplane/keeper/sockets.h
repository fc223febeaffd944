// The listening sockets that the keeper holds. Libc only.
#ifndef DATAPLANE_KEEPER_SOCKETS_H_
#define DATAPLANE_KEEPER_SOCKETS_H_

#include "lb/handover/keeper_wire.h"

namespace bulwark::dataplane {

// Single-threaded: it switches this process between network namespaces.
class KeptSockets {
 public:
  struct Entry {
    uint32_t place;
    uint32_t protocol;
    uint32_t port;
    uint32_t count;
    bool wanted;
    char address[64];
    int fds[lb::kKeeperMaxSockets];
  };
  struct Failure {
    int error = 0;
    const char* step = "";
  };

  // `host_netns` is an open descriptor, `dataplane_netns` a path, looked up at
  // each use; "" means that both are the same. Both are borrowed for ever.
  KeptSockets(int host_netns, const char* dataplane_netns)
      : host_netns_(host_netns), dataplane_netns_(dataplane_netns) {}

  // Finds the listener or opens it. Null on failure, which has left nothing.
  const Entry* Open(const lb::KeeperRequest& request, Failure& failure);
  // Takes over `request.count` descriptors. Those of an entry that is known
  // already are closed: ours are the same sockets or will be asked for again.
  bool Adopt(const lb::KeeperRequest& request, const int* fds,
             Failure& failure);

  // A socket of the request's place, protocol and family, for the caller to
  // send on and close; -1 on failure.
  int MakeSocket(const lb::KeeperRequest& request, Failure& failure);

  void Begin();
  void Keep(const lb::KeeperRequest& request);
  void Commit();
  void CloseAll();

 private:
  Entry* Find(const lb::KeeperRequest& request);
  Entry* Append(const lb::KeeperRequest& request);
  // Between these this process is in the namespace of `place`. Leave does not
  // fail: in the wrong namespace every later socket would be wrong.
  bool Enter(uint32_t place, Failure& failure);
  void Leave(uint32_t place);
  bool Fill(Entry& entry, uint32_t count, Failure& failure);
  bool PortIsOurs(const Entry& entry) const;
  void Remove(unsigned index);

  int host_netns_;
  const char* dataplane_netns_;
  Entry** entries_ = nullptr;
  unsigned size_ = 0;
};

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_KEEPER_SOCKETS_H_
