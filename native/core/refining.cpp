#include "refining.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr std::int64_t kTaskRows = 64;

void for_some(std::int64_t n, int n_threads, const std::function<void(std::int64_t, std::int64_t)>& task) {
  run_tasks((n + kTaskRows - 1) / kTaskRows, n_threads,
            [&](std::int64_t i) { task(i * kTaskRows, std::min(n, (i + 1) * kTaskRows)); });
}

// A query's part in the loss of an item: the first and the second derivative by the score.
struct Pull {
  std::int32_t query;
  float gradient, curvature;
};

// The pulls of a query at its items, in their order, and its cross-entropy.
double pull_of_query(const Kernels& kernels, const QueryPairs& pairs, const Refining& refining, const std::int8_t* signs, std::int64_t q,
                     std::vector<float>& scores, std::vector<float>& sorted, Pull* pulls) {
  const std::int32_t* items = pairs.items + q * pairs.width;
  sorted.clear();
  for (std::int64_t j = 0; j < pairs.width; ++j) {
    if (items[j] < 0) continue;
    scores[static_cast<std::size_t>(j)] =
        kernels.dot_i8(pairs.queries + q * pairs.dim, signs + items[j] * pairs.dim, pairs.dim) + refining.bias[items[j]];
    sorted.push_back(scores[static_cast<std::size_t>(j)]);
  }
  if (sorted.empty()) return 0.0;
  const auto kth = sorted.begin() + std::min(refining.k, static_cast<std::int64_t>(sorted.size())) - 1;
  std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<float>());
  const float level = *kth, weight = refining.weights[q], t = refining.temperature;
  double loss = 0.0;
  for (std::int64_t j = 0; j < pairs.width; ++j) {
    if (items[j] < 0) continue;
    const float x = (scores[static_cast<std::size_t>(j)] - level) / t, y = refining.wanted[q * pairs.width + j];
    const float e = std::exp(-std::abs(x)), p = (x < 0 ? e : 1.0f) / (1.0f + e);
    pulls[j] = {static_cast<std::int32_t>(q), weight * (p - y) / t, weight * std::max(p * (1.0f - p), refining.least_curvature) / (t * t)};
    // -y log σ(x) - (1 - y) log σ(-x), where log σ(x) = min(x, 0) - log(1 + e)
    loss += static_cast<double>(weight * (std::log1p(e) - y * std::min(x, 0.0f) + (1.0f - y) * std::max(x, 0.0f)));
  }
  return loss;
}

// Turns bits of one item while that lowers the second-order model of its loss; returns how many turned.
std::int64_t turn_bits(const QueryPairs& pairs, const std::vector<Pull>& pulls, std::int64_t begin, std::int64_t end, std::int8_t* signs,
                       std::vector<float>& gradient, std::vector<float>& curvature) {
  const std::int64_t dim = pairs.dim;
  std::fill(gradient.begin(), gradient.end(), 0.0f);
  std::fill(curvature.begin(), curvature.end(), 0.0f);
  for (std::int64_t i = begin; i < end; ++i) {
    const Pull& pull = pulls[static_cast<std::size_t>(i)];
    const float* query = pairs.queries + pull.query * dim;
    for (std::int64_t b = 0; b < dim; ++b) {
      const auto bit = static_cast<std::size_t>(b);
      gradient[bit] += pull.gradient * query[b];
      curvature[bit] += pull.curvature * query[b] * query[b];
    }
  }
  for (std::int64_t turned = 0;; ++turned) {
    float best = -1e-4f;
    std::int64_t chosen = -1;
    for (std::int64_t b = 0; b < dim; ++b) {
      const auto bit = static_cast<std::size_t>(b);
      const float change = 2.0f * (curvature[bit] - static_cast<float>(signs[b]) * gradient[bit]);
      if (change < best) best = change, chosen = b;
    }
    if (chosen < 0 || turned == dim) return turned;
    const float step = -2.0f * static_cast<float>(signs[chosen]);
    signs[chosen] = static_cast<std::int8_t>(-signs[chosen]);
    for (std::int64_t i = begin; i < end; ++i) {
      const Pull& pull = pulls[static_cast<std::size_t>(i)];
      const float* query = pairs.queries + pull.query * dim;
      const float moved = step * pull.curvature * query[chosen];
      for (std::int64_t b = 0; b < dim; ++b) gradient[static_cast<std::size_t>(b)] += moved * query[b];
    }
  }
}

}  // namespace

