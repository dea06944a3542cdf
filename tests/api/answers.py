#!/usr/bin/env python3
"""Runs a test program of the API and holds every answer it got against openapi.yaml: the status is
described, the body is of the schema, a request that succeeded was of its schema.
Usage: answers.py OPENAPI PROGRAM"""
import json
import os
import subprocess
import sys
import tempfile

import openapi


def check(api, line, complaints):
    where = f'{line["method"]} {line["path"]} {line["status"]}'
    op = api.find(line['method'], line['path'])
    if line['method'] == 'OPTIONS' and op is None and line['status'] == 204:
        return  # a preflight (CORS): every address has it
    if op is None or line['status'] == 405:
        if line['status'] not in (404, 405, 400):
            complaints.append(f'{where}: no such operation')
        return
    response = api.resolve(op['responses'].get(str(line['status'])))
    if response is None:
        complaints.append(f'{where}: the status is not described for {op["operationId"]}')
        return
    content = response.get('content', {})
    kind = line.get('type') and line['type'].split(';')[0]
    if kind is None:
        if content:
            complaints.append(f'{where}: no body, but one is described')
    elif kind not in content:
        complaints.append(f'{where}: {kind} is not described for {op["operationId"]}')
    elif line.get('body') is not None:
        complaints.extend(f'{where}: {c}' for c in api.complaints(line['body'], content[kind]['schema']))
    check_request(api, op, line, where, complaints)


def check_request(api, op, line, where, complaints):
    if line.get('request') is None or line['status'] >= 300 or line['method'] in ('GET', 'HEAD', 'OPTIONS'):
        return  # what comes with a GET means nothing (RFC 9110 9.3.1)
    body = op.get('requestBody', {}).get('content', {}).get('application/json')
    if body is None:
        complaints.append(f'{where}: a body was taken that is not described')
        return
    complaints.extend(f'{where}: request {c}' for c in api.complaints(json.loads(line['request']), body['schema']))


def main():
    api, complaints = openapi.Description(sys.argv[1]), []
    with tempfile.NamedTemporaryFile('r', suffix='.jsonl') as record:
        status = subprocess.run([sys.argv[2]], env={**os.environ, 'CASTPOINT_API_RECORD': record.name}).returncode
        lines = [json.loads(line) for line in record]
    for line in lines:
        check(api, line, complaints)
    for c in sorted(set(complaints)):
        print(c)
    print(f'{len(lines)} answers held against {os.path.basename(sys.argv[1])}, {len(set(complaints))} complaints')
    return 1 if status != 0 or complaints or not lines else 0


if __name__ == '__main__':
    sys.exit(main())
