"""Parses a folder's Terraform, and looks whether all that it names is declared. Run through helm.sh.

It knows no provider's schema: `terraform validate`, where its registry can be reached, does.
"""

import json
import pathlib
import re
import sys

import hcl2

REFERENCE = re.compile(r"(?<![\w.])(var\.\w+|local\.\w+|data\.\w+\.\w+|aws_\w+\.\w+)")


def bare(name):
    return name.strip('"')


def declared_in(document):
    """What may be named elsewhere."""
    for block in document.get("variable", []):
        yield from (f"var.{bare(name)}" for name in block)
    for block in document.get("locals", []):
        yield from (f"local.{bare(name)}" for name in block)
    for kind, prefix in [("resource", ""), ("data", "data.")]:
        for block in document.get(kind, []):
            for type_name, named in block.items():
                yield from (f"{prefix}{bare(type_name)}.{bare(name)}" for name in named)


def main(folder):
    files = sorted(pathlib.Path(folder).glob("*.tf"))
    documents = {file: hcl2.loads(file.read_text(encoding="utf-8")) for file in files}
    declared = {name for document in documents.values() for name in declared_in(document)}
    if not any(name.startswith("aws_") for name in declared):
        sys.exit(f"{folder}: there is no resource")
    problems = []
    for file, document in documents.items():
        named = set(REFERENCE.findall(json.dumps(document)))
        problems += [f"{file}: `{name}` is not declared" for name in sorted(named - declared)]
    print("\n".join(problems) or f"{len(declared)} names are declared")
    return bool(problems)


sys.exit(main(sys.argv[1]))
