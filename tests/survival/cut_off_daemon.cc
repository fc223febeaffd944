// bulwarkd that dies in the middle of a launch: at CUT_OFF_AT of its
// environment, if that is set to "ordered", "grouped" or "recorded".
#include <cstdlib>
#include <string>

#include "daemon/run.h"
#include "engine/local/testing/cut_off.h"

int main(int argc, char** argv) {
  using bulwark::engine::testing::CutOff;
  const char* value = std::getenv("CUT_OFF_AT");
  const std::string moment = value == nullptr ? "" : value;
  if (moment == "ordered") DieAt(CutOff::kOrdered);
  if (moment == "grouped") DieAt(CutOff::kGrouped);
  if (moment == "recorded") DieAt(CutOff::kRecorded);
  return bulwark::daemon::Run(argc, argv);
}
