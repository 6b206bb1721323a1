#include "selection.hpp"

#include <algorithm>
#include <cmath>

namespace hashgnn {

void Gathered::reserve(std::int64_t n) {
  const std::int64_t wanted = size_ + n + kBeyond;
  if (wanted <= room_) return;
  const std::int64_t room = std::max(wanted, 2 * room_);
  std::unique_ptr<std::uint32_t[]> ids(new std::uint32_t[static_cast<std::size_t>(room)]);
  std::unique_ptr<std::uint16_t[]> values(new std::uint16_t[static_cast<std::size_t>(room)]);
  std::copy_n(ids_.get(), size_, ids.get());
  std::copy_n(values_.get(), size_, values.get());
  ids_ = std::move(ids);
  values_ = std::move(values);
  room_ = room;
}

void Selection::count(const std::uint16_t* values, std::int64_t n, std::uint32_t most) {
  counts_.assign(std::size_t{most} + 2, 0);
  for (std::int64_t i = 0; i < n; ++i) ++counts_[values[i]];
}

std::uint32_t Selection::limit_of_sample(const std::uint16_t* values, std::int64_t n, double n_all, std::int64_t k, std::uint32_t most) {
  // As many of the sample as k of all, and three deviations of their number more.
  const double share = static_cast<double>(k) * static_cast<double>(n) / std::max(n_all, 1.0);
  const double wanted = share + 3.0 * std::sqrt(share) + 4.0;
  if (wanted >= static_cast<double>(n)) return most + 1;
  count(values, n, most);
  std::int64_t below = 0;
  const auto enough = static_cast<std::int64_t>(wanted);
  std::uint32_t limit = 0;
  while (limit <= most && below < enough) below += counts_[limit++];
  return limit;
}

std::uint32_t Selection::kth_smallest(const Gathered& all, std::int64_t k, std::uint32_t most) {
  count(all.values(), all.size(), most);
  std::int64_t below = 0;
  std::uint32_t value = 0;
  while (below + counts_[value] < k) below += counts_[value++];
  return value;
}

void Selection::keep_smallest(Gathered& all, std::int64_t k, std::uint32_t most) {
  if (all.size() <= k) return;
  std::uint32_t* ids = all.ids();
  std::uint16_t* values = all.values();
  count(values, all.size(), most);
  std::int64_t below = 0;
  std::uint32_t last = 0;  // the k-th smallest value
  while (below + counts_[last] < k) below += counts_[last++];
  const std::int64_t n_last = k - below;
  ties_.clear();
  ties_.reserve(counts_[last]);
  std::int64_t n = 0;
  for (std::int64_t i = 0; i < all.size(); ++i) {
    if (values[i] == last) ties_.push_back(ids[i]);
    ids[n] = ids[i];
    values[n] = values[i];
    n += values[i] < last;
  }
  if (static_cast<std::int64_t>(ties_.size()) > n_last) std::nth_element(ties_.begin(), ties_.begin() + n_last, ties_.end());
  for (std::int64_t i = 0; i < n_last; ++i, ++n) {
    ids[n] = ties_[static_cast<std::size_t>(i)];
    values[n] = static_cast<std::uint16_t>(last);
  }
  all.shrink_to(n);
}

std::vector<Hit> Selection::hits(const Gathered& found, std::uint32_t most, bool ordered) {
  const std::uint32_t* ids = found.ids();
  const std::uint16_t* values = found.values();
  std::vector<Hit> hits(static_cast<std::size_t>(found.size()));
  if (!ordered) {
    for (std::size_t i = 0; i < hits.size(); ++i) hits[i] = {ids[i], values[i]};
    return hits;
  }
  count(values, found.size(), most);
  std::uint32_t start = 0;
  for (std::uint32_t& number : counts_) {  // of hits with a value, then where they begin
    const std::uint32_t here = number;
    number = start;
    start += here;
  }
  for (std::int64_t i = 0; i < found.size(); ++i) hits[counts_[values[i]]++] = {ids[i], values[i]};
  const auto before = [](const Hit& a, const Hit& b) { return a.position < b.position; };
  for (std::size_t begin = 0, end = 0; begin < hits.size(); begin = end) {
    while (end < hits.size() && hits[end].value == hits[begin].value) ++end;
    std::sort(hits.begin() + static_cast<std::ptrdiff_t>(begin), hits.begin() + static_cast<std::ptrdiff_t>(end), before);
  }
  return hits;
}

}  // namespace hashgnn
