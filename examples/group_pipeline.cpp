// A step of a pipeline: reads orders, splits them over two streams, and commits the position in the input and
// the transactions in both outputs as one. Readers of the outputs see each order once, and never half of a
// step.
//
// Run:  ./group_pipeline                      in memory
//       ./group_pipeline file:/tmp/pipeline   on disk: each run adds orders and goes on where the last one
//       ended
#include <tstreams/tstreams.hpp>

#include <iostream>

namespace {

// An order as a type of its own: the codec says how it becomes bytes and back.
struct order {
    std::string customer;
    int amount = 0;
};

}  // namespace

template <>
struct tstreams::codec<order> {
    static std::string encode(const order& value) { return std::to_string(value.amount) + " " + value.customer; }
    static order decode(bytes_view bytes) {
        const std::string text(as_text(bytes));
        const auto space = text.find(' ');
        return {text.substr(space + 1), std::stoi(text.substr(0, space))};
    }
};

namespace {

void take_orders(tstreams::client& client) {
    auto producer = client.make_producer("orders");
    for (int i = 1; i <= 10; ++i) {
        const order one{.customer = "customer-" + std::to_string(i % 3), .amount = i * 30};
        // All orders of a customer go to one partition, and so stay in order.
        auto transaction = producer.begin_for_key(one.customer);
        transaction.put(one);
        transaction.checkpoint();
    }
}

void split_orders(tstreams::client& client) {
    auto orders = client.make_consumer("orders", {.name = "splitter"});
    auto small = client.make_producer("small-orders");
    auto large = client.make_producer("large-orders");
    auto group = client.make_checkpoint_group();
    group.add(orders);
    group.add(small);
    group.add(large);

    while (auto received = orders.next(std::chrono::milliseconds(0))) {
        auto to_small = small.begin();
        auto to_large = large.begin();
        for (const auto& item : *received) {
            const order one = item.as<order>();
            (one.amount < 150 ? to_small : to_large).put(one);
        }
        group.checkpoint();  // both outputs and the position: all or nothing
    }
}

void print(tstreams::client& client, const std::string& stream) {
    std::cout << stream << ":\n";
    auto consumer = client.make_consumer(stream, {.start = tstreams::oldest});
    while (auto received = consumer.next(std::chrono::milliseconds(0))) {
        for (const auto& item : *received) {
            const order one = item.as<order>();
            std::cout << "  " << one.customer << " " << one.amount << "\n";
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        auto client = tstreams::client::open(argc > 1 ? argv[1] : "memory:");
        client.open_or_create({.name = "orders", .partitions = 4});
        client.open_or_create({.name = "small-orders"});
        client.open_or_create({.name = "large-orders"});
        take_orders(client);
        split_orders(client);
        print(client, "small-orders");
        print(client, "large-orders");
    } catch (const std::exception& failure) {
        std::cerr << "group_pipeline: " << failure.what() << "\n";
        return 1;
    }
}
