"""Reading openapi.yaml: references, operations by address, and JSON held against a schema."""
import re

import yaml

TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'null': type(None)}
FORMATS = {
    'uuid': re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'),
    'date-time': re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z'),
    'ipv4': re.compile(r'(\d{1,3}\.){3}\d{1,3}'),
    'uri': re.compile(r'[a-z]+://\S+'),
}
KNOWN = {'type', 'description', 'enum', 'const', 'required', 'properties', 'additionalProperties', 'items', 'pattern',
         'minimum', 'maximum', 'minLength', 'maxLength', 'format', 'oneOf', 'default', 'writeOnly', 'contentMediaType', '$ref'}


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

    def complaints(self, value, schema, at='$'):
        """What is wrong with a JSON value, as a list of sentences."""
        schema = self.resolve(schema)
        unknown = set(schema) - KNOWN
        if unknown:
            return [f'{at}: the checker does not know {unknown}']
        if 'oneOf' in schema:
            fits = [s for s in schema['oneOf'] if not self.complaints(value, s, at)]
            return [] if len(fits) == 1 else [f'{at}: {value!r} fits {len(fits)} of oneOf']
        found = self.check_type(value, schema, at) or self.check_scalar(value, schema, at)
        if isinstance(value, dict):
            found += self.check_object(value, schema, at)
        if isinstance(value, list):
            for i, item in enumerate(value):
                found += self.complaints(item, schema.get('items', {}), f'{at}[{i}]')
        return found

    @staticmethod
    def check_type(value, schema, at):
        types = schema.get('type', [])
        types = [types] if isinstance(types, str) else types

        def fits(t):
            if t in ('integer', 'number'):
                return isinstance(value, int if t == 'integer' else (int, float)) and not isinstance(value, bool)
            return isinstance(value, TYPES[t])
        return [] if not types or any(map(fits, types)) else [f'{at}: {value!r} is not of type {types}']

    @staticmethod
    def check_scalar(value, schema, at):
        found = []
        if 'enum' in schema and value not in schema['enum']:
            found.append(f'{at}: {value!r} is not one of {schema["enum"]}')
        if 'const' in schema and value != schema['const']:
            found.append(f'{at}: {value!r} is not {schema["const"]!r}')
        if isinstance(value, str):
            if 'pattern' in schema and not re.search(schema['pattern'], value):
                found.append(f'{at}: {value!r} does not match {schema["pattern"]}')
            if schema.get('format') in FORMATS and not FORMATS[schema['format']].fullmatch(value):
                found.append(f'{at}: {value!r} is no {schema["format"]}')
            if not schema.get('minLength', 0) <= len(value.encode()) <= schema.get('maxLength', 1 << 40):
                found.append(f'{at}: {value!r} has {len(value)} characters')
        if isinstance(value, int) and not isinstance(value, bool):
            if not schema.get('minimum', value) <= value <= schema.get('maximum', value):
                found.append(f'{at}: {value} is outside its range')
        return found

    def check_object(self, value, schema, at):
        properties = schema.get('properties', {})
        found = [f'{at}: {name} is missing' for name in schema.get('required', []) if name not in value]
        for name, item in value.items():
            if name in properties:
                found += self.complaints(item, properties[name], f'{at}.{name}')
            elif schema.get('additionalProperties', True) is False:
                found.append(f'{at}: {name} is not described')
        return found
