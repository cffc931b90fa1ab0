// All of Moebius: servers, requesters, and what their coroutines can wait for.
#pragma once

#include <moebius/blocking_client.hpp>
#include <moebius/client.hpp>
#include <moebius/error.hpp>
#include <moebius/loop.hpp>
#include <moebius/message.hpp>
#include <moebius/offload.hpp>
#include <moebius/registry.hpp>
#include <moebius/request.hpp>
#include <moebius/requester.hpp>
#include <moebius/router.hpp>
#include <moebius/security.hpp>
#include <moebius/send.hpp>
#include <moebius/server.hpp>
#include <moebius/task.hpp>
#include <moebius/worker_pool.hpp>
