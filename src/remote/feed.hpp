// A stream of messages over a link: the loop's thread receives, the link's executor hears.
#pragma once

#include "remote/link.hpp"

#include <moebius/message.hpp>
#include <moebius/requester.hpp>
#include <weave/spawn.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tstreams::remote {

// Made and used on the executor. Destroyed before its end it is cancelled at the server.
class feed {
public:
    // `heard` is called there with each item, and last with an outcome without one: the end, or the failure
    // (moebius::error); never inside a call of the feed, and not after its destruction.
    using listener = std::function<void(weave::outcome_of<std::optional<moebius::message>>)>;
    feed(link& over, std::string_view command, moebius::message body, std::size_t items_max, listener heard);
    ~feed();
    feed(const feed&) = delete;
    feed& operator=(const feed&) = delete;

    // So many items are done with: as many more may come. At most `items_max` are unread at a time.
    void done_with(std::size_t items);

private:
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace tstreams::remote
