#!/usr/bin/env python3
"""Holds openapi.yaml against the route table, both ways, and against itself.
Usage: contract.py OPENAPI DUMP_ROUTES"""
import re
import subprocess
import sys

import openapi

# What may be wrong with any request before anybody looks at its address, and the service that is not there (docs/limits.md).
ANY = {'400', '413', '414', '431', '503'}
SIGNED_IN = [{'basic': []}, {'bearer': []}, {'mutualTLS': []}, {'negotiate': []}]
SECURITY = {'public': [], 'content': [{}, *SIGNED_IN], 'receiver': [{'bearer': []}]}


def routes(program):
    """-> {(method, path template): (role, operationId, names of query parameters)}"""
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    table = {}
    for line in lines:
        method, pattern, role, operation, *query = line.split()
        key = (method, pattern.replace('...}', '}'))
        if key in table:
            raise SystemExit(f'{key} is in the route table twice')
        table[key] = (role, operation, query)
    return table


def check_routes(api, table, complaints):
    described = {k: op for k, op in api.operations.items() if k[0] != 'HEAD'}
    for key in sorted(set(table) - set(described)):
        complaints.append(f'{key}: in the route table, not in openapi.yaml')
    for key in sorted(set(described) - set(table)):
        complaints.append(f'{key}: in openapi.yaml, not in the route table')
    for key in set(table) & set(described):
        role, operation, query = table[key]
        if described[key].get('x-castpoint-role') != role:
            complaints.append(f'{key}: x-castpoint-role is not {role}')
        if described[key].get('operationId') != operation:
            complaints.append(f'{key}: operationId is not {operation}')
        parameters = [api.resolve(p) for p in described[key].get('parameters', [])]
        described_query = [p['name'] for p in parameters if p['in'] == 'query']
        for name in set(query) - set(described_query):
            complaints.append(f'{key}: the route table has parameter {name}, openapi.yaml has not')
        for name in set(described_query) - set(query):
            complaints.append(f'{key}: openapi.yaml has parameter {name}, the route table has not')
    for method, path in api.operations:
        if method == 'HEAD' and ('GET', path) not in table:
            complaints.append(f'HEAD {path}: described, but there is no GET')


def check_operation(api, key, op, complaints):
    path = key[1]
    parameters = [api.resolve(p) for p in op.get('parameters', [])]
    inside = [p['name'] for p in parameters if p['in'] == 'path']
    if inside != re.findall(r'\{(\w+)\}', path):
        complaints.append(f'{key}: path parameters are {inside}')
    if op.get('security') != SECURITY.get(op['x-castpoint-role'], SIGNED_IN):
        complaints.append(f'{key}: security does not fit the role')
    if not [s for s in op['responses'] if s.startswith('2')]:
        complaints.append(f'{key}: no response of success')
    if not ANY <= set(op['responses']):
        complaints.append(f'{key}: {sorted(ANY - set(op["responses"]))} can come of every operation')
    for status, response in op['responses'].items():
        response = api.resolve(response)
        if int(status) >= 400 and list(response['content']) != ['application/problem+json']:
            complaints.append(f'{key}: {status} is no problem')
    conditions = {p['name'] for p in parameters if p['in'] == 'header'}
    if '304' in op['responses'] and 'If-None-Match' not in conditions:
        complaints.append(f'{key}: 304, but no If-None-Match')
    if '412' in op['responses'] and not conditions & {'If-Match', 'If-None-Match', 'Tus-Resumable'}:
        complaints.append(f'{key}: 412, but no header that it could come of')
    check_examples(api, f'{key}: the body', op.get('requestBody', {}).get('content', {}), complaints)
    for status, response in op['responses'].items():
        if status.startswith('2'):
            check_examples(api, f'{key}: {status}', api.resolve(response).get('content', {}), complaints)


def check_examples(api, where, content, complaints):
    """JSON that is sent or answered has an example, and that is of its schema."""
    for kind, media in content.items():
        if not kind.endswith('json'):
            continue
        examples = [api.resolve(e)['value'] for e in media.get('examples', {}).values()]
        examples += [media['example']] if 'example' in media else []
        if not examples:
            complaints.append(f'{where}, {kind}: there is no example')
        for example in examples:
            complaints.extend(f'{where}, {kind}: example {c}' for c in api.complaints(example, media['schema']))


def check_references(api, complaints):
    used = set(api.refs(api.doc))
    for ref in used:
        try:
            api.resolve({'$ref': ref})
        except KeyError:
            complaints.append(f'{ref}: refers to nothing')
    for kind in ('parameters', 'responses', 'schemas', 'headers', 'examples'):
        for name in api.doc['components'][kind]:
            if f'#/components/{kind}/{name}' not in used:
                complaints.append(f'components/{kind}/{name} is not used')


def main():
    api, complaints = openapi.Description(sys.argv[1]), []
    table = routes(sys.argv[2])
    check_routes(api, table, complaints)
    operations = [op['operationId'] for op in api.operations.values()]
    complaints.extend(f'operationId {o} is there twice' for o in set(operations) if operations.count(o) > 1)
    for key, op in api.operations.items():
        check_operation(api, key, op, complaints)
    check_references(api, complaints)
    for c in complaints:
        print(c)
    print(f'{len(table)} routes, {len(operations)} operations, {len(complaints)} complaints')
    return 1 if complaints or len(table) < 40 else 0


if __name__ == '__main__':
    sys.exit(main())
