// The best k of a stream of small integers, by counting them: no heap, no comparison of pairs.
#pragma once

#include <cstdint>
#include <vector>

namespace hashgnn {

struct Hit {
  std::uint32_t position;
  std::uint32_t value;
};

// Positions must be offered in ascending order: then, among equal values, the first to come stay.
class TopK {
 public:
  TopK(std::int64_t k, std::uint32_t max_value);

  // Values from here on cannot be among the best k any more.
  std::uint32_t limit() const { return limit_; }

  void offer(std::uint32_t position, std::uint32_t value) {
    hits_.push_back({position, value});
    ++counts_[value];
    ++below_;
    while (below_ >= k_) below_ -= counts_[--limit_];
    if (hits_.size() == capacity_) compact();
  }

  // The best hits by value, then position. Leaves the collector empty.
  std::vector<Hit> take();

 private:
  void compact();

  std::int64_t k_;
  std::size_t capacity_;
  std::uint32_t limit_;               // the k-th smallest value so far, or one above all values
  std::int64_t below_ = 0;            // hits below the limit, fewer than k
  std::vector<std::uint32_t> counts_; // hits of each value; meaningless above the limit
  std::vector<Hit> hits_;
};

// The best k of two lists that take() returned.
std::vector<Hit> merge_hits(const std::vector<Hit>& a, const std::vector<Hit>& b, std::int64_t k);

}  // namespace hashgnn
