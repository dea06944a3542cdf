"""What holds for the whole API, over HTTP and with many clients at once: Idempotency-Key, Link, limits, CORS."""
import base64
import concurrent.futures
import os
import re
import socket
import ssl
import unittest

import loopback
from castlab import wait_until

KEY = {'Idempotency-Key': 'e2e'}


class Conventions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = loopback.Service(os.environ['CASTPOINT_TEST_SERVICE_DB'], os.environ['CASTPOINT_TEST_DB'])
        cls.addClassCleanup(cls.service.close)
        cls.password = cls.service.password()

    def send(self, method, path, body=None, headers=None):
        return self.service.send(method, path, body, self.password, headers)

    def set(self, **values):
        path = '/api/v1/distribution-points/local/settings'
        etag = self.send('GET', path)[1]['ETag']
        status, _, answer = self.send('PATCH', path, values, {'If-Match': etag})
        self.assertEqual(status, 200, answer)

    def versions(self, package):
        return len(self.send('GET', f'/api/v1/packages/{package}/versions')[2]['items'])

    def package(self, name):
        self.assertEqual(self.send('POST', '/api/v1/packages', {'name': name})[0], 201)

    def test_many_equal_requests_at_once_make_one_thing(self):
        self.package('once')
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.send('POST', '/api/v1/packages/once/versions', None, KEY), range(64)))
        made = [a for a in answers if a[0] == 201]
        busy = [a for a in answers if a[0] == 409]
        self.assertEqual(len(made) + len(busy), 64, answers)
        self.assertEqual(len([a for a in made if 'Idempotency-Replayed' not in a[1]]), 1)
        self.assertEqual({a[2]['id'] for a in made}, {made[0][2]['id']})
        self.assertTrue(all(a[2]['code'] == 'idempotency-key-busy' and a[1]['Retry-After'] for a in busy))
        self.assertEqual(self.versions('once'), 1)

    def test_a_killed_service_makes_nothing_twice(self):
        self.package('killed')
        for i in range(8):
            headers = {'Idempotency-Key': f'kill-{i}'}
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                request = pool.submit(self.send, 'POST', '/api/v1/packages/killed/versions', None, headers)
                try:
                    request.result(timeout=0.004 * i)
                except concurrent.futures.TimeoutError:
                    pass
                self.service.process.kill()
                self.service.process.wait(30)
                request.exception(timeout=30)
            self.service.start()
            self.service.password()
            self.assertEqual(self.send('POST', '/api/v1/packages/killed/versions', None, headers)[0], 201)
            self.assertEqual(self.versions('killed'), i + 1)

    def test_pages_link_to_each_other(self):
        for name in 'abc':
            self.package(f'link-{name}')
        path, seen = '/api/v1/packages?limit=1&sort=-name&name_prefix=link%2D', []
        while path:
            status, headers, answer = self.send('GET', path)
            self.assertEqual(status, 200)
            seen += [p['name'] for p in answer['items']]
            link = headers.get('Link')
            self.assertEqual(link is None, answer['next'] is None)
            path = link and link.removeprefix('<').removesuffix('>; rel="next"')
        self.assertEqual(seen, ['link-c', 'link-b', 'link-a'])

    def test_pages_of_other_sites_may_ask_when_they_are_named(self):
        origin = 'https://console.example'
        ask = {'Origin': origin, 'Access-Control-Request-Method': 'PATCH'}
        status, headers, _ = self.service.send('OPTIONS', '/api/v1/packages', headers=ask)
        self.assertEqual((status, headers.get('Access-Control-Allow-Origin')), (405, None))
        self.set(cors_origins=[origin])
        status, headers, _ = self.service.send('OPTIONS', '/api/v1/packages', headers=ask)
        self.assertEqual((status, headers['Access-Control-Allow-Origin'], headers['Vary']), (204, origin, 'Origin'))
        self.assertIn('PATCH', headers['Access-Control-Allow-Methods'])
        status, headers, _ = self.send('GET', '/api/v1/packages', headers={'Origin': origin})
        self.assertEqual((status, headers['Access-Control-Allow-Origin']), (200, origin))
        status, headers, _ = self.service.send('GET', '/api/v1/packages', headers={'Origin': 'https://evil.example'})
        self.assertEqual((status, headers.get('Access-Control-Allow-Origin')), (401, None))

    def seal(self, package):
        self.package(package)
        self.assertEqual(self.send('POST', f'/api/v1/packages/{package}/versions', {})[0], 201)
        self.assertEqual(self.send('PUT', f'/api/v1/packages/{package}/versions/1/files/a.bin', b'0123456789' * 100)[0], 201)
        self.assertEqual(self.send('POST', f'/api/v1/packages/{package}/versions/1/seal')[0], 202)
        wait_until(lambda: self.send('GET', f'/api/v1/packages/{package}/versions/1')[2]['state'] == 'sealed', 20, 'it is sealed')

    def raw(self, connection, path, *headers):
        """One GET, byte by byte, on a connection that stays open. -> status line and headers, body"""
        basic = base64.b64encode(f'admin:{self.password}'.encode()).decode()
        connection.sendall('\r\n'.join([f'GET {path} HTTP/1.1', 'Host: localhost', f'Authorization: Basic {basic}', *headers, '', '']).encode())
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            byte = connection.recv(1)
            self.assertTrue(byte, head)
            head += byte
        head = head.decode()
        size = int(dict(line.split(': ', 1) for line in head.split('\r\n')[1:] if line).get('Content-Length', 0))
        body = b''
        while not head.startswith('HTTP/1.1 304') and len(body) < size:
            body += connection.recv(size - len(body))
        return head, body

    def test_304_says_the_length_of_the_200_and_sends_nothing(self):
        """RFC 9110 8.6: Content-Length of a 304 is that of the 200, or is not there."""
        self.seal('unchanged')
        content = self.send('GET', '/api/v1/packages/unchanged/versions/1/files')[2]['items'][0]['sha256']
        context = ssl.create_default_context(cafile=self.service.cert)
        context.check_hostname = False
        with context.wrap_socket(socket.create_connection(('127.0.0.1', self.service.port), 30)) as connection:
            for path in ('/api/v1/packages/unchanged', '/api/v1/packages/unchanged/versions/1', '/api/v1/packages/unchanged/versions/1/manifest',
                         '/api/v1/packages/unchanged/versions/1/files/a.bin', f'/api/v1/content/{content}', '/api/v1/configuration', '/api/docs'):
                head, body = self.raw(connection, path)
                self.assertRegex(head, '^HTTP/1.1 200 ', path)
                self.assertGreater(len(body), 0, path)
                etag = re.search('ETag: (.*)\r', head)[1]
                head, _ = self.raw(connection, path, f'If-None-Match: {etag}')
                self.assertRegex(head, '^HTTP/1.1 304 ', path)
                lengths = re.findall('(?i)content-length: *([0-9]+)', head)
                self.assertIn(lengths, ([], [str(len(body))]), path)
                self.assertNotIn('transfer-encoding', head.lower(), path)
            # Had a body followed, this would begin with it.
            self.assertRegex(self.raw(connection, '/healthz')[0], '^HTTP/1.1 200 ')

    def test_too_many_requests_are_told_when_to_come_again(self):
        self.set(requests_per_minute=60)
        answers = [self.service.send('GET', '/api/v1') for _ in range(60)]
        refused = [a for a in answers if a[0] == 429]
        self.assertTrue(refused)
        self.assertTrue(all(a[2]['code'] == 'too-many-requests' and 1 <= int(a[1]['Retry-After']) <= 2 for a in refused))
        wait_until(lambda: self.send('GET', '/api/v1')[0] == 200, 10, 'requests are taken again')


if __name__ == '__main__':
    unittest.main()
