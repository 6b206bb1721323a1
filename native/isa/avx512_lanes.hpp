// 32 lanes of 16 bits in one register of AVX-512, see scan.hpp. Bits are counted by an instruction.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace {

struct Avx512 {
  using Row = __m512i;
  using Lanes = __m512i;
  using Count = __m512i;
  using Mask = __mmask32;
  static constexpr int kMaxRun = 1 << 20;  // sums are counted in 16 bits from the start
  static constexpr int kRows = 4;
  static constexpr int kBlocks = 2;

  static Row load(const std::uint16_t* words) { return _mm512_loadu_si512(words); }
  static Row splat(std::uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  static Count start(Lanes sums) { return sums; }
  static Lanes finish(Lanes, Count counts) { return counts; }
  static Count count(Count sums, Row a, Row b) {
    return _mm512_add_epi16(sums, _mm512_popcnt_epi16(_mm512_xor_si512(a, b)));
  }
  static Lanes none() { return _mm512_setzero_si512(); }
  static Lanes add(Lanes a, Lanes b) { return _mm512_add_epi16(a, b); }
  static Lanes twice(Lanes a) { return _mm512_add_epi16(a, a); }
  static Lanes penalties(const std::uint8_t* bytes) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
  }
  static Lanes scaled(Lanes a, std::uint16_t scale) {
    return _mm512_mulhi_epu16(_mm512_slli_epi16(a, 8), _mm512_set1_epi16(static_cast<short>(scale)));
  }
  static Lanes only(Lanes a, std::uint32_t candidates) {
    return _mm512_mask_mov_epi16(_mm512_set1_epi16(static_cast<short>(0xC000)), candidates, a);
  }
  static Lanes splat_value(std::uint32_t word) { return splat(word); }
  static Mask below(Lanes a, Lanes b) { return _mm512_cmplt_epu16_mask(a, b); }
  static bool any_below(Lanes a, Lanes b) { return !is_empty(below(a, b)); }
  static Mask either(Mask a, Mask b) { return _kor_mask32(a, b); }
  static bool is_empty(Mask mask) { return _kortestz_mask32_u8(mask, mask) != 0; }
  static std::uint32_t bits(Mask mask) { return mask; }
  static void store(std::uint16_t* values, Lanes a) { _mm512_storeu_si512(values, a); }
  // Writes the chosen lanes and their numbers from `first` on, one after the other, and something behind them.
  static int compress(Lanes a, std::uint32_t lanes, std::uint32_t first, std::uint32_t* ids, std::uint16_t* values) {
    alignas(64) static constexpr auto kLane = [] {
      struct { std::uint16_t at[32]; } all{};
      for (std::uint16_t i = 0; i < 32; ++i) all.at[i] = i;
      return all;
    }();
    _mm512_storeu_si512(values, _mm512_maskz_compress_epi16(lanes, a));
    const __m512i numbers = _mm512_maskz_compress_epi16(lanes, _mm512_load_si512(kLane.at));
    const __m512i base = _mm512_set1_epi32(static_cast<int>(first));
    _mm512_storeu_si512(ids, _mm512_add_epi32(base, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(numbers))));
    _mm512_storeu_si512(ids + 16, _mm512_add_epi32(base, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(numbers, 1))));
    return _mm_popcnt_u32(lanes);
  }
};

}  // namespace
