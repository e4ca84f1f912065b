// Each takes somewhat more than the test's limits, which are small, and gives it back.

#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "probe.h"

static int number(const char* name) { return std::atoi(given(name)); }

static bool multiplies() {
    const int wanted = number("processes");
    std::vector<pid_t> children;
    for (int i = 0; i < wanted; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            pause();
            _exit(0);
        }
        if (child < 0) break;
        children.push_back(child);
    }
    for (const pid_t child : children) kill(child, SIGKILL);
    for (const pid_t child : children) waitpid(child, nullptr, 0);
    return static_cast<int>(children.size()) == wanted;
}

static void* wait_for_ever(void*) {
    pause();
    return nullptr;
}

static bool starts_threads() {
    for (int i = 0; i < number("processes"); ++i) {
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 1 << 16);
        if (pthread_create(&thread, &small, wait_for_ever, nullptr) != 0) return false;
    }
    return true;
}

static bool opens_many() {
    for (int i = 0; i < number("descriptors"); ++i)
        if (open("/dev/null", O_RDONLY) < 0) return false;
    return true;
}

static long fill(const char* path, long bytes) {
    static char block[1 << 16];
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    long written = 0;
    while (file >= 0 && written < bytes) {
        const ssize_t count = write(file, block, sizeof block);
        if (count <= 0) break;
        written += count;
    }
    if (file >= 0) close(file);
    return written;
}

// In files that are each within their own limit.
static bool fills(const char* folder) {
    const long each = number("file_bytes") / 2, wanted = number("temporary_bytes");
    long written = 0;
    char path[128];
    for (int i = 0; written < wanted && i < 1000; ++i) {
        std::snprintf(path, sizeof path, "%s/kernelwright-probe-%d", folder, i);
        const long count = fill(path, each);
        written += count;
        if (count < each) break;
    }
    for (int i = 0; i < 1000; ++i) {
        std::snprintf(path, sizeof path, "%s/kernelwright-probe-%d", folder, i);
        if (unlink(path) != 0) break;
    }
    return written >= wanted;
}

static bool makes_files(const char* folder) {
    char path[128];
    int made = 0;
    for (; made < number("files"); ++made) {
        std::snprintf(path, sizeof path, "%s/kernelwright-probe-file-%d", folder, made);
        const int file = open(path, O_WRONLY | O_CREAT, 0600);
        if (file < 0) break;
        close(file);
    }
    for (int i = 0; i < made; ++i) {
        std::snprintf(path, sizeof path, "%s/kernelwright-probe-file-%d", folder, i);
        unlink(path);
    }
    return made == number("files");
}

static bool grows_file() {
    signal(SIGXFSZ, SIG_IGN);
    const char* path = "/tmp/kernelwright-probe-big";
    const long wanted = number("file_bytes") + (1 << 20);
    const long written = fill(path, wanted);
    unlink(path);
    return written >= wanted;
}

static bool keeps_memory_in_file() {
    const int file = memfd_create("kernelwright-probe", 0);
    return file >= 0 && ftruncate(file, 1 << 20) == 0;
}

static bool shares_memory() {
    const int segment = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
    if (segment >= 0) shmctl(segment, IPC_RMID, nullptr);
    return segment >= 0;
}

static bool makes_queue() {
    const int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (queue >= 0) msgctl(queue, IPC_RMID, nullptr);
    return queue >= 0;
}

static bool makes_semaphores() {
    const int set = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
    if (set >= 0) semctl(set, 0, IPC_RMID);
    return set >= 0;
}

static bool opens_queue() {
    const mqd_t queue = mq_open("/kernelwright-probe", O_CREAT | O_RDWR, 0600, nullptr);
    if (queue != static_cast<mqd_t>(-1)) mq_unlink("/kernelwright-probe");
    return queue != static_cast<mqd_t>(-1);
}

static bool dumps_core() {
    rlimit limit = {1 << 20, 1 << 20};
    return setrlimit(RLIMIT_CORE, &limit) == 0;
}

std::vector<Probe> resource_probes() {
    return {
        {"multiply", multiplies},
        {"start-threads", starts_threads},
        {"open-many-files", opens_many},
        {"fill-temporary-folder", [] { return fills("/tmp"); }},
        {"fill-shared-memory-folder", [] { return fills("/dev/shm"); }},
        {"make-many-files", [] { return makes_files("/tmp"); }},
        {"make-many-shared-memory-files", [] { return makes_files("/dev/shm"); }},
        {"grow-file", grows_file},
        {"keep-memory-in-file", keeps_memory_in_file},
        {"share-system-v-memory", shares_memory},
        {"make-system-v-queue", makes_queue},
        {"make-system-v-semaphores", makes_semaphores},
        {"open-message-queue", opens_queue},
        {"dump-core", dumps_core},
    };
}
