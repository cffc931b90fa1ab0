// One process at a time has a store open.
#pragma once

#include "engines/local/log.hpp"

namespace tstreams::local {

// Held as long as it lives. The kernel lets go of it when the process ends, however it ends.
class store_lock {
public:
    // Throws locked, naming who has it. With `note` the file is made where it is missing, and says who we
    // are.
    store_lock(const store_paths& paths, bool note);
    ~store_lock();
    store_lock(const store_lock&) = delete;
    store_lock& operator=(const store_lock&) = delete;

private:
    int descriptor_;
};

}  // namespace tstreams::local
