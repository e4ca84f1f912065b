// The first of our own programs in a sandboxed process tree; it bounds itself, then becomes the command.
//
//   hold join GROUP PARENT -- COMMAND...   outside: enter the control group whose `cgroup.procs` is GROUP ("-": none),
//                                          die with the process PARENT, become the command (bubblewrap)
//   hold bound SETTING... -- COMMAND...    inside: check that the namespaces are new, bound what can be used, give up
//                                          every privilege, refuse system calls, become the command
//   hold contain DOOR SETTING... -- COMMAND...
//                                          inside a container, as its first process: take descriptors from the socket
//                                          DOOR, start the command bounded in the same way, reap what it leaves, say how
//                                          it ended, and end everything when the other end of the socket is gone
//
// Whatever fails ends it with code 125 and one sentence: nothing runs that is not held.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr int kFailed = 125;
constexpr int kNotFound = 127;
constexpr std::size_t kInstructionBytes = sizeof(sock_filter);

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "hold: %s: %s\n", what.c_str(), std::strerror(errno));
    std::_Exit(kFailed);
}

void require(bool done, const std::string& what) {
    if (!done) fail(what);
}

unsigned long number(const std::string& text) {
    char* end = nullptr;
    errno = 0;
    const unsigned long value = std::strtoul(text.c_str(), &end, 10);
    if (errno == 0 && (text.empty() || *end != '\0')) errno = EINVAL;
    require(errno == 0, "the number `" + text + "`");
    return value;
}

void write_text(const std::string& path, const char* text) {
    const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    require(file >= 0, path);
    require(write(file, text, std::strlen(text)) == static_cast<ssize_t>(std::strlen(text)), path);
    close(file);
}

[[noreturn]] void become(char** command) {
    execv(command[0], command);
    std::fprintf(stderr, "%s: %s\n", command[0], std::strerror(errno));
    std::_Exit(kNotFound);
}

// namespace=KIND:INODE, as the parent sees its own.
void expect_new_namespace(const std::string& value) {
    const auto colon = value.find(':');
    const std::string path = "/proc/self/ns/" + value.substr(0, colon);
    struct stat mine;
    require(stat(path.c_str(), &mine) == 0, path);
    const unsigned long outside = number(value.substr(colon + 1));
    errno = EPERM;
    require(mine.st_ino != outside, "this process shares its parent's namespace " + path);
}

// tmpfs=BYTES:INODES:PATH
void bound_folder(const std::string& value) {
    const auto first = value.find(':'), second = value.find(':', first + 1);
    const std::string options = "size=" + value.substr(0, first) + ",nr_inodes=" + value.substr(first + 1, second - first - 1);
    const std::string path = value.substr(second + 1);
    require(mount("tmpfs", path.c_str(), nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV, options.c_str()) == 0, path);
}

void protect_kernel_settings() {
    const char* path = "/proc/sys";
    require(mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) == 0, path);
    const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    require(mount(nullptr, path, nullptr, flags, nullptr) == 0, path);
}

// bubblewrap's first process in here runs under the same user as the command where that user started it, and under one
// filter fewer; nobody needs to see it.
void hide_first_process() {
    const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    require(mount("tmpfs", "/proc/1", "tmpfs", flags, "size=4096,nr_inodes=1") == 0, "/proc/1");
}

void lower(int kind, unsigned long value) {
    rlimit limit;
    require(getrlimit(static_cast<__rlimit_resource>(kind), &limit) == 0, "getrlimit");
    if (limit.rlim_max == RLIM_INFINITY || value < limit.rlim_max) limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    require(setrlimit(static_cast<__rlimit_resource>(kind), &limit) == 0, "setrlimit");
}

std::vector<char> read_filter(int file) {
    std::vector<char> data;
    char chunk[4096];
    ssize_t count;
    while ((count = read(file, chunk, sizeof chunk)) > 0) data.insert(data.end(), chunk, chunk + count);
    require(count == 0, "the filter of system calls");
    errno = EINVAL;
    require(!data.empty() && data.size() % kInstructionBytes == 0, "the filter of system calls");
    close(file);
    return data;
}

struct Settings {
    std::vector<std::vector<char>> filters;  // in the order in which they are installed
    unsigned long user = 0;                  // 0: stay who we are
    std::string folder = "/";
    int ready = -1;
};

void apply(const std::string& name, const std::string& value, Settings& settings) {
    if (name == "namespace") expect_new_namespace(value);
    else if (name == "user-namespaces") write_text("/proc/sys/user/max_user_namespaces", value.c_str());
    else if (name == "tmpfs") bound_folder(value);
    else if (name == "cpu") lower(RLIMIT_CPU, number(value));
    else if (name == "file") lower(RLIMIT_FSIZE, number(value));
    else if (name == "processes") lower(RLIMIT_NPROC, number(value));
    else if (name == "descriptors") lower(RLIMIT_NOFILE, number(value));
    else if (name == "filter") settings.filters.push_back(read_filter(static_cast<int>(number(value))));
    else if (name == "variable") require(putenv(strdup(value.c_str())) == 0, "the variable `" + value + "`");
    else if (name == "user") settings.user = number(value);
    else if (name == "folder") settings.folder = value;
    else if (name == "ready") settings.ready = static_cast<int>(number(value));
    else {
        errno = EINVAL;
        fail("the setting `" + name + "`");
    }
}

