// Lists of embeddings for Python: their centres, immutable, and the search over them.
#pragma once

#include <memory>
#include <mutex>

#include "../core/listed_rows.hpp"
#include "inverted_table.hpp"
#include "stages.hpp"

namespace hashgnn::python {

// Centres of lists, copied.
class CentreTable {
 public:
  CentreTable(const Matrix& rows, const std::optional<Array<float, 1>>& radii);

  const Centres& centres() const { return centres_; }
  std::int64_t n_bytes() const;

  // Groups of all but the last, made when they are first needed; null where they are few.
  const CentreGroups* groups() const;

  // The nearest of the first n_centres to each embedding, int32; nearly, where there are many of both: in so many groups.
  nb::object nearest(const Matrix& embeddings, std::int64_t n_centres, int n_threads, std::int64_t n_groups) const;

 private:
  Centres centres_;
  mutable std::once_flag once_;
  mutable std::unique_ptr<CentreGroups> groups_;
};

using FloatTarget = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using CountTarget = nb::ndarray<std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Adds embeddings to the sums of their lists (n_lists, width), and counts them.
void add_to_lists(const Matrix& embeddings, const Array<std::int32_t, 1>& lists, FloatTarget sums, CountTarget counts);

nb::tuple search_listed_rows(const InvertedTable& lists, const InvertedTable* extra, const CentreTable& centres, std::int64_t n_probe,
                             const QuantisedTable& quantised, const Matrix& embeddings, std::int64_t n_refined,
                             const std::optional<Rows>& floats, const std::optional<Array<float, 1>>& scale,
                             const SearchArguments& arguments);

}  // namespace hashgnn::python
