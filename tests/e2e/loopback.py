"""castpointd on loopback, for tests that need no network of their own."""
import base64
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

from castlab import ROOT, read_text, wait_until


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Service:
    def __init__(self, database, owner=None, extra=()):
        self.folder = tempfile.mkdtemp(prefix='castpoint-e2e-')
        self.state, self.log = os.path.join(self.folder, 'state'), os.path.join(self.folder, 'log')
        self.port = free_port()
        self.words = ['--database', database] + (['--migrate-database', owner] if owner else []) + list(extra)
        self.start()

    def start(self):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([os.environ['CASTPOINTD'], '--listen', f'127.0.0.1:{self.port}', '--state-dir', self.state,
                '--public-url', f'https://localhost:{self.port}', *self.words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.listens, 20, 'it serves HTTP')

    def listens(self):
        with socket.socket() as s:
            return self.process.poll() is not None or s.connect_ex(('127.0.0.1', self.port)) == 0

    def close(self):
        """A service that still runs ends cleanly, whatever it has been through."""
        failed, log = False, ''
        if self.process.poll() is None:
            self.process.terminate()
            failed = self.process.wait(60) != 0
            log = read_text(self.log)[-4000:]
        shutil.rmtree(self.folder, ignore_errors=True)
        if failed:
            raise AssertionError(f'castpointd ended with {self.process.returncode}: {log}')

    @property
    def cert(self):
        return os.path.join(self.state, 'tls', 'cert.pem')

    def connect(self):
        context = ssl.create_default_context(cafile=self.cert)
        context.check_hostname = False
        return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=90, context=context)

    def send(self, method, path, body=None, password=None, headers=None):
        """body: bytes, or what becomes JSON. -> status, headers, JSON (bytes where it is none)"""
        return exchange(self.connect(), method, path, body, password, headers)

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f'castpointd ended with {self.process.returncode}: {read_text(self.log)[-2000:]}')
        return self.send('GET', '/readyz')[0] == 200

    def password(self):
        wait_until(self.ready, 60, 'castpointd is ready')
        return read_text(os.path.join(self.state, 'admin-password')).strip()


def exchange(connection, method, path, body=None, password=None, headers=None):
    """One request on a connection that is closed afterwards; password: admin's."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault('Content-Type', 'application/json')
    if password:
        headers['Authorization'] = 'Basic ' + base64.b64encode(f'admin:{password}'.encode()).decode()
    try:
        connection.request(method, path, body, headers)
        rs = connection.getresponse()
        data = rs.read()
        is_json = rs.headers.get_content_type() in ('application/json', 'application/problem+json')
        return rs.status, rs.headers, json.loads(data) if data and is_json else data or None
    finally:
        connection.close()
