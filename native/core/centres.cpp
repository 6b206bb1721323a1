#include "centres.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr float kMost = 127;
constexpr std::int64_t kEmbeddingsOfTask = 512;
constexpr std::size_t kLine = 64;

// Rounds a row to multiples of the factor that it returns, 0 where the row is of zeros.
float to_bytes(const float* row, std::int64_t width, std::int8_t* bytes) {
  float most[8] = {};
  std::int64_t at = 0;
  for (; at + 8 <= width; at += 8)
    for (int i = 0; i < 8; ++i) most[i] = std::max(most[i], std::abs(row[at + i]));  // without a NaN
  for (int i = 0; at < width; ++i, ++at) most[i] = std::max(most[i], std::abs(row[at]));
  const float largest = *std::max_element(most, most + 8);
  const float factor = largest / kMost, inverse = kMost / largest;
  if (!std::isfinite(inverse) || !std::isfinite(largest)) {
    std::fill_n(bytes, width, std::int8_t{0});
    return 0;
  }
  for (std::int64_t j = 0; j < width; ++j) {
    const float value = row[j] * inverse, size = std::max(0.0f, std::abs(value));  // a NaN is 0
    const int rounded = static_cast<int>(std::min(size, kMost) + 0.5f);
    bytes[j] = static_cast<std::int8_t>(value < 0 ? -rounded : rounded);
  }
  return factor;
}

std::int64_t quads_of(std::int64_t width) { return (width + 3) / 4; }

}  // namespace

Centres::Centres(const float* rows, std::int64_t n, std::int64_t width)
    : n_(n), width_(width), n_quads_(quads_of(width)), n_groups_((n + kCentresOfGroup - 1) / kCentresOfGroup) {
  const std::int64_t n_bytes = n_groups_ * kCentresOfGroup * 4 * n_quads_;
  raw_.assign(static_cast<std::size_t>(n_bytes) + kLine, 0);
  const auto at = reinterpret_cast<std::uintptr_t>(raw_.data());
  bytes_ = raw_.data() + (kLine - at % kLine) % kLine;
  scale_.assign(static_cast<std::size_t>(n_padded()), 0.0f);
  half_.assign(static_cast<std::size_t>(n_padded()), std::numeric_limits<float>::infinity());
  std::vector<std::int8_t> bytes(static_cast<std::size_t>(4 * n_quads_), 0);
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = rows + i * width;
    scale_[static_cast<std::size_t>(i)] = to_bytes(row, width, bytes.data());
    double square = 0;
    for (std::int64_t j = 0; j < width; ++j) square += static_cast<double>(row[j]) * row[j];
    half_[static_cast<std::size_t>(i)] = static_cast<float>(std::min(square / 2, static_cast<double>(std::numeric_limits<float>::max())));
    std::int8_t* group = bytes_ + i / kCentresOfGroup * kCentresOfGroup * 4 * n_quads_ + i % kCentresOfGroup * 4;
    for (std::int64_t j = 0; j < 4 * n_quads_; ++j) group[j / 4 * 4 * kCentresOfGroup + j % 4] = bytes[static_cast<std::size_t>(j)];
  }
}

void Centres::products(const Kernels& kernels, const float* embeddings, std::int64_t n, std::vector<float>& products) const {
  const std::int64_t stride = 4 * n_quads_;
  thread_local std::vector<std::int8_t> asked;
  thread_local std::vector<std::int32_t> sums;
  asked.assign(static_cast<std::size_t>(n * stride), 0);
  sums.resize(static_cast<std::size_t>(n * n_padded()));
  products.resize(sums.size());
  std::vector<float> factors(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) factors[static_cast<std::size_t>(i)] = to_bytes(embeddings + i * width_, width_, asked.data() + i * stride);
  kernels.centre_products(asked.data(), n, n_quads_, bytes_, n_groups_, sums.data());
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t* from = sums.data() + i * n_padded();
    float* to = products.data() + i * n_padded();
    for (std::size_t j = 0; j < scale_.size(); ++j) {
      const float product = static_cast<float>(from[j]) * (scale_[j] * factors[static_cast<std::size_t>(i)]);
      to[j] = std::isnan(product) ? -std::numeric_limits<float>::infinity() : product;  // lists have an order
    }
  }
}

void Centres::nearest(const Kernels& kernels, const float* embeddings, std::int64_t n, std::int64_t n_centres, std::int32_t* nearest,
                      int n_threads) const {
  std::vector<float> half = half_;
  std::fill(half.begin() + static_cast<std::ptrdiff_t>(n_centres), half.end(), std::numeric_limits<float>::infinity());
  const std::int64_t stride = 4 * n_quads_;
  run_tasks((n + kEmbeddingsOfTask - 1) / kEmbeddingsOfTask, n_threads, [&](std::int64_t task) {
    const std::int64_t first = task * kEmbeddingsOfTask, count = std::min(kEmbeddingsOfTask, n - first);
    std::vector<std::int8_t> asked(static_cast<std::size_t>(count * stride), 0);
    std::vector<float> factors(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
      factors[static_cast<std::size_t>(i)] = to_bytes(embeddings + (first + i) * width_, width_, asked.data() + i * stride);
    kernels.nearest_centres(asked.data(), factors.data(), count, n_quads_, bytes_, n_groups_, scale_.data(), half.data(), nearest + first);
  });
}

}  // namespace hashgnn
