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

// A query as centres are asked: factor times its bytes, nearly.
struct Asked {
  std::vector<std::int8_t> bytes;
  float factor = 0, length = 0;
};

// Embeddings in bytes: a factor times them, nearly.
struct BytesOf {
  std::vector<std::int8_t> bytes;
  std::vector<float> factors;

  // Some of them.
  void take(const std::vector<std::int32_t>& ones, BytesOf& some) const;
};

// What a list promises is the product with its centre, and more the wider its members lie: this times its radius.
inline float reach_of(const Asked& asked) {
  constexpr float kReach = 0.3f;  // of the length of the query
  constexpr float kMost = 1e15f;
  return asked.length < kMost ? kReach * asked.length : kMost;
}

// Adds it to n products.
void add_reach(float* products, const float* radii, float reach, std::int64_t n);

class Centres {
 public:
  // n rows of finite floats, and the radii of their lists: root mean squares of the distances of members; null: 0.
  Centres(const float* rows, std::int64_t n, std::int64_t width, const float* radii = nullptr);
  // Some centres of others in another order, a multiple of 16 of them; one of zeros where a number is negative.
  Centres(const Centres& others, const std::vector<std::int32_t>& numbers);
  Centres(Centres&&) = default;
  Centres& operator=(Centres&&) = default;

  std::int64_t size() const { return n_; }
  std::int64_t width() const { return width_; }
  std::int64_t n_bytes() const { return n_groups_ * kCentresOfGroup * (4 * n_quads_ + 12); }

  // Products of n embeddings with the centres, nearly: n_padded() floats each, of which the first size() count. None is a NaN.
  void products(const Kernels& kernels, const float* embeddings, std::int64_t n, std::vector<float>& products) const;
  std::int64_t n_padded() const { return n_groups_ * kCentresOfGroup; }

  // Radii, n_padded() of them.
  const float* radii() const { return radii_.data(); }

  Asked ask(const float* query) const;
  // The same products of one query, of all centres or of some groups of 16.
  void products(const Kernels& kernels, const Asked& asked, std::vector<float>& products) const;
  void products(const Kernels& kernels, const Asked& asked, const std::vector<std::int32_t>& groups, std::vector<float>& products) const;

  BytesOf bytes_of(const float* embeddings, std::int64_t n) const;
  // Of n embeddings from `first` on and the centres in some groups of 16: products, less half the square of the centre.
  void nearness(const Kernels& kernels, const BytesOf& asked, std::int64_t first, std::int64_t n, std::int64_t first_group,
                std::int64_t n_groups, std::vector<float>& values) const;

  // What a centre is in bytes, as floats.
  void read(std::int64_t i, float* row) const;

  // The nearest of the first n_centres centres to each of n embeddings, nearly; ties to the smaller number.
  void nearest(const Kernels& kernels, const float* embeddings, std::int64_t n, std::int64_t n_centres, std::int32_t* nearest,
               int n_threads) const;

 private:
  Centres(std::int64_t n, std::int64_t width);
  // The first four entries of a centre; those that follow lie 64 bytes further.
  std::int8_t* first_quad(std::int64_t i) const { return bytes_ + i / kCentresOfGroup * kCentresOfGroup * 4 * n_quads_ + i % kCentresOfGroup * 4; }

  std::int64_t n_, width_, n_quads_, n_groups_;
  std::vector<std::int8_t> raw_;
  std::int8_t* bytes_;           // begin on a cache line
  std::vector<float> scale_;     // of each centre
  std::vector<float> half_;      // half of its square
  std::vector<float> radii_;
};

// Adds each of n rows to the sum of its list, and counts them; in order, so that sums are the same everywhere.
void add_up(const float* rows, std::int64_t n, std::int64_t width, const std::int32_t* lists, float* sums, std::int64_t* counts);

// The largest of the products with a group of centres.
inline float largest_of_group(const float* products) {
  float most[4];
  for (int i = 0; i < 4; ++i) {
    most[i] = products[i];
    for (int j = 4; j < kCentresOfGroup; j += 4) most[i] = most[i] < products[i + j] ? products[i + j] : most[i];
  }
  const float left = most[0] < most[1] ? most[1] : most[0], right = most[2] < most[3] ? most[3] : most[2];
  return left < right ? right : left;
}

}  // namespace hashgnn
