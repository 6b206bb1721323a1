// Centres of lists of embeddings, in bytes: which are nearest to an embedding, and which promise most to a query. Products are of
// integers, so every instruction set gives the same.
//
// Centres lie in groups of 16. A group holds the first four entries of its 16 centres, then the next four, and so on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels.hpp"

namespace hashgnn {

inline constexpr std::int64_t kCentresOfGroup = 16;
inline constexpr std::int64_t kMaxCentreWidth = 65536;  // sums of products fit 32 bits

class Centres {
 public:
  // n rows of finite floats.
  Centres(const float* rows, std::int64_t n, std::int64_t width);

  std::int64_t size() const { return n_; }
  std::int64_t width() const { return width_; }
  std::int64_t n_bytes() const { return n_groups_ * kCentresOfGroup * (4 * n_quads_ + 8); }

  // Products of n embeddings with the centres, nearly: n_padded() floats each, of which the first size() count. None is a NaN.
  void products(const Kernels& kernels, const float* embeddings, std::int64_t n, std::vector<float>& products) const;
  std::int64_t n_padded() const { return n_groups_ * kCentresOfGroup; }

  // The nearest of the first n_centres centres to each of n embeddings, nearly; ties to the smaller number.
  void nearest(const Kernels& kernels, const float* embeddings, std::int64_t n, std::int64_t n_centres, std::int32_t* nearest,
               int n_threads) const;

 private:
  std::int64_t n_, width_, n_quads_, n_groups_;
  std::vector<std::int8_t> raw_;
  std::int8_t* bytes_;           // begin on a cache line
  std::vector<float> scale_;     // of each centre
  std::vector<float> half_;      // half of its square
};

}  // namespace hashgnn
