// 32 lanes of 16 bits in two registers of AVX2, see scan.hpp. Bits are counted by table look-up of half bytes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

struct Avx2 {
  struct Pair {
    __m256i low, high;
  };
  using Row = Pair;
  using Lanes = Pair;
  using Count = Pair;  // bytes
  using Mask = std::uint32_t;
  static constexpr int kMaxRun = 31;  // 31 * 8 differing bits fit a byte
  static constexpr int kRows = 4;  // fewer are counted one after another, more are looked up, see tables.hpp
  static constexpr int kBlocks = 1;

  static __m256i read(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static Row load(const std::uint16_t* words) { return {read(words), read(words + 16)}; }
  static Row splat(std::uint32_t word) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(word));
    return {all, all};
  }
  static Count start(Lanes) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Lanes finish(Lanes sums, Count counts) {
    const __m256i ones = _mm256_set1_epi8(1);
    return add(sums, {_mm256_maddubs_epi16(counts.low, ones), _mm256_maddubs_epi16(counts.high, ones)});
  }
  static __m256i bits_of_bytes(__m256i bytes) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3,
                                           1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(bytes, nibble));
    const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
    return _mm256_add_epi8(low, high);
  }
  static Count count(Count sums, Row a, Row b) {
    return {_mm256_add_epi8(sums.low, bits_of_bytes(_mm256_xor_si256(a.low, b.low))),
            _mm256_add_epi8(sums.high, bits_of_bytes(_mm256_xor_si256(a.high, b.high)))};
  }
  static Lanes none() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Lanes add(Lanes a, Lanes b) {
    return {_mm256_add_epi16(a.low, b.low), _mm256_add_epi16(a.high, b.high)};
  }
  static Lanes twice(Lanes a) { return add(a, a); }
  static Lanes penalties(const std::uint8_t* bytes) {
    const auto* from = reinterpret_cast<const __m128i*>(bytes);
    return {_mm256_cvtepu8_epi16(_mm_loadu_si128(from)), _mm256_cvtepu8_epi16(_mm_loadu_si128(from + 1))};
  }
  static Lanes scaled(Lanes a, std::uint16_t scale) {
    const __m256i factor = _mm256_set1_epi16(static_cast<short>(scale));
    return {_mm256_mulhi_epu16(_mm256_slli_epi16(a.low, 8), factor),
            _mm256_mulhi_epu16(_mm256_slli_epi16(a.high, 8), factor)};
  }
  static __m256i spread(std::uint32_t bits) {
    const __m256i lane = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
                                           static_cast<short>(0x8000));
    return _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16(static_cast<short>(bits)), lane), lane);
  }
  static Lanes only(Lanes a, std::uint32_t candidates) {
    const __m256i far = _mm256_set1_epi16(static_cast<short>(0xC000));
    return {_mm256_blendv_epi8(far, a.low, spread(candidates & 0xFFFFu)),
            _mm256_blendv_epi8(far, a.high, spread(candidates >> 16))};
  }
  static Lanes splat_value(std::uint32_t word) { return splat(word); }
  // a < b without sign: b - a, cut off at zero, is not zero.
  static Mask below(Lanes a, Lanes b) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i low = _mm256_cmpeq_epi16(_mm256_subs_epu16(b.low, a.low), zero);
    const __m256i high = _mm256_cmpeq_epi16(_mm256_subs_epu16(b.high, a.high), zero);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
    return ~static_cast<std::uint32_t>(_mm256_movemask_epi8(bytes));
  }
  static bool any_below(Lanes a, Lanes b) {
    const __m256i reach = _mm256_or_si256(_mm256_subs_epu16(b.low, a.low), _mm256_subs_epu16(b.high, a.high));
    return _mm256_testz_si256(reach, reach) == 0;
  }
  static Mask either(Mask a, Mask b) { return a | b; }
  static bool is_empty(Mask mask) { return mask == 0; }
  static std::uint32_t bits(Mask mask) { return mask; }
  static void store(std::uint16_t* values, Lanes a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), a.low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + 16), a.high);
  }
};

}  // namespace
