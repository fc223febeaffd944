// Prints docs/metrics.md.
#include <cstdio>

#include "metrics/names.h"

int main() { std::fputs(bulwark::metrics::Reference().c_str(), stdout); }
