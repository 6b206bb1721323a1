#include "listed_rows.hpp"

#include "call.hpp"

namespace hashgnn::python {
namespace {

Centres checked_centres(const Matrix& rows) {
  const auto n = static_cast<std::int64_t>(rows.shape(0)), width = static_cast<std::int64_t>(rows.shape(1));
  require(n >= 1 && n <= kMaxCodes && width >= 1 && width <= kMaxCentreWidth,
          "centres must be at least one row of 1 to " + text(kMaxCentreWidth) + " entries");
  for (std::int64_t i = 0; i < n * width; ++i)
    if (!(std::abs(rows.data()[i]) <= std::numeric_limits<float>::max())) fail("centres must be finite, got NaN or infinity");
  return Centres(rows.data(), n, width);
}

void check_rows(const InvertedTable& table, std::int64_t row_bytes) {
  require(table.lists().rows != nullptr && table.lists().row_bytes == row_bytes,
          "lists must hold rows of " + text(row_bytes) + " bytes");
}

}  // namespace

CentreTable::CentreTable(const Matrix& rows) : centres_(checked_centres(rows)) {}

nb::object CentreTable::nearest(const Matrix& embeddings, std::int64_t n_centres, int n_threads) const {
  const auto n = static_cast<std::int64_t>(embeddings.shape(0));
  require(static_cast<std::int64_t>(embeddings.shape(1)) == centres_.width(),
          "embeddings must have " + text(centres_.width()) + " columns, got " + text(static_cast<std::int64_t>(embeddings.shape(1))));
  require(n_centres >= 1 && n_centres <= centres_.size(), "n_centres must be between 1 and " + text(centres_.size()));
  require(n_threads >= 1 && n_threads <= 1024, "n_threads must be between 1 and 1024, got " + text(n_threads));
  Output<std::int32_t> nearest(n, 1, 0);
  {
    const nb::gil_scoped_release release;
    if (n > 0) centres_.nearest(kernels(), embeddings.data(), n, n_centres, nearest.row(0), n_threads);
  }
  return nearest.hand_over_flat();
}

nb::tuple search_listed_rows(const InvertedTable& lists, const InvertedTable* extra, const CentreTable& centres, std::int64_t n_probe,
                             const QuantisedTable& quantised, const Matrix& embeddings, std::int64_t n_refined,
                             const std::optional<Rows>& floats, const std::optional<Array<float, 1>>& scale,
                             const SearchArguments& arguments) {
  const std::int64_t width = centres.centres().width(), row_bytes = quantised.rows().n_bytes;
  check_arguments(arguments, lists.n_codes());
  require(static_cast<std::int64_t>(embeddings.shape(1)) == width && quantised.rows().turning.width == width,
          "queries, centres and rows must be of one width, " + text(width));
  require(centres.centres().size() == lists.lists().n_lists + 1, "there must be one centre a list, and one more");
  require(extra == nullptr || (extra->lists().n_lists == 1 && extra->n_codes() == lists.n_codes()), "extra must be one list of as many items");
  check_rows(lists, row_bytes);
  if (extra != nullptr) check_rows(*extra, row_bytes);
  require(n_probe >= 1, "n_probe must be at least 1, got " + text(n_probe));
  require(arguments.share >= 0.0, "share must be at least 0");
  Embeddings table{};
  if (floats) {
    table = checked_embeddings(*floats, scale);
    require(table.width == width && static_cast<std::int64_t>(floats->shape(0)) == lists.n_codes(),
            "floats must have one row an item, of the width of the queries");
    require(n_refined >= arguments.k, "rows that floats rank must number k or more, got " + text(n_refined));
  }
  ListedSearch index{&lists.lists(), extra == nullptr ? nullptr : &extra->lists(), &centres.centres(), &quantised.rows(),
                     n_probe, lists.n_codes(), arguments.share, {}, {}};
  index.slots = [&lists] { return lists.slots(); };
  if (extra != nullptr) index.extra_slots = [extra] { return extra->slots(); };
  const auto n_queries = static_cast<std::int64_t>(embeddings.shape(0));
  Results results(n_queries, arguments.k, false);
  {
    const nb::gil_scoped_release release;
    const Call call(lists.n_codes(), arguments, n_queries, arguments.k);
    const ListedPlan plan{call.plan.kernels, arguments.k, floats ? &table : nullptr, n_refined, arguments.n_threads};
    search_listed(index, embeddings.data(), n_queries, call.filters, plan, [&](std::int64_t q, const std::vector<Scored>& best) {
      for (std::size_t i = 0; i < best.size(); ++i) {
        results.positions.row(q)[i] = best[i].position;
        results.scores.row(q)[i] = best[i].score;
      }
      *results.counts.row(q) = static_cast<std::int64_t>(best.size());
    });
  }
  return results.hand_over();
}

}  // namespace hashgnn::python
