// One directory of files that change all at once.
#ifndef SECRETS_MATERIALIZE_FILE_SET_H_
#define SECRETS_MATERIALIZE_FILE_SET_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "secrets/secret_bytes.h"

namespace bulwark::secrets {

struct PlainFile {
  std::string name;  // without slashes; does not begin with ".."
  uint32_t mode = 0400;
  SecretBytes content;
};

// Makes `directory` hold exactly `files`, in the layout of Kubernetes' volumes:
//
//   NAME    -> ..data/NAME
//   ..data  -> ..X           one rename changes it, and with it every file
//   ..X/NAME                 the files themselves
//
// Readers see all old files or all new ones, whenever a crash comes. New files
// belong to whom the directory belongs to. Nothing changes if the files are
// these already.
absl::Status WriteFileSet(const std::string& directory,
                          const std::vector<PlainFile>& files);

// One file by itself, replaced by a rename; its owner stays.
absl::Status WriteSingleFile(const std::string& path, const PlainFile& file);

}  // namespace bulwark::secrets

#endif  // SECRETS_MATERIALIZE_FILE_SET_H_
