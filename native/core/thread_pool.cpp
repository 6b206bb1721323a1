#include "thread_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace hashgnn {
namespace {

// One call of run_tasks: helpers and the caller draw task numbers until none is left.
struct Batch {
  Batch(std::int64_t n, const std::function<void(std::int64_t)>& function) : n_tasks(n), task(function) {}

  void work() {
    for (std::int64_t i = next++; i < n_tasks; i = next++) {
      try {
        task(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next = n_tasks;  // the rest need not start
      }
    }
  }

  const std::int64_t n_tasks;
  const std::function<void(std::int64_t)>& task;
  std::atomic<std::int64_t> next{0};
  std::mutex mutex;
  std::condition_variable left;
  int helpers = 0;  // threads that are in work(), the caller aside
  bool closed = false;
  std::exception_ptr error;
};

class Pool {
 public:
  void run(const std::shared_ptr<Batch>& batch, int n_helpers) {
    {
      const std::lock_guard lock(mutex_);
      for (; n_threads_ < n_helpers; ++n_threads_) std::thread([this] { serve(); }).detach();
      for (int i = 0; i < n_helpers; ++i) queue_.push_back(batch);
    }
    wake_.notify_all();
    batch->work();
    // A helper that comes after this finds the batch closed and leaves; those inside are waited for.
    std::unique_lock lock(batch->mutex);
    batch->closed = true;
    batch->left.wait(lock, [&] { return batch->helpers == 0; });
  }

 private:
  void serve() {
    for (;;) {
      std::shared_ptr<Batch> batch;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return !queue_.empty(); });
        batch = std::move(queue_.front());
        queue_.pop_front();
      }
      {
        const std::lock_guard lock(batch->mutex);
        if (batch->closed) continue;
        ++batch->helpers;
      }
      batch->work();
      const std::lock_guard lock(batch->mutex);
      if (--batch->helpers == 0) batch->left.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Batch>> queue_;
  int n_threads_ = 0;
};

// Pools are never destroyed: their threads may outlive the statics of the program. A forked child has
// none of its parent's threads, so it gets a pool of its own.
Pool& pool() {
  static std::mutex mutex;
  static Pool* current = nullptr;
  static pid_t owner = 0;
  const std::lock_guard lock(mutex);
  if (current == nullptr || owner != getpid()) {
    current = new Pool;
    owner = getpid();
  }
  return *current;
}

}  // namespace

void run_tasks(std::int64_t n_tasks, int n_threads, const std::function<void(std::int64_t)>& task) {
  const int n_helpers = static_cast<int>(std::min<std::int64_t>(n_threads, n_tasks)) - 1;
  if (n_helpers <= 0) {
    for (std::int64_t i = 0; i < n_tasks; ++i) task(i);
    return;
  }
  const auto batch = std::make_shared<Batch>(n_tasks, task);
  pool().run(batch, n_helpers);
  if (batch->error) std::rethrow_exception(batch->error);
}

}  // namespace hashgnn