Settings carry_out(const std::vector<std::string>& arguments) {
    Settings settings;
    for (const std::string& argument : arguments) {
        const auto equals = argument.find('=');
        apply(argument.substr(0, equals), equals == std::string::npos ? "" : argument.substr(equals + 1), settings);
    }
    return settings;
}

void give_up_privileges(unsigned long user) {
    for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {}
    require(errno == EINVAL, "dropping the bounding set");
    require(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, "clearing ambient capabilities");
    if (user != 0) {
        const auto id = static_cast<unsigned>(user);
        require(setgroups(0, nullptr) == 0, "setgroups");
        require(setresgid(id, id, id) == 0, "setresgid");
        require(setresuid(id, id, id) == 0, "setresuid");
    }
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    require(syscall(SYS_capset, &header, none) == 0, "capset");
    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
}

// A container's first process was never given any, and could not give up what it may not even drop.
void expect_no_privileges() {
    errno = EPERM;
    require(getuid() != 0 && geteuid() != 0, "this container runs as root");
    for (int capability = 0, held; (held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0; ++capability) {
        errno = EPERM;
        require(held == 0, "capabilities are left to this container");
    }
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    require(syscall(SYS_capset, &header, none) == 0, "capset");
    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
}

void refuse_calls(std::vector<char>& filter) {
    sock_fprog program;
    program.len = static_cast<unsigned short>(filter.size() / kInstructionBytes);
    program.filter = reinterpret_cast<sock_filter*>(filter.data());
    require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "the filter of system calls");
}

// The last steps, the same however the command is held.
[[noreturn]] void confine(Settings& settings, char** command) {
    require(chdir(settings.folder.c_str()) == 0, settings.folder);  // as the user that may enter it
    for (std::vector<char>& filter : settings.filters) refuse_calls(filter);
    require(write(settings.ready, "1", 1) == 1, "saying that the command is held");
    close(settings.ready);
    become(command);
}

void bound_always() {
    lower(RLIMIT_CORE, 0);
    lower(RLIMIT_MSGQUEUE, 0);
    write_text("/proc/self/oom_score_adj", "1000");  // a machine out of memory ends the sandbox first
    umask(S_IWGRP | S_IWOTH);
}

[[noreturn]] void bound(const std::vector<std::string>& arguments, char** command) {
    Settings settings = carry_out(arguments);
    protect_kernel_settings();
    hide_first_process();
    bound_always();
    give_up_privileges(settings.user);
    confine(settings, command);
}

int knock(const std::string& door) {
    sockaddr_un place = {};
    place.sun_family = AF_UNIX;
    errno = ENAMETOOLONG;
    require(door.size() < sizeof place.sun_path, door);
    std::memcpy(place.sun_path, door.c_str(), door.size());
    const int end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(end >= 0 && connect(end, reinterpret_cast<sockaddr*>(&place), sizeof place) == 0, door);
    return end;
}

// The message is the numbers that the descriptors had where they come from, 32 bits each; they get them here too.
// Returns the socket, moved out of their way.
int take_descriptors(int end) {
    constexpr std::size_t kMost = 32;
    std::int32_t numbers[kMost];
    alignas(cmsghdr) char control[CMSG_SPACE(kMost * sizeof(int))];
    iovec body = {numbers, sizeof numbers};
    msghdr message = {};
    message.msg_iov = &body;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t length = recvmsg(end, &message, MSG_CMSG_CLOEXEC);
    require(length >= 0, "the descriptors");
    const cmsghdr* first = CMSG_FIRSTHDR(&message);
    const std::size_t count = static_cast<std::size_t>(length) / sizeof(std::int32_t);
    errno = EINVAL;
    require(count > 0 && first && first->cmsg_type == SCM_RIGHTS && first->cmsg_len == CMSG_LEN(count * sizeof(int)),
            "the descriptors");
    const int above = std::max(*std::max_element(numbers, numbers + count), 2) + 1;
    std::vector<int> taken(count);
    std::memcpy(taken.data(), CMSG_DATA(first), count * sizeof(int));
    for (int& one : taken) one = fcntl(one, F_DUPFD_CLOEXEC, above);
    const int moved = fcntl(end, F_DUPFD_CLOEXEC, above);
    for (int one = 3; one < above; ++one) close(one);
    for (std::size_t i = 0; i < count; ++i) {
        require(taken[i] >= 0 && dup2(taken[i], numbers[i]) == numbers[i], "the descriptors");
        close(taken[i]);
    }
    require(moved >= 0, "the socket");
    return moved;
}

