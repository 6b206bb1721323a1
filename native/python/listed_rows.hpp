// Lists of embeddings for Python: their centres, immutable, and the search over them.
#pragma once

#include "../core/listed_rows.hpp"
#include "inverted_table.hpp"
#include "stages.hpp"

namespace hashgnn::python {

// Centres of lists, copied.
class CentreTable {
 public:
  explicit CentreTable(const Matrix& rows);

  const Centres& centres() const { return centres_; }
  std::int64_t n_bytes() const { return centres_.n_bytes(); }

  // The nearest of the first n_centres to each embedding, int32.
  nb::object nearest(const Matrix& embeddings, std::int64_t n_centres, int n_threads) const;

 private:
  Centres centres_;
};

nb::tuple search_listed_rows(const InvertedTable& lists, const InvertedTable* extra, const CentreTable& centres, std::int64_t n_probe,
                             const QuantisedTable& quantised, const Matrix& embeddings, std::int64_t n_refined,
                             const std::optional<Rows>& floats, const std::optional<Array<float, 1>>& scale,
                             const SearchArguments& arguments);

}  // namespace hashgnn::python
