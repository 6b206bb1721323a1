// Plain C++: any processor. Four lanes share a 64-bit word; bits are counted within bytes.
#include <cstring>

#include "../core/kernels.hpp"
#include "centre_products.hpp"
#include "dot.hpp"
#include "least_distance.hpp"
#include "log_sigmoids.hpp"
#include "row_scan.hpp"
#include "scan.hpp"
#include "turn.hpp"

namespace {

struct Portable {
  struct Row {
    std::uint64_t part[8];
  };
  struct Lanes {
    std::uint16_t lane[kBlock];
  };
  using Count = Row;  // bytes
  using Mask = std::uint32_t;
  static constexpr int kMaxRun = 31;  // 31 * 8 differing bits fit a byte
  static constexpr int kRows = 1;
  static constexpr int kBlocks = 1;

  static Row load(const std::uint16_t* words) {
    Row row;
    std::memcpy(row.part, words, sizeof row.part);
    return row;
  }
  static Row splat(std::uint32_t word) {
    Row row;
    for (std::uint64_t& part : row.part) part = word * 0x0000000100000001ull;
    return row;
  }
  static Count start(const Lanes&) { return {}; }
  static Count count(Count sums, const Row& a, const Row& b) {
    for (int i = 0; i < 8; ++i) {
      std::uint64_t x = a.part[i] ^ b.part[i];
      x -= (x >> 1) & 0x5555555555555555ull;
      x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
      sums.part[i] += (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Full;
    }
    return sums;
  }
  static Lanes finish(Lanes sums, const Count& counts) {
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t pairs = (counts.part[i] & 0x00FF00FF00FF00FFull) + ((counts.part[i] >> 8) & 0x00FF00FF00FF00FFull);
      std::uint16_t lanes[4];
      std::memcpy(lanes, &pairs, sizeof lanes);
      for (int j = 0; j < 4; ++j) sums.lane[4 * i + j] = static_cast<std::uint16_t>(sums.lane[4 * i + j] + lanes[j]);
    }
    return sums;
  }
  static Lanes none() { return {}; }
  static Lanes add(Lanes a, const Lanes& b) {
    for (int i = 0; i < kBlock; ++i) a.lane[i] = static_cast<std::uint16_t>(a.lane[i] + b.lane[i]);
    return a;
  }
  static Lanes twice(const Lanes& a) { return add(a, a); }
  static Lanes penalties(const std::uint8_t* bytes) {
    Lanes lanes;
    for (int i = 0; i < kBlock; ++i) lanes.lane[i] = bytes[i];
    return lanes;
  }
  static Lanes scaled(Lanes a, std::uint16_t scale) {
    for (std::uint16_t& lane : a.lane) lane = static_cast<std::uint16_t>((std::uint32_t{lane} * scale) >> 8);
    return a;
  }
  static Lanes only(Lanes a, std::uint32_t candidates) {
    for (int i = 0; i < kBlock; ++i)
      if (((candidates >> i) & 1u) == 0) a.lane[i] = 0xC000;
    return a;
  }
  static Lanes splat_value(std::uint32_t word) {
    Lanes lanes;
    for (std::uint16_t& lane : lanes.lane) lane = static_cast<std::uint16_t>(word & 0xFFFFu);
    return lanes;
  }
  static Mask below(const Lanes& a, const Lanes& b) {
    Mask mask = 0;
    for (int i = 0; i < kBlock; ++i) mask |= static_cast<Mask>(a.lane[i] < b.lane[i]) << i;
    return mask;
  }
  static bool any_below(const Lanes& a, const Lanes& b) { return below(a, b) != 0; }
  static Mask either(Mask a, Mask b) { return a | b; }
  static bool is_empty(Mask mask) { return mask == 0; }
  static std::uint32_t bits(Mask mask) { return mask; }
  static void store(std::uint16_t* values, const Lanes& a) { std::memcpy(values, a.lane, sizeof a.lane); }
};

struct Floats {
  struct Sum {
    float part[kSums];
  };
  static constexpr int kTurned = 4;  // blocks of columns at a time
  static Sum zero() { return {}; }
  static Sum f32(Sum sum, const float* q, const float* row) {
    for (int i = 0; i < kSums; ++i) sum.part[i] += q[i] * row[i];
    return sum;
  }
  static Sum f16(Sum sum, const float* q, const std::uint16_t* row) {
    for (int i = 0; i < kSums; ++i) sum.part[i] += q[i] * half_to_float(row[i]);
    return sum;
  }
  static Sum i8(Sum sum, const float* q, const std::int8_t* row) {
    for (int i = 0; i < kSums; ++i) sum.part[i] += q[i] * static_cast<float>(row[i]);
    return sum;
  }
  static void store(float* out, const Sum& sum) { std::memcpy(out, sum.part, sizeof sum.part); }
};

struct Chunk {
  struct Bytes {
    std::uint8_t byte[16];
  };
  using Sum = std::int32_t;
  static constexpr int kBytes = 16;
  static constexpr std::int64_t kLess = 0;
  static Bytes load(const std::uint8_t* from, std::int64_t) {  // rows are multiples of 16
    Bytes bytes;
    std::memcpy(bytes.byte, from, sizeof bytes.byte);
    return bytes;
  }
  static Sum zero() { return 0; }
  template <int Bits, int Plane>
  static Bytes part(Bytes bytes) {
    for (std::uint8_t& byte : bytes.byte) byte = static_cast<std::uint8_t>((byte >> (Bits * Plane)) & ((1 << Bits) - 1));
    return bytes;
  }
  template <int Bits>
  static Sum add(Sum sum, const Bytes& bytes, const std::int8_t* query) {
    for (int i = 0; i < kBytes; ++i) sum += bytes.byte[i] * query[i];
    return sum;
  }
  static std::int64_t total(Sum sum) { return sum; }
  static void totals(const Sum& a, const Sum& b, const Sum& c, const Sum& d, std::int32_t* out) {
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
  }
  static std::uint32_t at_least(const float* scores, float least) {
    std::uint32_t mask = 0;
    for (int i = 0; i < 32; ++i) mask |= std::uint32_t{scores[i] >= least} << i;
    return mask;
  }
  static std::int64_t write_keys(const float* scores, const std::int32_t* positions, std::uint32_t lanes, std::uint64_t* keys) {
    return write_each_key(scores, positions, lanes, keys);
  }
};

struct Quads {
  struct Row {
    std::int8_t byte[64];
  };
  struct Four {
    std::int8_t byte[4];
  };
  struct Sum {
    std::int32_t of[16];
  };
  static constexpr int kAsked = 1;
  static Row load(const std::int8_t* bytes) {
    Row row;
    std::memcpy(row.byte, bytes, sizeof row.byte);
    return row;
  }
  static Four splat(const std::int8_t* bytes) {
    Four four;
    std::memcpy(four.byte, bytes, sizeof four.byte);
    return four;
  }
  static Sum zero() { return {}; }
  static Sum add(Sum sum, const Row& row, const Four& four) {
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 4; ++j) sum.of[i] += row.byte[4 * i + j] * four.byte[j];
    return sum;
  }
  static void store(std::int32_t* sums, const Sum& sum, std::int32_t) { std::memcpy(sums, sum.of, sizeof sum.of); }
};

}  // namespace

namespace hashgnn {

const Kernels* portable_kernels() {
  static const Kernels table = {"portable", scan<Portable>, collect<Portable>, dot_f32<Floats>, dot_f16<Floats>, dot_i8<Floats>,
                                row_products<Chunk>, scan_rows<Chunk>, turn<Floats>, least_distance, centre_products<Quads>, some_centre_products<Quads>, nearest_centres<Quads>,
                                log_sigmoids<Brief>, log_sigmoids<Single>, times_derivatives<Brief>, times_derivatives<Single>};
  return &table;
}

}  // namespace hashgnn
