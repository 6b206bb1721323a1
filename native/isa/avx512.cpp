// AVX-512 with VPOPCNTW (BITALG) and VPERMB (VBMI): Intel from Ice Lake, AMD from Zen 4.
#include "../core/kernels.hpp"

#if defined(__AVX512BITALG__) && defined(__AVX512BW__) && defined(__AVX512VBMI__)

#include <immintrin.h>

#include "dot.hpp"
#include "scan.hpp"
#include "six_bits.hpp"
#include "values.hpp"

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
};

// Bits are counted, but for many queries of several planes, whose planes are looked up together.
template <int Slices>
void scan_groups(const ScanJob& job) {
  const int most = queries_of_group<SixBits<Avx512>>(job.n_slices);
  for (int first = 0; first < job.n_queries; first += most)
    scan_group_values<SixBits<Avx512>, Slices>(job, first, std::min(first + most, job.n_queries));
}

void scan_by_tables(const ScanJob& job) {
  if (job.n_planes == 1 || job.n_planes > kTablePlanes || job.n_queries == 1) return scan<Avx512>(job);
  switch (job.n_slices) {
    case 4: return scan_groups<4>(job);
    case 8: return scan_groups<8>(job);
    case 16: return scan_groups<16>(job);
    case 32: return scan_groups<32>(job);
    default: return scan_groups<0>(job);
  }
}

struct Floats {
  using Sum = __m512;
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum add_product(Sum sum, const float* q, __m512 row) {
    return _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(q), row));
  }
  static Sum f32(Sum sum, const float* q, const float* row) { return add_product(sum, q, _mm512_loadu_ps(row)); }
  static Sum f16(Sum sum, const float* q, const std::uint16_t* row) {
    return add_product(sum, q, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row))));
  }
  static Sum i8(Sum sum, const float* q, const std::int8_t* row) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
    return add_product(sum, q, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
  }
  static void store(float* out, Sum sum) { _mm512_storeu_ps(out, sum); }
};

}  // namespace

namespace hashgnn {

const Kernels* avx512_kernels() {
  static const Kernels table = {"avx512", scan_by_tables, dot_f32<Floats>, dot_f16<Floats>, dot_i8<Floats>};
  static const bool usable = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                             __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vbmi");
  return usable ? &table : nullptr;
}

}  // namespace hashgnn

#else

namespace hashgnn {
const Kernels* avx512_kernels() { return nullptr; }
}  // namespace hashgnn

#endif
