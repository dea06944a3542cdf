"""Events as they happen, webhooks and the audit log of a real castpointd: two hundred listeners over TLS, a service that is
killed and one that stops under them, a receiver that fails at first, a log that its own role cannot change."""
import hashlib
import hmac
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from castlab import wait_until
from loopback import Service

LISTENERS = 200
ROUNDS = 5
WRITERS = 4


class Listener:
    """A raw connection to the stream; `events` are (id, kind) in the order they came."""

    def __init__(self, service, token, last_id=None):
        context = ssl.create_default_context(cafile=service.cert)
        context.check_hostname = False
        self.socket = context.wrap_socket(socket.create_connection(('127.0.0.1', service.port), 30))
        resume = f'Last-Event-ID: {last_id}\r\n' if last_id is not None else ''
        self.socket.sendall(f'GET /api/v1/events/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n{resume}\r\n'.encode())
        self.data, self.events, self.comments = b'', [], 0
        self.until(lambda: b'retry:' in self.data)
        assert self.data.startswith(b'HTTP/1.1 200'), self.data
        self.data = b''

    def until(self, condition, seconds=30):
        """Reads on; False: the service ended it."""
        self.socket.settimeout(seconds)
        while not condition():
            block = self.socket.recv(65536)
            if not block:
                return False
            self.data += block
            self.take()
        return True

    def take(self):
        """Whole messages; chunk sizes lie between them, never inside what is looked for."""
        while b'\n\n' in self.data and b'retry:' not in self.data:
            message, self.data = self.data.split(b'\n\n', 1)
            lines = message.decode().split('\n')
            ids = [line for line in lines if line.startswith('id: ')]
            kinds = [line for line in lines if line.startswith('event: ')]
            self.comments += any(line.startswith(': still') for line in lines)
            if ids:
                self.events.append((int(ids[0][4:]), kinds[0][7:]))

    def close(self):
        self.socket.close()


