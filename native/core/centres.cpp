#include "centres.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr float kMost = 127;
constexpr float kToInteger = 12582912.0f;  // 1.5 * 2^23: to add it rounds a small number to a whole one, halves to even ones
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
  for (std::int64_t j = 0; j < width; ++j)  // none is further from zero than kMost, but for a rounding
    bytes[j] = static_cast<std::int8_t>(static_cast<std::int32_t>((row[j] * inverse + kToInteger) - kToInteger));
  return factor;
}

// Products from sums of products of bytes.
void scaled(const std::int32_t* sums, const float* scale, float factor, std::int64_t n, float* products) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float product = static_cast<float>(sums[i]) * (scale[i] * factor);
    products[i] = product == product ? product : -std::numeric_limits<float>::infinity();  // lists have an order
  }
}

std::int64_t quads_of(std::int64_t width) { return (width + 3) / 4; }

}  // namespace

Centres::Centres(std::int64_t n, std::int64_t width)
    : n_(n), width_(width), n_quads_(quads_of(width)), n_groups_((n + kCentresOfGroup - 1) / kCentresOfGroup) {
  const std::int64_t n_bytes = n_groups_ * kCentresOfGroup * 4 * n_quads_;
  raw_.assign(static_cast<std::size_t>(n_bytes) + kLine, 0);
  const auto at = reinterpret_cast<std::uintptr_t>(raw_.data());
  bytes_ = raw_.data() + (kLine - at % kLine) % kLine;
  scale_.assign(static_cast<std::size_t>(n_padded()), 0.0f);
  half_.assign(static_cast<std::size_t>(n_padded()), std::numeric_limits<float>::infinity());
  radii_.assign(static_cast<std::size_t>(n_padded()), 0.0f);
}

Centres::Centres(const float* rows, std::int64_t n, std::int64_t width, const float* radii) : Centres(n, width) {
  constexpr float kWidest = 1e15f;
  for (std::int64_t i = 0; radii != nullptr && i < n; ++i) radii_[static_cast<std::size_t>(i)] = radii[i] > 0 ? std::min(radii[i], kWidest) : 0.0f;
  std::vector<std::int8_t> bytes(static_cast<std::size_t>(4 * n_quads_), 0);
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = rows + i * width;
    scale_[static_cast<std::size_t>(i)] = to_bytes(row, width, bytes.data());
    double square = 0;
    for (std::int64_t j = 0; j < width; ++j) square += static_cast<double>(row[j]) * row[j];
    half_[static_cast<std::size_t>(i)] = static_cast<float>(std::min(square / 2, static_cast<double>(std::numeric_limits<float>::max())));
    std::int8_t* to = first_quad(i);
    for (std::int64_t j = 0; j < 4 * n_quads_; ++j) to[j / 4 * 4 * kCentresOfGroup + j % 4] = bytes[static_cast<std::size_t>(j)];
  }
}

Centres::Centres(const Centres& others, const std::vector<std::int32_t>& numbers)
    : Centres(static_cast<std::int64_t>(numbers.size()), others.width_) {
  for (std::int64_t i = 0; i < n_; ++i) {
    const std::int32_t number = numbers[static_cast<std::size_t>(i)];
    if (number < 0) continue;
    scale_[static_cast<std::size_t>(i)] = others.scale_[static_cast<std::size_t>(number)];
    half_[static_cast<std::size_t>(i)] = others.half_[static_cast<std::size_t>(number)];
    radii_[static_cast<std::size_t>(i)] = others.radii_[static_cast<std::size_t>(number)];
    const std::int8_t* from = others.first_quad(number);
    std::int8_t* to = first_quad(i);
    for (std::int64_t quad = 0; quad < n_quads_; ++quad, from += 4 * kCentresOfGroup, to += 4 * kCentresOfGroup) std::copy_n(from, 4, to);
  }
}

BytesOf Centres::bytes_of(const float* embeddings, std::int64_t n) const {
  BytesOf found;
  found.bytes.assign(static_cast<std::size_t>(n * 4 * n_quads_), 0);
  found.factors.resize(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) found.factors[static_cast<std::size_t>(i)] = to_bytes(embeddings + i * width_, width_, found.bytes.data() + i * 4 * n_quads_);
  return found;
}

