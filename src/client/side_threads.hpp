// Threads for what waits for other threads, and so has no place on the executor or in the pool of handlers. The
// process waits for them when it exits.
#pragma once

#include <functional>

namespace tstreams::detail {

class side_threads {
public:
    // After what they need until their end: at exit they are waited for before that goes.
    static void prepare();
    // Runs `work`, which must not throw, on a thread of its own. At most 64 at a time in a process: throws
    // overloaded.
    static void run(std::function<void()> work);
    // The same without the limit, for what cannot be refused.
    static void run_always(std::function<void()> work);
};

}  // namespace tstreams::detail
