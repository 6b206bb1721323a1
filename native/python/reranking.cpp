#include "reranking.hpp"

#include <algorithm>

#include "call.hpp"

namespace hashgnn::python {
namespace {

Embeddings checked_embeddings(const Rows& rows, const std::optional<Array<float, 1>>& scale, std::int64_t n_codes) {
  require(static_cast<std::int64_t>(rows.shape(0)) == n_codes,
          "embeddings must have one row a code, " + text(n_codes) + ", got " + text(static_cast<std::int64_t>(rows.shape(0))));
  require(!scale || static_cast<std::int64_t>(scale->size()) == n_codes, "scale must have one value a code");
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

}  // namespace

Reranking::Reranking(const Array<float, 2>& queries, const Rows& rows, const std::optional<Array<float, 1>>& scale,
                     std::int64_t n_queries, std::int64_t n_codes)
    : table_(checked_embeddings(rows, scale, n_codes)), queries_(queries.data()) {
  require(static_cast<std::int64_t>(queries.shape(0)) == n_queries && static_cast<std::int64_t>(queries.shape(1)) == table_.width,
          "query_embeddings must have shape (" + text(n_queries) + ", " + text(table_.width) + "), got (" +
              text(static_cast<std::int64_t>(queries.shape(0))) + ", " + text(static_cast<std::int64_t>(queries.shape(1))) + ")");
}

void Reranking::write(Results& results, const Kernels& kernels, std::int64_t query, const std::vector<Hit>& hits,
                      std::int64_t k) const {
  const auto best = rerank(kernels, table_, queries_ + query * table_.width, hits, k);
  std::int64_t* positions = results.positions.row(query);
  float* scores = results.scores.row(query);
  for (std::size_t i = 0; i < best.size(); ++i) {
    positions[i] = best[i].position;
    scores[i] = best[i].score;
  }
  *results.counts.row(query) = static_cast<std::int64_t>(best.size());
}

void check_candidates(std::int64_t n_candidates, std::int64_t k, std::int64_t n_codes) {
  require(n_candidates >= k && n_candidates <= std::max<std::int64_t>(n_codes, 1),
          "candidates must number between k and the codes, got " + text(n_candidates));
}

}  // namespace hashgnn::python
