// New file systems, by fsopen(2) and its kin. Each function returns a negative
// errno on failure.
#ifndef ENGINE_CHILD_SUPERBLOCK_H_
#define ENGINE_CHILD_SUPERBLOCK_H_

#include <stdint.h>

namespace bulwark::child {

int Fsconfig(int fs, unsigned command, const char* key, const char* value,
             int aux);

// Creates the superblock and returns a detached mount; closes `fs`.
int FinishFs(int fs, uint64_t attributes);

// A detached mount of `type` with options "a=b,flag".
int NewFs(const char* type, const char* options, uint64_t attributes);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_SUPERBLOCK_H_
