#!/usr/bin/env python3
"""Many API clients at once against a real castpointd and a PostgreSQL of its own, which may be restarted meanwhile.

    tests/load/run.py --build build/release --clients 200 --seconds 60 --restart-postgres

Fails when a request was answered wrongly (any 5xx but 503 with Retry-After; any 503 without a restart, before it, or
more than 15 s after it), when an answer was empty, or when the database does not hold exactly what the clients were told. Prints the latencies of each step;
connecting is told apart."""
import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'e2e'))
from loopback import Service  # noqa: E402
from pgcluster import Cluster  # noqa: E402

RECOVERY_S = 15  # after PostgreSQL is there again
SEC_NS = 1e9


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
    rows = [line.split('|') for line in cluster.sql(
        "SELECT p.name, count(v.id), p.description = 'of a load' FROM packages p LEFT JOIN versions v ON v.package_id = p.id"
        " GROUP BY p.name, p.description", 'castpoint').split()]
    stored = {name: int(count) for name, count, _ in rows}
    changed = {name for name, _, is_changed in rows if is_changed == 't'}
    wrong = [f'{name}: said to be made, is not there' for name in made - gone - set(stored)]
    wrong += [f'{name}: is there, nobody was told' for name in set(stored) - made]
    wrong += [f'{name}: said to be deleted, is there' for name in gone & set(stored)]
    told = set(said.get('changed', [])) & set(stored)
    wrong += [f'{name}: said to be changed, is not' for name in told - changed]
    wrong += [f'{name}: is changed, nobody was told' for name in changed - told]
    versions = collections.Counter(said.get('version', []))
    wrong += [f'{name}: {count} versions, {versions[name]} were answered' for name, count in stored.items() if count != versions[name]]
    return wrong


def early_or_late(refusals, restart):
    """Refusals are right while PostgreSQL is away, and until its connections are made again. -> sentences of what is wrong"""
    first, last = refusals
    if not last:
        return []
    if not restart:
        return ['requests were refused though PostgreSQL was there']
    wrong = []
    if first < restart[0]:
        wrong.append(f'the first refusal came {(restart[0] - first) / SEC_NS:.3f} s before PostgreSQL was stopped')
    if last > restart[1] + RECOVERY_S * SEC_NS:
        wrong.append(f'the last refusal came {(last - restart[1]) / SEC_NS:.3f} s after PostgreSQL was there again')
    return wrong


def run(options, cluster, service, folder):
    path = os.path.join(folder, 'ledger')
    restart = None
    words = [options.load, f'https://localhost:{service.port}', service.cert,
             str(options.clients), str(options.seconds), path]
    with subprocess.Popen(words, env={**os.environ, 'CASTPOINT_LOAD_TOKEN': prepare(service)}, stdout=subprocess.PIPE, text=True) as load:
        try:
            if options.restart_postgres:
                try:
                    load.wait(options.seconds / 2)
                except subprocess.TimeoutExpired:
                    stopped = time.monotonic_ns()
                    cluster.stop(signal.SIGINT)
                    cluster.start()
                    restart = stopped, time.monotonic_ns()
            out, _ = load.communicate(timeout=options.seconds + 120)
        finally:
            load.kill()
    result = json.loads(out)
    result['wrong'] = check(cluster, ledger(path)) + early_or_late(result.pop('refusals_ns'), restart)
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
    wrong, steps = result.pop('wrong'), result.pop('steps')
    print(json.dumps(result, indent=2))
    for step, figures in steps.items():
        print(f'{step}: {json.dumps(figures)}')
    for sentence in wrong[:20]:
        print('wrong:', sentence)
    return 1 if status or wrong else 0


if __name__ == '__main__':
    sys.exit(main())
