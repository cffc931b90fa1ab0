// What whoever starts the daemon has to write otherwise.
#pragma once

#include <stdexcept>

namespace tstreams::server {

class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace tstreams::server
