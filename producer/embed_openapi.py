#!/usr/bin/env python3
"""embed_openapi.py OPENAPI.yaml [VERSION OUT.c] - the description as one JSON document: on stdout, or as a C string in OUT.c.

Every file that it refers to (docs/schemas) becomes a member of components.schemas, so that what the intake serves stands alone:
`schemas/payment-request.json#/$defs/id` is `#/components/schemas/PaymentRequest/$defs/id` there.
"""
import json
import sys
from pathlib import Path

import yaml


def name_of(path):
    return "".join(word.capitalize() for word in path.stem.split("-"))


class Bundle:
    def __init__(self, path):
        self.schemas = {}
        self.document = self.resolved(yaml.safe_load(path.read_text()), path, "#")
        self.document["components"]["schemas"].update(sorted(self.schemas.items()))

    def resolved(self, node, path, own):
        """node of the file `path`; `own` is what its "#" is in the bundle."""
        if isinstance(node, list):
            return [self.resolved(item, path, own) for item in node]
        if not isinstance(node, dict):
            return node
        return {key: self.reference(value, path, own) if key == "$ref" else self.resolved(value, path, own) for key, value in node.items()}

    def reference(self, target, path, own):
        file, _, pointer = target.partition("#")
        return (self.taken((path.parent / file).resolve()) if file else own) + pointer

    def taken(self, path):
        name = name_of(path)
        place = f"#/components/schemas/{name}"
        if name not in self.schemas:
            schema = json.loads(path.read_text())
            del schema["$schema"], schema["$id"]        # its place in the bundle is another
            self.schemas[name] = {}                     # files may refer to each other
            self.schemas[name] = self.resolved(schema, path, place)
        return place


def c_string(text, width=110):
    """The lines of a C literal; cut only between escapes, as each piece is escaped by itself."""
    pieces = [text[at:at + width] for at in range(0, len(text), width)]
    return "\n".join('    "' + piece.replace("\\", "\\\\").replace('"', '\\"').replace("??", '?""?') + '"' for piece in pieces)


def main(source, version=None, target=None):
    document = Bundle(Path(source)).document
    text = json.dumps(document, separators=(",", ":"))  # ASCII
    if version is None:
        print(text)
        return
    if document["info"]["version"] != version:
        sys.exit(f"{source} says version {document['info']['version']}, the project is {version}: make them equal")
    Path(target).write_text("/* Made from docs/openapi.yaml by embed_openapi.py. */\n#include \"producer/route_openapi.h\"\n\n"
                            f"const char pay_openapi_json[] =\n{c_string(text)};\nconst size_t pay_openapi_json_length = {len(text)};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
