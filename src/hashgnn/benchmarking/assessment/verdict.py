"""One sentence about a model: what its codes keep, what that costs, and what the baselines reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hashgnn.evaluation import Comparison, EvaluationResult

_CODES = ("biased", "hamming")
_FLOATS = "float"
_POPULARITY = "popularity"


def verdict(
    result: EvaluationResult,
    baselines: Mapping[str, EvaluationResult],
    comparisons: Sequence[Comparison],
    metric: str,
) -> str:
    """Return the verdict, built from what was measured and nothing else.

    Parameters
    ----------
    result : EvaluationResult
    baselines : mapping of str to EvaluationResult
    comparisons : sequence of Comparison
        Of search ways with baselines, on ``metric``.
    metric : str
    """
    values = {way: found[metric] for way, found in result.metrics.items()}
    codes = next((way for way in _CODES if way in values), None)
    floats = values.get(_FLOATS)
    parts = []
    reference, whose = max(values.values()), "the best search way"
    if codes is not None and floats:
        size = _share_of_bytes(result, codes)
        parts.append(
            f"Codes keep {_percent(values[codes] / floats)} of the floats' {metric}"
            + (f" in {size} of their bytes" if size else "")
        )
        reference, whose = floats, "the floats"
    else:
        best = max(values, key=lambda way: values[way])
        parts.append(f"{best} reaches a {metric} of {values[best]:.4f}")
    parts += _of_baselines(values, baselines, comparisons, metric, reference, whose)
    return "; ".join(parts) + "."


def _of_baselines(
    values: Mapping[str, float],
    baselines: Mapping[str, EvaluationResult],
    comparisons: Sequence[Comparison],
    metric: str,
    reference: float,
    whose: str,
) -> list[str]:
    reached = {name: next(iter(found.metrics.values()))[metric] for name, found in baselines.items()}
    if not reached or not reference:
        return []
    parts = []
    strongest = max(reached, key=lambda name: reached[name])
    best = max(values, key=lambda way: values[way])
    is_better = reached[strongest] > values[best]
    if _POPULARITY in reached and not (is_better and strongest == _POPULARITY):
        parts.append(f"{_POPULARITY} reaches {_percent(reached[_POPULARITY] / reference)} of {whose}")
    if is_better:
        beyond = _is_certain(comparisons, best, strongest)
        gain = f" by {_percent(reached[strongest] / values[best] - 1)}" if values[best] else ""
        parts.append(
            f"{strongest} is better than every search way{gain}"
            + (", beyond chance" if beyond else ", within chance")
        )
    elif strongest != _POPULARITY:
        parts.append(
            f"{strongest}, the best baseline, reaches {_percent(reached[strongest] / values[best])} of {best}"
        )
    return parts


def _is_certain(comparisons: Sequence[Comparison], method: str, baseline: str) -> bool:
    return any(
        one.is_significant() for one in comparisons if (one.method, one.baseline) == (method, baseline)
    )


def _share_of_bytes(result: EvaluationResult, codes: str) -> str:
    sizes = result.bytes_per_item
    if codes not in sizes or not sizes.get(_FLOATS):
        return ""
    return _percent(sizes[codes] / sizes[_FLOATS])


def _percent(share: float) -> str:
    """Return a share in percent, with a decimal where it is small."""
    return f"{100 * share:.1f} %" if 100 * share < 9.95 else f"{100 * share:.0f} %"