class Receiver(http.server.BaseHTTPRequestHandler):
    requests, statuses = [], []

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        status = self.statuses.pop(0) if self.statuses else 204
        self.requests.append((status, dict(self.headers), body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


class Events(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.start()
        cls.addClassCleanup(lambda: cls.service.close())
        cls.addClassCleanup(cls.put_down_kinds)

    @classmethod
    def start(cls):
        cls.service = Service(os.environ['CASTPOINT_TEST_SERVICE_DB'], owner=os.environ['CASTPOINT_TEST_DB'])
        cls.password = cls.service.password()
        cls.token = cls.api('POST', '/api/v1/accounts/admin/tokens', {'role': 'admin'})['secret']

    @classmethod
    def api(cls, method, path, body=None, status=None):
        got, headers, answer = cls.service.send(method, path, body, cls.password)
        if not (got == status if status else 200 <= got < 300):
            raise AssertionError(f'{method} {path}: {got} {answer}')
        return answer

    @staticmethod
    def sql(text, database='CASTPOINT_TEST_DB'):
        p = subprocess.run(['psql', '-qAtX', '-v', 'ON_ERROR_STOP=1', os.environ[database], '-c', text], capture_output=True, text=True)
        if p.returncode:
            raise AssertionError(p.stderr)
        return p.stdout.strip()

    @classmethod
    def put_down_kinds(cls):
        """For tests/api/emitted.py."""
        if 'CASTPOINT_EVENT_KINDS' in os.environ:
            with open(os.environ['CASTPOINT_EVENT_KINDS'], 'w') as f:
                f.write(cls.sql('SELECT DISTINCT kind FROM events WHERE node_id IS NOT NULL') + '\n')

    def package(self, name):
        self.api('POST', '/api/v1/packages', {'name': name})

    def threads(self):
        return len(os.listdir(f'/proc/{self.service.process.pid}/task'))

    def test_1_two_hundred_listeners(self):
        before = self.threads(), self.sql('SELECT count(*) FROM pg_stat_activity')
        listeners = [Listener(self.service, self.token) for _ in range(LISTENERS)]
        self.addCleanup(lambda: [listener.close() for listener in listeners])
        self.assertEqual((self.threads(), self.sql('SELECT count(*) FROM pg_stat_activity')), before)
        statements = int(self.sql('SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()'))

        def write(writer):
            for i in range(ROUNDS):
                self.package(f'many-{writer}-{i}')
        writers = [threading.Thread(target=write, args=(w,)) for w in range(WRITERS)]
        for w in writers:
            w.start()
        for listener in listeners:
            self.assertTrue(listener.until(lambda: len([e for e in listener.events if e[1] == 'package-created']) == WRITERS * ROUNDS))
        for w in writers:
            w.join()
        for listener in listeners:
            self.assertEqual(listener.events, listeners[0].events)
        ids = [e[0] for e in listeners[0].events]
        self.assertEqual(ids, sorted(set(ids)))
        # a transaction for each listener and event would be 4,000
        statements = int(self.sql('SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()')) - statements
        self.assertLess(statements, 1000)
        self.assertTrue(listeners[0].until(lambda: listeners[0].comments > 0, 20))  # the heartbeat

    def test_1_a_token_or_an_account_that_is_disabled_listens_no_more(self):
        self.api('POST', '/api/v1/accounts', {'name': 'ear', 'role': 'viewer'})
        kept = Listener(self.service, self.token)
        for path in ('/api/v1/tokens/{id}', '/api/v1/accounts/ear'):
            token = self.api('POST', '/api/v1/accounts/ear/tokens', {'role': 'viewer'})
            path = path.format(**token)
            listener = Listener(self.service, token['secret'])
            self.addCleanup(listener.close)
            etag = self.service.send('GET', path, password=self.password)[1]['ETag']
            self.assertEqual(self.service.send('PATCH', path, {'enabled': False}, self.password, {'If-Match': etag})[0], 200)
            self.assertTrue(listener.until(lambda: listener.data.endswith(b'0\r\n\r\n'), 5), path)  # the last chunk
        self.package('heard')
        self.assertTrue(kept.until(lambda: any(kind == 'package-created' for _, kind in kept.events), 5))
        kept.close()

    def test_2_nothing_is_missed_over_a_kill(self):
        listener = Listener(self.service, self.token)
        self.package('before-the-kill')
        listener.until(lambda: listener.events)
        last = listener.events[-1][0]
        self.service.process.send_signal(signal.SIGKILL)
        self.service.process.wait()
        self.assertFalse(listener.until(lambda: False))
        listener.close()
        self.sql("INSERT INTO events (kind, subject) VALUES ('package-changed', 'package meanwhile')")
        self.service.start()
        self.service.password()
        self.package('after-the-kill')
        again = Listener(self.service, self.token, last)
        again.until(lambda: 'package-created' in [e[1] for e in again.events])
        expected = self.sql(f'SELECT id, kind FROM events WHERE id > {last} ORDER BY id')
        self.assertEqual([f'{i}|{kind}' for i, kind in again.events], expected.split('\n')[:len(again.events)])
        self.assertIn('package-changed', [e[1] for e in again.events])
        again.close()

    def test_2_nothing_is_missed_when_the_database_hangs_up(self):
        listener = Listener(self.service, self.token)
        for i in range(3):
            self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'castpoint_service'")
            self.sql("INSERT INTO events (kind, subject) VALUES ('package-changed', 'nobody was told')")
            self.package(f'cut-off-{i}')
            self.assertTrue(listener.until(lambda: len([e for e in listener.events if e[1] == 'package-created']) == i + 1))
        self.assertEqual([e[1] for e in listener.events if e[1] != 'version-created'], ['package-changed', 'package-created'] * 3)
        listener.close()

    def test_3_a_webhook_is_sent_again_and_signed(self):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Receiver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        Receiver.statuses[:] = [500]
        hook = self.api('POST', '/api/v1/webhooks', {'name': 'py', 'url': f'http://127.0.0.1:{server.server_port}/',
                                                     'kinds': ['package-created', 'package-deleted']})
        self.package('hooked')
        wait_until(lambda: len(Receiver.requests) == 2, 30, 'the second attempt')
        self.assertEqual([r[0] for r in Receiver.requests], [500, 204])
        for _, headers, body in Receiver.requests:
            self.assertEqual(json.loads(body)['subject'], 'package hooked')
            text = headers['X-Castpoint-Timestamp'].encode() + b'.' + body
            self.assertEqual(headers['X-Castpoint-Signature'], 'sha256=' + hmac.new(hook['secret'].encode(), text, hashlib.sha256).hexdigest())
        self.assertEqual(Receiver.requests[0][1]['X-Castpoint-Delivery'], Receiver.requests[1][1]['X-Castpoint-Delivery'])
        wait_until(lambda: self.api('GET', '/api/v1/webhooks/py')['state'] == 'good', 10, 'it is good again')
        for _ in range(20):
            self.package(f'hooked-{_}')
        wait_until(lambda: len(Receiver.requests) == 22, 20, 'all others')
        subjects = [json.loads(r[2])['subject'] for r in Receiver.requests[2:]]
        self.assertEqual(subjects, [f'package hooked-{i}' for i in range(20)])

    def test_4_the_services_role_cannot_change_the_audit_log(self):
        entries = self.sql('SELECT count(*) FROM audit')
        self.assertGreater(int(entries), 0)
        for statement in ("UPDATE audit SET account = ''", 'DELETE FROM audit', 'TRUNCATE audit', 'DROP TABLE audit',
                          'ALTER TABLE audit DISABLE TRIGGER audit_protect'):
            with self.assertRaises(AssertionError):
                self.sql(statement, 'CASTPOINT_TEST_SERVICE_DB')
        with self.assertRaises(AssertionError):
            self.sql('DELETE FROM audit')  # the owner has to take the trigger off first
        self.assertEqual(self.sql('SELECT count(*) FROM audit'), entries)

    def test_5_it_stops_with_listeners(self):
        listeners = [Listener(self.service, self.token) for _ in range(LISTENERS)]
        began = time.monotonic()
        self.service.process.terminate()
        self.assertEqual(self.service.process.wait(20), 0)
        self.assertLess(time.monotonic() - began, 10)
        for listener in listeners:
            self.assertFalse(listener.until(lambda: False))
            listener.close()


if __name__ == '__main__':
    unittest.main()