// What the kernel ended in this container because its memory was used up, by version of control groups.
std::uint32_t memory_kills() {
    for (const char* path : {"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"}) {
        if (FILE* file = std::fopen(path, "re")) {
            char line[256];
            unsigned found = 0;
            while (std::fgets(line, sizeof line, file) && std::sscanf(line, "oom_kill %u", &found) != 1) {}
            std::fclose(file);
            return found;
        }
    }
    return 0;
}

enum class Ending : std::uint32_t { kItself, kMemory, kStopped };

// Ends what the command left, and says how it ended: its status as wait(2) gives it, and who ended it.
[[noreturn]] void conclude(int end, int status, Ending ending) {
    kill(-1, SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {}
    if (ending == Ending::kItself && memory_kills() > 0) ending = Ending::kMemory;
    const std::uint32_t report[] = {static_cast<std::uint32_t>(status), static_cast<std::uint32_t>(ending)};
    const bool told = send(end, report, sizeof report, MSG_NOSIGNAL) == sizeof report;
    std::_Exit(told ? 0 : kFailed);
}

[[noreturn]] void attend(int end, int signals, pid_t command) {
    constexpr int kBetweenLooksAtMemory = 250;  // milliseconds
    for (;;) {
        pollfd waits[] = {{end, POLLIN, 0}, {signals, POLLIN, 0}};
        poll(waits, 2, kBetweenLooksAtMemory);
        if (waits[0].revents != 0) std::_Exit(0);  // nobody is there any more: with this process goes the namespace
        signalfd_siginfo signal;
        while (read(signals, &signal, sizeof signal) > 0)
            // The daemon stops. From in here it would come from a process with a number, or say that it was queued.
            if (signal.ssi_signo == SIGTERM && signal.ssi_code == SI_USER && signal.ssi_pid == 0)
                conclude(end, SIGTERM, Ending::kStopped);
        int status;
        for (pid_t gone; (gone = waitpid(-1, &status, WNOHANG)) > 0;)
            if (gone == command) conclude(end, status, Ending::kItself);
        if (memory_kills() > 0) conclude(end, SIGKILL, Ending::kMemory);
    }
}

// The user is that of the command, so what this process holds must be out of its reach: it is not to be traced or read
// through /proc, and the kernel keeps signals from the first process of a namespace.
[[noreturn]] void contain(const std::vector<std::string>& arguments, char** command) {
    sigset_t awaited;
    sigemptyset(&awaited);
    for (int one : {SIGCHLD, SIGTERM}) sigaddset(&awaited, one);
    require(sigprocmask(SIG_BLOCK, &awaited, nullptr) == 0, "blocking signals");
    errno = EPERM;
    require(getpid() == 1, "this is not the first process of a container");
    const int end = take_descriptors(knock(arguments[0]));
    const int signals = signalfd(-1, &awaited, SFD_CLOEXEC | SFD_NONBLOCK);
    require(signals >= 0, "signalfd");
    require(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "hiding from the command");
    const pid_t started = fork();
    require(started >= 0, "starting the command");
    if (started == 0) {
        require(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && setsid() > 0, "a session of its own");
        require(sigprocmask(SIG_UNBLOCK, &awaited, nullptr) == 0, "unblocking signals");
        clearenv();
        Settings settings = carry_out({arguments.begin() + 1, arguments.end()});
        bound_always();
        expect_no_privileges();
        confine(settings, command);
    }
    for (int one = 3; one < end; ++one)  // the highest number of all
        if (one != signals) close(one);
    for (int one : {0, 1, 2}) dup2(open("/dev/null", O_RDWR | O_CLOEXEC), one);
    attend(end, signals, started);
}

[[noreturn]] void join(const std::string& group, unsigned long parent, char** command) {
    require(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "dying with the parent");
    errno = ESRCH;
    require(static_cast<unsigned long>(getppid()) == parent, "the parent is gone");
    if (group != "-") write_text(group, "0");
    become(command);
}

}  // namespace

int main(int count, char** values) {
    std::vector<std::string> arguments;
    int next = 2;
    while (next < count && std::strcmp(values[next], "--") != 0) arguments.emplace_back(values[next++]);
    const std::string mode = count > 1 ? values[1] : "";
    errno = EINVAL;
    require(next + 1 < count, "the arguments");
    if (mode == "join" && arguments.size() == 2) join(arguments[0], number(arguments[1]), values + next + 1);
    if (mode == "bound") bound(arguments, values + next + 1);
    if (mode == "contain" && !arguments.empty()) contain(arguments, values + next + 1);
    errno = EINVAL;
    fail("the mode `" + mode + "`");
}
