"""Files for OpenSearch from 2.16: binary vectors as signed bytes."""

from __future__ import annotations

from typing import Any

from hashgnn.engines.files.elasticsearch import attribute_properties, write_alias, write_bulk
from hashgnn.engines.writing import FileJob


def write_opensearch(job: FileJob) -> str:
    """Write ``mapping.json``, ``bulk-00000.jsonl``…, ``alias.json`` and two query templates.

    References
    ----------
    OpenSearch documentation, *k-NN vector field type*, binary vectors: ``data_type: binary``, ``dimension`` a
    multiple of 8, values as signed bytes of eight bits each, ``space_type: hamming``, engine faiss; *Exact k-NN with
    scoring script*: ``knn_score``. A score is ``1 / (1 + distance)``.
    """
    properties: dict[str, Any] = {"item_id": {"type": "keyword"}, "pos": {"type": "integer"}}
    for field, width in job.widths.items():
        properties[field] = {
            "type": "knn_vector",
            "dimension": width,
            "data_type": "binary",
            "space_type": "hamming",
            "method": {"name": "hnsw", "engine": "faiss"},
        }
    properties |= attribute_properties(job)
    job.write_json(
        "mapping.json",
        {
            "settings": {"index": {"knn": True}},
            "mappings": {"dynamic": "strict", "properties": properties},
        },
    )
    write_bulk(job, "int8")
    write_alias(job)
    source = {"_source": ["item_id", "pos"], "size": 50}
    knn = {job.searched: {"vector": ["{{code_int8}}"], "k": 50, "filter": {"bool": {"filter": []}}}}
    job.write_json("query.json", {"query": {"knn": knn}, **source})
    script = {
        "lang": "knn",
        "source": "knn_score",
        "params": {"field": job.searched, "query_value": ["{{code_int8}}"], "space_type": "hamming"},
    }
    job.write_json(
        "query-exact.json",
        {
            "query": {"script_score": {"query": {"bool": {"filter": []}}, "script": script}},
            "sort": [{"_score": "desc"}, {"pos": "asc"}],
            **source,
        },
    )
    return "int8"