void BytesOf::take(const std::vector<std::int32_t>& ones, BytesOf& some) const {
  const std::size_t stride = bytes.size() / factors.size();
  some.bytes.resize(ones.size() * stride);
  some.factors.resize(ones.size());
  for (std::size_t i = 0; i < ones.size(); ++i) {
    const auto one = static_cast<std::size_t>(ones[i]);
    std::copy_n(bytes.data() + one * stride, stride, some.bytes.data() + i * stride);
    some.factors[i] = factors[one];
  }
}

void Centres::nearness(const Kernels& kernels, const BytesOf& asked, std::int64_t first, std::int64_t n, std::int64_t first_group,
                       std::int64_t n_groups, std::vector<float>& values) const {
  thread_local std::vector<std::int32_t> sums;
  const std::int64_t n_columns = n_groups * kCentresOfGroup, from = first_group * kCentresOfGroup;
  sums.resize(static_cast<std::size_t>(n * n_columns));
  values.resize(sums.size());
  kernels.centre_products(asked.bytes.data() + first * 4 * n_quads_, n, n_quads_, bytes_ + from * 4 * n_quads_, n_groups, sums.data());
  for (std::int64_t i = 0; i < n; ++i) {
    const float factor = asked.factors[static_cast<std::size_t>(first + i)];
    const float *scale = scale_.data() + from, *half = half_.data() + from;
    const std::int32_t* of_one = sums.data() + i * n_columns;
    float* to = values.data() + i * n_columns;
    for (std::int64_t j = 0; j < n_columns; ++j) to[j] = static_cast<float>(of_one[j]) * (scale[j] * factor) - half[j];
  }
}

void Centres::read(std::int64_t i, float* row) const {
  const std::int8_t* from = first_quad(i);
  const float scale = scale_[static_cast<std::size_t>(i)];
  for (std::int64_t j = 0; j < width_; ++j) row[j] = scale * from[j / 4 * 4 * kCentresOfGroup + j % 4];
}

Asked Centres::ask(const float* query) const {
  Asked asked;
  asked.bytes.assign(static_cast<std::size_t>(4 * n_quads_), 0);
  asked.factor = to_bytes(query, width_, asked.bytes.data());
  std::int64_t square = 0;
  for (const std::int8_t byte : asked.bytes) square += byte * byte;
  asked.length = static_cast<float>(std::sqrt(static_cast<double>(square))) * asked.factor;
  return asked;
}

void Centres::products(const Kernels& kernels, const Asked& asked, std::vector<float>& products) const {
  thread_local std::vector<std::int32_t> sums;
  sums.resize(static_cast<std::size_t>(n_padded()));
  products.resize(sums.size());
  kernels.centre_products(asked.bytes.data(), 1, n_quads_, bytes_, n_groups_, sums.data());
  scaled(sums.data(), scale_.data(), asked.factor, n_padded(), products.data());
}

void Centres::products(const Kernels& kernels, const Asked& asked, const std::vector<std::int32_t>& groups, std::vector<float>& products) const {
  thread_local std::vector<std::int32_t> sums;
  sums.resize(groups.size() * static_cast<std::size_t>(kCentresOfGroup));
  products.resize(sums.size());
  kernels.some_centre_products(asked.bytes.data(), n_quads_, bytes_, groups.data(), static_cast<std::int64_t>(groups.size()), sums.data());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::int64_t at = static_cast<std::int64_t>(i) * kCentresOfGroup;
    scaled(sums.data() + at, scale_.data() + groups[i] * kCentresOfGroup, asked.factor, kCentresOfGroup, products.data() + at);
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
  for (std::int64_t i = 0; i < n; ++i)
    scaled(sums.data() + i * n_padded(), scale_.data(), factors[static_cast<std::size_t>(i)], n_padded(), products.data() + i * n_padded());
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

void add_reach(float* products, const float* radii, float reach, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) products[i] += reach * radii[i];
}

void add_up(const float* rows, std::int64_t n, std::int64_t width, const std::int32_t* lists, float* sums, std::int64_t* counts) {
  for (std::int64_t i = 0; i < n; ++i) {
    ++counts[lists[i]];
    float* sum = sums + lists[i] * width;
    const float* row = rows + i * width;
    for (std::int64_t j = 0; j < width; ++j) sum[j] += row[j];
  }
}

}  // namespace hashgnn
