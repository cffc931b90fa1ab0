// Writes numbered items to a store until the disk is full, waits until it is told to go on, and writes some
// more, with the same client. It speaks with disk_test.py by lines:
//
//     out: acked FIRST LAST            a transaction with the items FIRST to LAST is checkpointed
//     out: failed CODE OUTCOME         a call threw; its transaction is cancelled
//     in:  go                          the disk has space again
#include <tstreams/tstreams.hpp>

#include <cstdio>
#include <iostream>
#include <string>

namespace {

constexpr int items_per_transaction = 4;
constexpr std::size_t item_bytes = 60'000;
constexpr int transactions_max = 20'000;  // more than fit on the disk of the test
constexpr int transactions_afterwards = 40;
constexpr int retries_afterwards_max = 5;  // transactions_afterwards is counted from the first that goes well

// The number, and filling that no file system makes smaller.
std::string make_item(int number) {
    std::string text = std::to_string(number) + ' ';
    std::uint64_t state = static_cast<std::uint64_t>(number) * 2654435761U + 1;
    while (text.size() < item_bytes) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        text += static_cast<char>('a' + (state >> 59U) % 26);
    }
    return text;
}

bool write_transaction(tstreams::producer& producer, int first) {
    try {
        auto txn = producer.begin();
        for (int i = 0; i < items_per_transaction; ++i) txn.put(make_item(first + i));
        txn.checkpoint();
        std::cout << "acked " << first << ' ' << first + items_per_transaction - 1 << std::endl;
        return true;
    } catch (const tstreams::error& failure) {
        std::cout << "failed " << tstreams::name(failure.code()) << ' ' << tstreams::name(failure.outcome())
                  << std::endl;
        return false;
    }
}

int write_until_full_and_on(const std::string& uri) {
    auto client = tstreams::client::open(uri);
    client.open_or_create({.name = "numbers"});
    auto producer = client.make_producer("numbers");
    int next = 0;
    int left = transactions_max;
    while (left > 0 && write_transaction(producer, next)) {
        next += items_per_transaction;
        --left;
    }
    std::string line;
    if (left == 0 || !std::getline(std::cin, line)) return 3;
    int failures = 0;
    for (int done = 0; done < transactions_afterwards; next += items_per_transaction) {
        if (write_transaction(producer, next)) {
            ++done;
        } else if (++failures > retries_afterwards_max) {
            return 4;
        }
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    try {
        return write_until_full_and_on(argv[1]);
    } catch (const tstreams::error& failure) {
        std::cout << "failed " << tstreams::name(failure.code()) << ' ' << tstreams::name(failure.outcome())
                  << std::endl;
        return 1;
    }
}
