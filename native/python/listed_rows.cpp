#include "listed_rows.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "call.hpp"

namespace hashgnn::python {
namespace {

// Whether each is a finite number, in one pass.
bool are_finite(const float* values, std::int64_t n) {
  bool finite = true;
  for (std::int64_t i = 0; i < n; ++i) finite &= std::abs(values[i]) <= std::numeric_limits<float>::max();  // a NaN is not
  return finite;
}

Centres checked_centres(const Matrix& rows, const std::optional<Array<float, 1>>& radii) {
  const auto n = static_cast<std::int64_t>(rows.shape(0)), width = static_cast<std::int64_t>(rows.shape(1));
  require(n >= 1 && n <= kMaxCodes && width >= 1 && width <= kMaxCentreWidth,
          "centres must be at least one row of 1 to " + text(kMaxCentreWidth) + " entries");
  require(are_finite(rows.data(), n * width), "centres must be finite, got NaN or infinity");
  require(!radii || static_cast<std::int64_t>(radii->size()) == n, "there must be one radius a centre");
  require(!radii || are_finite(radii->data(), n), "radii must be finite, got NaN or infinity");
  return Centres(rows.data(), n, width, radii ? radii->data() : nullptr);
}

// Sentences of a search are made only where they are needed: to make them takes a microsecond.
void check_rows(const InvertedTable& table, std::int64_t row_bytes) {
  if (table.lists().rows == nullptr || table.lists().row_bytes != row_bytes) fail("lists must hold rows of " + text(row_bytes) + " bytes");
}

}  // namespace

CentreTable::CentreTable(const Matrix& rows, const std::optional<Array<float, 1>>& radii) : centres_(checked_centres(rows, radii)) {}

std::int64_t CentreTable::n_bytes() const {
  const CentreGroups* made = groups();
  return centres_.n_bytes() + (made == nullptr ? 0 : made->n_bytes());
}

const CentreGroups* CentreTable::groups() const {
  const std::int64_t n = centres_.size() - 1;
  if (n < kGroupedFrom) return nullptr;
  std::call_once(once_, [&] { groups_ = std::make_unique<CentreGroups>(kernels(), centres_, n); });
  return groups_.get();
}

nb::object CentreTable::nearest(const Matrix& embeddings, std::int64_t n_centres, int n_threads, std::int64_t n_groups) const {
  const auto n = static_cast<std::int64_t>(embeddings.shape(0));
  require(static_cast<std::int64_t>(embeddings.shape(1)) == centres_.width(),
          "embeddings must have " + text(centres_.width()) + " columns, got " + text(static_cast<std::int64_t>(embeddings.shape(1))));
  require(n_centres >= 1 && n_centres <= centres_.size(), "n_centres must be between 1 and " + text(centres_.size()));
  require(n_threads >= 1 && n_threads <= 1024, "n_threads must be between 1 and 1024, got " + text(n_threads));
  require(n_groups >= 1, "n_groups must be at least 1, got " + text(n_groups));
  Output<std::int32_t> nearest(n, 1, 0);
  {
    const nb::gil_scoped_release release;
    if (n_centres < kGroupedFrom || n < kGroupedFrom) {
      if (n > 0) centres_.nearest(kernels(), embeddings.data(), n, n_centres, nearest.row(0), n_threads);
    } else if (n_centres == centres_.size() - 1) {
      groups()->nearest(kernels(), embeddings.data(), n, nearest.row(0), n_groups, n_threads);
    } else {
      CentreGroups(kernels(), centres_, n_centres).nearest(kernels(), embeddings.data(), n, nearest.row(0), n_groups, n_threads);
    }
  }
  return nearest.hand_over_flat();
}

void add_to_lists(const Matrix& embeddings, const Array<std::int32_t, 1>& lists, FloatTarget sums, CountTarget counts) {
  const auto n = static_cast<std::int64_t>(embeddings.shape(0)), width = static_cast<std::int64_t>(embeddings.shape(1));
  const auto n_lists = static_cast<std::int64_t>(sums.shape(0));
  require(static_cast<std::int64_t>(sums.shape(1)) == width, "embeddings and sums must be of one width");
  require(static_cast<std::int64_t>(counts.size()) == n_lists, "there must be one count a sum");
  require(static_cast<std::int64_t>(lists.size()) == n, "there must be one list an embedding");
  for (std::int64_t i = 0; i < n; ++i) require(lists.data()[i] >= 0 && lists.data()[i] < n_lists, "a list must be one of the sums");
  const nb::gil_scoped_release release;
  if (n > 0) add_up(embeddings.data(), n, width, lists.data(), sums.data(), counts.data());
}

nb::tuple search_listed_rows(const InvertedTable& lists, const InvertedTable* extra, const CentreTable& centres, std::int64_t n_probe,
                             const QuantisedTable& quantised, const Matrix& embeddings, std::int64_t n_refined,
                             const std::optional<Rows>& floats, const std::optional<Array<float, 1>>& scale,
                             const SearchArguments& arguments) {
  const std::int64_t width = centres.centres().width(), row_bytes = quantised.rows().n_bytes;
  check_arguments(arguments, lists.n_codes());
  if (static_cast<std::int64_t>(embeddings.shape(1)) != width || quantised.rows().turning.width != width)
    fail("queries, centres and rows must be of one width, " + text(width));
  if (centres.centres().size() != lists.lists().n_lists + 1) fail("there must be one centre a list, and one more");
  if (extra != nullptr && (extra->lists().n_lists != 1 || extra->n_codes() != lists.n_codes())) fail("extra must be one list of as many items");
  check_rows(lists, row_bytes);
  if (extra != nullptr) check_rows(*extra, row_bytes);
  if (n_probe < 1) fail("n_probe must be at least 1, got " + text(n_probe));
  if (!(arguments.share >= 0.0)) fail("share must be at least 0");
  Embeddings table{};
  if (floats) {
    table = checked_embeddings(*floats, scale);
    if (table.width != width || static_cast<std::int64_t>(floats->shape(0)) != lists.n_codes())
      fail("floats must have one row an item, of the width of the queries");
    if (n_refined < arguments.k) fail("rows that floats rank must number k or more, got " + text(n_refined));
  }
  ListedSearch index{&lists.lists(), extra == nullptr ? nullptr : &extra->lists(), &centres.centres(), nullptr, &quantised.rows(),
                     n_probe, lists.n_codes(), arguments.share, {}, {}};
  index.slots = [&lists] { return lists.slots(); };
  if (extra != nullptr) index.extra_slots = [extra] { return extra->slots(); };
  const auto n_queries = static_cast<std::int64_t>(embeddings.shape(0));
  if (!are_finite(embeddings.data(), n_queries * width)) {
    const std::int64_t n_others = std::count_if(embeddings.data(), embeddings.data() + n_queries * width, [](float x) { return !std::isfinite(x); });
    fail("embeddings of queries must be finite, got " + text(n_others) + " NaN or infinity");
  }
  Results results(n_queries, arguments.k, false);
  std::atomic<bool> finite{true};
  {
    const nb::gil_scoped_release release;
    index.groups = centres.groups();
    const Call call(lists.n_codes(), arguments, n_queries, arguments.k);
    const ListedPlan plan{call.plan.kernels, arguments.k, floats ? &table : nullptr, n_refined, arguments.n_threads};
    search_listed(index, embeddings.data(), n_queries, call.filters, plan, [&](std::int64_t q, const std::vector<Scored>& best) {
      for (std::size_t i = 0; i < best.size(); ++i) {
        results.positions.row(q)[i] = best[i].position;
        results.scores.row(q)[i] = best[i].score;
      }
      if (!are_finite(results.scores.row(q), static_cast<std::int64_t>(best.size()))) finite = false;
      *results.counts.row(q) = static_cast<std::int64_t>(best.size());
    });
  }
  if (!finite) fail("inner products must be finite, got NaN or infinity; an embedding is too large, or not finite");
  return results.hand_over();
}

}  // namespace hashgnn::python
