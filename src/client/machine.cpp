#include "client/machine.hpp"

#include <sys/random.h>
#include <sys/timex.h>
#include <time.h>

#include <fstream>

namespace tstreams::detail {

std::chrono::microseconds since_boot() noexcept {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::microseconds(std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000);
}

ports::machine_time machine() {
    ports::machine_time said;
    said.system = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    said.since_boot = since_boot();
    timex kernel{};
    // A time service (NTP, PTP) clears this flag, and the kernel sets it when it has not heard of one for long.
    said.synchronised = adjtimex(&kernel) != -1 && (kernel.status & STA_UNSYNC) == 0;
    // Never destroyed: a client that is closed while the process exits still asks.
    static const std::string& boot = *new std::string([] {
        std::string id;
        std::ifstream file("/proc/sys/kernel/random/boot_id");
        std::getline(file, id);
        return id;
    }());
    said.boot = boot;
    return said;
}

std::uint64_t system_random() noexcept {
    std::uint64_t bits = 0;
    // The kernel's generator fails for no reason but a signal.
    while (getrandom(&bits, sizeof bits, 0) != sizeof bits) continue;
    return bits;
}

}  // namespace tstreams::detail
