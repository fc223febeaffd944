// Secrets and configs as parts of a template. Pure.
#ifndef SCHEDULER_ROLLOUT_INPUTS_H_
#define SCHEDULER_ROLLOUT_INPUTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

// The newest version of each secret and config that exists, by kind ("secret",
// "config") and name.
using InputVersions = std::map<std::pair<std::string, std::string>, int64_t>;

// What the containers of a template read, sorted by kind and name, each once,
// without versions.
std::vector<v1::InputVersion> InputsOf(const v1::Template& t);
std::vector<v1::InputVersion> InputsOf(const v1::Container& container);

// The template that a service declares, given what there is now: it pins the
// versions, or says that the newest is read (0) where files are swapped. What
// is missing has version 0 too; see MissingInputs().
v1::Template DeclaredTemplate(const v1::ServiceSpec& spec,
                              const InputVersions& current);

// A sentence for each input that does not exist.
std::vector<std::string> MissingInputs(const v1::Template& t,
                                       const InputVersions& current);

// What `to` reads in another version than `from` does.
struct OtherVersion {
  std::string kind;
  std::string name;
  int64_t from = 0;
  int64_t to = 0;
};
std::vector<OtherVersion> OtherVersions(const v1::Template& from,
                                        const v1::Template& to);

// "version 1 of secret db instead of 2", and more of them; empty for none.
std::string InWords(const std::vector<OtherVersion>& versions);

// Whether containers of the template read a secret.
bool ReadsSecrets(const v1::Template& t);

// The version that a container of this template gets: the pinned one, or if
// there is none the newest. 0: there is none.
int64_t VersionFor(const v1::Template& t, const std::string& kind,
                   const std::string& name, const InputVersions& current);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_INPUTS_H_
