// The best k of values that were written down: a bound from a sample, then an exact count of the few below it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "top_k.hpp"

namespace hashgnn {

// Room for ids and values that a kernel writes; it grows, and is not cleared.
class Gathered {
 public:
  // Makes room for n more and for what a kernel writes beyond.
  void reserve(std::int64_t n);
  void clear() { size_ = 0; }
  std::int64_t size() const { return size_; }
  std::uint32_t* ids() { return ids_.get(); }
  std::uint16_t* values() { return values_.get(); }
  const std::uint32_t* ids() const { return ids_.get(); }
  const std::uint16_t* values() const { return values_.get(); }
  void grow(std::int64_t n) { size_ += n; }
  void shrink_to(std::int64_t n) { size_ = n; }

 private:
  static constexpr std::int64_t kBeyond = 64;
  std::unique_ptr<std::uint32_t[]> ids_;
  std::unique_ptr<std::uint16_t[]> values_;
  std::int64_t size_ = 0, room_ = 0;
};

class Selection {
 public:
  // A limit below which about k of n_all values lie and seldom fewer, judged by a sample of n of them; most + 1 where the
  // sample cannot tell.
  std::uint32_t limit_of_sample(const std::uint16_t* values, std::int64_t n, double n_all, std::int64_t k, std::uint32_t most);

  // The k-th smallest value, of k or more.
  std::uint32_t kth_smallest(const Gathered& all, std::int64_t k, std::uint32_t most);

  // Leaves the k smallest values of all that were gathered, none of which is above `most`, in no order; of equal ones at the end
  // those with the smallest ids.
  void keep_smallest(Gathered& all, std::int64_t k, std::uint32_t most);

  // The same as hits, by value, then id, if they are to be ordered.
  std::vector<Hit> hits(const Gathered& all, std::uint32_t most, bool ordered);

 private:
  void count(const std::uint16_t* values, std::int64_t n, std::uint32_t most);
  std::vector<std::uint32_t> counts_;  // of each value
  std::vector<std::uint32_t> ties_;
};

}  // namespace hashgnn
