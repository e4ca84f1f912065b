// attack GROUP name=value...: runs every probe of one group in a process of its own and prints `name yes` or `name no`.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "probe.h"

static int count;
static char** values;
static constexpr unsigned kSeconds = 10;

const char* given(const char* name) {
    const std::size_t length = std::strlen(name);
    for (int i = 2; i < count; ++i)
        if (std::strncmp(values[i], name, length) == 0 && values[i][length] == '=') return values[i] + length + 1;
    return nullptr;
}

static bool succeeds(const Probe& probe) {
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        alarm(kSeconds);
        _exit(probe.succeeds() ? 0 : 1);
    }
    int status = 1;
    if (child < 0) return false;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char** argv) {
    count = argc;
    values = argv;
    const struct {
        const char* name;
        std::vector<Probe> (*probes)();
    } groups[] = {{"files", file_probes},           {"network", network_probes}, {"processes", process_probes},
                  {"namespaces", namespace_probes}, {"kernel", kernel_probes},   {"resources", resource_probes}};
    for (const auto& group : groups)
        if (argc > 1 && (std::strcmp(argv[1], "all") == 0 ? group.probes != resource_probes
                                                          : std::strcmp(argv[1], group.name) == 0))
            for (const Probe& probe : group.probes()) {
                const bool success = succeeds(probe);
                std::printf("%s %s\n", probe.name, success ? "yes" : "no");
                std::fflush(stdout);
            }
}
