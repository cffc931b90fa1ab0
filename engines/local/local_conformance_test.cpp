// The conformance suite over the local engine: with its threads, and inline.
#include "engines/conformance/suite.hpp"
#include "engines/local/test_support.hpp"

namespace {

using namespace tstreams;

class local_under_test final : public conformance::engine_under_test {
public:
    explicit local_under_test(bool inline_mode) {
        chosen_.path = directory_.path() + "/store";
        chosen_.inline_mode = inline_mode;
        open_ = std::make_unique<local::running_engine>(chosen_);
    }
    ~local_under_test() override { open_->close(); }

    conformance::connection node(std::size_t) override {
        return {&open_->loop(), &open_->loop(), &open_->rows(), &open_->blobs(), nullptr};
    }
    void drive(const std::atomic<bool>& done) override {
        open_->loop().run_until([&done] { return done.load(); });
    }
    void advance(std::chrono::milliseconds time) override { open_->loop().run_for(time); }
    bool persistent() const override { return true; }
    void reopen() override {
        open_->close();
        open_.reset();
        open_ = std::make_unique<local::running_engine>(chosen_);
    }

private:
    local::temporary_directory directory_;
    local::options chosen_;
    std::unique_ptr<local::running_engine> open_;
};

std::unique_ptr<conformance::engine_under_test> threaded() {
    return std::make_unique<local_under_test>(false);
}
std::unique_ptr<conformance::engine_under_test> without_threads() {
    return std::make_unique<local_under_test>(true);
}

}  // namespace

namespace tstreams::conformance {
// It stands in one file of the library with the exclusive suite.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(fences_suite);
}  // namespace tstreams::conformance

TSTREAMS_CONFORMANCE(rows_suite, threaded, threaded);
TSTREAMS_CONFORMANCE(exclusive_suite, threaded, threaded);
TSTREAMS_CONFORMANCE(atomic_suite, threaded, threaded);
TSTREAMS_CONFORMANCE(blobs_suite, threaded, threaded);
TSTREAMS_CONFORMANCE(reopen_suite, threaded, threaded);
TSTREAMS_CONFORMANCE(rows_suite, without_threads, without_threads);
TSTREAMS_CONFORMANCE(exclusive_suite, without_threads, without_threads);
TSTREAMS_CONFORMANCE(atomic_suite, without_threads, without_threads);
TSTREAMS_CONFORMANCE(blobs_suite, without_threads, without_threads);
TSTREAMS_CONFORMANCE(reopen_suite, without_threads, without_threads);
