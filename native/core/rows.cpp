#include "rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr std::int64_t kRowsOfTask = 512;
constexpr int kFitSums = 16;            // running sums of a fit, which do not wait for one another
constexpr int kTermsFrom = 8;           // rows of so many bits are asked with two terms: one would be as coarse as they are
constexpr float kLargestOfTerm = 127;
constexpr float kLargestOfTwo = 127 * 128;
constexpr float kToInteger = 12582912.0f; // 1.5 * 2^23: to add it rounds a small number to a whole one, halves to even ones

// Steps to try, in root mean squares of the entries: around the best one for normally distributed entries.
struct Steps {
  const float* values;
  int n;
};

Steps steps_of(int bits) {
  static constexpr float kOf2[] = {0.7f, 0.8f, 0.9f, 1.0f, 1.1f, 1.25f};
  static constexpr float kOf4[] = {0.24f, 0.27f, 0.3f, 0.335f, 0.37f, 0.42f};
  static constexpr float kOf8[] = {0.022f, 0.026f, 0.031f, 0.037f};
  static constexpr float kOf3[] = {0.42f, 0.48f, 0.53f, 0.586f, 0.65f, 0.73f};
  if (bits == 2) return {kOf2, 6};
  if (bits == 3) return {kOf3, 6};
  if (bits == 4) return {kOf4, 6};
  return {kOf8, 4};
}

struct Fit {
  double product = 0, square = 0;  // of the odd integers with the entries, and with themselves
};

// Entries as c of `bits`, cut to what they can hold.
inline float level(float value, float inverse, float half, float most) {
  return std::min(std::max(value * inverse + half, 0.0f), most);
}

Fit fit(const float* entries, std::int64_t n, float inverse, int bits) {
  const float half = static_cast<float>(1 << (bits - 1)), most = static_cast<float>((1 << bits) - 1);
  float products[kFitSums] = {}, squares[kFitSums] = {};
  const auto add = [&](int i, float entry) {
    const auto c = static_cast<std::int32_t>(level(entry, inverse, half, most));
    const float odd = static_cast<float>(2 * c) - most;
    products[i] += odd * entry;
    squares[i] += odd * odd;
  };
  std::int64_t j = 0;
  for (; j + kFitSums <= n; j += kFitSums)
    for (int i = 0; i < kFitSums; ++i) add(i, entries[j + i]);
  for (int i = 0; j < n; ++i, ++j) add(i, entries[j]);
  Fit sums;
  for (int i = 0; i < kFitSums; ++i) sums.product += products[i], sums.square += squares[i];
  return sums;
}

void write_row(const float* entries, std::int64_t n, int bits, std::int64_t n_bytes, std::uint8_t* row) {
  std::memset(row, 0, static_cast<std::size_t>(n_bytes));
  double square = 0;
  float largest = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    square += static_cast<double>(entries[j]) * entries[j];
    largest = std::max(largest, std::abs(entries[j]));
  }
  if (!std::isfinite(square)) return;  // of no use: what made it is larger than a float
  const auto deviation = static_cast<float>(std::sqrt(square / static_cast<double>(n)));
  const Sections sections(n_bytes, bits);
  const float half = static_cast<float>(1 << (bits - 1)), most = static_cast<float>((1 << bits) - 1);
  float factor = 0, best_inverse = 0;
  double best = 0;
  const auto try_step = [&](float step) {
    const float inverse = 1.0f / step;
    if (!std::isfinite(inverse)) return;
    const Fit found = fit(entries, n, inverse, bits);
    const double cosine = found.product / std::sqrt(found.square);  // times the length of the entries
    if (!(cosine > best)) return;
    best = cosine, best_inverse = inverse;
    factor = static_cast<float>(square / found.product);
  };
  const Steps steps = steps_of(bits);
  for (int i = 0; i < steps.n; ++i) try_step(deviation * steps.values[i]);
  try_step(2 * largest / most);
  if (!std::isfinite(factor)) factor = 0;
  for (int s = 0; s < sections.n && best > 0; ++s) {
    const Section& section = sections.at[s];
    const int mask = (1 << section.bits) - 1;
    std::uint8_t* bytes = row + section.first;
    int place = 0;  // of a plane in a byte
    for (std::int64_t first = 0; first < n; first += section.n_bytes, place += section.bits)
      for (std::int64_t i = 0; i < std::min(section.n_bytes, n - first); ++i) {
        const auto c = static_cast<std::int32_t>(level(entries[first + i], best_inverse, half, most));
        bytes[i] = static_cast<std::uint8_t>(bytes[i] | (((c >> section.shift) & mask) << place));
      }
  }
  std::memcpy(row + n_bytes - kFactorBytes, &factor, sizeof factor);
}

}  // namespace

