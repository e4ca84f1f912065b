#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "probe.h"

static constexpr unsigned long kNewUser = 0x10000000, kNewMounts = 0x00020000;

static bool clones(unsigned long flags) {
    const long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return child > 0;
}

static bool clones_by_structure() {
    struct {
        unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } arguments = {kNewUser, 0, 0, 0, SIGCHLD, 0, 0, 0};
    const long child = syscall(435, &arguments, sizeof arguments);  // clone3
    if (child == 0) _exit(0);
    return child > 0;
}

// Everything that changes mounts is tried in a mount namespace of its own where one can be had.
static void step_aside() {
    if (unshare(kNewMounts) != 0) unshare(kNewUser | kNewMounts);
    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
}

static bool mounts_folder() {
    step_aside();
    return mount("tmpfs", "/tmp", "tmpfs", 0, nullptr) == 0;
}

static bool makes_root_writable() {
    step_aside();
    return mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr) == 0;
}

static bool unmounts() {
    step_aside();
    return permitted(umount2("/kernelwright-no-such-place", MNT_DETACH));
}

static bool opens_tree() {
    step_aside();
    return syscall(428, AT_FDCWD, "/", 1) >= 0;  // open_tree with OPEN_TREE_CLONE
}

static bool opens_filesystem() {
    step_aside();
    return syscall(430, "tmpfs", 0) >= 0;  // fsopen
}

static bool changes_root() {
    step_aside();
    return chroot("/usr") == 0;
}

static bool pivots_root() {
    step_aside();
    return permitted(syscall(SYS_pivot_root, "/kernelwright-no-such-place", "/"));
}

static bool enters_namespace(const char* process) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%s/ns/uts", process);
    const int place = open(path, O_RDONLY);
    return place >= 0 && setns(place, 0) == 0;
}

static bool opens_any(const char* const* paths, int flags) {
    for (; *paths; ++paths)
        if (open(*paths, flags) >= 0) return true;
    return false;
}

static bool opens_release_agent() {
    const char* const paths[] = {"/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/cpu/release_agent",
                                 "/sys/fs/cgroup/systemd/release_agent", "/sys/fs/cgroup/cgroup.procs", nullptr};
    return opens_any(paths, O_WRONLY);
}

static bool opens_memory_bound() {
    const char* const paths[] = {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max",
                                 "/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control", nullptr};
    return opens_any(paths, O_WRONLY);
}

static bool reads(const char* path) {
    char byte;
    const int file = open(path, O_RDONLY);
    return file >= 0 && read(file, &byte, 1) == 1;
}

static bool writes(const char* path) { return open(path, O_WRONLY) >= 0; }

std::vector<Probe> namespace_probes() {
    return {
        {"unshare-user", [] { return unshare(kNewUser) == 0; }},
        {"clone-into-user-namespace", [] { return clones(kNewUser); }},
        {"clone-into-mount-namespace", [] { return clones(kNewMounts); }},
        {"clone3-into-user-namespace", clones_by_structure},
        {"enter-own-namespace-again", [] { return enters_namespace("self"); }},
        {"enter-namespace-of-first-process", [] { return enters_namespace("1"); }},
        {"mount-folder", mounts_folder},
        {"make-root-writable", makes_root_writable},
        {"unmount", unmounts},
        {"open-mount-tree", opens_tree},
        {"open-file-system", opens_filesystem},
        {"change-root", changes_root},
        {"pivot-root", pivots_root},
        {"set-release-agent", opens_release_agent},
        {"set-bound-of-control-group", opens_memory_bound},
        {"set-core-pattern", [] { return writes("/proc/sys/kernel/core_pattern"); }},
        {"set-host-name-by-file", [] { return writes("/proc/sys/kernel/hostname"); }},
        {"set-process-limit-of-machine", [] { return writes("/proc/sys/kernel/pid_max"); }},
        {"trigger-sysrq", [] { return writes("/proc/sysrq-trigger"); }},
        {"write-kernel-log", [] { return writes("/dev/kmsg"); }},
        {"read-machine-memory", [] { return reads("/dev/mem") || reads("/proc/kcore"); }},
        {"write-driver-state", [] { return writes("/sys/kernel/uevent_helper") || writes("/sys/power/state"); }},
    };
}
