"""What holds for the whole API, over HTTP and with many clients at once: Idempotency-Key, Link, limits, CORS."""
import concurrent.futures
import os
import unittest

import loopback

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

    def test_too_many_requests_are_told_when_to_come_again(self):
        self.set(requests_per_minute=60)
        answers = [self.service.send('GET', '/api/v1') for _ in range(60)]
        refused = [a for a in answers if a[0] == 429]
        self.assertTrue(refused)
        self.assertTrue(all(a[2]['code'] == 'too-many-requests' and 1 <= int(a[1]['Retry-After']) <= 2 for a in refused))
        loopback.wait_until(lambda: self.send('GET', '/api/v1')[0] == 200, 10, 'requests are taken again')


if __name__ == '__main__':
    unittest.main()
