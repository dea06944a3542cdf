"""Kerberos tickets (SPNEGO) for content accounts and operators: a KDC of our own, Debian's curl, castget.

Needs krb5-kdc, krb5-admin-server and krb5-user. CASTPOINT_TEST_KDC_EXTRA: more sections of kdc.conf, for a KDC
that lies elsewhere than in the system."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from castlab import random_bytes, wait_until
from loopback import Service, free_port

REALM = 'CASTPOINT.TEST'


class Realm:
    """MIT Kerberos on a free port, with files of its own."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.write('krb5.conf', f'''[libdefaults]
default_realm = {REALM}
dns_lookup_realm = false
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
{REALM} = {{
  kdc = 127.0.0.1:{self.port}
}}
[domain_realm]
localhost = {REALM}
''')
        self.write('kdc.conf', f'''[kdcdefaults]
kdc_ports = {self.port}
kdc_tcp_ports = {self.port}
[realms]
{REALM} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
}}
{os.environ.get('CASTPOINT_TEST_KDC_EXTRA', '')}
''')
        os.environ.update(KRB5_CONFIG=f'{folder}/krb5.conf', KRB5_KDC_PROFILE=f'{folder}/kdc.conf',
                          KRB5CCNAME=f'FILE:{folder}/nobody', KRB5RCACHEDIR=folder)
        self.run('kdb5_util', 'create', '-s', '-P', 'a master key', '-r', REALM)
        self.keytab = f'{folder}/http.keytab'
        self.admin('addprinc -randkey HTTP/localhost')
        self.admin(f'ktadd -k {self.keytab} HTTP/localhost')
        self.kdc = subprocess.Popen([program('krb5kdc'), '-n', '-P', f'{folder}/pid', '-r', REALM],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), 'w') as f:
            f.write(text)

    def run(self, name, *words, text=''):
        p = subprocess.run([program(name), *words], input=text, capture_output=True, text=True)
        if p.returncode:
            raise AssertionError(f'{name} {words}: {p.stderr}')
        return p.stdout

    def admin(self, query):
        self.run('kadmin.local', '-r', REALM, '-q', query)

    def ticket(self, name):
        """The cache with a ticket of a new principal."""
        self.admin(f'addprinc -pw secret {name}')
        cache = f'FILE:{self.folder}/cc-{name}'
        wait_until(lambda: subprocess.run([program('kinit'), '-c', cache, name], input='secret\n', capture_output=True,
                                          text=True).returncode == 0, 20, f'kinit of {name}')
        return cache

    def close(self):
        self.kdc.terminate()
        self.kdc.wait(20)


def program(name):
    return shutil.which(name) or f'/usr/sbin/{name}'


class Kerberos(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='castpoint-krb-')
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.realm = Realm(cls.folder)
        cls.addClassCleanup(cls.realm.close)
        cls.service = Service(os.environ['CASTPOINT_TEST_SERVICE_DB'], os.environ['CASTPOINT_TEST_DB'], extra=['--keytab', cls.realm.keytab])
        cls.addClassCleanup(cls.service.close)
        cls.password = cls.service.password()
        cls.alice, cls.bob, cls.carol = (cls.realm.ticket(n) for n in ('alice', 'bob', 'carol'))
        cls.account('imaging', 'content', f'alice@{REALM}')
        cls.account('night-shift', 'operator', f'bob@{REALM}')

    @classmethod
    def account(cls, name, role, principal):
        status, _, body = cls.service.send('POST', '/api/v1/accounts', {'name': name, 'role': role, 'principal': principal}, cls.password)
        assert status == 201, body

    def change(self, path, body):
        etag = self.service.send('GET', path, password=self.password)[1]['ETag']
        status, _, answer = self.service.send('PATCH', path, body, self.password, {'If-Match': etag})
        self.assertEqual(status, 200, answer)

    def curl(self, cache, path, *options):
        """-> status, headers as text, JSON"""
        p = subprocess.run(['curl', '-s', '-i', '--cacert', self.service.cert, '--negotiate', '-u', ':', '-w', '\n%{http_code}', *options,
                            f'https://localhost:{self.service.port}{path}'],
                           env={**os.environ, 'KRB5CCNAME': cache or f'FILE:{self.folder}/nobody'}, capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        text, status = p.stdout.rsplit('\n', 1)
        head, _, body = text.replace('\r\n', '\n').rpartition('\n\n')
        return int(status), head, json.loads(body) if body.startswith('{') else None

    def test_a_ticket_is_an_account(self):
        self.assertEqual(self.curl(self.bob, '/api/v1/packages')[0], 200)
        status, _, body = self.curl(self.bob, '/api/v1/accounts')
        self.assertEqual((status, body['code']), (403, 'access-denied'))
        self.assertEqual(self.curl(self.alice, '/api/v1/packages')[2]['code'], 'access-denied')  # a content account
        for _ in range(3):
            self.assertEqual(self.curl(self.bob, '/api/v1/packages')[0], 200)

    def test_the_answer_proves_the_service(self):
        """Mutual authentication (RFC 4559)."""
        head = self.curl(self.bob, '/api/v1/packages')[1]
        self.assertRegex(head + '\n', r'\nWWW-Authenticate: Negotiate [A-Za-z0-9+/]{40,}=*\n')

    def test_a_ticket_that_is_sent_again(self):
        """What was overheard, or lies in a log, is of no use; nor is it after a restart."""
        p = subprocess.run(['curl', '-sv', '-o', '/dev/null', '--cacert', self.service.cert, '--negotiate', '-u', ':',
                            f'https://localhost:{self.service.port}/api/v1/packages'],
                           env={**os.environ, 'KRB5CCNAME': self.bob}, capture_output=True, text=True, timeout=60)
        said = re.search(r'^> Authorization: (Negotiate \S+)', p.stderr, re.M)
        self.assertTrue(said, p.stderr)
        for restart in (False, True):
            if restart:
                self.service.process.terminate()
                self.service.process.wait(60)
                self.service.start()
                self.service.password()
            status, _, body = self.service.send('GET', '/api/v1/packages', headers={'Authorization': said[1]})
            self.assertEqual((status, body['code']), (401, 'authentication-failed'))
        self.assertEqual(self.curl(self.bob, '/api/v1/packages')[0], 200)

    def test_whose_is_it(self):
        status, _, body = self.curl(self.carol, '/api/v1/packages')
        self.assertEqual((status, body['code']), (403, 'access-denied'))
        self.assertIn(f'carol@{REALM}', body['detail'])
        self.change('/api/v1/accounts/night-shift', {'enabled': False})
        self.assertEqual(self.curl(self.bob, '/api/v1/packages')[2]['code'], 'authentication-failed')
        self.change('/api/v1/accounts/night-shift', {'enabled': True})
        self.assertEqual(self.curl(self.bob, '/api/v1/packages')[0], 200)

    def test_it_is_offered(self):
        status, head, body = self.curl(None, '/api/v1/packages')
        self.assertEqual(status, 401)
        self.assertIn('\nWWW-Authenticate: Negotiate\n', head + '\n')
        self.assertIn('Kerberos', body['detail'])

    def test_what_is_no_ticket(self):
        for text in ('', 'YQ==', '!!!', 'TlRMTVNTUAABAAAA', 'A' * 12000, 'YIIB' * 40):
            status, _, body = self.service.send('GET', '/api/v1/packages', headers={'Authorization': f'Negotiate {text}'})
            self.assertEqual((status, body['code']), (401, 'authentication-failed'), text[:20])
            self.assertNotRegex(body['detail'], 'HTTP/|key table|token header', "GSSAPI's words are for the log")
        self.assertEqual(self.curl(self.bob, '/api/v1/packages')[0], 200)

    def test_a_keytab_that_is_none(self):
        p = subprocess.run([os.environ['CASTPOINTD'], '--listen', '127.0.0.1:0', '--public-url', 'https://localhost', '--state-dir',
                            os.path.join(self.folder, 'other'), '--database', 'dbname=x', '--keytab', '/nonexistent/keytab'],
                           capture_output=True, text=True, timeout=60)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn('/nonexistent/keytab', p.stderr)

    def test_a_post(self):
        body = json.dumps({'package': 'no-such', 'client_id': 'x', 'multicast': False})
        status, _, answer = self.curl(self.alice, '/api/v1/joins', '-H', 'Content-Type: application/json', '-d', body)
        self.assertEqual((status, answer['code']), (404, 'package-not-found'))

    def test_castget(self):
        data = random_bytes(3 << 20)
        for method, path, sent in (('POST', '/api/v1/packages', {'name': 'krb'}), ('POST', '/api/v1/packages/krb/versions', {}),
                                   ('PUT', '/api/v1/packages/krb/versions/1/files/a.bin', data),
                                   ('POST', '/api/v1/packages/krb/versions/1/seal', None)):
            status, _, answer = self.service.send(method, path, sent, self.password)
            self.assertIn(status, (201, 202), answer)
        wait_until(lambda: self.service.send('GET', '/api/v1/packages/krb/versions/1', password=self.password)[2]['state'] == 'sealed',
                   30, 'the version is sealed')
        for cache, want in ((None, 3), (self.carol, 3), (self.alice, 0)):
            out = tempfile.mkdtemp(dir=self.folder)
            p = subprocess.run([os.environ['CASTGET'], f'https://localhost:{self.service.port}', 'krb', '-o', out, '--cacert',
                                self.service.cert, '--negotiate', '--no-multicast'], capture_output=True, text=True, timeout=90,
                               env={**os.environ, 'KRB5CCNAME': cache or f'FILE:{self.folder}/nobody'})
            self.assertEqual(p.returncode, want, p.stderr)
            if want == 0:
                with open(os.path.join(out, 'a.bin'), 'rb') as f:
                    self.assertEqual(f.read(), data)


if __name__ == '__main__':
    unittest.main()