void drop_repeats(std::int32_t* items, std::int64_t n_rows, std::int64_t width, std::int64_t n_items, int n_threads) {
  const std::int64_t n_tasks = std::min<std::int64_t>(n_rows, n_threads);
  run_tasks(n_tasks, n_threads, [&](std::int64_t task) {
    std::vector<std::int64_t> last(static_cast<std::size_t>(n_items), -1);
    for (std::int64_t row = n_rows * task / n_tasks; row < n_rows * (task + 1) / n_tasks; ++row)
      for (std::int64_t j = 0; j < width; ++j) {
        std::int32_t& item = items[row * width + j];
        if (item < 0) continue;
        std::int64_t& seen = last[static_cast<std::size_t>(item)];
        if (seen == row) item = -1;
        seen = row;
      }
  });
}

void score_pairs(const Kernels& kernels, const QueryPairs& pairs, const float* table, float* scores, int n_threads) {
  for_some(pairs.n_queries, n_threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * pairs.width; i < end * pairs.width; ++i)
      scores[i] = pairs.items[i] < 0 ? 0.0f
                                     : kernels.dot_f32(pairs.queries + i / pairs.width * pairs.dim, table + pairs.items[i] * pairs.dim, pairs.dim);
  });
}

Refined refine_codes(const Kernels& kernels, const QueryPairs& pairs, const Refining& refining, std::int8_t* signs, int n_threads) {
  const std::int64_t n_pairs = pairs.n_queries * pairs.width;
  std::vector<Pull> by_query(static_cast<std::size_t>(n_pairs));
  std::vector<double> losses(static_cast<std::size_t>(pairs.n_queries));
  for_some(pairs.n_queries, n_threads, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scores(static_cast<std::size_t>(pairs.width)), sorted;
    for (std::int64_t q = begin; q < end; ++q)
      losses[static_cast<std::size_t>(q)] = pull_of_query(kernels, pairs, refining, signs, q, scores, sorted, by_query.data() + q * pairs.width);
  });
  std::vector<std::int64_t> starts(static_cast<std::size_t>(refining.n_items) + 1, 0);
  for (std::int64_t i = 0; i < n_pairs; ++i)
    if (pairs.items[i] >= 0) ++starts[static_cast<std::size_t>(pairs.items[i]) + 1];
  for (std::size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  std::vector<Pull> by_item(static_cast<std::size_t>(starts.back()));
  std::vector<std::int64_t> places(starts.begin(), starts.end() - 1);
  for (std::int64_t i = 0; i < n_pairs; ++i)
    if (pairs.items[i] >= 0) by_item[static_cast<std::size_t>(places[static_cast<std::size_t>(pairs.items[i])]++)] = by_query[static_cast<std::size_t>(i)];
  std::vector<std::int64_t> turned(static_cast<std::size_t>(refining.n_items));
  for_some(refining.n_items, n_threads, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> gradient(static_cast<std::size_t>(pairs.dim)), curvature(gradient.size());
    for (std::int64_t i = begin; i < end; ++i) {
      const auto item = static_cast<std::size_t>(i);
      turned[item] = turn_bits(pairs, by_item, starts[item], starts[item + 1], signs + i * pairs.dim, gradient, curvature);
    }
  });
  Refined refined{0.0, 0};
  for (const double loss : losses) refined.loss += loss / static_cast<double>(pairs.n_queries);
  for (const std::int64_t n : turned) refined.n_turned += n;
  return refined;
}

}  // namespace hashgnn
