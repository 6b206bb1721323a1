"""Files for Vespa: tensors of signed bytes, as hexadecimal text, and a schema that re-ranks."""

from __future__ import annotations

from hashgnn.engines.files.documents import documents, write_parts
from hashgnn.engines.writing import FileJob

_TYPES = {
    "int": "long",
    "float": "double",
    "bool": "bool",
    "text": "string",
    "date": "string",
    "time": "string",
}


def write_vespa(job: FileJob) -> str:
    """Write the schema ``hashgnn_item.sd``, ``feed-00000.jsonl``… and ``query.json``.

    References
    ----------
    Vespa documentation, *Nearest neighbor search*, ``distance-metric: hamming`` over ``tensor<int8>(x[n])`` of
    packed bits; *Document JSON format*, tensors of int8 as hexadecimal text; *Phased ranking*.
    """
    version = str(job.state.checksum)[:12]
    (job.folder / "hashgnn_item.sd").write_text(_schema(job), encoding="utf-8")
    write_parts(
        job,
        "feed",
        documents(job, "hex", floats=True),
        lambda one: [
            {
                "put": f"id:hashgnn:hashgnn_item::{version}/{one[0]}",
                "fields": {
                    **{
                        name: {"values": value} if name in (*job.widths, "embedding") else value
                        for name, value in one[1].items()
                    },
                    "version": version,
                },
            }
        ],
    )
    near = f"{{targetHits: 50}}nearestNeighbor({job.searched}, q)"
    of_version = f'version contains "{version}"'
    job.write_json(
        "query.json",
        {
            "yql": " ".join(["select item_id, pos from hashgnn_item where", near, "and", of_version]),
            "input.query(q)": "{{code_hex}}",
            "input.query(e)": ["{{embedding}}"],
            "ranking": "hierarchical",
            "hits": 10,
        },
    )
    return "hex"


def _schema(job: FileJob) -> str:
    attributes = {} if job.attributes is None else job.attributes.kinds
    fields = [
        "field version type string { indexing: attribute | summary }",
        "field item_id type string { indexing: attribute | summary }",
        "field pos type int { indexing: attribute | summary }",
        f"field embedding type tensor<float>(d[{job.state.dim}]) {{ indexing: attribute }}",
    ]
    for name, width in job.widths.items():
        graph = " index { hnsw { max-links-per-node: 16 } }" if name == job.searched else ""
        kind = "attribute | index" if name == job.searched else "attribute"
        fields.append(
            f"field {name} type tensor<int8>(x[{width // 8}]) "
            f"{{ indexing: {kind} attribute {{ distance-metric: hamming }}{graph} }}"
        )
    fields += [
        f"field {name} type {_TYPES[kind]} {{ indexing: attribute | summary }}"
        for name, kind in attributes.items()
    ]
    width = job.widths[job.searched] // 8
    body = "\n    ".join(fields)
    return f"""schema hashgnn_item {{
  document hashgnn_item {{
    {body}
  }}
  rank-profile by_code {{
    inputs {{
      query(q) tensor<int8>(x[{width}])
      query(e) tensor<float>(d[{job.state.dim}])
    }}
    first-phase {{ expression: -distance(field, {job.searched}) }}
  }}
  rank-profile hierarchical inherits by_code {{
    second-phase {{
      expression: sum(query(e) * attribute(embedding))
      rerank-count: 50
    }}
  }}
}}
"""
