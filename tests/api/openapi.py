"""Reading openapi.yaml: references, operations by address, and JSON held against a schema (by python3-jsonschema)."""
import re

import jsonschema
import yaml

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks('uuid')
def is_uuid(value):
    return matches(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', value)


@FORMATS.checks('date-time')
def is_date_time(value):
    return matches(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z', value)


@FORMATS.checks('ipv4')
def is_ipv4(value):
    return matches(r'(\d{1,3}\.){3}\d{1,3}', value)


@FORMATS.checks('uri')
def is_uri(value):
    return matches(r'[a-z]+://\S+', value)


def matches(pattern, value):
    return not isinstance(value, str) or re.fullmatch(pattern, value) is not None


class Unique(yaml.SafeLoader):
    """Refuses a key that is given twice, which plain YAML readers pass over."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep) for k, _ in node.value]
        twice = {k for k in keys if keys.count(k) > 1}
        if twice:
            raise ValueError(f'openapi.yaml line {node.start_mark.line + 1}: given twice: {twice}')
        return super().construct_mapping(node, deep)


class Description:
    def __init__(self, path):
        with open(path, encoding='utf-8') as f:
            self.doc = yaml.load(f, Unique)
        self.resolver = jsonschema.RefResolver.from_schema(self.doc)
        self.operations = {(m.upper(), p): op for p, item in self.doc['paths'].items() for m, op in item.items()}
        self.matchers = [(m, re.compile(self.address(p)), op) for (m, p), op in self.operations.items()]

    @staticmethod
    def address(template):
        return ''.join('.+' if part == '{path}' else '[^/]+' if part.startswith('{') else re.escape(part)
                       for part in re.split(r'(\{[^}]+\})', template))

    def find(self, method, path):
        """The operation of a concrete address. A HEAD that is not described is its GET."""
        for wanted in (method, 'GET' if method == 'HEAD' else method):
            for m, pattern, op in self.matchers:
                if m == wanted and pattern.fullmatch(path):
                    return op
        return None

    def resolve(self, node):
        while isinstance(node, dict) and '$ref' in node:
            target = self.doc
            for part in node['$ref'].removeprefix('#/').split('/'):
                target = target[part]
            node = target
        return node

    def refs(self, node):
        if isinstance(node, dict):
            for k, v in node.items():
                if k == '$ref':
                    yield v
                else:
                    yield from self.refs(v)
        elif isinstance(node, list):
            for v in node:
                yield from self.refs(v)

    def complaints(self, value, schema):
        """What is wrong with a JSON value, as a list of sentences. Schemas of OpenAPI 3.1 are JSON Schema 2020-12."""
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver, format_checker=FORMATS)
        return [f'{error.json_path}: {error.message}' for error in validator.iter_errors(value)]
