// T-streams: transactional persistent queues for exactly-once batch messaging. The whole blocking API;
// <tstreams/async.hpp> adds the asynchronous twins.
#pragma once

#include <tstreams/admin.hpp>
#include <tstreams/checkpoint_group.hpp>
#include <tstreams/client.hpp>
#include <tstreams/codec.hpp>
#include <tstreams/consumer.hpp>
#include <tstreams/error.hpp>
#include <tstreams/producer.hpp>
#include <tstreams/received_transaction.hpp>
#include <tstreams/status.hpp>
#include <tstreams/subscriber.hpp>
#include <tstreams/transaction.hpp>
#include <tstreams/types.hpp>
#include <tstreams/verify.hpp>
#include <tstreams/watcher.hpp>
