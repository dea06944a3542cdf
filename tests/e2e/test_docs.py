"""What README.md and docs/ tell people to type, typed. No namespaces needed."""
import http.client
import json
import os
import re
import subprocess
import sys
import unittest

import loopback
from castlab import ROOT, read_text, wait_until


def blocks(path, language='sh', after=None):
    """Code blocks of a page, in order; after: of the section with that heading only."""
    text = read_text(os.path.join(ROOT, path))
    if after:
        text = text.split(f'\n{after}\n')[1].split('\n## ')[0]
    return re.findall(rf'^```{language}\n(.*?)^```$', text, re.M | re.S)


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = loopback.Service(os.environ['CASTPOINT_TEST_DB'], extra=['--name', 'docs'])
        password = cls.service.password()
        cls.folder = os.path.join(cls.service.folder, 'quickstart')
        for name in ('run', 'secrets'):
            os.makedirs(os.path.join(cls.folder, name))
        os.symlink(cls.service.state, os.path.join(cls.folder, 'service'))
        os.symlink(os.environ['CASTGET'], os.path.join(cls.folder, 'run', 'castget'))
        for name, text in (('run/address', f'https://localhost:{cls.service.port}\n'), ('secrets/admin-password', password + '\n'),
                           ('secrets/curl', f'user = "admin:{password}"\n')):
            with open(os.path.join(cls.folder, name), 'w') as f:
                f.write(text)
        cls.service_settings(password, content_access='anonymous', multicast_enabled=False)

    @classmethod
    def service_settings(cls, password, **change):
        path = '/api/v1/distribution-points/local/settings'
        etag = cls.service.send('GET', path, password=password)[1]['ETag']
        status, _, answer = cls.service.send('PATCH', path, change, password, {'If-Match': etag})
        assert status == 200, answer

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def type(self, text, status=0):
        """In the shell that the README's tour begins with; stops at the first command that fails."""
        first = blocks('README.md', after='## Ten minutes with it')[0]
        text = f'shopt -s expand_aliases\nset -e -o pipefail\n{first}{text}'
        for old, new in (('/var/tmp/castpoint-quickstart', self.folder), ('/tmp/tools/', f'{self.folder}/tools/'), ('/tmp/seal', f'{self.folder}/seal'),
                         ('ip netns exec cpq-r1 ', ''), (' --interface eth0', '')):
            text = text.replace(old, new)
        p = subprocess.run(['bash', '-c', text], cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(p.returncode, status, f'{text}\n{p.stdout}{p.stderr}')
        return p.stdout

    def test_the_tour(self):
        _, publish, fetch, close = blocks('README.md', after='## Ten minutes with it')
        self.assertRegex(self.type(publish), r'"state": "done",\s*"error": null')
        self.type(fetch)
        fetched = os.path.join(self.folder, 'tools', 'bin', 'curl')
        self.assertEqual(subprocess.run(['cmp', fetched, '/usr/bin/curl']).returncode, 0)
        self.assertTrue(os.access(fetched, os.X_OK))
        self.type(close, 3)
        self.type(fetch.replace('--cacert', '--account admin --password-file $state/secrets/admin-password --cacert'))

    def test_the_tour_ends_when_there_is_nothing_to_seal(self):
        publish = blocks('README.md', after='## Ten minutes with it')[1]
        empty = ''.join(line for line in publish.replace('tools', 'nothing').splitlines(True) if '-T /usr/bin/curl' not in line)
        self.assertIn('"content-empty"', self.type('set +e +o pipefail\n' + empty))

    def test_a_token_for_boot_media(self):
        make, end = next(b for b in blocks('docs/access.md') if 'boot-media' in b).split('here=')
        self.type(make)
        secret = read_text(os.path.join(self.folder, 'token')).strip()
        ask = {'Authorization': f'Bearer {secret}'}
        self.assertEqual(self.service.send('GET', '/api/v1/packages', headers=ask)[0], 403, 'it may fetch, not look')
        page = self.type('cp-curl $dp/api/v1/accounts/fetch-2027/tokens')
        self.type(f"token='{json.dumps(json.loads(page)['items'][0])}'\nhere={end}")
        self.assertEqual(self.service.send('GET', '/api/v1/packages', headers=ask)[0], 401)

    def test_a_webhook(self):
        make, send, again = blocks('docs/webhooks.md')
        port = loopback.free_port()
        self.type(make.replace('8099', str(port)))
        with open(os.path.join(self.folder, 'receiver.py'), 'w') as f:
            f.write(blocks('docs/webhooks.md', 'python')[0].replace('8099', str(port)))
        log = os.path.join(self.folder, 'receiver.log')
        with open(log, 'wb') as out:
            receiver = subprocess.Popen([sys.executable, 'receiver.py'], cwd=self.folder, stdout=out, stderr=out)
        self.addCleanup(receiver.wait)
        self.addCleanup(receiver.kill)
        wait_until(lambda: self.forged(port) == 403, 20, 'a wrong signature is refused')
        test, attempts = send.splitlines()
        self.type(test)
        wait_until(lambda: '"webhook-test"' in read_text(log), 20, 'what castpointd sends is taken')
        wait_until(lambda: '"status": 204' in self.type(attempts), 20, 'the attempt is in the list')
        self.type(again)

    def forged(self, port):
        connection = http.client.HTTPConnection('localhost', port, timeout=20)
        try:
            connection.request('POST', '/castpoint', b'{}', {'X-Castpoint-Timestamp': '1', 'X-Castpoint-Signature': 'sha256=' + '0' * 64})
            return connection.getresponse().status
        except ConnectionError:
            return None
        finally:
            connection.close()


if __name__ == '__main__':
    unittest.main()
