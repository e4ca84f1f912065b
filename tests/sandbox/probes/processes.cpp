#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "probe.h"

static pid_t victim() { return std::atoi(given("victim")); }

static bool opens(const char* process, const char* file, int flags) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%s/%s", process, file);
    return open(path, flags) >= 0;
}

static pid_t sleeping_child() {
    const pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    return child;
}

static bool traces(pid_t process) {
    const bool done = ptrace(PTRACE_SEIZE, process, 0, 0) == 0;
    if (done) ptrace(PTRACE_DETACH, process, 0, 0);
    return done;
}

static bool with_child(bool (*attack)(pid_t)) {
    const pid_t child = sleeping_child();
    const bool done = child > 0 && attack(child);
    if (child > 0) kill(child, SIGKILL);
    return done;
}

static int shared_value = 7;

// The victim is another program, so only the address of something that every process has can be read: its stack's top
// is not known, and a call that fails on the address alone was permitted.
static bool reads_memory(pid_t process) {
    int copy = 0;
    const iovec mine = {&copy, sizeof copy}, theirs = {&shared_value, sizeof shared_value};
    return permitted(process_vm_readv(process, &mine, 1, &theirs, 1, 0));
}

static bool writes_memory(pid_t process) {
    int value = 8;
    const iovec mine = {&value, sizeof value}, theirs = {&shared_value, sizeof shared_value};
    return process_vm_writev(process, &mine, 1, &theirs, 1, 0) == sizeof value;
}

static bool takes_descriptor() {
    const long process = syscall(SYS_pidfd_open, victim(), 0);
    return process >= 0 && syscall(438, process, 0, 0) >= 0;  // pidfd_getfd
}

static bool compares() { return syscall(SYS_kcmp, getpid(), victim(), KCMP_VM, 0, 0) >= 0; }

static bool reads_limit() {
    rlimit old;
    return prlimit(victim(), RLIMIT_CORE, nullptr, &old) == 0;
}

static bool changes_limit_of_first() {
    rlimit limit;
    return prlimit(1, RLIMIT_NOFILE, nullptr, &limit) == 0 && prlimit(1, RLIMIT_NOFILE, &limit, nullptr) == 0;
}

static bool sets_realtime() {
    const sched_param priority = {1};
    return sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
}

std::vector<Probe> process_probes() {
    return {
        {"see-process-of-the-host", [] { return opens(given("victim"), "status", O_RDONLY); }},
        {"signal-process-of-the-host", [] { return kill(victim(), 0) == 0; }},
        {"signal-parent", [] { return kill(std::atoi(given("parent")), 0) == 0; }},
        {"trace-process-of-the-host", [] { return traces(victim()); }},
        {"trace-sibling", [] { return with_child(traces); }},
        {"read-memory-of-the-host", [] { return reads_memory(victim()); }},
        {"write-memory-of-sibling", [] { return with_child(writes_memory); }},
        {"open-memory-of-the-host", [] { return opens(given("victim"), "mem", O_RDWR); }},
        {"open-memory-of-first-process", [] { return opens("1", "mem", O_RDWR); }},
        {"read-variables-of-the-host", [] { return opens(given("victim"), "environ", O_RDONLY); }},
        {"set-priority-of-the-host", [] { return setpriority(PRIO_PROCESS, victim(), 0) == 0; }},
        {"set-out-of-memory-score-of-the-host", [] { return opens(given("victim"), "oom_score_adj", O_WRONLY); }},
        {"read-limit-of-the-host", reads_limit},
        {"change-limit-of-first-process", changes_limit_of_first},
        {"take-descriptor-of-the-host", takes_descriptor},
        {"compare-with-the-host", compares},
        {"raise-own-priority", [] { return setpriority(PRIO_PROCESS, 0, -5) == 0; }},
        {"set-realtime", sets_realtime},
        {"become-root", [] { return getuid() == 0 || setuid(0) == 0; }},
        {"gain-privileges", [] { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0; }},
    };
}
