// Threads that wait for work. One pool a process, shared by all calls; the caller works too.
#pragma once

#include <cstdint>
#include <functional>

namespace hashgnn {

// Runs task(0), ..., task(n_tasks - 1) on at most n_threads threads, the calling one among them, and
// returns when all are done. The first exception of a task is thrown here. Safe to call from many
// threads at once and in a child process after fork.
void run_tasks(std::int64_t n_tasks, int n_threads, const std::function<void(std::int64_t)>& task);

}  // namespace hashgnn
