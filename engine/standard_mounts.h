// What every container has something mounted on, whatever its image holds
// there: of use to those who make these places, or find them in its layer.
#ifndef ENGINE_STANDARD_MOUNTS_H_
#define ENGINE_STANDARD_MOUNTS_H_

namespace bulwark::engine {

inline constexpr const char* kMountedFolders[] = {"/dev", "/proc", "/sys"};
inline constexpr const char* kMountedFiles[] = {
    "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};

}  // namespace bulwark::engine

#endif  // ENGINE_STANDARD_MOUNTS_H_
