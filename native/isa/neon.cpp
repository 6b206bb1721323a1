// NEON: every 64-bit Arm processor.
#include "../core/kernels.hpp"

#if defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>

#include <cstring>

#include "centre_products.hpp"
#include "dot.hpp"
#include "least_distance.hpp"
#include "log_sigmoids.hpp"
#include "row_scan.hpp"
#include "scan.hpp"
#include "turn.hpp"

namespace {

struct Neon {
  struct Bytes {
    uint8x16_t part[4];
  };
  struct Words {
    uint16x8_t part[4];
  };
  using Row = Bytes;
  using Count = Bytes;
  using Lanes = Words;
  using Mask = std::uint32_t;
  static constexpr int kMaxRun = 31;  // 31 * 8 differing bits fit a byte
  static constexpr int kRows = 2;
  static constexpr int kBlocks = 1;

  static Row load(const std::uint16_t* words) {
    Row row;
    for (int i = 0; i < 4; ++i) row.part[i] = vreinterpretq_u8_u16(vld1q_u16(words + 8 * i));
    return row;
  }
  static Row splat(std::uint32_t word) {
    const uint8x16_t all = vreinterpretq_u8_u32(vdupq_n_u32(word));
    return {{all, all, all, all}};
  }
  static Count start(const Lanes&) {
    const uint8x16_t zero = vdupq_n_u8(0);
    return {{zero, zero, zero, zero}};
  }
  static Lanes finish(Lanes sums, const Count& counts) {
    for (int i = 0; i < 4; ++i) sums.part[i] = vpadalq_u8(sums.part[i], counts.part[i]);
    return sums;
  }
  static Count count(Count sums, const Row& a, const Row& b) {
    for (int i = 0; i < 4; ++i) sums.part[i] = vaddq_u8(sums.part[i], vcntq_u8(veorq_u8(a.part[i], b.part[i])));
    return sums;
  }
  static Lanes all(std::uint16_t value) {
    const uint16x8_t lanes = vdupq_n_u16(value);
    return {{lanes, lanes, lanes, lanes}};
  }
  static Lanes none() { return all(0); }
  static Lanes add(Lanes a, const Lanes& b) {
    for (int i = 0; i < 4; ++i) a.part[i] = vaddq_u16(a.part[i], b.part[i]);
    return a;
  }
  static Lanes twice(const Lanes& a) { return add(a, a); }
  static Lanes penalties(const std::uint8_t* bytes) {
    Lanes lanes;
    for (int i = 0; i < 4; ++i) lanes.part[i] = vmovl_u8(vld1_u8(bytes + 8 * i));
    return lanes;
  }
  static Lanes scaled(Lanes a, std::uint16_t scale) {
    const uint16x4_t factor = vdup_n_u16(scale);
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t low = vmull_u16(vget_low_u16(a.part[i]), factor);
      const uint32x4_t high = vmull_u16(vget_high_u16(a.part[i]), factor);
      a.part[i] = vcombine_u16(vshrn_n_u32(low, 8), vshrn_n_u32(high, 8));
    }
    return a;
  }
  static Lanes only(Lanes a, std::uint32_t candidates) {
    static constexpr std::uint16_t kLane[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint16x8_t lane = vld1q_u16(kLane);
    for (int i = 0; i < 4; ++i) {
      const uint16x8_t kept = vtstq_u16(vdupq_n_u16(static_cast<std::uint16_t>((candidates >> (8 * i)) & 0xFFu)), lane);
      a.part[i] = vbslq_u16(kept, a.part[i], vdupq_n_u16(0xC000));
    }
    return a;
  }
  static Lanes splat_value(std::uint32_t word) { return all(static_cast<std::uint16_t>(word & 0xFFFFu)); }
  static Mask below(const Lanes& a, const Lanes& b) {
    static constexpr std::uint16_t kLane[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint16x8_t lane = vld1q_u16(kLane);
    if (!any_below(a, b)) return 0;
    Mask mask = 0;
    for (int i = 0; i < 4; ++i)
      mask |= static_cast<Mask>(vaddvq_u16(vandq_u16(vcltq_u16(a.part[i], b.part[i]), lane))) << (8 * i);
    return mask;
  }
  static bool any_below(const Lanes& a, const Lanes& b) {
    uint16x8_t less[4];
    for (int i = 0; i < 4; ++i) less[i] = vcltq_u16(a.part[i], b.part[i]);
    return vmaxvq_u16(vorrq_u16(vorrq_u16(less[0], less[1]), vorrq_u16(less[2], less[3]))) != 0;
  }
  static Mask either(Mask a, Mask b) { return a | b; }
  static bool is_empty(Mask mask) { return mask == 0; }
  static std::uint32_t bits(Mask mask) { return mask; }
  static void store(std::uint16_t* values, const Lanes& a) {
    for (int i = 0; i < 4; ++i) vst1q_u16(values + 8 * i, a.part[i]);
  }
};

struct Floats {
  struct Sum {
    float32x4_t part[4];
  };
  static constexpr int kTurned = 4;  // blocks of columns at a time
  static Sum zero() {
    const float32x4_t none = vdupq_n_f32(0.0f);
    return {{none, none, none, none}};
  }
  static float32x4_t add_product(float32x4_t sum, const float* q, float32x4_t row) {
    return vaddq_f32(sum, vmulq_f32(vld1q_f32(q), row));
  }
  static Sum f32(Sum sum, const float* q, const float* row) {
    for (int i = 0; i < 4; ++i) sum.part[i] = add_product(sum.part[i], q + 4 * i, vld1q_f32(row + 4 * i));
    return sum;
  }
  static Sum f16(Sum sum, const float* q, const std::uint16_t* row) {
    for (int i = 0; i < 4; ++i) {
      const float16x4_t halves = vreinterpret_f16_u16(vld1_u16(row + 4 * i));
      sum.part[i] = add_product(sum.part[i], q + 4 * i, vcvt_f32_f16(halves));
    }
    return sum;
  }
  static Sum i8(Sum sum, const float* q, const std::int8_t* row) {
    const int8x16_t bytes = vld1q_s8(row);
    const int16x8_t words[2] = {vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes))};
    for (int i = 0; i < 4; ++i) {
      const int16x4_t half = i % 2 == 0 ? vget_low_s16(words[i / 2]) : vget_high_s16(words[i / 2]);
      sum.part[i] = add_product(sum.part[i], q + 4 * i, vcvtq_f32_s32(vmovl_s16(half)));
    }
    return sum;
  }
  static void store(float* out, const Sum& sum) {
    for (int i = 0; i < 4; ++i) vst1q_f32(out + 4 * i, sum.part[i]);
  }
};

