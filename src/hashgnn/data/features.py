"""Side features of users or items: a table keyed by id, and the vocabulary that turns rows into columns."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.data import _columns, _feature_values
from hashgnn.data.ids import IdMap
from hashgnn.errors import DataError, DataWarning, ParameterError

_FORMAT = 1


@dataclass(frozen=True)
class FeatureVocabulary:
    """The encoding of rows as columns: one for each category seen, two for each number.

    A category is 1 where the row has it; a list of categories is several ones. A number becomes its
    standard score by the table the vocabulary was made from, and a second column is 1 where it is missing.

    Attributes
    ----------
    categories : mapping of str to tuple of str
        Categories of each categorical column, ascending.
    numbers : mapping of str to (mean, deviation)
    """

    categories: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[float, float]]

    @property
    def column_names(self) -> list[str]:
        """Names of the columns in order: ``genre=Drama``, ``year``, ``year is missing``."""
        names = [f"{name}={value}" for name, values in self.categories.items() for value in values]
        return names + [column for name in self.numbers for column in (name, f"{name} is missing")]

    @property
    def n_columns(self) -> int:
        """Width of the encoded rows."""
        return sum(len(values) for values in self.categories.values()) + 2 * len(self.numbers)

    def encode(self, frame: Any) -> sp.csr_matrix:
        """Encode rows; other columns than the vocabulary's are ignored.

        Parameters
        ----------
        frame : data frame, or list of dict
            In a list, a key that is absent in a row is a missing value there.

        Returns
        -------
        scipy.sparse.csr_matrix of shape (n_rows, n_columns), float32

        Raises
        ------
        DataError
            If a column is missing or its values are of another type than in training.

        Warns
        -----
        DataWarning
            If categories were not in the vocabulary; they are left out and counted.
        """
        n_rows, table = _listed(frame, [*self.categories, *self.numbers])
        rows: list[Array] = [np.empty(0, np.int64)]  # so that a vocabulary may be empty
        columns: list[Array] = [np.empty(0, np.int64)]
        values: list[Array] = [np.empty(0, np.float32)]
        offset = n_unknown = 0
        for name, known in self.categories.items():
            places = {value: offset + place for place, value in enumerate(known)}
            found = [
                (row, places.get(value, -1))
                for row, listed in enumerate(_feature_values.categories(table[name], name))
                for value in dict.fromkeys(listed)
            ]
            pairs = np.array(found, np.int64).reshape(-1, 2)
            n_unknown += int((pairs[:, 1] < 0).sum())
            pairs = pairs[pairs[:, 1] >= 0]
            rows.append(pairs[:, 0])
            columns.append(pairs[:, 1])
            values.append(np.ones(len(pairs), np.float32))
            offset += len(known)
        for name, (mean, deviation) in self.numbers.items():
            numbers = _feature_values.numbers(table[name], name)
            missing = np.isnan(numbers)
            rows.append(np.arange(n_rows))
            columns.append(np.where(missing, offset + 1, offset))
            scores = _feature_values.scores(numbers, name, mean, deviation)
            values.append(np.where(missing, 1, scores).astype(np.float32))
            offset += 2
        if n_unknown:
            warnings.warn(
                f"{n_unknown} categories are not in the vocabulary; they were left out",
                DataWarning,
                stacklevel=2,
            )
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        matrix = sp.csr_matrix(entries, shape=(n_rows, self.n_columns), dtype=np.float32)
        matrix.eliminate_zeros()
        return matrix

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as JSON values; :meth:`from_dict` reads it back equal."""
        return {
            "format": _FORMAT,
            "categories": {name: list(values) for name, values in self.categories.items()},
            "numbers": {name: list(pair) for name, pair in self.numbers.items()},
        }

    @classmethod
    def from_dict(cls, values: Any) -> FeatureVocabulary:
        """Read the output of :meth:`to_dict`.

        Raises
        ------
        DataError
            If it is something else.
        """
        try:
            if values["format"] != _FORMAT:
                raise DataError(f"the feature vocabulary has format {values['format']}, known is {_FORMAT}")
            categories = {
                str(name): tuple(map(_feature_values.text, listed))
                for name, listed in values["categories"].items()
            }
            numbers = {
                str(name): (float(mean), float(deviation))
                for name, (mean, deviation) in values["numbers"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError("not a feature vocabulary") from None
        if any(not np.isfinite(pair).all() or pair[1] <= 0 for pair in numbers.values()):
            raise DataError("a feature vocabulary must hold finite means and deviations > 0")
        return cls(categories, numbers)


@dataclass(frozen=True, eq=False, repr=False)
class SideFeatures:
    """Side features of users or of items, keyed by external id.

    Parameters
    ----------
    ids : IdMap
        The ids that have features, one per row.
    matrix : csr_matrix of shape (n, n_columns), float32
    vocabulary : FeatureVocabulary
    """

    ids: IdMap
    matrix: sp.csr_matrix
    vocabulary: FeatureVocabulary

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        id: str,
        categorical: Sequence[str] = (),
        numeric: Sequence[str] = (),
        min_count: int = 1,
        max_categories: int | None = None,
    ) -> SideFeatures:
        """Read a pandas, polars or Arrow frame with one row per id.

        Parameters
        ----------
        frame : data frame
        id : str
            Column of the external ids.
        categorical : sequence of str
            Columns of text, whole numbers, booleans, or lists of them (genres, tags). Missing is none.
        numeric : sequence of str
            Columns of numbers; missing ones are marked.
        min_count : int, default=1
            Categories in fewer rows are left out of the vocabulary.
        max_categories : int or None, default=None
            The most categories that one column may have, after ``min_count``: a guard against a column that
            is all but an id.

        Raises
        ------
        DataError
            If a column is missing, an id is empty or comes twice, a value is of the wrong kind, or a column
            has too many categories or none.
        ParameterError
            If no column is named, or one is named twice.

        Examples
        --------
        >>> import pyarrow as pa
        >>> films = pa.table({"item_id": [1, 2], "genres": [["Drama"], ["Drama", "War"]], "year": [1990, 1994]})
        >>> features = SideFeatures.from_frame(films, id="item_id", categorical=["genres"], numeric=["year"])
        >>> features.vocabulary.column_names
        ['genres=Drama', 'genres=War', 'year', 'year is missing']
        >>> features.design_matrix(IdMap([2, 7])).toarray()
        array([[1., 1., 1., 0.],
               [0., 0., 0., 0.]], dtype=float32)
        """
        check_int("min_count", min_count, minimum=1)
        if max_categories is not None:
            check_int("max_categories", max_categories, minimum=1)
        for role, given in (("categorical", categorical), ("numeric", numeric)):
            if isinstance(given, str):
                raise ParameterError(f"{role} must be a list of columns, got the text {given!r}")
        named = [*categorical, *numeric]
        if not named or len(set(named)) != len(named):
            raise ParameterError(f"name each feature column once, got {named}")
        frame = _columns.as_frame(frame)
        ids, index = IdMap.factorize(_columns.id_column(_columns.column(frame, id, "id"), id))
        if len(ids) != len(index):
            repeated = ids.ids[int(np.bincount(index).argmax())]
            raise DataError(f"{id} must be unique in a table of features, got {repeated!r} more than once")
        if len(ids) == 0:
            raise DataError("a table of features must not be empty, got 0 rows")
        _, table = _listed(frame, named)
        categories = {}
        for name in categorical:
            listed = _feature_values.categories(table[name], name)
            counts = Counter(value for row in listed for value in set(row))
            kept = tuple(sorted(value for value, n in counts.items() if n >= min_count))
            if not kept:
                raise DataError(
                    f"{name} has no category in {min_count} or more rows; leave the column out or lower min_count"
                )
            if max_categories is not None and len(kept) > max_categories:
                raise DataError(
                    f"{name} must have at most max_categories={max_categories} categories, got {len(kept)}; "
                    "raise min_count to leave out rare ones"
                )
            categories[name] = kept
        numbers = {}
        for name in numeric:
            numbers[name] = _feature_values.mean_and_deviation(_feature_values.numbers(table[name], name))
        vocabulary = FeatureVocabulary(categories, numbers)
        matrix = vocabulary.encode(frame) if min_count == 1 else _quietly(vocabulary, frame)
        order = np.argsort(index, kind="stable")
        return cls(ids, sp.csr_matrix(matrix[order]), vocabulary)

    def design_matrix(self, ids: IdMap) -> sp.csr_matrix:
        """Return the rows of ``ids``, (len(ids), n_columns) float32; an id without features has zeros.

        Raises
        ------
        DataError
            If the ids are of another kind than those of the features, or none of them has features.
        """
        try:
            found = ids.index_of(self.ids.ids, on_unknown="skip")
        except ParameterError:
            raise DataError(
                f"ids of the features are of kind {self.ids.kind!r}, those of the interactions {ids.kind!r}"
            ) from None
        places = np.full(len(ids), -1, np.int64)
        places[found[found >= 0]] = np.flatnonzero(found >= 0)
        if len(places) and (places < 0).all():
            raise DataError(f"none of the {len(places)} ids has features; the features are of {self.ids!r}")
        none = sp.csr_matrix(np.zeros((1, self.vocabulary.n_columns), np.float32))
        padded = sp.vstack([self.matrix, none])
        return sp.csr_matrix(padded.tocsr()[np.where(places >= 0, places, len(self.ids))])

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"SideFeatures(n={len(self)}, n_columns={self.vocabulary.n_columns})"


def feature_columns(
    name: str, vocabulary: FeatureVocabulary | None, frame: Any, rows: Sequence[Any] | None
) -> sp.csr_matrix | None:
    """Return side features of new users or items as columns, one row for each of ``rows`` where these are given."""
    if frame is None:
        return None
    if vocabulary is None:
        raise ParameterError(f"{name} must be None, the model was fitted without them")
    columns = vocabulary.encode(frame)
    if rows is not None and columns.shape[0] != len(rows):
        raise ParameterError(f"{name} must have {len(rows)} rows, got {columns.shape[0]}")
    return columns


def _listed(frame: Any, names: Sequence[str]) -> tuple[int, dict[str, list[Any]]]:
    """Return the number of rows, and the columns of a data frame or of a list of dicts as lists."""
    if isinstance(frame, list) and all(isinstance(row, Mapping) for row in frame):
        present = dict.fromkeys(key for row in frame for key in row)
        for name in names:
            if frame and name not in present:
                raise _columns.missing(list(present), name, name)
        return len(frame), {name: [row.get(name) for row in frame] for name in names}
    table = _columns.as_frame(frame)
    return len(table), {name: _columns.column(table, name, "").to_list() for name in names}


def _quietly(vocabulary: FeatureVocabulary, frame: Any) -> sp.csr_matrix:
    """Encode without the warning about rare categories, which were left out on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return vocabulary.encode(frame)
