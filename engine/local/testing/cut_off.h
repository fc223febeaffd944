// A daemon that dies, as of kill -9, at a moment of the next launch of a
// container that awaits its program. Whoever links this has a send() and a
// sendmsg() of its own, which know the moment by what is sent.
#ifndef ENGINE_LOCAL_TESTING_CUT_OFF_H_
#define ENGINE_LOCAL_TESTING_CUT_OFF_H_

#include <functional>

namespace bulwark::engine::testing {

enum class CutOff {
  kNever,
  kOrdered,   // the shim has its order, and there is no control group yet
  kGrouped,   // there are all, and no byte is at the gate
  kRecorded,  // the record is there, too; the program may not begin yet
};

struct CutOffHooks {
  std::function<void()> before_order;  // is called before the order is sent
  std::function<void()> before_death;
};

// Has this process die there. Call before there are threads.
void DieAt(CutOff moment, CutOffHooks hooks = {});

}  // namespace bulwark::engine::testing

#endif  // ENGINE_LOCAL_TESTING_CUT_OFF_H_
