#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "probe.h"

static sockaddr_in address(const char* host, int port) {
    sockaddr_in place = {};
    place.sin_family = AF_INET;
    place.sin_port = htons(static_cast<unsigned short>(port));
    inet_pton(AF_INET, host, &place.sin_addr);
    return place;
}

static bool connects(int kind, const char* host, int port) {
    const sockaddr_in place = address(host, port);
    return connect(socket(AF_INET, kind, 0), reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
}

// The test echoes what comes to its UDP port.
static bool is_echoed() {
    const int end = socket(AF_INET, SOCK_DGRAM, 0);
    const sockaddr_in place = address("127.0.0.1", std::atoi(given("udp")));
    const timeval second = {1, 0};
    char byte = 'x';
    setsockopt(end, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    return sendto(end, &byte, 1, 0, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 1 &&
           recv(end, &byte, 1, 0) == 1;
}

static bool connects_unix(const char* name, bool abstract) {
    sockaddr_un place = {};
    place.sun_family = AF_UNIX;
    std::strncpy(place.sun_path + abstract, name, sizeof place.sun_path - 2);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + abstract + std::strlen(name));
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), reinterpret_cast<const sockaddr*>(&place), length) == 0;
}

static bool sees_interface() {
    struct if_nameindex* found = if_nameindex();
    for (auto* one = found; one && one->if_index; ++one)
        if (std::strcmp(one->if_name, "lo") != 0) return true;
    return false;
}

std::vector<Probe> network_probes() {
    return {
        {"connect-tcp", [] { return connects(SOCK_STREAM, "127.0.0.1", std::atoi(given("tcp"))); }},
        {"send-udp", is_echoed},
        {"route-to-the-world", [] { return connects(SOCK_DGRAM, "192.0.2.1", 53); }},  // sends nothing
        {"connect-abstract-socket", [] { return connects_unix(given("abstract"), true); }},
        {"connect-socket-in-a-folder", [] { return connects_unix(given("socket"), false); }},
        {"open-vsock", [] { return socket(AF_VSOCK, SOCK_STREAM, 0) >= 0; }},
        {"open-netlink", [] { return socket(AF_NETLINK, SOCK_RAW, 0) >= 0; }},
        {"open-packet-socket", [] { return socket(AF_PACKET, SOCK_RAW, 0) >= 0; }},
        {"open-raw-socket", [] { return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0; }},
        {"open-kernel-crypto", [] { return socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0; }},
        {"see-network-interface", sees_interface},
    };
}
