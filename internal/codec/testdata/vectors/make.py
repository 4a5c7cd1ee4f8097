"""Make the frozen vectors: the Avro body, in hexadecimal, of what each .json says.

Two implementations that share no code with rampstream write every value and must
agree: fastavro and Apache Avro's own library for Python.

    python3 -m venv venv && venv/bin/pip install fastavro==1.13.1 avro==1.12.2
    venv/bin/python make.py ../../../../schemas/released/v1 v1

A .hex that exists is compared and never written again.
"""

import datetime
import io
import json
import pathlib
import sys

import avro.io
import avro.schema
import fastavro


def native(schema, value):
    """The Python value that both libraries take for a value of our JSON."""
    if isinstance(schema, list):
        return None if value is None else native(schema[1], value)
    if isinstance(schema, dict) and schema["type"] == "array":
        return [native(schema["items"], v) for v in value]
    if isinstance(schema, dict) and schema["type"] == "record":
        return {f["name"]: native(f["type"], value[f["name"]]) for f in schema["fields"]}
    if isinstance(schema, dict) and schema.get("logicalType") == "timestamp-millis":
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value


def by_fastavro(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def by_apache(schema, value):
    out = io.BytesIO()
    avro.io.DatumWriter(avro.schema.parse(json.dumps(schema))).write(value, avro.io.BinaryEncoder(out))
    return out.getvalue()


def main(schemas, vectors):
    for path in sorted(pathlib.Path(vectors).glob("*.json")):
        record = path.stem.split("-")[0]
        schema = json.loads((pathlib.Path(schemas) / f"{record}.avsc").read_text())
        value = native(schema, json.loads(path.read_text()))
        body = by_fastavro(schema, value)
        assert body == by_apache(schema, value), f"{path.name}: fastavro and avro disagree"
        text = "\n".join(body.hex()[i : i + 100] for i in range(0, len(body.hex()), 100)) + "\n"
        target = path.with_suffix(".hex")
        if target.exists():
            assert target.read_text() == text, f"{target.name}: differs from what is frozen"
        else:
            target.write_text(text)


main(*sys.argv[1:])
