// Prints the items of a stream, a line each: partition, transaction id, item. For the tests of this folder,
// which compare what is there with what was put in.
#include <tstreams/tstreams.hpp>

#include <iostream>

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: delivery_dump STORE-DIRECTORY STREAM\n";
        return 2;
    }
    try {
        auto client = tstreams::client::open("file:" + std::string(argv[1]), {.create = false});
        auto consumer = client.make_consumer(argv[2], {.start = tstreams::oldest});
        while (auto received = consumer.next(std::chrono::milliseconds(0))) {
            for (const auto& item : *received) {
                std::cout << received->partition() << " " << received->id().value() << " " << item.text() << "\n";
            }
        }
    } catch (const std::exception& failure) {
        std::cerr << "delivery_dump: " << failure.what() << "\n";
        return 1;
    }
}
