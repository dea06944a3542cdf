"""What the end-to-end tests share: a laboratory of namespaces, a running castpointd, its API, castget.

Real programs, real packets, a real PostgreSQL (tests/support/with-postgres gives it by CASTPOINT_TEST_DB).
Paths of the programs come from CASTPOINTD and CASTGET."""
import base64, hashlib, json, os, random, shutil, signal, ssl, subprocess, tempfile, time, unittest
import urllib.error, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NETLAB = os.path.join(ROOT, 'tools', 'netlab.sh')
NET = int(os.environ.get('CASTPOINT_E2E_NET', '78'))  # another one lets two runs stand side by side
SERVER = f'198.18.{NET}.1'
CHUNK = 1 << 20


def wait_until(condition, seconds, what):
    """Polls a condition of another process; fails loudly when it does not come true in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'not within {seconds} s: {what}')
        time.sleep(0.05)
    return value


def read_text(path):
    with open(path, errors='replace') as f:
        return f.read()


class Lab:
    def __init__(self, receivers):
        self.prefix = f'cpe{NET}'
        self.call('up', str(receivers), '--net', str(NET), '--host')
        self.call('offload', 'off')

    def call(self, *words):
        p = subprocess.run([NETLAB, self.prefix, *words], capture_output=True, text=True)
        if p.returncode:
            raise AssertionError(f'netlab {words} failed (these tests need root and network namespaces): {p.stderr}')
        return p.stdout

    def popen(self, host, words, **kw):
        return subprocess.Popen([NETLAB, self.prefix, 'exec', host, *words], stdin=subprocess.DEVNULL, **kw)

    def tx_bytes(self):
        return int(self.call('tx-bytes'))

    def close(self):
        self.call('down')


def remedy(code):
    """What the catalogue says to do about an error."""
    with open(os.path.join(ROOT, 'docs', 'errors.md')) as f:
        section = f.read().split(f'\n## {code}\n')[1].split('\n## ')[0]
    return section.split('\n- Remedy: ')[1].strip()


class Problem(Exception):
    def __init__(self, status, body, headers):
        self.status, self.headers = status, headers
        self.body = json.loads(body) if body else {}
        super().__init__(f'{status} {self.body}')

    @property
    def code(self):
        return self.body.get('code')


class Service:
    """castpointd in the server's namespace, with its own database and folder."""

    def __init__(self, lab, folder, options=()):
        self.lab, self.folder, self.process, self.options = lab, folder, None, list(options)
        self.state = os.path.join(folder, 'state')
        self.log = os.path.join(folder, 'castpointd.log')
        self.url = f'https://{SERVER}:8443'
        self.database = os.environ['CASTPOINT_TEST_DB'] + f' dbname=e2e_{os.getpid()}_{random.randrange(1 << 30)}'
        self.name = self.database.rsplit('=', 1)[1]
        self.service_database = f"{os.environ['CASTPOINT_TEST_SERVICE_DB']} dbname={self.name}"
        self.admin_sql(f'CREATE DATABASE {self.name}')
        self.start()

    def admin_sql(self, sql):
        subprocess.run(['psql', '-qAtX', '-v', 'ON_ERROR_STOP=1', os.environ['CASTPOINT_TEST_DB'], '-c', sql], check=True, capture_output=True)

    def sql(self, sql):
        p = subprocess.run(['psql', '-qAtX', '-v', 'ON_ERROR_STOP=1', self.database, '-c', sql], capture_output=True, text=True)
        if p.returncode:
            raise AssertionError(p.stderr)
        return p.stdout.strip()

    @property
    def cert(self):
        return os.path.join(self.state, 'tls', 'cert.pem')

    def start(self):
        with open(self.log, 'ab') as log:
            self.process = self.lab.popen('srv', [os.environ['CASTPOINTD'], '--listen', '0.0.0.0:8443', '--state-dir', self.state,
                '--database', self.service_database, '--migrate-database', self.database, '--public-url', self.url, *self.options], stdout=log, stderr=log)
        wait_until(self.ready, 40, 'castpointd is ready')
        self.password = read_text(os.path.join(self.state, 'admin-password')).strip()

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f'castpointd ended with {self.process.returncode}: {self.tail()}')
        try:
            return self.api('GET', '/readyz', who=None)[0] == 200
        except (OSError, Problem):
            return False

    def tail(self):
        return read_text(self.log)[-3000:]

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(30)
        return self.process.returncode

    def close(self):
        self.stop()
        self.admin_sql(f'DROP DATABASE {self.name} WITH (FORCE)')

    def api(self, method, path, body=None, who=('admin', ''), token=None, headers=None, raw=False):
        """-> status, headers, JSON (or bytes); Problem for 4xx and 5xx. who: (account, password) or None."""
        rq = urllib.request.Request(self.url + path, method=method)
        for k, v in (headers or {}).items():
            rq.add_header(k, v)
        if token:
            rq.add_header('Authorization', 'Bearer ' + token)
        elif who:
            pair = f'{who[0]}:{who[1] or self.password}'
            rq.add_header('Authorization', 'Basic ' + base64.b64encode(pair.encode()).decode())
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            rq.add_header('Content-Type', 'application/json')
        elif body is not None and not rq.has_header('Content-type'):
            rq.add_header('Content-Type', 'application/octet-stream')
        context = ssl.create_default_context(cafile=self.cert)
        try:
            with urllib.request.urlopen(rq, data=body, timeout=60, context=context) as rs:
                data = rs.read()
                return rs.status, rs.headers, data if raw else (json.loads(data) if data else None)
        except urllib.error.HTTPError as e:
            raise Problem(e.code, e.read(), e.headers) from None

    def get(self, path, **kw):
        return self.api('GET', path, **kw)[2]

    def settings(self, **change):
        path = '/api/v1/distribution-points/local/settings'
        etag = self.api('GET', path)[1]['ETag']
        return self.api('PATCH', path, change, headers={'If-Match': etag})[2]

    def publish(self, name, files, **fields):
        """A sealed version of a new package: files is {path: bytes}."""
        self.api('POST', '/api/v1/packages', {'name': name, **fields})
        version = self.new_version(name, files)
        self.seal(name, version)
        return version

    def seal(self, name, version):
        task = self.api('POST', f'/api/v1/packages/{name}/versions/{version}/seal')[2]['id']
        self.await_task(task)

    def await_task(self, task):
        wait_until(lambda: self.get(f'/api/v1/tasks/{task}')['ended_at'], 60, f'task {task} has ended')
        ended = self.get(f'/api/v1/tasks/{task}')
        if ended['state'] != 'done':
            raise AssertionError(ended)

    def new_version(self, name, files):
        version = self.api('POST', f'/api/v1/packages/{name}/versions', {})[2]['version']
        for path, data in files.items():
            self.api('PUT', f'/api/v1/packages/{name}/versions/{version}/files/{path}', data)
        return version

    def account(self, name, password, role='content'):
        self.api('POST', '/api/v1/accounts', {'name': name, 'password': password, 'role': role})


