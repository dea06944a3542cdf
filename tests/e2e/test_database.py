"""PostgreSQL goes away: at the start, in the middle of the load, for good with a standby taking over. No namespaces needed."""
import base64
import json
import os
import signal
import subprocess
import threading
import time
import unittest

import loopback
from castlab import CHUNK, random_bytes, read_text, sha256, wait_until
from pgcluster import Cluster

UNKNOWN = 'it is unknown whether it happened'  # COMMIT was sent, and nobody was there to ask in time
TUS = {'Tus-Resumable': '1.0.0'}
PIECE = {**TUS, 'Content-Type': 'application/offset+octet-stream'}
AWAY_CODES = ('database-unavailable', 'database-retry', 'unavailable')


class Service(loopback.Service):
    def send(self, method, path, body=None, token=None, password=None):
        """-> status, headers, JSON."""
        return super().send(method, path, body, password, {'Authorization': 'Bearer ' + token} if token else None)

    def token(self):
        """The administrator's, once the service is ready."""
        return self.send('POST', '/api/v1/accounts/admin/tokens', {'role': 'admin'}, password=self.password())[2]['secret']


    bearer = None  # of what follows

    def headers(self, headers):
        return {**({'Authorization': 'Bearer ' + self.bearer} if self.bearer else {}), **(headers or {})}

    def ask(self, method, path, body=None, headers=None):
        """-> status, headers, JSON or bytes"""
        return super().send(method, path, body, headers=self.headers(headers))

    def must(self, method, path, body=None, headers=None):
        """-> headers, JSON or bytes of what is no refusal"""
        status, told, answer = self.ask(method, path, body, headers)
        if status >= 400:
            raise AssertionError(f'{method} {path}: {status} {answer}')
        return told, answer

    def begun(self, method, path, size, headers):
        """A request whose body is yet to come."""
        connection = self.connect()
        connection.putrequest(method, path)
        for name, value in {**self.headers(headers), 'Content-Length': str(size)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection

    def seal(self, version):
        task = '/api/v1/tasks/' + self.must('POST', version + '/seal')[1]['id']
        wait_until(lambda: self.must('GET', task)[1]['ended_at'], 60, 'the seal has ended')
        assert self.must('GET', task)[1]['state'] == 'done'


class Load:
    """Threads that make packages of new names, and what they were told."""

    def __init__(self, service, threads=8):
        self.service, self.token = service, service.token()
        self.told, self.broken, self.lock, self.stop = {}, [], threading.Lock(), threading.Event()
        self.sent = {}  # when each thread asked last
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(threads)]
        for t in self.threads:
            t.start()

    def work(self, number):
        count = 0
        while not self.stop.is_set():
            count += 1
            name = f'p{number}-{count}'
            self.sent[number] = time.monotonic()
            try:
                status, headers, body = self.service.send('POST', '/api/v1/packages', {'name': name}, self.token)
            except Exception as e:  # told to the test's thread
                self.broken.append(f'{name}: {e!r}')
                return
            with self.lock:
                self.told[name] = (status, headers.get('Retry-After'), body.get('code') if status >= 400 else None, body.get('detail'))

    def waiting(self):
        """How many wait for their answer for a second already."""
        return sum(time.monotonic() - at > 1 for at in self.sent.values())

    def made(self):
        with self.lock:
            return sum(t[0] == 201 for t in self.told.values())

    def go_on(self, count=40):
        """Waits until so many more were made."""
        wanted = self.made() + count
        wait_until(lambda: self.broken or self.made() >= wanted, 90, f'{wanted} packages are made')

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(120)

    def check(self, case, stored):
        """What was said to be made is there, what was refused is not, and nothing else was said."""
        case.assertEqual(self.broken, [])
        for name, (status, retry, code, detail) in self.told.items():
            if status == 201:
                case.assertIn(name, stored)
            else:
                case.assertEqual((status, code in AWAY_CODES), (503, True), f'{name}: {code}: {detail}')
                case.assertGreaterEqual(int(retry), 1)
                if UNKNOWN not in detail:
                    case.assertNotIn(name, stored, f'{name} was said to have failed: {code}: {detail}')
        case.assertEqual(len(stored), len(set(stored)))


