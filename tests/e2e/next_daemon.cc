// bulwarkd as another version of it, for upgrades.
#include "daemon/run.h"

int main(int argc, char** argv) {
  return bulwark::daemon::Run(argc, argv, {}, "99.0.0");
}