void quantise_rows(const Kernels& kernels, const Turning& turning, int bits, const float* embeddings, std::int64_t n,
                   std::int64_t n_bytes, std::uint8_t* rows, int n_threads) {
  run_tasks((n + kRowsOfTask - 1) / kRowsOfTask, n_threads, [&](std::int64_t task) {
    std::vector<float> centred(static_cast<std::size_t>(turning.width)), turned(static_cast<std::size_t>(turning.n_columns));
    for (std::int64_t i = task * kRowsOfTask; i < std::min(n, (task + 1) * kRowsOfTask); ++i) {
      const float* embedding = embeddings + i * turning.width;
      for (std::int64_t j = 0; j < turning.width; ++j) centred[static_cast<std::size_t>(j)] = embedding[j] - turning.centre[j];
      kernels.turn(centred.data(), turning.of_items, turning.width, turning.n_columns, turned.data());
      write_row(turned.data(), turning.n_entries, bits, n_bytes, rows + i * n_bytes);
    }
  });
}

AskedRows::AskedRows(const Kernels& kernels, const QuantisedRows& table, const float* query) : kernels_(kernels), table_(table) {
  const Turning& turning = table.turning;
  thread_local std::vector<float> turned;
  turned.resize(static_cast<std::size_t>(turning.n_columns));
  kernels.turn(query, turning.of_queries, turning.width, turning.n_columns, turned.data());
  base_ = kernels.dot_f32(query, turning.centre, turning.width);
  const Sections sections(table.n_bytes, table.bits);
  const int n_planes = sections.n_planes();
  query_.bits = table.bits;
  query_.n_terms = table.bits >= kTermsFrom ? 2 : 1;
  query_.n_bytes = table.n_bytes;
  query_.stride = (table.n_bytes + 63) / 64 * 64;
  query_.sums[0] = query_.sums[1] = 0;
  planes_.assign(static_cast<std::size_t>(query_.n_terms * n_planes * query_.stride), 0);
  query_.planes = planes_.data();
  float largest = 0;
  for (std::int64_t j = 0; j < turning.n_entries; ++j) {
    const float size = std::abs(turned[static_cast<std::size_t>(j)]);
    if (!(size <= largest)) largest = size;  // NaN too
    if (!std::isfinite(largest)) {
      step_ = largest;  // scores are then no numbers either
      return;
    }
  }
  const float most = query_.n_terms == 1 ? kLargestOfTerm : kLargestOfTwo;
  step_ = largest / most;
  const float inverse = most / largest;
  if (!std::isfinite(inverse)) return;  // all planes are zero, and so are the products
  const std::int64_t n_entries = turning.n_entries;
  thread_local std::vector<std::int32_t> values;
  values.resize(static_cast<std::size_t>(n_entries));
  for (std::int64_t j = 0; j < n_entries; ++j) {
    const float size = std::min(std::max(turned[static_cast<std::size_t>(j)] * inverse, -most), most);
    values[static_cast<std::size_t>(j)] = static_cast<std::int32_t>((size + kToInteger) - kToInteger);
  }
  for (int t = 0; t < query_.n_terms; ++t) {
    const auto term_of = [&](std::int32_t value) {
      const std::int32_t high = (value + 64) >> 7;
      return query_.n_terms == 1 ? value : t == 0 ? high : value - 128 * high;
    };
    for (const std::int32_t value : values) query_.sums[t] += term_of(value);
    std::int64_t plane = t * n_planes;
    for (int s = 0; s < sections.n; ++s) {
      const std::int64_t n = sections.at[s].n_bytes;
      for (std::int64_t first = 0; first < n_entries; first += n, ++plane) {
        std::int8_t* to = planes_.data() + plane * query_.stride;
        for (std::int64_t i = 0; i < std::min(n, n_entries - first); ++i) to[i] = static_cast<std::int8_t>(term_of(values[static_cast<std::size_t>(first + i)]));
      }
      plane += 8 / sections.at[s].bits - (n_entries + n - 1) / n;
    }
  }
}

void AskedRows::score(const std::uint8_t* rows, const std::uint32_t* positions, std::int64_t n, float* scores) {
  products_.resize(static_cast<std::size_t>(n));
  kernels_.row_products(query_, rows, positions, n, products_.data());
  const std::int64_t most = (1 << table_.bits) - 1;
  const std::int64_t whole = most * (query_.n_terms == 1 ? query_.sums[0] : 128 * query_.sums[0] + query_.sums[1]);
  for (std::int64_t i = 0; i < n; ++i) {
    float factor;
    std::memcpy(&factor, rows + std::int64_t{positions[i]} * table_.n_bytes + table_.n_bytes - kFactorBytes, sizeof factor);
    const auto product = static_cast<float>(2 * products_[static_cast<std::size_t>(i)] - whole);
    scores[i] = base_ + (factor * step_) * product;
  }
}

}  // namespace hashgnn
