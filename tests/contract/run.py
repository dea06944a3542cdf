#!/usr/bin/env python3
"""Every operation of openapi.yaml against a real castpointd, through Prism (a validating proxy that is not ours).

    tests/contract/run.py --build build/release

Each operation is done at least once, and refused at least once where it can be. Prism judges every request and every
answer; a status that openapi.yaml does not describe fails too. Bodies that are not JSON go past Prism, which would
destroy them."""
import argparse
import base64
import glob
import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, 'e2e'), os.path.join(TESTS, 'api'), HERE]
from castlab import wait_until  # noqa: E402
from loopback import Service, exchange, free_port  # noqa: E402
from pgcluster import Cluster  # noqa: E402
import openapi  # noqa: E402
import scenario  # noqa: E402

DESCRIPTION = os.path.join(os.path.dirname(TESTS), 'openapi.yaml')
JSON_KINDS = {'application/json', 'application/problem+json', 'application/merge-patch+json'}


class Prism:
    """The proxy, installed from the lock file into a folder of its own."""

    def __init__(self, folder, service):
        stamp = os.path.join(folder, 'installed')
        if not os.path.exists(stamp):
            self.install(folder)
            open(stamp, 'w').close()
        self.port, self.log = free_port(), os.path.join(folder, 'prism.log')
        modules = os.path.join(folder, 'node_modules')
        node, = glob.glob(os.path.join(modules, 'node-linux-*', 'bin', 'node'))  # npm takes this machine's only
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [node, os.path.join(modules, '@stoplight', 'prism-cli', 'dist', 'index.js'),
                 'proxy', DESCRIPTION, f'https://localhost:{service.port}', '-h', '127.0.0.1', '-p', str(self.port), '--errors'],
                env={**os.environ, 'NODE_EXTRA_CA_CERTS': service.cert}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.listens, 60, f'Prism listens: {self.log}')

    @staticmethod
    def install(folder):
        os.makedirs(folder, exist_ok=True)
        for name in ('package.json', 'package-lock.json'):
            shutil.copy(os.path.join(HERE, name), folder)
        subprocess.run(['npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error'], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                       stdout=sys.stderr)

    def listens(self):
        if self.process.poll() is not None:
            with open(self.log) as f:
                raise AssertionError(f.read())
        try:
            http.client.HTTPConnection('127.0.0.1', self.port, timeout=5).connect()
            return True
        except OSError:
            return False

    def connect(self):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)

    def close(self):
        self.process.kill()
        self.process.wait()


class Walk:
    """Does operations by their name, and counts them."""

    def __init__(self, service, prism):
        self.service, self.prism, self.password = service, prism, service.password()
        self.api = openapi.Description(DESCRIPTION)
        self.operations = {op['operationId']: (method, path, op) for (method, path), op in self.api.operations.items()}
        self.done, self.refused, self.wrong = set(), set(), []

    def passes_prism(self, op):
        kinds = set(op.get('requestBody', {}).get('content', {}))
        for response in op['responses'].values():
            kinds |= set(self.api.resolve(response).get('content', {}))
        return kinds <= JSON_KINDS

    def do(self, name, expect=200, body=None, headers=None, query=None, bearer=None, **parameters):
        """One operation with admin's password, or a bearer token; parameters fill the address. -> headers, body"""
        method, path, op = self.operations[name]
        path = re.sub(r'\{(\w+)\}', lambda m: urllib.parse.quote(str(parameters[m.group(1)])), path)
        if query:
            path += '?' + urllib.parse.urlencode(query)
        headers = {**(headers or {}), **({'Authorization': 'Bearer ' + bearer} if bearer else {})}
        connection = self.prism.connect() if self.passes_prism(op) else self.service.connect()
        status, answer, data = exchange(connection, method, path, body, None if bearer else self.password, headers)
        where = f'{name}: {method} {path} {status}'
        if status != expect:
            self.wrong.append(f'{where}, not {expect}: {data}')
        if 'sl-violations' in answer:
            self.wrong.append(f'{where}: {answer["sl-violations"]}')
        (self.done if expect < 400 else self.refused).add(name)
        return answer, data

    def part(self, part):
        """One part of the scenario; what it stumbles over is told, and the next one begins."""
        try:
            part(self)
        except Exception as e:
            traceback.print_exc()
            self.wrong.append(f'{part.__name__}: {e!r}')

    def listen(self, name, headers):
        """A stream without end: its first event."""
        method, path, _ = self.operations[name]
        connection = self.service.connect()
        pair = base64.b64encode(f'admin:{self.password}'.encode()).decode()
        connection.request(method, path, headers={**headers, 'Authorization': 'Basic ' + pair})
        answer = connection.getresponse()
        if answer.status != 200 or not answer.readline():
            self.wrong.append(f'{name}: {answer.status}, or nothing to hear')
        connection.close()
        self.done.add(name)

    def await_task(self, task):
        wait_until(lambda: self.do('getTask', task=task)[1]['ended_at'], 60, f'task {task} has ended')

    def refuse_all(self, parameters):
        """With a token that nobody has, everything is refused but what is public."""
        for name, (method, path, op) in self.operations.items():
            if not op.get('security'):
                continue
            content = op.get('requestBody', {}).get('content', {})
            kind = next(iter(content), None)
            body = content[kind].get('example') if kind in JSON_KINDS else b'x' if kind else None
            headers = {'Content-Type': kind} if kind else {}
            for parameter in map(self.api.resolve, op.get('parameters', [])):
                if parameter['in'] == 'header' and parameter.get('required'):
                    headers[parameter['name']] = scenario.HEADERS[parameter['name']]
            self.do(name, 401, body, headers, bearer='cpt_' + 'A' * 43, **parameters)

    def report(self):
        every = set(self.operations)
        public = {n for n, (_, _, op) in self.operations.items() if not op.get('security')}
        self.wrong += [f'{n}: was never done' for n in sorted(every - self.done)]
        self.wrong += [f'{n}: was never refused' for n in sorted(every - public - self.refused)]
        for sentence in self.wrong:
            print('wrong:', sentence)
        past = sum(not self.passes_prism(op) for _, _, op in self.operations.values())
        print(f'{len(self.done)} of {len(every)} operations done, {len(self.refused)} refused, {past} of them past Prism, {len(self.wrong)} wrong')
        return 1 if self.wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build/release', help='folder of the programs (default: build/release)')
    parser.add_argument('--prism', metavar='FOLDER', help='where Prism is, or is to be kept (default: a temporary folder)')
    options = parser.parse_args()
    os.environ.setdefault('CASTPOINTD', os.path.join(options.build, 'server', 'castpointd'))
    cluster = Cluster().start()
    try:
        for sql in ('CREATE ROLE owner LOGIN', 'CREATE ROLE service LOGIN', 'CREATE DATABASE castpoint OWNER owner'):
            cluster.sql(sql)
        service = Service(cluster.conninfo('service', 'castpoint'), cluster.conninfo('owner', 'castpoint'))
        try:
            with tempfile.TemporaryDirectory(prefix='castpoint-contract-') as folder:
                prism = Prism(options.prism or folder, service)
                try:
                    walk = Walk(service, prism)
                    scenario.play(walk)
                    walk.part(lambda w: w.refuse_all(scenario.NOWHERE))
                finally:
                    prism.close()
        finally:
            service.close()
    finally:
        cluster.close()
    return walk.report()


if __name__ == '__main__':
    sys.exit(main())
