// Scores of a row turned into T * log σ((s - β) / T), and the derivatives of that, see core/log_sigmoids.hpp. Written for vectors of
// the compiler, so that every instruction set computes the same bits.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../core/kernels.hpp"

namespace {

using hashgnn::SigmoidRow;

constexpr int kVector = 16;
using Vector16 = float __attribute__((vector_size(4 * kVector)));
using Words16 = std::uint32_t __attribute__((vector_size(4 * kVector)));
using Halves16 = std::uint16_t __attribute__((vector_size(2 * kVector)));

inline __attribute__((always_inline)) Vector16 spread(float value) { return Vector16{} + value; }

// Entries in bfloat16, the upper half of a float. Their polynomials are accurate to 1e-5.
struct Brief {
  using Entry = std::uint16_t;
  static constexpr float kPower[] = {6.931368578e-01f, 2.402325217e-01f, 5.583728824e-02f, 9.618110297e-03f};
  static constexpr float kLog[] = {9.999915981e-01f, -4.993613620e-01f, 3.252066589e-01f,
                                   -2.100486306e-01f, 1.012222173e-01f, -2.386912482e-02f};
  static inline __attribute__((always_inline)) Vector16 load(const Entry* from) {
    Halves16 halves;
    std::memcpy(&halves, from, sizeof halves);
    return std::bit_cast<Vector16>(__builtin_convertvector(halves, Words16) << 16);
  }
  // Rounds to the nearest, ties to even. A NaN stays one: those of the kernels are quiet.
  static inline __attribute__((always_inline)) void store(Entry* to, Vector16 values) {
    const auto bits = std::bit_cast<Words16>(values);
    const Words16 rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const auto halves = __builtin_convertvector(rounded, Halves16);
    std::memcpy(to, &halves, sizeof halves);
  }
};

// Entries in single precision. Their polynomials are accurate to 3e-8.
struct Single {
  using Entry = float;
  static constexpr float kPower[] = {6.931471879e-01f, 2.402264979e-01f, 5.550357434e-02f,
                                     9.618237495e-03f, 1.339073548e-03f, 1.540351235e-04f};
  static constexpr float kLog[] = {9.999999699e-01f,  -4.999949314e-01f, 3.331909675e-01f, -2.484298179e-01f, 1.910600511e-01f,
                                   -1.366324228e-01f, 7.822591042e-02f,  -2.950521332e-02f, 5.232687910e-03f};
  static inline __attribute__((always_inline)) Vector16 load(const Entry* from) {
    Vector16 values;
    std::memcpy(&values, from, sizeof values);
    return values;
  }
  static inline __attribute__((always_inline)) void store(Entry* to, Vector16 values) { std::memcpy(to, &values, sizeof values); }
};

template <int N>
inline __attribute__((always_inline)) Vector16 polynomial(const float (&of)[N], Vector16 x) {
  Vector16 sum = spread(of[N - 1]);
  for (int i = N - 2; i >= 0; --i) sum = sum * x + of[i];
  return sum;
}

// exp(x) of x <= 0 as power + power * rest: a power of two, and what is exact near 0 when 1 is subtracted.
struct Exponential {
  Vector16 power, rest;
};

template <class Type>
inline __attribute__((always_inline)) Exponential exponential(Vector16 x) {
  const Vector16 scaled = x * 1.44269504f;
  const Vector16 t = scaled < -126.0f ? spread(-126.0f) : scaled;  // a NaN stays
  constexpr float kShift = 0x1.8p23f;  // so large that its sum with t is rounded to an integer
  const Vector16 shifted = t + kShift;
  const Vector16 whole = shifted - kShift, part = t - whole;
  const auto power = std::bit_cast<Vector16>((std::bit_cast<Words16>(shifted) << 23) + 0x3F800000u);
  return {power, part * polynomial(Type::kPower, part)};
}

// Calls change(values, j) with 16 entries of a row and the first one's place, and writes what it returns. Beyond the last entry
// there are minus infinities.
template <class Type, class Change>
inline __attribute__((always_inline)) void for_vectors(typename Type::Entry* row, std::int64_t n, Change change) {
  std::int64_t j = 0;
  for (; j + kVector <= n; j += kVector) Type::store(row + j, change(Type::load(row + j), j));
  if (j == n) return;
  typename Type::Entry last[kVector];
  Type::store(last, spread(-std::numeric_limits<float>::infinity()));
  const auto size = static_cast<std::size_t>(n - j) * sizeof *row;
  std::memcpy(last, row + j, size);
  Type::store(last, change(Type::load(last), j));
  std::memcpy(row + j, last, size);
}

// 16 values from j on, as far as there are any; 0 beyond.
inline __attribute__((always_inline)) Vector16 values_at(const float* values, std::int64_t j, std::int64_t n) {
  Vector16 found{};
  if (j + kVector <= n) std::memcpy(&found, values + j, sizeof found);
  else std::memcpy(&found, values + j, static_cast<std::size_t>(n - j) * sizeof *values);
  return found;
}

template <class Type, bool kCounted>
float log_sigmoids_of(typename Type::Entry* scores, const SigmoidRow& row) {
  Vector16 above{};
  const float narrow = 1.0f / row.temperature;
  for_vectors<Type>(scores, row.n, [&](Vector16 s, std::int64_t j) __attribute__((always_inline)) {
    const Vector16 x = (s - row.level) * narrow;
    const Vector16 count = kCounted ? values_at(row.counts, j, row.n) : spread(1.0f);
    above += x > 0.0f ? count : Vector16{};
    const Vector16 size = x > 0.0f ? -x : x;
    const Exponential e = exponential<Type>(size);
    const Vector16 small = e.power + e.power * e.rest;
    const Vector16 least = x > 0.0f ? Vector16{} : x;
    const Vector16 found = row.temperature * (least - small * polynomial(Type::kLog, small));
    return kCounted ? found + values_at(row.log_counts, j, row.n) : found;
  });
  float sums[kVector];
  std::memcpy(sums, &above, sizeof sums);
  for (int half = kVector / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}

template <class Type, bool kCounted>
void times_derivatives_of(typename Type::Entry* values, const typename Type::Entry* turned, const SigmoidRow& row) {
  const float narrow = 1.0f / row.temperature;
  for_vectors<Type>(values, row.n, [&](Vector16 value, std::int64_t j) __attribute__((always_inline)) {
    typename Type::Entry last[kVector];
    const typename Type::Entry* at = turned + j;
    if (j + kVector > row.n) {
      Type::store(last, Vector16{});
      std::memcpy(last, at, static_cast<std::size_t>(row.n - j) * sizeof *at);
      at = last;
    }
    Vector16 y = Type::load(at);
    if (kCounted) y -= values_at(row.log_counts, j, row.n);
    const Vector16 x = y * narrow;
    const Exponential e = exponential<Type>(x > 0.0f ? Vector16{} : x);  // rounded, it may be a little above 0
    return value * ((1.0f - e.power) - e.power * e.rest);
  });
}

template <class Type>
float log_sigmoids(void* scores, const SigmoidRow& row) {
  auto* const entries = static_cast<typename Type::Entry*>(scores);
  return row.counts != nullptr ? log_sigmoids_of<Type, true>(entries, row) : log_sigmoids_of<Type, false>(entries, row);
}

template <class Type>
void times_derivatives(void* values, const void* turned, const SigmoidRow& row) {
  auto* const entries = static_cast<typename Type::Entry*>(values);
  const auto* const of = static_cast<const typename Type::Entry*>(turned);
  if (row.counts != nullptr) times_derivatives_of<Type, true>(entries, of, row);
  else times_derivatives_of<Type, false>(entries, of, row);
}

}  // namespace
