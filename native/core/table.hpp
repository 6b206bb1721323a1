// The codes of an index as the kernels see them: borrowed memory, never written.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace hashgnn {

// Consecutive positions, their codes in a run of blocks. All but the last segment of a table hold as many codes, a multiple of 32.
struct Segment {
  const std::uint16_t* words;
  const std::uint8_t* penalty;    // 32 a block, or null
  const std::uint32_t* alive;     // a bit per code, or null: all
  std::int64_t first;
  std::int64_t n_codes;
};

struct Table {
  int n_bits = 0;
  std::int64_t n_codes = 0;
  std::uint32_t max_penalty = 0;
  std::vector<Segment> segments;

  // All segments but the last are of one size.
  const Segment& segment_of(std::int64_t position) const {
    const std::int64_t number = position / segments.front().n_codes;
    return segments[static_cast<std::size_t>(std::min<std::int64_t>(number, static_cast<std::int64_t>(segments.size()) - 1))];
  }
};

// Lists of positions, one a query: entries indptr[q] to indptr[q + 1] of indices, sorted in each list.
struct Lists {
  const std::int64_t* indptr = nullptr;
  const std::int32_t* indices = nullptr;

  explicit operator bool() const { return indptr != nullptr; }
  const std::int32_t* begin(std::int64_t query) const { return indices + indptr[query]; }
  const std::int32_t* end(std::int64_t query) const { return indices + indptr[query + 1]; }
};

// The candidates of a query. All three must agree.
struct Filters {
  Lists block;                             // per query: the excluded codes
  Lists allow;                             // per query: the only candidates
  const std::uint32_t* allowed = nullptr;  // a bit per code: candidates of any query
};

inline bool has_bit(const std::uint32_t* bits, std::int64_t i) { return ((bits[i / 32] >> (i % 32)) & 1u) != 0; }

// The bits of the codes that one query may get: its own list, within the filter of all queries. Returns how many there are.
inline std::int64_t own_bits(const Filters& filters, std::int64_t query, std::int64_t n_codes, std::vector<std::uint32_t>& bits) {
  bits.assign(static_cast<std::size_t>((n_codes + 31) / 32), 0);
  for (const std::int32_t* at = filters.allow.begin(query); at != filters.allow.end(query); ++at)
    bits[static_cast<std::size_t>(*at / 32)] |= 1u << (*at % 32);
  std::int64_t n = 0;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (filters.allowed != nullptr) bits[i] &= filters.allowed[i];
    n += std::popcount(bits[i]);
  }
  return n;
}

}  // namespace hashgnn
