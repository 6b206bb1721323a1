#include "top_k.hpp"

#include <algorithm>
#include <utility>

namespace hashgnn {
namespace {

bool is_before(const Hit& a, const Hit& b) { return a.position < b.position; }

}  // namespace

TopK::TopK(std::int64_t k, std::uint32_t max_value, Order order)
    : k_(k),
      max_value_(max_value),
      order_(order),
      capacity_(static_cast<std::size_t>(2 * k + 1024)),
      limit_(max_value + 1),
      counts_(max_value + 3, 0) {
  hits_.reserve(std::min<std::size_t>(capacity_, 4096));
}

// Drops entries outside the best k.
void TopK::compact() {
  const auto n_at_limit = static_cast<std::ptrdiff_t>(k_ - below_);
  hits_.erase(order_ == Order::any ? end_of_smallest(n_at_limit) : end_of_first(n_at_limit), hits_.end());
  counts_[limit_] = static_cast<std::uint32_t>(static_cast<std::int64_t>(hits_.size()) - below_);
}

// Keeps the order, and of the hits at the limit those that came first.
std::vector<Hit>::iterator TopK::end_of_first(std::ptrdiff_t n_at_limit) {
  auto out = hits_.begin();
  for (const Hit& hit : hits_)
    if (hit.value < limit_ || (hit.value == limit_ && n_at_limit-- > 0)) *out++ = hit;
  return out;
}

// Keeps no order, and of the hits at the limit those with the smallest positions.
std::vector<Hit>::iterator TopK::end_of_smallest(std::ptrdiff_t n_at_limit) {
  const auto at_limit = std::partition(hits_.begin(), hits_.end(), [&](const Hit& hit) { return hit.value < limit_; });
  const auto end = std::partition(at_limit, hits_.end(), [&](const Hit& hit) { return hit.value == limit_; });
  if (end - at_limit <= n_at_limit) return end;
  std::nth_element(at_limit, at_limit + n_at_limit, end, is_before);
  return at_limit + n_at_limit;
}

std::vector<Hit> TopK::take() {
  // A counting sort keeps the order of equal values. Entries outside the best k are left out.
  std::vector<std::uint32_t> ends(limit_ + 2, 0);  // of each value, once the hits have been placed
  for (const Hit& hit : hits_)
    if (hit.value <= limit_) ++ends[hit.value + 1];
  for (std::size_t value = 1; value < ends.size(); ++value) ends[value] += ends[value - 1];
  std::vector<Hit> sorted(ends.back());
  for (const Hit& hit : hits_)
    if (hit.value <= limit_) sorted[ends[hit.value]++] = hit;
  hits_.clear();
  const auto k = std::min(static_cast<std::size_t>(k_), sorted.size());
  if (order_ == Order::any) {
    const auto first = sorted.begin();
    for (std::size_t begin = 0, value = 0; begin < k; begin = ends[value++]) {
      const std::size_t end = ends[value], kept = std::min(end, k);
      if (kept < end) std::nth_element(first + begin, first + kept, first + end, is_before);
      std::sort(first + begin, first + kept, is_before);
    }
  }
  sorted.resize(k);
  return sorted;
}

std::vector<Hit> TopK::take_unordered() {
  compact();
  return std::move(hits_);
}

std::vector<Hit> merge_hits(const std::vector<Hit>& a, const std::vector<Hit>& b, std::int64_t k) {
  std::vector<Hit> merged;
  merged.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(merged), [](const Hit& x, const Hit& y) {
    return x.value != y.value ? x.value < y.value : x.position < y.position;
  });
  if (merged.size() > static_cast<std::size_t>(k)) merged.resize(static_cast<std::size_t>(k));
  return merged;
}

}  // namespace hashgnn
