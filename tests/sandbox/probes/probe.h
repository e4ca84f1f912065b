// One attempt at what a sandbox must refuse. Every attempt is harmless where it succeeds: it opens and closes, asks with
// arguments that are refused after the permission was checked, or touches only what the test made for it.

#pragma once

#include <cerrno>
#include <vector>

struct Probe {
    const char* name;
    bool (*succeeds)();
};

// Value of `name=value` on the command line; nullptr when it is not there.
const char* given(const char* name);

std::vector<Probe> file_probes();
std::vector<Probe> network_probes();
std::vector<Probe> process_probes();
std::vector<Probe> namespace_probes();
std::vector<Probe> kernel_probes();
std::vector<Probe> resource_probes();

// The call came past the check of permissions and failed on its arguments.
inline bool permitted(long result) { return result >= 0 || (errno != EPERM && errno != ENOSYS && errno != EACCES); }
