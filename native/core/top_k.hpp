// The best k of a stream of small integers, by counting them: no heap, no comparison of pairs.
#pragma once

#include <cstdint>
#include <vector>

namespace hashgnn {

struct Hit {
  std::uint32_t position;
  std::uint32_t value;
};

// Among equal values the smaller positions stay. Where positions are offered in ascending order those are
// the first to come, which lets a value that only equals the k-th be refused at once.
enum class Order { ascending, any };

class TopK {
 public:
  TopK(std::int64_t k, std::uint32_t max_value, Order order = Order::ascending);

  // Values from here on cannot be among the best k any more. In no order, a later hit with the k-th value may have a
  // smaller position.
  std::uint32_t limit() const { return limit_ + (order_ == Order::any ? 1 : 0); }

  // Whether there are k hits already.
  bool is_full() const { return limit_ <= max_value_; }

  void offer(std::uint32_t position, std::uint32_t value) {
    hits_.push_back({position, value});
    ++counts_[value];
    if (value < limit_) ++below_;
    while (below_ >= k_) below_ -= counts_[--limit_];
    if (hits_.size() == capacity_) compact();
  }

  // The best hits by value, then position. Leaves the collector empty.
  std::vector<Hit> take();
  // The same in no order.
  std::vector<Hit> take_unordered();

 private:
  void compact();
  std::vector<Hit>::iterator end_of_first(std::ptrdiff_t n_at_limit);
  std::vector<Hit>::iterator end_of_smallest(std::ptrdiff_t n_at_limit);

  std::int64_t k_;
  std::uint32_t max_value_;
  Order order_;
  std::size_t capacity_;
  std::uint32_t limit_;               // the k-th smallest value so far, or one above all values
  std::int64_t below_ = 0;            // hits below the limit, fewer than k
  std::vector<std::uint32_t> counts_; // hits of each value; meaningless above the limit
  std::vector<Hit> hits_;
};

// The best k of two lists that take() returned.
std::vector<Hit> merge_hits(const std::vector<Hit>& a, const std::vector<Hit>& b, std::int64_t k);

}  // namespace hashgnn
