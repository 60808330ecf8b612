"""Renders or lints a Helm chart with Helm's own Go library. Run through helm.sh, which installs it."""

import argparse
import sys

import helm_python as helm

WARNING = 2


def merge(into, other):
    """Helm's own order: a later value wins, maps merge."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def values_of(arguments):
    values = {}
    for path in arguments.values:
        with open(path, encoding="utf-8") as file:
            merge(values, helm.values_from_yaml(file.read()))
    for item in arguments.set:
        merge(values, helm.parse_set_string(item))
    return values


def lint(chart, values):
    """1 where there is anything worse than a hint."""
    report = helm.lint(chart, values, strict=True)
    for message in report["messages"]:
        print(f"{message['path']}: {message['error']}")
    worst = max((message["severity"] for message in report["messages"]), default=0)
    return int(worst >= WARNING or bool(report["errors"]))


def template(path, values):
    with helm.Chart.load(path) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="clickcast", namespace="clickcast")
    for name, text in sorted(rendered.items()):
        if text.strip():
            print(f"---\n# {name}\n{text.strip()}")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="helm.sh", description=__doc__)
    parser.add_argument("chart")
    parser.add_argument("-f", "--values", action="append", default=[])
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--lint", action="store_true")
    arguments = parser.parse_args()
    try:
        act = lint if arguments.lint else template
        return act(arguments.chart, values_of(arguments))
    except helm.HelmError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


sys.exit(main())
