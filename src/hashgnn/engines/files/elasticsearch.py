"""Files for Elasticsearch from 8.15: bit vectors as hexadecimal text."""

from __future__ import annotations

from typing import Any

from hashgnn.engines.files.documents import ATTRIBUTE_TYPES, documents, write_parts
from hashgnn.engines.writing import FileJob


def write_elasticsearch(job: FileJob) -> str:
    """Write ``mapping.json``, ``bulk-00000.jsonl``…, ``alias.json`` and two query templates.

    References
    ----------
    Elasticsearch reference, *Dense vector field type*: ``element_type: bit``, ``dims`` a multiple of 8, values as
    hexadecimal text, ``similarity: l2_norm``, which is the Hamming distance of bits: a score is
    ``(dims - distance) / dims``.
    """
    properties: dict[str, Any] = {"item_id": {"type": "keyword"}, "pos": {"type": "integer"}}
    for field, width in job.widths.items():
        properties[field] = {
            "type": "dense_vector",
            "element_type": "bit",
            "dims": width,
            "index": field == job.searched,
            **({"similarity": "l2_norm"} if field == job.searched else {}),
        }
    properties |= attribute_properties(job)
    job.write_json("mapping.json", {"mappings": {"dynamic": "strict", "properties": properties}})
    write_bulk(job, "hex")
    write_alias(job)
    query = {"field": job.searched, "query_vector": "{{code_hex}}", "k": 50, "num_candidates": 500}
    source = {"_source": ["item_id", "pos"], "size": 50}
    job.write_json("query.json", {"knn": {**query, "filter": []}, **source})
    exact = {"source": f"{job.widths[job.searched]} - hamming(params.query, '{job.searched}')"}
    job.write_json(
        "query-exact.json",
        {
            "query": {
                "script_score": {
                    "query": {"bool": {"filter": []}},
                    "script": {**exact, "params": {"query": "{{code_hex}}"}},
                }
            },
            "sort": [{"_score": "desc"}, {"pos": "asc"}],
            **source,
        },
    )
    return "hex"


def attribute_properties(job: FileJob) -> dict[str, Any]:
    """Return the fields of attributes in a mapping."""
    kinds = {} if job.attributes is None else job.attributes.kinds
    return {name: {"type": ATTRIBUTE_TYPES[kind]} for name, kind in kinds.items()}


def write_bulk(job: FileJob, form: str) -> None:
    """Write the documents as bodies of ``POST /_bulk``, an action and a document a line."""
    write_parts(
        job,
        "bulk",
        documents(job, form),
        lambda one: [{"index": {"_index": job.index_name, "_id": one[0]}}, one[1]],
    )


def write_alias(job: FileJob) -> None:
    """Write the body of ``POST /_aliases`` that lets all queries see this version, in one step."""
    job.write_json(
        "alias.json",
        {
            "actions": [
                {"remove": {"index": "hashgnn-items-*", "alias": "hashgnn-items", "must_exist": False}},
                {"add": {"index": job.index_name, "alias": "hashgnn-items"}},
            ]
        },
    )
