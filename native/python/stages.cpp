#include "stages.hpp"

#include <algorithm>

#include "call.hpp"

namespace hashgnn::python {

Embeddings checked_embeddings(const Rows& rows, const std::optional<Array<float, 1>>& scale) {
  if (scale && scale->size() != rows.shape(0)) fail("scale must have one value a code");
  Embeddings table{rows.data(), Entry::f32, static_cast<std::int64_t>(rows.shape(1)), scale ? scale->data() : nullptr};
  const nb::dlpack::dtype type = rows.dtype();
  const auto is = [&](nb::dlpack::dtype_code code, int bits) {
    return type.code == static_cast<std::uint8_t>(code) && type.bits == bits && type.lanes == 1;
  };
  if (is(nb::dlpack::dtype_code::Float, 16)) table.entry = Entry::f16;
  else if (is(nb::dlpack::dtype_code::Int, 8)) table.entry = Entry::i8;
  else require(is(nb::dlpack::dtype_code::Float, 32), "embeddings must have dtype float32, float16 or int8");
  return table;
}

QuantisedTable::QuantisedTable(int bits, std::int64_t n_entries, const RowBytes& rows, const Matrix& of_items,
                               const Matrix& of_queries, const Array<float, 1>& centre)
    : arrays_(rows, of_items, of_queries, centre) {
  const auto n_bytes = static_cast<std::int64_t>(rows.shape(1));
  const auto width = static_cast<std::int64_t>(of_items.shape(0)), n_columns = static_cast<std::int64_t>(of_items.shape(1));
  require(bits == 2 || bits == 3 || bits == 4 || bits == 8, "row_bits must be 2, 3, 4 or 8, got " + text(bits));
  require(n_bytes >= row_step(bits) && n_bytes % row_step(bits) == 0,
          "rows must have a multiple of " + text(row_step(bits)) + " bytes, got " + text(n_bytes));
  require(n_entries >= 1 && n_entries <= kMaxRowEntries && n_entries <= entries_of(n_bytes, bits) && n_entries <= n_columns,
          "rows of " + text(n_bytes) + " bytes must hold between 1 and " + text(std::min(kMaxRowEntries, entries_of(n_bytes, bits))) +
              " entries, got " + text(n_entries));
  require(n_columns % 16 == 0, "matrices must have a multiple of 16 columns, got " + text(n_columns));
  require(of_queries.shape(0) == of_items.shape(0) && of_queries.shape(1) == of_items.shape(1), "both matrices must have one shape");
  require(static_cast<std::int64_t>(centre.size()) == width, "centre must have one entry a row of the matrices");
  require(static_cast<std::int64_t>(rows.shape(0)) <= kMaxCodes, "there are too many rows");
  rows_ = {rows.data(), static_cast<std::int64_t>(rows.shape(0)), n_bytes, bits,
           {width, n_entries, n_columns, of_items.data(), of_queries.data(), centre.data()}};
}

void QuantisedTable::quantise(const Matrix& embeddings, nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu> rows,
                              int n_threads) const {
  require(static_cast<std::int64_t>(embeddings.shape(1)) == rows_.turning.width,
          "embeddings must have " + text(rows_.turning.width) + " columns, got " + text(static_cast<std::int64_t>(embeddings.shape(1))));
  require(rows.shape(0) == embeddings.shape(0) && static_cast<std::int64_t>(rows.shape(1)) == rows_.n_bytes,
          "rows must have one row an embedding, of " + text(rows_.n_bytes) + " bytes");
  require(n_threads >= 1 && n_threads <= 1024, "n_threads must be between 1 and 1024, got " + text(n_threads));
  const nb::gil_scoped_release release;
  quantise_rows(kernels(), rows_.turning, rows_.bits, embeddings.data(), static_cast<std::int64_t>(embeddings.shape(0)), rows_.n_bytes,
                rows.data(), n_threads);
}

StageTables::StageTables(std::int64_t n_candidates, const QuantisedTable* quantised, std::int64_t n_refined,
                         const std::optional<Rows>& floats, const std::optional<Array<float, 1>>& scale)
    : n_candidates_(n_candidates), floats_(floats), scale_(scale) {
  require(quantised != nullptr || floats, "candidates must be ranked by rows, floats or both");
  if (floats) {
    table_ = checked_embeddings(*floats, scale);
    stages_.floats = &table_;
    n_rows_ = static_cast<std::int64_t>(floats->shape(0));
    width_ = table_.width;
  }
  if (quantised != nullptr) {
    stages_.quantised = &quantised->rows();
    require(!floats || (quantised->size() == n_rows_ && quantised->rows().turning.width == width_),
            "rows of few bits and floats must be of as many items and of one width");
    n_rows_ = quantised->size();
    width_ = quantised->rows().turning.width;
  }
  stages_.n_refined = n_refined;
}

void StageTables::check(const Matrix& queries, std::int64_t n_queries, std::int64_t k, std::int64_t n_codes) const {
  require(n_rows_ == n_codes, "embeddings must have one row a code, " + text(n_codes) + ", got " + text(n_rows_));
  require(n_candidates_ >= k && n_candidates_ <= std::max<std::int64_t>(n_codes, 1),
          "candidates must number between k and the codes, got " + text(n_candidates_));
  require(stages_.quantised == nullptr || stages_.floats == nullptr || stages_.n_refined >= k,
          "rows that floats rank must number k or more, got " + text(stages_.n_refined));
  require(static_cast<std::int64_t>(queries.shape(0)) == n_queries && static_cast<std::int64_t>(queries.shape(1)) == width_,
          "query_embeddings must have shape (" + text(n_queries) + ", " + text(width_) + "), got (" +
              text(static_cast<std::int64_t>(queries.shape(0))) + ", " + text(static_cast<std::int64_t>(queries.shape(1))) + ")");
}

void StageTables::write(Results& results, const Kernels& kernels, const Matrix& queries, std::int64_t query,
                        const std::vector<Hit>& hits, std::int64_t k) const {
  const auto best = rerank(kernels, stages_, queries.data() + query * width_, hits, k);
  std::int64_t* positions = results.positions.row(query);
  float* scores = results.scores.row(query);
  for (std::size_t i = 0; i < best.size(); ++i) {
    positions[i] = best[i].position;
    scores[i] = best[i].score;
  }
  *results.counts.row(query) = static_cast<std::int64_t>(best.size());
}

}  // namespace hashgnn::python
