// The later steps of a hierarchical search for Python: tables that candidates are ranked by, immutable, and what they make of hits.
#pragma once

#include "../core/rerank.hpp"
#include "code_table.hpp"
#include "results.hpp"

namespace hashgnn::python {

using Matrix = Array<float, 2>;
using RowBytes = Array<std::uint8_t, 2>;

// A table of embeddings and, of int8, the scale of each row.
Embeddings checked_embeddings(const Rows& rows, const std::optional<Array<float, 1>>& scale);

// Rows of few bits, which keeps alive the arrays that it reads.
class QuantisedTable {
 public:
  // Rows (n, n_bytes), matrices (width, n_columns), centre (width).
  QuantisedTable(int bits, std::int64_t n_entries, const RowBytes& rows, const Matrix& of_items, const Matrix& of_queries,
                 const Array<float, 1>& centre);

  const QuantisedRows& rows() const { return rows_; }
  std::int64_t size() const { return rows_.n; }

  // Writes the rows of embeddings (n, width) to (n, n_bytes).
  void quantise(const Matrix& embeddings, nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu> rows, int n_threads) const;

 private:
  QuantisedRows rows_;
  std::tuple<RowBytes, Matrix, Matrix, Array<float, 1>> arrays_;
};

// Which tables rank the candidates, and how many of them.
class StageTables {
 public:
  // Floats (n_codes, width), with a scale a row where they are int8.
  StageTables(std::int64_t n_candidates, const QuantisedTable* quantised, std::int64_t n_refined,
              const std::optional<Rows>& floats, const std::optional<Array<float, 1>>& scale);
  StageTables(const StageTables&) = delete;  // it points at its own parts

  std::int64_t n_candidates() const { return n_candidates_; }

  // Every rule that depends on the search.
  void check(const Matrix& queries, std::int64_t n_queries, std::int64_t k, std::int64_t n_codes) const;

  // The best k of the hits of a query, safe from many threads for different queries.
  void write(Results& results, const Kernels& kernels, const Matrix& queries, std::int64_t query, const std::vector<Hit>& hits,
             std::int64_t k) const;

 private:
  std::int64_t n_candidates_, n_rows_ = 0, width_ = 0;
  Embeddings table_{};
  Stages stages_{};
  std::optional<Rows> floats_;
  std::optional<Array<float, 1>> scale_;
};

}  // namespace hashgnn::python
