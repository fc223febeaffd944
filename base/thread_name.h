// Names of threads, as top and a debugger show them.
#ifndef BASE_THREAD_NAME_H_
#define BASE_THREAD_NAME_H_

#include <pthread.h>

#include <string>

#include "absl/strings/string_view.h"

namespace bulwark {

// Names the calling thread; the kernel keeps 15 characters.
inline void NameThread(absl::string_view name) {
  pthread_setname_np(pthread_self(), std::string(name.substr(0, 15)).c_str());
}

}  // namespace bulwark

#endif  // BASE_THREAD_NAME_H_
