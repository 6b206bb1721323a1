// What an instruction set provides, and the choice between those that this processor has.
#pragma once

#include <cstdint>

namespace hashgnn {

// Called for lanes of a block whose value is below the limit of a query. May lower that limit.
using HitFunction = void (*)(void* context, int query, std::int64_t block, std::uint32_t lanes,
                             const std::uint16_t* values);

// One pass of a group of queries over a run of blocks. Value of a code for a query:
//   sum over planes p of 2^(n_planes - 1 - p) * hamming(plane p of the query, code) + bias of the code
// where the bias is its penalty times penalty_scale / 256, rounded down. Plain Hamming has one plane.
struct ScanJob {
  const std::uint16_t* near;      // first halves of the blocks, see layout.hpp
  const std::uint16_t* far;       // second halves, read only where the first leave a code within reach
  int n_slices;
  std::int64_t n_blocks;          // at least 1
  std::int64_t first_block;       // number of the first block, as passed to `hit`
  const std::uint8_t* penalty;    // 32 a block, or null
  const std::uint32_t* candidates;  // a bit per code, or null: all; codes without a bit are never hit
  std::uint32_t last_candidates;  // the same for the last block, which may have fewer than 32 codes
  const std::uint32_t* queries;   // (n_queries, n_planes, n_slices): 16 bits, twice
  int n_queries;
  int n_planes;
  const std::uint16_t* penalty_scale;  // a query, or null: the penalty counts as it is
  const std::uint16_t* least_far;  // per query, or null: minimum that the second half of any code adds
  std::uint32_t* limits;          // a query: 16 bits, twice
  HitFunction hit;
  void* context;
};

// A float query as rows of few bits are asked: integers of 8 bits, or of 15 bits in two terms, 128 * first + second.
struct RowQuery {
  int bits;                     // of an entry of a row: 2, 3, 4 or 8
  int n_terms;                  // 1 or 2
  std::int64_t n_bytes;         // of a row, see rows.hpp
  std::int64_t stride;          // of the planes: the bytes of a section or more, a multiple of 64
  const std::int8_t* planes;    // (n_terms, planes of all sections, stride): what each bits of a byte are multiplied by; 0 where there is no entry
  std::int64_t sums[2];         // of the entries of each term
};

// Rows of lists in blocks of 32, and what a score of a row is made from: base + factor * step * (2 * product - largest product).
struct RowScan {
  const std::uint8_t* rows;        // of the first block
  const std::int32_t* positions;   // 32 a block
  const std::uint32_t* lanes;      // a word a block: which rows count
  std::int64_t n_blocks;
  float base, step;
  float least;                     // the least score that counts
  const std::uint8_t* next;        // rows that are read afterwards, or null
};

// A row of scores, see log_sigmoids.hpp. Both counts are null where each item counts for one.
struct SigmoidRow {
  std::int64_t n;
  float level, temperature;
  const float* log_counts;
  const float* counts;
};

inline constexpr std::int64_t kBeyondKeys = 8;  // keys that may be written behind those that are found

struct Kernels {
  const char* name;
  void (*scan)(const ScanJob& job);
  // Writes down the codes below the limit of the one query of a job, which is not called back: their numbers, 32 a block from
  // 32 * first_block on, and their values, in the order of memory. Returns how many. Writes up to 32 beyond those.
  std::int64_t (*collect)(const ScanJob& job, std::uint32_t* ids, std::uint16_t* values);
  // Inner products of a float query with a row of a table. All instruction sets add in the same order
  // and without fused operations, so that their answers agree to the last bit.
  float (*dot_f32)(const float* query, const float* row, std::int64_t width);
  float (*dot_f16)(const float* query, const std::uint16_t* row, std::int64_t width);
  float (*dot_i8)(const float* query, const std::int8_t* row, std::int64_t width);
  // Inner products of a query with the unsigned entries of some rows, in integers, so exact.
  void (*row_products)(const RowQuery& query, const std::uint8_t* rows, const std::uint32_t* positions, std::int64_t n,
                       std::int64_t* products);
  // Writes the keys, see keys.hpp, of rows that score enough, and up to kBeyondKeys behind them; returns how many. A NaN
  // scores as -infinity.
  std::int64_t (*scan_rows)(const RowQuery& query, const RowScan& scan, std::uint64_t* keys);
  // The product of a row vector with a matrix of n_columns columns, a multiple of 16; sums go from the first row to the last.
  void (*turn)(const float* vector, const float* matrix, std::int64_t width, std::int64_t n_columns, float* turned);
  // The least distance of a code to n others, or `least` where that is less. Codes are words of 64 bits, one after the other.
  std::uint32_t (*least_distance)(const std::uint64_t* code, const std::uint64_t* others, std::int64_t n, std::int64_t n_words,
                                  std::uint32_t least);
  // Products of n embeddings in bytes with groups of centres, n_quads times four entries each: (n, 16 * n_groups). See centres.hpp.
  void (*centre_products)(const std::int8_t* asked, std::int64_t n, std::int64_t n_quads, const std::int8_t* centres,
                          std::int64_t n_groups, std::int32_t* products);
  // The same of one embedding with n of the groups: (n, 16).
  void (*some_centre_products)(const std::int8_t* asked, std::int64_t n_quads, const std::int8_t* centres, const std::int32_t* groups,
                               std::int64_t n, std::int32_t* products);
  // Of each of n embeddings, factor times its bytes, the centre with the largest product, scaled, less half of its square.
  void (*nearest_centres)(const std::int8_t* asked, const float* factors, std::int64_t n, std::int64_t n_quads,
                          const std::int8_t* centres, std::int64_t n_groups, const float* scale, const float* half,
                          std::int32_t* nearest);
  // Turns a row of scores, in bfloat16 or float32, and returns how many lay above its level. Multiplies values by the derivatives
  // of what a row was turned to. See log_sigmoids.hpp.
  float (*log_sigmoids_bf16)(void* scores, const SigmoidRow& row);
  float (*log_sigmoids_f32)(void* scores, const SigmoidRow& row);
  void (*times_derivatives_bf16)(void* values, const void* turned, const SigmoidRow& row);
  void (*times_derivatives_f32)(void* values, const void* turned, const SigmoidRow& row);
};

// Kernels of one instruction set, or null where it was not compiled in or the processor has no support.
const Kernels* avx512_kernels();
const Kernels* avx2_kernels();
const Kernels* neon_kernels();
const Kernels* portable_kernels();

// The named set ("avx512", "avx2", "neon", "portable"), or null.
const Kernels* kernels_named(const char* name);
// The best set, or the one that HASHGNN_SIMD names. Throws InvalidArgument where that cannot be had.
const Kernels& kernels();

}  // namespace hashgnn
