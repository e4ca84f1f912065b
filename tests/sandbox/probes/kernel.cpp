#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pty.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/personality.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstring>

#include "probe.h"

static bool makes_map() {
    bpf_attr attributes = {};
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = 4;
    attributes.value_size = 4;
    attributes.max_entries = 1;
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes) >= 0;
}

static bool opens_counter() {
    perf_event_attr attributes = {};
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_TASK_CLOCK;
    attributes.exclude_kernel = 1;
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0) >= 0;
}

static bool sets_up_ring() {
    char parameters[256] = {};
    return syscall(425, 1, parameters) >= 0;  // io_uring_setup
}

static bool adds_key() {
    return syscall(SYS_add_key, "user", "kernelwright-probe", "x", 1, -2) >= 0;  // the process keyring
}

static bool joins_keyring() { return syscall(SYS_keyctl, 0, -3, 1) >= 0; }  // id of the session keyring

static bool handles_faults() { return syscall(SYS_userfaultfd, 1) >= 0; }  // user mode only

static bool types_into_terminal() {
    int outside, inside;
    char typed = 'x', read_back = 0;
    if (openpty(&outside, &inside, nullptr, nullptr, nullptr) != 0) return false;
    setsid();
    ioctl(inside, TIOCSCTTY, 0);
    termios mode;
    tcgetattr(inside, &mode);
    cfmakeraw(&mode);
    tcsetattr(inside, TCSANOW, &mode);
    return ioctl(inside, TIOCSTI, &typed) == 0 && read(inside, &read_back, 1) == 1 && read_back == typed;
}

static bool loads_module() { return permitted(syscall(SYS_init_module, nullptr, 0UL, "")); }

static bool loads_kernel() { return permitted(syscall(SYS_kexec_load, 0UL, 1UL << 20, nullptr, 0UL)); }

static bool reboots() { return permitted(syscall(SYS_reboot, 0, 0, 0, nullptr)); }  // with the wrong magic

static bool sets_host_name() {
    utsname names;
    uname(&names);
    return sethostname(names.nodename, std::strlen(names.nodename)) == 0;
}

static bool sets_clock() {
    timex asked = {};
    asked.modes = ADJ_OFFSET_SINGLESHOT;  // by nothing
    return adjtimex(&asked) >= 0;
}

static bool swaps() { return permitted(swapon("/kernelwright-no-such-file", 0)); }

static bool reads_kernel_log() {
    static char text[256];
    return klogctl(3, text, sizeof text) > 0;
}

static bool watches_files() { return fanotify_init(FAN_CLASS_NOTIF, O_RDONLY) >= 0; }

static bool hides_memory() { return syscall(447, 0) >= 0; }  // memfd_secret

static bool asks_for_unknown_call() { return permitted(syscall(463, -1, "", 0, nullptr, nullptr, 0)); }  // setxattrat

static bool maps_readable_as_executable() { return personality(READ_IMPLIES_EXEC) >= 0; }

#if defined(__x86_64__)
static bool calls_as_32_bit() {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");  // getpid
    return result == getpid();
}

static bool calls_as_x32() { return syscall(0x40000000 | SYS_getpid) == getpid(); }

static bool opens_ports() { return syscall(SYS_iopl, 3) == 0; }

static bool changes_segments() {
    char table[64];
    return syscall(SYS_modify_ldt, 0, table, sizeof table) >= 0;
}
#endif

std::vector<Probe> kernel_probes() {
    return {
        {"load-kernel-program", makes_map},
        {"open-performance-counter", opens_counter},
        {"set-up-ring", sets_up_ring},
        {"add-key", adds_key},
        {"read-session-keyring", joins_keyring},
        {"handle-page-faults", handles_faults},
        {"type-into-terminal", types_into_terminal},
        {"load-module", loads_module},
        {"load-kernel", loads_kernel},
        {"reboot", reboots},
        {"set-host-name", sets_host_name},
        {"set-clock", sets_clock},
        {"swap", swaps},
        {"read-kernel-log", reads_kernel_log},
        {"watch-files", watches_files},
        {"hide-memory", hides_memory},
        {"use-unjudged-call", asks_for_unknown_call},
        {"map-readable-as-executable", maps_readable_as_executable},
#if defined(__x86_64__)
        {"call-as-32-bit", calls_as_32_bit},
        {"call-as-x32", calls_as_x32},
        {"open-ports", opens_ports},
        {"change-segments", changes_segments},
#endif
    };
}
