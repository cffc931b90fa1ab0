// The file of a Unix socket that is bound. libzmq takes one that is there away, also from a server that listens on it,
// and leaves its own behind.
#pragma once

#include <sys/types.h>

#include <string>

namespace moebius::detail {

// Throws error(transport) where somebody listens at the endpoint, if it is a path. Two that bind at the same moment
// may both pass.
void refuse_taken(const std::string& endpoint);

// Removes the file of an endpoint that was bound, unless another one has its path by then.
class socket_file {
public:
    explicit socket_file(const std::string& endpoint);
    ~socket_file();
    socket_file(socket_file&& other) noexcept;
    socket_file& operator=(socket_file&&) = delete;

private:
    std::string path_;  // empty: it is no file
    dev_t device_ = 0;
    ino_t number_ = 0;
};

}  // namespace moebius::detail
