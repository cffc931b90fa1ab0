// A store that a tstreamsd serves.
#pragma once

#include "client/store.hpp"

namespace tstreams::remote {

// "tcp://HOST:PORT" or "ipc://PATH", as the place says it.
weave::task<std::unique_ptr<detail::store>> open_store(detail::store_place place, client_options options,
                                                       weave::executor& executor, ports::clock& clock);

}  // namespace tstreams::remote