// Entries are multiplied as signed bytes, those of 8 bits less 128.
struct Chunk {
  using Bytes = uint8x16_t;
  using Sum = int32x4_t;
  static constexpr int kBytes = 16;
  static constexpr std::int64_t kLess = 128;
  static Bytes load(const std::uint8_t* from, std::int64_t) { return vld1q_u8(from); }  // rows are multiples of 16
  static Sum zero() { return vdupq_n_s32(0); }
  template <int Bits, int Plane>
  static Bytes part(Bytes bytes) {
    if constexpr (Bits == 8) return veorq_u8(bytes, vdupq_n_u8(128));
    else if constexpr (Plane == 0) return vandq_u8(bytes, vdupq_n_u8((1 << Bits) - 1));
    else return vandq_u8(vshrq_n_u8(bytes, Bits * Plane), vdupq_n_u8((1 << Bits) - 1));
  }
  template <int Bits>
  static Sum add(Sum sum, Bytes bytes, const std::int8_t* query) {
    const int8x16_t entries = vreinterpretq_s8_u8(bytes), asked = vld1q_s8(query);
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(entries), vget_low_s8(asked)));
    return vpadalq_s16(sum, vmull_s8(vget_high_s8(entries), vget_high_s8(asked)));
  }
  static std::int64_t total(Sum sum) { return vaddvq_s32(sum); }
  static void totals(const Sum& a, const Sum& b, const Sum& c, const Sum& d, std::int32_t* out) {
    vst1q_s32(out, vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
  }
  static std::uint32_t at_least(const float* scores, float least) {
    static constexpr std::uint32_t kLane[4] = {1, 2, 4, 8};
    const uint32x4_t lane = vld1q_u32(kLane);
    const float32x4_t limit = vdupq_n_f32(least);
    std::uint32_t mask = 0;
    for (int i = 0; i < 8; ++i) mask |= vaddvq_u32(vandq_u32(vcgeq_f32(vld1q_f32(scores + 4 * i), limit), lane)) << (4 * i);
    return mask;
  }
  static std::int64_t write_keys(const float* scores, const std::int32_t* positions, std::uint32_t lanes, std::uint64_t* keys) {
    return write_each_key(scores, positions, lanes, keys);
  }
};

// Two products of bytes up to 127 fit 16 bits.
struct Quads {
  struct Row {
    int8x16_t part[4];
  };
  using Four = int8x16_t;
  struct Sum {
    int32x4_t part[4];
  };
  static constexpr int kAsked = 2;
  static Row load(const std::int8_t* bytes) {
    Row row;
    for (int i = 0; i < 4; ++i) row.part[i] = vld1q_s8(bytes + 16 * i);
    return row;
  }
  static Four splat(const std::int8_t* bytes) {
    std::int32_t four;
    std::memcpy(&four, bytes, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  static Sum zero() {
    const int32x4_t none = vdupq_n_s32(0);
    return {{none, none, none, none}};
  }
  static Sum add(Sum sum, const Row& row, Four four) {
    for (int i = 0; i < 4; ++i) {
      const int16x8_t low = vmull_s8(vget_low_s8(row.part[i]), vget_low_s8(four));
      const int16x8_t high = vmull_s8(vget_high_s8(row.part[i]), vget_high_s8(four));
      sum.part[i] = vpadalq_s16(sum.part[i], vpaddq_s16(low, high));
    }
    return sum;
  }
  static void store(std::int32_t* sums, const Sum& sum, std::int32_t) {
    for (int i = 0; i < 4; ++i) vst1q_s32(sums + 4 * i, sum.part[i]);
  }
};

}  // namespace

namespace hashgnn {

const Kernels* neon_kernels() {
  static const Kernels table = {"neon", scan<Neon>, collect<Neon>, dot_f32<Floats>, dot_f16<Floats>, dot_i8<Floats>,
                                row_products<Chunk>, scan_rows<Chunk>, turn<Floats>, least_distance, centre_products<Quads>, some_centre_products<Quads>, nearest_centres<Quads>,
                                log_sigmoids<Brief>, log_sigmoids<Single>, times_derivatives<Brief>, times_derivatives<Single>};
  return &table;
}

}  // namespace hashgnn

#else

namespace hashgnn {
const Kernels* neon_kernels() { return nullptr; }
}  // namespace hashgnn

#endif
