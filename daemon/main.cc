// bulwarkd: see ARCHITECTURE.md.
#include "daemon/run.h"

int main(int argc, char** argv) { return bulwark::daemon::Run(argc, argv); }
