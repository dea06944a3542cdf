#!/usr/bin/env python3
"""Many API clients at once against a real castpointd and a PostgreSQL of its own, which may be restarted meanwhile.

    tests/load/run.py --build build/release --clients 200 --seconds 60 --restart-postgres

Fails when a request was answered wrongly (any 5xx but 503 with Retry-After; any 503 without a restart), when an answer
was empty, or when the database does not hold exactly what the clients were told. Prints the latencies of each step;
connecting is told apart."""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'e2e'))
from loopback import Service  # noqa: E402
from pgcluster import Cluster  # noqa: E402


def database():
    cluster = Cluster('max_connections=200').start()
    cluster.sql('CREATE ROLE owner LOGIN')
    cluster.sql('CREATE ROLE service LOGIN')
    cluster.sql('CREATE DATABASE castpoint OWNER owner')
    return cluster


def prepare(service):
    """An operator's token; no limit of requests for this address."""
    password = service.password()
    path = '/api/v1/distribution-points/local/settings'
    etag = service.send('GET', path, password=password)[1]['ETag']
    status, _, body = service.send('PATCH', path, {'requests_per_minute': 0}, password, {'If-Match': etag})
    if status != 200:
        raise AssertionError(body)
    status, _, token = service.send('POST', '/api/v1/accounts/admin/tokens', {'name': 'load', 'role': 'admin'}, password)
    if status != 201:
        raise AssertionError(token)
    return token['secret']


def ledger(path):
    """-> {what: [package, …]}"""
    said = {}
    with open(path) as f:
        for line in f:
            what, name = line.split()
            said.setdefault(what, []).append(name)
    return said


def check(cluster, said):
    """What the clients were told is what the database holds: no more, no less. -> sentences of what is wrong"""
    made, gone = set(said.get('made', [])), set(said.get('deleted', []))
    stored = dict(line.split('|') for line in cluster.sql(
        "SELECT p.name, count(v.id) FROM packages p LEFT JOIN versions v ON v.package_id = p.id GROUP BY p.name", 'castpoint').split())
    wrong = [f'{name}: said to be made, is not there' for name in made - gone - set(stored)]
    wrong += [f'{name}: is there, nobody was told' for name in set(stored) - made]
    wrong += [f'{name}: said to be deleted, is there' for name in gone & set(stored)]
    for name, count in stored.items():
        if int(count) != said.get('version', []).count(name):
            wrong.append(f'{name}: {count} versions, {said["version"].count(name)} were answered')
    return wrong


def run(options, cluster, service, folder):
    path = os.path.join(folder, 'ledger')
    words = [options.load, f'https://localhost:{service.port}', service.cert,
             str(options.clients), str(options.seconds), path]
    with subprocess.Popen(words, env={**os.environ, 'CASTPOINT_LOAD_TOKEN': prepare(service)}, stdout=subprocess.PIPE, text=True) as load:
        try:
            if options.restart_postgres:
                try:
                    load.wait(options.seconds / 2)
                except subprocess.TimeoutExpired:
                    cluster.stop(signal.SIGINT)
                    cluster.start()
            out, _ = load.communicate(timeout=options.seconds + 120)
        finally:
            load.kill()
    result = json.loads(out)
    result['wrong'] = check(cluster, ledger(path))
    return load.returncode, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clients', type=int, default=200)
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--restart-postgres', action='store_true', help='restart PostgreSQL half-way')
    parser.add_argument('--build', default='build/release', help='folder of the programs (default: build/release)')
    options = parser.parse_args()
    os.environ.setdefault('CASTPOINTD', os.path.join(options.build, 'server', 'castpointd'))
    options.load = os.environ.get('CASTPOINT_LOAD', os.path.join(options.build, 'tests', 'load', 'load'))
    with tempfile.TemporaryDirectory(prefix='castpoint-load-') as folder:
        cluster = database()
        try:
            service = Service(cluster.conninfo('service', 'castpoint'), cluster.conninfo('owner', 'castpoint'))
            try:
                status, result = run(options, cluster, service, folder)
            finally:
                service.close()
        finally:
            cluster.close()
    wrong, refused, steps = result.pop('wrong'), result['refused_503'], result.pop('steps')
    print(json.dumps(result, indent=2))
    for step, figures in steps.items():
        print(f'{step}: {json.dumps(figures)}')
    for sentence in wrong[:20]:
        print('wrong:', sentence)
    if refused and not options.restart_postgres:
        print('wrong: requests were refused though PostgreSQL was there')
        status = 1
    return 1 if status or wrong else 0


if __name__ == '__main__':
    sys.exit(main())
