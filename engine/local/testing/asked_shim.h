// A shim that somebody asks, and that does not answer.
#ifndef ENGINE_LOCAL_TESTING_ASKED_SHIM_H_
#define ENGINE_LOCAL_TESTING_ASKED_SHIM_H_

namespace bulwark::engine::testing {

// Whether a connection waits until this shim, which is stopped, accepts it.
bool IsAsked(int shim_pid);

}  // namespace bulwark::engine::testing

#endif  // ENGINE_LOCAL_TESTING_ASKED_SHIM_H_
