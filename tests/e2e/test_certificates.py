"""Client certificates: real TLS, an authority by openssl, revocation while a connection stays open."""
import datetime
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import unittest


from loopback import Service, exchange, free_port

CONF = '''[ca]
default_ca = me
[me]
dir = {folder}
database = $dir/index
new_certs_dir = $dir
serial = $dir/serial
crlnumber = $dir/crlnumber
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[client]
extendedKeyUsage = clientAuth
[server]
extendedKeyUsage = serverAuth
'''


def openssl(*words):
    p = subprocess.run(['openssl', *words], capture_output=True, text=True)
    if p.returncode:
        raise AssertionError(f'openssl {words}: {p.stderr}')
    return p.stdout.strip()


class Authority:
    def __init__(self, name):
        self.folder = tempfile.mkdtemp(prefix='castpoint-ca-')
        for file, text in (('index', ''), ('serial', '01\n'), ('crlnumber', '01\n'), ('conf', CONF.format(folder=self.folder))):
            with open(self.path(file), 'w') as f:
                f.write(text)
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', self.path('ca.key'),
                '-out', self.path('ca.pem'), '-subj', f'/CN={name}', '-days', '30')
        self.make_crl()

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, name, extensions='client', start='20200101000000Z', end='20491231235959Z'):
        """-> path of a file with key and certificate"""
        key, request, cert = (self.path(f'{name}.{s}') for s in ('key', 'csr', 'pem'))
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', request, '-subj', f'/CN={name}')
        openssl('ca', '-batch', '-notext', '-config', self.path('conf'), '-extensions', extensions, '-startdate', start, '-enddate', end,
                '-in', request, '-out', cert)
        return cert, key

    def revoke(self, name):
        openssl('ca', '-config', self.path('conf'), '-revoke', self.path(f'{name}.pem'))
        self.make_crl()

    def make_crl(self, *options):
        """In one step, as an administrator puts it there."""
        openssl('ca', '-config', self.path('conf'), '-gencrl', *(options or ('-crldays', '10')), '-out', self.path('crl.new'))
        os.rename(self.path('crl.new'), self.path('crl.pem'))


