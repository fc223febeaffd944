// The descriptors that bulwark-shim is started with; see shim.h.
#ifndef ENGINE_SHIM_SHIM_FDS_H_
#define ENGINE_SHIM_SHIM_FDS_H_

namespace bulwark::shim {

inline constexpr int kPlanFd = 3;
inline constexpr int kStatusFd = 4;  // or the control socket
inline constexpr int kThirdFd = 5;   // lock, or pidfd
inline constexpr int kFirstStreamFd = 6;
inline constexpr int kGateFd = 6;  // of `run`, which is passed no streams

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_SHIM_FDS_H_