class Database(unittest.TestCase):
    def cluster(self, *settings, started=True):
        cluster = Cluster(*settings)
        self.addCleanup(cluster.close)
        cluster.start()
        cluster.sql('CREATE ROLE owner LOGIN')
        cluster.sql('CREATE ROLE service LOGIN')
        cluster.sql('CREATE DATABASE castpoint OWNER owner')
        if not started:
            cluster.stop()
        return cluster

    def service(self, cluster, **kw):
        options = {'database': cluster.conninfo('service', 'castpoint'), 'owner': cluster.conninfo('owner', 'castpoint'), **kw}
        service = Service(options['database'], options['owner'])
        self.addCleanup(service.close)
        return service

    def migration(self, cluster):
        return [os.environ['CASTPOINTD'], '--migrate', '--database', cluster.conninfo('service', 'castpoint'),
                '--migrate-database', cluster.conninfo('owner', 'castpoint')]

    def stored(self, cluster):
        return cluster.sql("SELECT name FROM packages WHERE name LIKE 'p%-%'", 'castpoint').split()

    # ---- start ----

    def test_starts_while_the_database_is_away(self):
        cluster = self.cluster(started=False)
        service = self.service(cluster)
        self.assertEqual(service.send('GET', '/healthz')[0], 200)
        wait_until(lambda: service.send('GET', '/readyz')[2]['code'] == 'database-unavailable', 20, 'the reason is known')
        for method, path in (('GET', '/readyz'), ('GET', '/api/v1'), ('GET', '/api/v1/packages'), ('POST', '/api/v1/joins'),
                             ('PUT', '/api/v1/packages/a/versions/1/files/b'), ('GET', '/nowhere')):
            status, headers, body = service.send(method, path)
            self.assertEqual((status, body['code']), (503, 'database-unavailable'), path)
            self.assertGreaterEqual(int(headers['Retry-After']), 1)
            self.assertNotIn(cluster.folder, str(body), 'where it is, is for the log')
            self.assertIn('database', body['detail'])
        self.assertIn(cluster.folder, loopback.read_text(service.log))
        cluster.start()
        token = service.token()
        self.assertEqual(service.send('POST', '/api/v1/packages', {'name': 'first'}, token)[0], 201)

    def says(self, service, code, words):
        wait_until(lambda: service.send('GET', '/readyz')[2]['code'] == code, 20, f'the reason is {code}')
        answer = service.send('GET', '/readyz')
        self.assertEqual(answer[0], 503)
        self.assertGreaterEqual(int(answer[1]['Retry-After']), 1)
        self.assertNotRegex(str(answer[2]), words, "PostgreSQL's words are for the log")
        self.assertRegex(read_text(service.log), f'database-refuses.*{words}')

    def test_says_what_postgresql_refuses_and_goes_on_when_it_does_not(self):
        cluster = self.cluster()
        cluster.sql('DROP DATABASE castpoint')
        cluster.sql('DROP ROLE service')
        service = self.service(cluster)
        self.says(service, 'database-login-refused', 'role .*service.* does not exist')
        cluster.sql('CREATE ROLE service LOGIN')
        self.says(service, 'database-missing', 'database .*castpoint.* does not exist')
        p = subprocess.run(self.migration(cluster), capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 5)
        self.assertRegex(p.stderr, 'database-missing.*castpoint.* does not exist.*createdb')
        cluster.sql('CREATE DATABASE castpoint OWNER owner')
        service.token()

    def test_says_that_the_login_is_refused(self):
        cluster = self.cluster()
        cluster.let_in('local all castpoint trust', 'local all all peer')
        service = self.service(cluster)
        self.says(service, 'database-login-refused', 'Peer authentication failed for user .*service')
        cluster.let_in('local all castpoint trust', 'local all all scram-sha-256')

        def migrates():
            p = subprocess.run(self.migration(cluster), env={**os.environ, 'PGPASSFILE': '/dev/null'}, capture_output=True, text=True, timeout=60)
            return p.stderr
        wait_until(lambda: 'no password supplied' in migrates(), 20, 'the new rule is read')
        self.assertIn('database-login-refused', migrates())
        cluster.let_in('local all all trust')
        service.token()

    def test_ends_at_once_when_told_to_while_it_waits(self):
        service = self.service(self.cluster(started=False))
        self.assertEqual(service.send('GET', '/healthz')[0], 200)
        service.process.terminate()
        self.assertEqual(service.process.wait(15), 0, read_text(service.log))

    def test_does_not_touch_a_database_that_is_not_its_own(self):
        cluster = self.cluster()
        first = self.service(cluster)
        first.token()
        first.close()
        for change, word in (("INSERT INTO schema_migrations VALUES (9999, 'later.sql', repeat('0', 64))", 'newer'),
                             ("DELETE FROM schema_migrations WHERE number = 9999; UPDATE schema_migrations SET digest = repeat('0', 64) WHERE number = 2",
                              'another form')):
            cluster.sql(change, 'castpoint')
            service = self.service(cluster)
            self.assertNotEqual(service.process.wait(30), 0)
            self.assertIn(word, read_text(service.log))

    def test_migrates_apart_from_the_service(self):
        cluster = self.cluster()
        refused = self.service(cluster, owner=None)
        self.assertNotEqual(refused.process.wait(30), 0)
        self.assertIn('--migrate', read_text(refused.log))
        words = self.migration(cluster)
        for _ in range(2):
            p = subprocess.run(words, capture_output=True, text=True, timeout=60)
            self.assertEqual(p.returncode, 0, p.stderr)
        service = self.service(cluster, owner=None)
        self.assertEqual(service.send('POST', '/api/v1/packages', {'name': 'first'}, service.token())[0], 201)
        self.assertEqual(cluster.sql("SELECT count(*) FROM pg_tables WHERE tableowner = 'service'", 'castpoint'), '0')
        cluster.stop()
        p = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn(cluster.folder, p.stderr)

    # ---- in the middle ----

    def restart_under_load(self, sig):
        cluster = self.cluster()
        service = self.service(cluster)
        load = Load(service)
        self.addCleanup(load.end)
        for _ in range(3):
            load.go_on()
            cluster.stop(sig)
            cluster.start()
        load.go_on()
        load.end()
        load.check(self, self.stored(cluster))
        self.assertTrue(service.ready())

    def test_restart_in_the_middle_of_the_load(self):
        self.restart_under_load(signal.SIGINT)

    def test_crash_in_the_middle_of_the_load(self):
        self.restart_under_load(signal.SIGQUIT)

    def test_away_for_long(self):
        cluster = self.cluster()
        service = self.service(cluster)
        load = Load(service, threads=16)
        self.addCleanup(load.end)
        load.go_on()
        cluster.stop()
        def refused():
            return sum(t[0] == 503 for t in list(load.told.values()))
        wait_until(lambda: refused() >= 200, 90, 'refusals come quickly')
        started = time.monotonic()
        self.assertEqual(service.send('GET', '/healthz')[0], 200)
        self.assertLess(time.monotonic() - started, 5)
        status, headers, body = service.send('GET', '/readyz')
        self.assertEqual((status, body['code']), (503, 'database-unavailable'))
        self.assertGreaterEqual(int(headers['Retry-After']), 1)
        cluster.start()
        load.go_on()
        load.end()
        load.check(self, self.stored(cluster))

    def away(self, service, method, path, body=None, headers=None):
        """503 with a reason, and when to come again."""
        status, told, answer = service.ask(method, path, body, headers)
        self.assertEqual((status, told.get_content_type()), (503, 'application/problem+json'), f'{method} {path}: {answer}')
        self.assertGreaterEqual(int(told['Retry-After']), 1)
        if method != 'HEAD':
            self.assertEqual(answer['code'], 'database-unavailable', path)
            self.assertTrue(answer['remedy'])

    def test_content_and_uploads_while_it_is_away(self):
        """Nothing is served, taken or lost; all goes on where it was."""
        cluster = self.cluster()
        service = self.service(cluster)
        service.bearer = service.token()
        data = random_bytes(3 * CHUNK)
        old, draft = '/api/v1/packages/old/versions/1', '/api/v1/packages/new/versions/1'
        for package in ('old', 'new'):
            service.must('POST', '/api/v1/packages', {'name': package, 'content_access': 'anonymous'})
            service.must('POST', f'/api/v1/packages/{package}/versions', {})
        service.must('PUT', old + '/files/a.img', data)
        service.seal(old)
        service.must('PUT', draft + '/files/first.img', data[:CHUNK])
        path = base64.b64encode(b'resumed.img').decode()
        upload = service.must('POST', draft + '/uploads', b'', {**TUS, 'Upload-Length': str(len(data)), 'Upload-Metadata': 'path ' + path})[0]['Location']
        service.must('PATCH', upload, data[:CHUNK], {**PIECE, 'Upload-Offset': '0'})
        digest = '/api/v1/content/' + sha256(data)
        join = {'package': 'old', 'client_id': 'c', 'client_name': 'c', 'client_version': '1', 'multicast': False}
        self.assertEqual(service.ask('GET', digest)[::2], (200, data))
        begun = service.begun('PATCH', upload, 2 * CHUNK, {**PIECE, 'Upload-Offset': str(CHUNK)})
        begun.send(data[CHUNK:2 * CHUNK])
        partial = os.path.join(service.state, 'content', 'partial', upload.rsplit('/', 1)[1])
        wait_until(lambda: os.path.getsize(partial) == 2 * CHUNK, 20, 'half of the piece is there')
        cluster.stop()
        begun.send(data[2 * CHUNK:])
        answer = begun.getresponse()
        self.assertEqual((answer.status, int(answer.headers['Retry-After']) >= 1, json.load(answer)['code']), (503, True, 'database-unavailable'))
        begun.close()
        for method, path, body, headers in (
                ('GET', digest, None, {}), ('HEAD', digest, None, {}), ('GET', digest, None, {'Range': 'bytes=0-9'}),
                ('GET', old + '/files/a.img', None, {}), ('GET', old + '/manifest', None, {}), ('GET', old + '/files', None, {}),
                ('POST', '/api/v1/joins', join, {}), ('POST', draft + '/seal', None, {}),
                ('PUT', draft + '/files/second.img', data, {}), ('DELETE', draft + '/files/first.img', None, {}),
                ('POST', draft + '/uploads', b'', {**TUS, 'Upload-Length': '1', 'Upload-Metadata': 'path ' + path}),
                ('HEAD', upload, None, TUS), ('PATCH', upload, data[CHUNK:], {**PIECE, 'Upload-Offset': str(CHUNK)}), ('DELETE', upload, None, TUS),
                ('GET', '/api/v1/distribution-points/local/keys', None, {}), ('POST', '/api/v1/distribution-points/local/keys/identity/rotate', None, {}),
                ('GET', '/api/v1/events', None, {}), ('GET', '/api/v1/audit', None, {}), ('GET', '/readyz', None, {})):
            with self.subTest(method=method, path=path):
                self.away(service, method, path, body, headers)
        bearer, service.bearer = service.bearer, None
        for method, path, body in (('GET', digest, None), ('GET', old + '/files/a.img', None), ('GET', old + '/manifest', None), ('POST', '/api/v1/joins', join)):
            with self.subTest(method=method, path=path, who='nobody'):
                self.away(service, method, path, body)
        service.bearer = bearer
        self.assertEqual(service.send('GET', '/healthz')[0], 200)
        cluster.start()
        wait_until(service.ready, 60, 'it is ready again')
        at = int(service.must('HEAD', upload, None, TUS)[0]['Upload-Offset'])
        self.assertIn(at, range(CHUNK, len(data) + 1))
        service.must('PATCH', upload, data[at:], {**PIECE, 'Upload-Offset': str(at)})
        service.must('PUT', draft + '/files/second.img', data)
        service.seal(draft)
        files = {f['path']: f['sha256'] for f in service.must('GET', draft + '/files')[1]['items']}
        self.assertEqual(files, {'first.img': sha256(data[:CHUNK]), 'resumed.img': sha256(data), 'second.img': sha256(data)})
        self.assertEqual(service.ask('GET', draft + '/files/resumed.img')[::2], (200, data))
        self.assertIn('ticket', service.must('POST', '/api/v1/joins', {**join, 'multicast': True})[1])

    # ---- it hangs ----

    def hang_under_load(self):
        """-> the service, all of whose workers wait, and the load."""
        cluster = self.cluster()
        service = self.service(cluster)
        load = Load(service, threads=12)
        self.addCleanup(load.end)
        self.addCleanup(cluster.go_on)
        load.go_on()
        cluster.hang()
        wait_until(lambda: load.waiting() == 12, 20, 'all wait')
        return cluster, service, load

    def refusals(self, load):
        return sum(t[0] == 503 for t in list(load.told.values()))

    def test_hangs_for_long(self):
        cluster, service, load = self.hang_under_load()
        for _ in range(3):
            started = time.monotonic()
            self.assertEqual(service.send('GET', '/healthz')[0], 200)
            self.assertLess(time.monotonic() - started, 2)
        wait_until(lambda: self.refusals(load) >= 12, 85, 'nobody waits for ever')
        cluster.go_on()
        load.go_on()
        load.end()
        load.check(self, self.stored(cluster))
        self.assertTrue(service.ready())

    def test_ends_when_told_to_while_it_hangs(self):
        cluster, service, load = self.hang_under_load()
        load.stop.set()
        started = time.monotonic()
        service.process.terminate()
        self.assertEqual(service.process.wait(60), 0, read_text(service.log)[-2000:])
        print(f'ended {time.monotonic() - started:.2f} s after it was told to')

    # ---- a standby takes over ----

    def test_failover(self):
        primary = self.cluster()
        standby = Cluster(copy_of=primary)
        self.addCleanup(standby.close)
        standby.start()
        primary.stop()
        primary.settings = ('synchronous_standby_names=*',)  # now that there is one
        primary.start()
        wait_until(lambda: primary.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == '1', 30, 'the standby follows')
        both = f'host={primary.folder},{standby.folder} dbname=castpoint target_session_attrs=read-write'
        service = self.service(primary, database=both + ' user=service', owner=both + ' user=owner')
        load = Load(service)
        self.addCleanup(load.end)
        load.go_on()
        primary.stop(signal.SIGKILL)
        before = load.made()
        self.assertEqual(standby.sql('SELECT pg_is_in_recovery()'), 't')
        started = time.monotonic()
        standby.run('pg_ctl', 'promote', '-D', standby.data, '-w')
        wait_until(lambda: load.made() > before + 8, 60, 'packages are made again')
        print(f'writing again {time.monotonic() - started:.2f} s after the standby was told to take over')
        load.go_on()
        load.end()
        load.check(self, self.stored(standby))
        self.assertTrue(service.ready())


if __name__ == '__main__':
    unittest.main()