def fingerprint(pair):
    return openssl('x509', '-in', pair[0], '-noout', '-fingerprint', '-sha256').split('=')[1]


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca, cls.other = Authority('castpoint clients'), Authority('somebody else')
        for a in (cls.ca, cls.other):
            cls.addClassCleanup(shutil.rmtree, a.folder, ignore_errors=True)
        cls.service = Service(os.environ['CASTPOINT_TEST_SERVICE_DB'], os.environ['CASTPOINT_TEST_DB'], extra=['--client-ca', cls.ca.path('ca.pem'), '--client-crl', cls.ca.path('crl.pem')])
        cls.addClassCleanup(cls.service.close)
        cls.password = cls.service.password()
        for name, role in (('lab', 'viewer'), ('desk', 'operator')):
            cls.must('POST', '/api/v1/accounts', {'name': name, 'role': role}, 201)

    @classmethod
    def must(cls, method, path, body, status, headers=None):
        got, _, answer = cls.service.send(method, path, body, cls.password, headers)
        assert got == status, answer
        return answer

    def connect(self, pair, tls=None):
        connection = self.service.connect()
        if pair:
            connection._context.load_cert_chain(*pair)
        if tls:
            connection._context.maximum_version = tls
        return connection

    def ask(self, pair, path='/api/v1/packages', tls=None, **kw):
        return exchange(self.connect(pair, tls), 'GET', path, **kw)

    def refused(self, pair, status, code, words):
        got, _, body = self.ask(pair)
        self.assertEqual((got, body['code']), (status, code), body)
        self.assertRegex(body['detail'], words)

    def test_without(self):
        self.refused(None, 401, 'authentication-required', 'client certificate')
        self.assertEqual(self.ask(None, path='/healthz')[0], 200)
        self.assertEqual(self.ask(None, password=self.password)[0], 200)

    def test_by_digest(self):
        pair = self.ca.issue('by-digest')
        sha256 = fingerprint(pair)
        self.refused(pair, 403, 'access-denied', sha256.replace(':', '').lower())
        row = self.must('POST', '/api/v1/accounts/lab/certificates', {'sha256': sha256}, 201)
        for tls in (None, ssl.TLSVersion.TLSv1_2):
            self.assertEqual(self.ask(pair, tls=tls)[0], 200)
        status, _, body = self.ask(pair, path='/api/v1/accounts')
        self.assertEqual((status, body['code']), (403, 'access-denied'))
        path = f"/api/v1/certificates/{row['id']}"
        etag = self.service.send('GET', path, password=self.password)[1]['ETag']
        self.assertEqual(self.must('DELETE', path, None, 204, {'If-Match': etag}), None)
        self.refused(pair, 403, 'access-denied', 'no account')

    def test_by_names(self):
        pair, renewed = self.ca.issue('by-name'), None
        names = openssl('x509', '-in', pair[0], '-noout', '-subject', '-issuer', '-nameopt', 'RFC2253')
        subject, issuer = re.findall(r'=(.+)', names)
        self.must('POST', '/api/v1/accounts/desk/certificates', {'subject': subject, 'issuer': issuer}, 201)
        self.assertEqual(self.ask(pair)[0], 200)
        renewed = self.ca.issue('by-name')  # another key, the same name
        self.assertEqual(self.ask(renewed)[0], 200)

    def test_beside_a_token(self):
        pair = self.ca.issue('both')
        self.must('POST', '/api/v1/accounts/lab/certificates', {'sha256': fingerprint(pair)}, 201)
        tokens = {name: self.must('POST', f'/api/v1/accounts/{name}/tokens', {'role': 'viewer'}, 201)['secret'] for name in ('lab', 'desk')}
        for name, status in (('lab', 200), ('desk', 403)):
            self.assertEqual(self.ask(pair, headers={'Authorization': 'Bearer ' + tokens[name]})[0], status)

    def test_bad_ones(self):
        for pair, words in ((self.ca.issue('old', end='20210101000000Z'), 'expired'), (self.ca.issue('early', start='20480101000000Z'), 'not valid yet'),
                            (self.other.issue('foreign'), 'authority'), (self.ca.issue('server', 'server'), 'authority')):
            with self.subTest(pair=pair):
                self.must('POST', '/api/v1/accounts/lab/certificates', {'sha256': fingerprint(pair)}, 201)
                self.refused(pair, 401, 'authentication-failed', words)

    def test_revoked(self):
        pair = self.ca.issue('revoked')
        self.must('POST', '/api/v1/accounts/lab/certificates', {'sha256': fingerprint(pair)}, 201)
        open_connection = self.connect(pair)

        def status_now():
            open_connection.request('GET', '/api/v1/packages')
            rs = open_connection.getresponse()
            return rs.status, json.loads(rs.read())

        self.assertEqual(status_now()[0], 200)
        self.ca.revoke('revoked')
        status, body = status_now()  # on the same connection
        self.assertEqual((status, body['code']), (401, 'authentication-failed'))
        self.assertIn('revoked', body['detail'])
        open_connection.close()
        self.refused(pair, 401, 'authentication-failed', 'revoked')

    def stream(self, pair):
        """An open stream of events."""
        connection = self.connect(pair)
        connection.request('GET', '/api/v1/events/stream')
        rs = connection.getresponse()
        self.assertEqual(rs.status, 200)
        self.addCleanup(connection.close)
        self.assertEqual(rs.readline(), b'retry: 2000\n')
        return rs

    def ends(self, stream, seconds):
        """Events may come before the end."""
        self.hears(stream, b'', seconds)

    def hears(self, stream, line, seconds):
        deadline = time.monotonic() + seconds
        while (heard := stream.readline()) != line:
            self.assertTrue(heard, 'it ended')
            self.assertLess(time.monotonic(), deadline)

    def test_streams_end_with_the_certificate(self):
        soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=8)).strftime('%Y%m%d%H%M%SZ')
        pairs = self.ca.issue('taken'), self.ca.issue('brief', end=soon), self.ca.issue('kept')
        for pair in pairs:
            self.must('POST', '/api/v1/accounts/lab/certificates', {'sha256': fingerprint(pair)}, 201)
        taken, brief, kept = map(self.stream, pairs)
        self.ca.revoke('taken')
        self.ends(taken, 20)
        self.ends(brief, 30)
        self.must('POST', '/api/v1/packages', {'name': 'news'}, 201)
        self.hears(kept, b'event: package-created\n', 5)

    def test_revocation_list(self):
        pair = self.ca.issue('listed')
        self.must('POST', '/api/v1/accounts/lab/certificates', {'sha256': fingerprint(pair)}, 201)
        self.ca.make_crl('-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200201000000Z')
        self.refused(pair, 401, 'authentication-failed', 'out of date')
        with open(self.ca.path('crl.pem'), 'w') as f:
            f.write('nonsense')
        self.refused(pair, 401, 'authentication-failed', 'out of date')  # the former one stays
        self.ca.make_crl()
        self.assertEqual(self.ask(pair)[0], 200)

    def test_configuration(self):
        namesake = Authority('castpoint clients')  # of the same name, with another key
        self.addCleanup(shutil.rmtree, namesake.folder)
        base = [os.environ['CASTPOINTD'], '--listen', f'127.0.0.1:{free_port()}', '--state-dir', self.ca.path('state'), '--database', 'dbname=x']
        for words, named in ((['--client-crl', self.ca.path('crl.pem')], '--client-ca'), (['--client-ca', '/nonexistent'], '/nonexistent'),
                             (['--client-ca', self.ca.path('conf')], 'client-ca'),
                             (['--client-ca', self.ca.path('ca.pem'), '--client-crl', self.other.path('crl.pem')], 'client-crl'),
                             (['--client-ca', self.ca.path('ca.pem'), '--client-crl', namesake.path('crl.pem')], 'client-crl')):
            with self.subTest(words=words):
                p = subprocess.run(base + words, capture_output=True, text=True, timeout=60)
                self.assertNotEqual(p.returncode, 0)
                self.assertIn(named, p.stderr)


if __name__ == '__main__':
    unittest.main()
