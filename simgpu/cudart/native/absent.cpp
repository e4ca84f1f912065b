// Entry points of the CUDA runtime that the stand-in lacks. Each says so by name and fails; none succeeds silently.
// This file must not see the CUDA headers: the stubs have no parameters, and the names bind by symbol alone.
namespace standin {
int report_absent(const char* name);
}

#define ABSENT(name) \
  extern "C" int name() { return standin::report_absent(#name); }
#include "absent.inc"
#undef ABSENT
