// Embeddings in 2, 3, 4 or 8 bits an entry: the second look of a hierarchical search.
//
// A row has n_bytes, a multiple of 16. The last four hold its factor, a float32. The bits of the entries lie in planes over a
// section of bytes: byte i of it holds entry i in its lowest bits, entry n + i in the next ones, and so on, where n is the
// length of the section without the factor. Entries of 2, 4 and 8 bits lie in one section; those of 3 bits in two, the first
// third of the row for their upper bits and the rest for the lower two. An entry c of b bits stands for
// factor * (2 c - (2^b - 1)).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace hashgnn {

inline constexpr std::int64_t kRowBytes = 16;       // a row has a multiple of it
inline constexpr std::int64_t kFactorBytes = 4;
inline constexpr std::int64_t kMaxRowEntries = 8192;  // sums of products fit 32 bits

// A run of bytes of a row in which `bits` of each entry lie, the lowest of them `shift` above the lowest of the entry.
struct Section {
  int bits, shift;
  std::int64_t first, n_bytes;  // without the factor
};

struct Sections {
  Sections(std::int64_t n_bytes, int bits) {
    if (bits == 3) {
      n = 2;
      at[0] = {1, 2, 0, n_bytes / 3};
      at[1] = {2, 0, n_bytes / 3, n_bytes - n_bytes / 3 - kFactorBytes};
    } else {
      n = 1;
      at[0] = {bits, 0, 0, n_bytes - kFactorBytes};
    }
  }
  int n_planes() const { return n == 1 ? 8 / at[0].bits : 8 / at[0].bits + 8 / at[1].bits; }

  int n;
  Section at[2];
};

// Rows have a multiple of so many bytes: sections begin on a multiple of 16.
constexpr std::int64_t row_step(int bits) { return bits == 3 ? 3 * kRowBytes : kRowBytes; }

// Entries that rows of so many bytes have room for.
inline std::int64_t entries_of(std::int64_t n_bytes, int bits) {
  const Sections sections(n_bytes, bits);
  std::int64_t least = kMaxRowEntries;
  for (int s = 0; s < sections.n; ++s) least = least < sections.at[s].n_bytes * (8 / sections.at[s].bits) ? least : sections.at[s].n_bytes * (8 / sections.at[s].bits);
  return least;
}

// How embeddings become rows, and queries what rows are asked with. Both are turned first.
struct Turning {
  std::int64_t width;        // of embeddings and queries
  std::int64_t n_entries;    // of rows
  std::int64_t n_columns;    // of the matrices, n_entries or more, a multiple of 16
  const float* of_items;     // (width, n_columns)
  const float* of_queries;   // (width, n_columns); the product of the two, one of them transposed, is near the identity
  const float* centre;       // (width): subtracted from embeddings
};

struct QuantisedRows {
  const std::uint8_t* rows;  // (n, n_bytes)
  std::int64_t n;
  std::int64_t n_bytes;
  int bits;
  Turning turning;
};

// Writes the rows of n embeddings. The step of a row is the one of several that turns its direction least; the factor makes
// the product of a row with its own embedding exact, so that products are not pulled towards zero (as RaBitQ does).
void quantise_rows(const Kernels& kernels, const Turning& turning, int bits, const float* embeddings, std::int64_t n,
                   std::int64_t n_bytes, std::uint8_t* rows, int n_threads);

// A float query turned and rounded to integers, and the products of it with rows.
class AskedRows {
 public:
  AskedRows(const Kernels& kernels, const QuantisedRows& table, const float* query);
  AskedRows(const AskedRows&) = delete;

  // Scores of some rows of the table: inner products with their embeddings, nearly.
  void score(const std::uint32_t* positions, std::int64_t n, float* scores) { score(table_.rows, positions, n, scores); }
  // What a kernel needs for them, see RowScan.
  const RowQuery& query() const { return query_; }
  float base() const { return base_; }
  float step() const { return step_; }

  // The same of other rows like those of the table.
  void score(const std::uint8_t* rows, const std::uint32_t* positions, std::int64_t n, float* scores);

 private:
  const Kernels& kernels_;
  const QuantisedRows& table_;
  RowQuery query_;
  float step_, base_;
  std::vector<std::int8_t> planes_;
  std::vector<std::int64_t> products_;
};

}  // namespace hashgnn
