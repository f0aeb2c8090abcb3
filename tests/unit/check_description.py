#!/usr/bin/env python3
"""The descriptions in docs/ say what the sources say: check_description.py ROOT

  1. Every route of producer/routes.c is in docs/openapi.yaml, with its kind of body and whether a key is asked for, and the other way round.
  2. Every problem code of producer/problem.c is in docs/schemas/problem.json with its status among the answers, and the other way round.
  3. The reasons of replies are those of common/core/outcome.c, and the bounds in the schemas those of common/core/limits.h.
  4. Every schema is one, and takes its own examples; every example of the two descriptions fits its schema.
  5. docs/asyncapi.yaml has the topics' names, and the reasons of dead letters.
"""
import json
import re
import sys
from pathlib import Path

import jsonschema
import yaml

METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}
MEDIA = {"PAY_MEDIA_NONE": None, "PAY_MEDIA_JSON": "application/json", "PAY_MEDIA_NDJSON": "application/x-ndjson"}


def operations(openapi):
    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method.upper(), path, operation


def check_routes(root, openapi):
    rows = re.findall(r'^    \{"(\w+)", +"([^"]+)", +(\w+), +(\w+), +&\w+\},', (root / "producer/routes.c").read_text(), re.MULTILINE)
    assert len(rows) >= 5, "the table of routes isn't where it was"
    routes = {(method, path): (MEDIA[media], scope == "PAY_SCOPE_NONE") for method, path, scope, media in rows}
    described = {}
    for method, path, operation in operations(openapi):
        media = list(operation.get("requestBody", {"content": {None: None}})["content"])
        assert len(media) == 1, f"{method} {path}: one kind of body"
        described[method, path] = (media[0], operation.get("security") == [{}])
    assert routes == described, f"routes.c has {routes}\nopenapi.yaml has {described}"


def check_problems(root, openapi, schemas):
    rows = re.findall(r'^    \[PAY_PROBLEM_\w+\] = \{"(\w+)", (\d+),', (root / "producer/problem.c").read_text(), re.MULTILINE)
    assert len(rows) >= 15, "the table of problems isn't where it was"
    codes = schemas["problem"]["$defs"]["code"]["enum"]
    assert codes == [name for name, _ in rows], f"problem.c has {[name for name, _ in rows]}\nproblem.json has {codes}"
    answered = {status for _, _, operation in operations(openapi) for status in operation["responses"]}
    missing = {status for _, status in rows} - answered - {"405"}      # what no operation answers with
    assert not missing, f"no operation has an answer {missing}"


def check_replies(root, schemas):
    table = re.search(r"reason_names\[PAY_REASON_COUNT\] = \{(.*?)\};", (root / "common/core/outcome.c").read_text(), re.DOTALL)
    said = set()
    for part in schemas["reply"]["$defs"].values():
        reason = part.get("properties", {}).get("reason", {})
        said |= set(reason.get("enum", [reason.get("const")])) - {None}
    assert said == set(re.findall(r'"(\w+)"', table[1])), f"reply.json has the reasons {sorted(said)}"


def check_bounds(root, schemas):
    limits = dict(re.findall(r"#define PAY_(\w+) +(\d+)", (root / "common/core/limits.h").read_text()))
    content = schemas["payment-request"]["$defs"]
    assert content["id"]["pattern"].endswith("{1,%s}$" % limits["ID_MAX"])
    assert content["attempt"]["maximum"] == int(limits["ATTEMPT_MAX"]) and content["amount_minor"]["maximum"] == int(limits["AMOUNT_MAX"])
    text = schemas["payment-request"]["description"] + schemas["payment-request"]["properties"]["metadata"]["description"]
    assert limits["VALUE_MAX"] in text and limits["METADATA_MAX"] in text


class Fitting:
    """Says whether a value fits a schema that lies in a file."""

    def __init__(self, root, schemas):
        self.docs = root / "docs"
        self.store = {(self.docs / "schemas" / f"{name}.json").as_uri(): {k: v for k, v in s.items() if k != "$id"} for name, s in schemas.items()}

    def check(self, value, schema, path, document):
        resolver = jsonschema.RefResolver(path.as_uri(), document, store=self.store)
        jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)


def examples(node):
    """(schema, example) of every media type, parameter and header that has both; NDJSON's are texts."""
    if isinstance(node, list):
        for item in node:
            yield from examples(item)
    if isinstance(node, dict):
        if isinstance(node.get("schema"), dict) and node.get("in") != "body":
            if "example" in node:
                yield node["schema"], node["example"]
            for example in (node["examples"].values() if isinstance(node.get("examples"), dict) else ()):
                yield node["schema"], example["value"]
        for value in node.values():
            yield from examples(value)


def check_examples(fitting, root, openapi, schemas):
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        path = root / "docs" / "schemas" / f"{name}.json"
        bare = fitting.store[path.as_uri()]
        assert schema["examples"], f"{name} has no example"
        for example in schema["examples"]:
            fitting.check(example, bare, path, bare)
    found = list(examples(openapi))
    assert len(found) >= 6, "the description has examples"
    for schema, example in found:
        fitting.check(example, schema, root / "docs" / "openapi.yaml", openapi)


def check_topics(fitting, root, asyncapi, schemas):
    table = (root / "common/base/config_table.c").read_text()
    for channel in asyncapi["channels"].values():
        assert f'"{channel["address"]}"' in table, channel["address"]
    messages = asyncapi["components"]["messages"]
    invalid = schemas["reply"]["$defs"]["invalid"]["properties"]["reason"]["enum"]
    assert messages["letter"]["headers"]["properties"]["reason"]["enum"] == invalid
    path = root / "docs" / "asyncapi.yaml"
    for message in (messages["request"], messages["reply"]):
        for example in message["examples"]:
            fitting.check(example["payload"], message["payload"], path, asyncapi)
            fitting.check(example["headers"], message["headers"], path, asyncapi)


def main(root):
    schemas = {path.stem: json.loads(path.read_text()) for path in sorted((root / "docs/schemas").glob("*.json"))}
    openapi = yaml.safe_load((root / "docs/openapi.yaml").read_text())
    check_routes(root, openapi)
    check_problems(root, openapi, schemas)
    check_replies(root, schemas)
    check_bounds(root, schemas)
    fitting = Fitting(root, schemas)
    check_examples(fitting, root, openapi, schemas)
    check_topics(fitting, root, yaml.safe_load((root / "docs/asyncapi.yaml").read_text()), schemas)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
