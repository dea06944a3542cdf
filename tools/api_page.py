#!/usr/bin/env python3
"""Makes the readable page of the API, and a C file with it and the description itself, for castpointd to serve.

    tools/api_page.py openapi.yaml PAGE.html EMBEDDED.c

The page has no script and loads nothing; its style sheet is allowed by its hash."""
import base64
import hashlib
import html
import json
import re
import sys

import yaml

STYLE = '''
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --get: #2563eb; --post: #15803d; --put: #a16207; --patch: #7c3aed; --delete: #b91c1c; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
h1 small { font-weight: normal; font-size: 1rem; }
h2 { border-bottom: 1px solid var(--line); margin-top: 3rem; }
h3 { margin-top: 2.5rem; }
nav ul { columns: 20rem; list-style: none; padding: 0; }
nav li { break-inside: avoid; }
code, pre { font: 0.875em/1.45 ui-monospace, monospace; }
pre { background: var(--soft); overflow-x: auto; padding: 0.75rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
b.method { border-radius: 4px; color: #fff; display: inline-block; font: 600 0.8rem/1.6 ui-monospace, monospace; margin-right: 0.5rem; min-width: 3.6rem; text-align: center; }
b.get, b.head, b.options { background: var(--get); } b.post { background: var(--post); } b.put { background: var(--put); } b.patch { background: var(--patch); } b.delete { background: var(--delete); }
'''
METHODS = ('get', 'head', 'options', 'post', 'put', 'patch', 'delete')
LIMITS = ('minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'maxProperties', 'pattern', 'const', 'default')


def text(value):
    return html.escape(str(value))


def code(value):
    return f'<code>{text(value)}</code>'


def table(heads, rows):
    if not rows:
        return ''
    head = ''.join(f'<th scope="col">{h}</th>' for h in heads)
    body = ''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>\n' for row in rows)
    return f'<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n'


class Page:
    def __init__(self, doc):
        self.doc = doc

    def resolve(self, node):
        while '$ref' in node:
            target = self.doc
            for part in node['$ref'].removeprefix('#/').split('/'):
                target = target[part]
            node = target
        return node

    def type_of(self, schema):
        """A schema in few words, with a link where it has a name."""
        if '$ref' in schema:
            name = schema['$ref'].rsplit('/', 1)[1]
            return f'<a href="#schema-{name}">{name}</a>'
        if 'oneOf' in schema:
            return ' or '.join(self.type_of(s) for s in schema['oneOf'])
        kinds = schema.get('type', 'anything')
        kinds = [kinds] if isinstance(kinds, str) else kinds
        words = [f'array of {self.type_of(schema.get("items", {}))}' if k == 'array' else text(k) for k in kinds]
        words = ' or '.join(words) + (f' ({text(schema["format"])})' if 'format' in schema else '')
        if 'enum' in schema:
            words += ': ' + ', '.join(code('null' if v is None else v) for v in schema['enum'])
        limits = [f'{name} {code(json.dumps(schema[name]))}' for name in LIMITS if name in schema]
        return words + (f'<br><small>{", ".join(limits)}</small>' if limits else '')

    def properties(self, schema, prefix=''):
        """Rows of an object's fields; objects inside are written out."""
        rows, required = [], schema.get('required', [])
        for name, field in schema.get('properties', {}).items():
            must = 'always' if name in required else ''
            rows.append((code(prefix + name), self.type_of(field), must, text(field.get('description', ''))))
            inner = field.get('items', field)
            if 'properties' in inner:
                rows += self.properties(inner, prefix + name + ('[].' if inner is not field else '.'))
        return rows

    def content(self, content):
        words = []
        for kind, media in content.items():
            words.append(f'{code(kind)} {self.type_of(media["schema"]) if "$ref" in media.get("schema", {}) else ""}')
        return ', '.join(words)

    def examples(self, content):
        """The first one of a body: of several kinds, it is the same."""
        for media in content.values():
            examples = [media['example']] if 'example' in media else [self.resolve(e)['value'] for e in media.get('examples', {}).values()]
            if examples:
                return [f'<pre>{text(json.dumps(examples[0], indent=2, ensure_ascii=False))}</pre>\n']
        return []

    def operation(self, method, path, op):
        out = [f'<section id="{op["operationId"]}"><h3><b class="method {method}">{method.upper()}</b>{code(path)}</h3>\n',
               f'<p>{text(op["summary"])}. {text(op.get("description", ""))}</p>\n',
               f'<p>For: {code(op["x-castpoint-role"])} <small>(operation {code(op["operationId"])})</small></p>\n']
        rows = []
        for p in map(self.resolve, op.get('parameters', [])):
            rows.append((code(p['name']), text(p['in']), self.type_of(p['schema']), 'always' if p.get('required') else '', text(p.get('description', ''))))
        out.append(table(('Parameter', 'In', 'Type', 'Required', 'Meaning'), rows))
        body = op.get('requestBody')
        if body:
            out.append(f'<p>Body: {self.content(body["content"])}</p>\n')
            out += self.examples(body['content'])
        rows = []
        for status, response in op['responses'].items():
            response = self.resolve(response)
            headers = ', '.join(code(h) for h in response.get('headers', {}))
            rows.append((code(status), text(response.get('description', '')) + (f'<br><small>{headers}</small>' if headers else ''), self.content(response.get('content', {}))))
        out.append(table(('Status', 'Meaning', 'Body'), rows))
        for status, response in op['responses'].items():
            shown = self.examples(self.resolve(response).get('content', {})) if status.startswith('2') else []
            out += [f'<details><summary>Example of a {code(status)}</summary>\n', *shown, '</details>\n'] if shown else []
        return ''.join(out) + '</section>\n'

    def operations(self):
        """-> {tag: [(method, path, operation)]}, in the order of the description"""
        found = {tag['name']: [] for tag in self.doc['tags']}
        for path, item in self.doc['paths'].items():
            for method in METHODS:
                if method in item:
                    found[item[method]['tags'][0]].append((method, path, item[method]))
        return found

    def render(self):
        info, operations = self.doc['info'], self.operations()
        out = ['<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
               f'<title>{text(info["title"])} API</title><style>{STYLE}</style></head><body>\n<main>',
               f'<h1>{text(info["title"])} API <small>{text(info["version"])}</small></h1>\n<p>{text(info["summary"])}. ',
               f'The same as <a href="/api/v1/openapi.yaml">openapi.yaml</a>, for reading.</p>\n<p>{text(info["description"])}</p>\n<nav aria-label="Operations">\n']
        for tag, ops in operations.items():
            links = ''.join(f'<li><a href="#{op["operationId"]}">{text(op["summary"])}</a></li>\n' for _, _, op in ops)
            out.append(f'<h4>{text(tag)}</h4><ul>\n{links}</ul>\n')
        out.append('</nav>\n')
        for tag, ops in operations.items():
            out.append(f'<h2>{text(tag)}</h2>\n')
            out += [self.operation(*op) for op in ops]
        out.append('<h2>Schemas</h2>\n')
        for name, schema in self.doc['components']['schemas'].items():
            out.append(f'<section id="schema-{name}"><h3>{text(name)}</h3>\n<p>{text(schema.get("description", ""))}</p>\n')
            rows = self.properties(schema)
            out.append(table(('Field', 'Type', 'Required', 'Meaning'), rows) or f'<p>{self.type_of(schema)}</p>\n')
            out.append('</section>\n')
        return ''.join(out) + '</main></body></html>\n'


def array(name, data):
    lines = [','.join(map(str, data[i:i + 32])) for i in range(0, len(data), 32)]
    return f'const unsigned char {name}[] = {{\n' + ',\n'.join(lines) + f'}};\nconst size_t {name}_size = sizeof {name};\n'


def main():
    source, page_file, c_file = sys.argv[1:]
    with open(source, 'rb') as f:
        description = f.read()
    page = re.sub(r'\n+', '\n', Page(yaml.safe_load(description)).render()).encode()
    # The hash is of what stands between the style tags, which the substitution above may have changed.
    style = page[page.index(b'<style>') + 7:page.index(b'</style>')]
    allowed = base64.b64encode(hashlib.sha256(style).digest()).decode()
    with open(page_file, 'wb') as f:
        f.write(page)
    with open(c_file, 'w') as f:
        f.write('/* Generated from openapi.yaml by tools/api_page.py. */\n#include "api/point/description.h"\n\n')
        f.write(array('api_description', description) + array('api_page', page))
        for name, data in (('api_description', description), ('api_page', page)):
            f.write(f'const char {name}_etag[] = "\\"{hashlib.sha256(data).hexdigest()}\\"";\n')
        f.write(f'const char api_page_style[] = "sha256-{allowed}";\n')


if __name__ == '__main__':
    main()