class Fetch:
    """One castget in a receiver's namespace."""

    def __init__(self, service, host, package, out, *options, trust=True):
        self.out, self.summary_file, self.log = out, out + '.json', out + '.log'
        os.makedirs(out, exist_ok=True)
        words = [os.environ['CASTGET'], service.url, package, '-o', out, '--interface', 'eth0', '--summary', self.summary_file,
                 '--client-id', host, '--client-name', host, *options]
        if trust:
            words += ['--cacert', service.cert]
        with open(self.log, 'wb') as log:
            self.process = service.lab.popen(host, words, stdout=log, stderr=log)

    def wait(self, seconds=90):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f'castget did not end within {seconds} s: {self.text()}') from None

    def text(self):
        return read_text(self.log)

    def summary(self):
        return json.loads(read_text(self.summary_file))

    def data(self, path):
        with open(os.path.join(self.out, path), 'rb') as f:
            return f.read()


def random_bytes(size, seed=1):
    return random.Random(seed).randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Case(unittest.TestCase):
    """A laboratory and a service for each test class."""
    receivers = 6
    options = ()  # of castpointd

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='castpoint-e2e-')
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.lab = Lab(cls.receivers)
        cls.addClassCleanup(cls.lab.close)
        cls.service = Service(cls.lab, cls.folder, cls.options)
        cls.addClassCleanup(cls.service.close)
        cls.service.settings(interface='eth0', gathering_delay_ms=500)

    def fetch(self, host, package, *options, name=None, trust=True):
        out = os.path.join(self.folder, f'{self._testMethodName}-{name or host}')
        fetch = Fetch(self.service, host, package, out, *options, trust=trust)
        self.addCleanup(lambda: fetch.process.poll() is None and fetch.process.kill())
        return fetch

    def secret_file(self, text):
        fd, path = tempfile.mkstemp(dir=self.folder)
        with os.fdopen(fd, 'w') as f:
            f.write(text + '\n')
        return path

    def assert_fetched(self, fetch, files):
        self.assertEqual(fetch.wait(), 0, fetch.text())
        for path, data in files.items():
            self.assertEqual(sha256(fetch.data(path)), sha256(data), path)

    def assert_nothing_visible(self, fetch):
        """No file of the version and no leftover of it is there."""
        found = [os.path.join(d, f) for d, _, names in os.walk(fetch.out) for f in names]
        self.assertEqual(found, [])
