// The parts of parse.h, split over files by section. Each leaves its errors
// with the reader.
#ifndef ENGINE_OCI_CONFIG_PARSE_PARTS_H_
#define ENGINE_OCI_CONFIG_PARSE_PARTS_H_

#include "engine/oci/config/json_reader.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

void ReadProcess(const JsonReader& in, Process& out);
void ReadLinux(const JsonReader& in, Linux& out);
void ReadResources(const JsonReader& in, Resources& out);
void ReadSeccomp(const JsonReader& in, Seccomp& out);
void ReadIdMappings(const JsonReader& in, std::vector<IdMapping>& out);
// What a member contradicts another one in.
absl::Status CheckSpec(const Spec& spec);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONFIG_PARSE_PARTS_H_
