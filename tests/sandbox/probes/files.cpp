#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "probe.h"

static bool reads(const char* path) {
    char byte;
    const int file = open(path, O_RDONLY);
    return file >= 0 && read(file, &byte, 1) == 1;
}

static bool reads_below(const char* folder, const char* name) {
    char path[PATH_MAX];
    std::snprintf(path, sizeof path, "%s/%s", folder, name);
    return reads(path);
}

// The canaries' folder, seen through the root of another process.
static bool reads_through(const char* process) {
    char path[PATH_MAX];
    std::snprintf(path, sizeof path, "/proc/%s/root%s/secret", process, given("canaries"));
    return reads(path);
}

static bool makes_file_in(const char* folder) {
    char path[PATH_MAX];
    std::snprintf(path, sizeof path, "%s/kernelwright-probe-XXXXXX", folder);
    const int file = mkstemp(path);
    if (file >= 0) unlink(path);
    return file >= 0;
}

static bool opens_for_writing(const char* path) { return open(path, O_WRONLY) >= 0; }

static const char* secret() {
    static char path[PATH_MAX];
    std::snprintf(path, sizeof path, "%s/secret", given("canaries"));
    return path;
}

static bool links(const char* (*target)()) {
    const char* place = "/tmp/kernelwright-probe-link";
    unlink(place);
    const bool made = link(target(), place) == 0 && reads(place);
    unlink(place);
    return made;
}

static bool follows_symlink() {
    const char* place = "/tmp/kernelwright-probe-symlink";
    unlink(place);
    const bool done = symlink(secret(), place) == 0 && reads(place);
    unlink(place);
    return done;
}

static bool makes_device() {
    const char* place = "/tmp/kernelwright-probe-device";
    unlink(place);
    const bool made = mknod(place, S_IFBLK | 0600, makedev(253, 0)) == 0;
    unlink(place);
    return made;
}

static bool opens_disk() {
    const char* disks[] = {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda", "/dev/dm-0"};
    for (const char* disk : disks)
        if (open(disk, O_RDONLY) >= 0) return true;
    return false;
}

static bool opens_by_handle() {
    alignas(file_handle) char buffer[sizeof(file_handle) + MAX_HANDLE_SZ];
    auto* handle = reinterpret_cast<file_handle*>(buffer);
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount;
    if (name_to_handle_at(AT_FDCWD, "/usr", handle, &mount, 0) != 0) return false;
    return open_by_handle_at(open("/", O_RDONLY), handle, O_RDONLY) >= 0;
}

static bool sees_secret_variable() {
    if (std::getenv("KERNELWRIGHT_PROBE_SECRET")) return true;
    const char* places[] = {"/proc/self/environ", "/proc/1/environ"};
    for (const char* place : places) {
        static char text[1 << 16];
        const int file = open(place, O_RDONLY);
        const ssize_t length = file < 0 ? -1 : read(file, text, sizeof text);
        if (length > 0 && memmem(text, length, "KERNELWRIGHT_PROBE_SECRET", 25)) return true;
    }
    return false;
}

static bool inherits_descriptor() {
    for (int file = 3; file < 1024; ++file)
        if (fcntl(file, F_GETFD) >= 0) return true;
    return false;
}

std::vector<Probe> file_probes() {
    return {
        {"read-file-of-the-host", [] { return reads(secret()); }},
        {"read-ssh-key", [] { return reads_below(given("canaries"), "home/.ssh/id_ed25519"); }},
        {"read-project-settings", [] { return reads_below(given("canaries"), "project/kernelwright.toml"); }},
        {"read-database", [] { return reads_below(given("canaries"), "data/kernelwright.db"); }},
        {"read-other-candidate", [] { return reads_below(given("canaries"), "cache/other/kernel.so"); }},
        {"read-shadow", [] { return reads("/etc/shadow"); }},
        {"read-users", [] { return reads("/etc/passwd"); }},
        {"list-folder-of-the-host", [] { return opendir(given("canaries")) != nullptr; }},
        {"write-file-of-the-host", [] { return opens_for_writing(secret()); }},
        {"make-file-beside-it", [] { return makes_file_in(given("canaries")); }},
        {"make-file-in-usr", [] { return makes_file_in("/usr"); }},
        {"make-file-in-etc", [] { return makes_file_in("/etc"); }},
        {"make-file-in-root", [] { return makes_file_in("/"); }},
        {"make-file-in-dev", [] { return makes_file_in("/dev"); }},
        {"make-file-in-our-code", [] { return makes_file_in(given("code")); }},
        {"change-mode-of-the-host", [] { return chmod(secret(), 0644) == 0; }},
        {"rename-of-the-host", [] { return rename(secret(), secret()) == 0; }},
        {"hard-link-of-the-host", [] { return links(secret); }},
        {"symlink-to-the-host", follows_symlink},
        {"read-through-root-of-first-process", [] { return reads_through("1"); }},
        {"read-through-root-of-victim", [] { return reads_through(given("victim")); }},
        {"make-device", makes_device},
        {"open-disk", opens_disk},
        {"open-by-handle", opens_by_handle},
        {"read-secret-variable", sees_secret_variable},
        {"inherit-descriptor", inherits_descriptor},
    };
}
