#include "top_k.hpp"

#include <algorithm>

namespace hashgnn {

TopK::TopK(std::int64_t k, std::uint32_t max_value, Order order)
    : k_(k),
      max_value_(max_value),
      slack_(order == Order::any ? 1 : 0),
      capacity_(static_cast<std::size_t>(2 * k + 1024)),
      limit_(max_value + 1),
      counts_(max_value + 3, 0) {
  hits_.reserve(std::min<std::size_t>(capacity_, 4096));
}

// Drops what has fallen out of the best k. Of the hits at the limit only the first are needed.
void TopK::compact() {
  if (slack_ != 0)
    std::sort(hits_.begin(), hits_.end(), [](const Hit& a, const Hit& b) { return a.position < b.position; });
  std::int64_t needed = k_ - below_;
  auto out = hits_.begin();
  for (const Hit& hit : hits_) {
    if (hit.value < limit_ || (hit.value == limit_ && needed-- > 0)) *out++ = hit;
  }
  hits_.erase(out, hits_.end());
  counts_[limit_] = static_cast<std::uint32_t>(static_cast<std::int64_t>(hits_.size()) - below_);
}

std::vector<Hit> TopK::take() {
  compact();
  // A counting sort keeps the order of equal values, which is that of their positions.
  std::vector<std::uint32_t> starts(limit_ + 2, 0);
  for (const Hit& hit : hits_) ++starts[hit.value + 1];
  for (std::size_t value = 1; value < starts.size(); ++value) starts[value] += starts[value - 1];
  std::vector<Hit> sorted(hits_.size());
  for (const Hit& hit : hits_) sorted[starts[hit.value]++] = hit;
  hits_.clear();
  return sorted;
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
