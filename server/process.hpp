// What the kernel says of this process, and the notices that a service manager waits for.
#pragma once

#include <cstdint>
#include <string_view>

namespace tstreams::server {

struct process_figures {
    double cpu_seconds = 0;
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t descriptors = 0;
    std::uint64_t descriptors_max = 0;
};

// From any thread. What cannot be read stays 0.
[[nodiscard]] process_figures process_figures_now();

// Files and connections that this process may have open at once, after asking for as many as it may ask for: shells
// give 1,024 where four thousand clients may come.
std::uint64_t raise_descriptor_limit() noexcept;

// Tells the service manager that started this process, if one did and listens: "READY=1", "STOPPING=1", "WATCHDOG=1"
// (sd_notify(3)). Never fails loudly: nobody can do anything about it.
void notify_manager(std::string_view state) noexcept;
// Whether that manager wants to hear WATCHDOG=1 every now and then.
[[nodiscard]] bool manager_watches() noexcept;

}  // namespace tstreams::server
