"""Content over HTTPS and plain HTTP, by curl: ranges, the ceiling and its change, a stop with downloads that wait."""
import os
import subprocess
import time
import unittest

from castlab import SERVER, Case, random_bytes, read_text, sha256, wait_until

SIZE = 8_000_000
PLAIN = f'http://{SERVER}:8080'


class Downloads(Case):
    receivers = 1
    options = ('--listen-http', '0.0.0.0:8080')

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.content = random_bytes(SIZE)
        cls.service.publish('image', {'a.img': cls.content}, content_access='anonymous')
        cls.service.publish('secret', {'a.img': b'secret'}, content_access='authenticated')
        cls.path = f'/api/v1/content/{sha256(cls.content)}'

    def tearDown(self):
        self.ceiling(None)

    def setUp(self):
        self.out = os.path.join(self.folder, self._testMethodName)

    def ceiling(self, bps):
        """Sets it, and waits until the service has heard of it."""
        size = os.path.getsize(self.service.log)
        if self.service.get('/api/v1/distribution-points/local/settings')['configured']['https_rate_ceiling_bps'] != bps:
            self.service.settings(https_rate_ceiling_bps=bps)
            wait_until(lambda: 'https-rate-ceiling' in read_text(self.service.log)[size:], 20, f'the ceiling is {bps}')

    def curl(self, path, *options, base=None, out=None):
        process = self.lab.popen('r1', ['curl', '-sS', '--cacert', self.service.cert, '-o', out or self.out, '-w', '%{http_code}', *options,
                                        (base or self.service.url) + path], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def got(self, *args, **kw):
        """-> status, body"""
        status = self.curl(*args, **kw).communicate(timeout=60)[0]
        with open(self.out, 'rb') as f:
            return int(status), f.read()

    def test_ranges(self):
        self.assertEqual(self.got(self.path), (200, self.content))
        self.assertEqual(self.got(self.path, '-r', '1000000-2000000'), (206, self.content[1000000:2000001]))
        status, body = self.got(self.path, '-r', '0-99,5000000-5000099')
        self.assertEqual(status, 206)
        self.assertIn(b'bytes 5000000-5000099/8000000\r\n\r\n' + self.content[5000000:5000100] + b'\r\n--', body)

    def test_resumes(self):
        with open(self.out, 'wb') as f:
            f.write(self.content[:3_333_333])
        self.assertEqual(self.got(self.path, '-C', '-'), (206, self.content))

    def test_plain_http(self):
        self.assertEqual(self.got(self.path, base=PLAIN), (200, self.content))
        for path, options in ((self.path, ('-u', 'admin:' + self.service.password)), ('/api/v1/packages', ()),
                              ('/api/v1/packages/secret/versions/1/files/a.img', ())):
            status, body = self.got(path, *options, base=PLAIN)
            self.assertEqual(status, 403)
            self.assertIn(b'"code":"tls-required"', body)

    def test_ceiling(self):
        """Two clients together are never faster: a bound from below, whatever this machine does besides."""
        self.ceiling(40_000_000)
        began = time.monotonic()
        clients = [self.curl(self.path, out='/dev/null') for _ in range(2)]
        for c in clients:
            self.assertEqual(c.communicate(timeout=60)[0], '200')
        self.assertGreater(time.monotonic() - began, 2 * SIZE * 8 / 40_000_000 * 0.95)

    def test_ceiling_changes_while_a_download_runs(self):
        self.ceiling(64_000)  # 1000 s
        client = self.curl(self.path)
        wait_until(lambda: os.path.exists(self.out) and os.path.getsize(self.out) > 0, 20, 'the download began')
        self.assertLess(os.path.getsize(self.out), SIZE)
        self.service.settings(https_rate_ceiling_bps=None)
        self.assertEqual(client.communicate(timeout=30)[0], '200')
        with open(self.out, 'rb') as f:
            self.assertEqual(f.read(), self.content)

    def test_stop_with_downloads_that_wait(self):
        self.ceiling(64_000)
        outs = [f'{self.out}-{i}' for i in range(10)]
        clients = [self.curl(self.path, out=out) for out in outs]
        wait_until(lambda: all(map(os.path.exists, outs)), 30, 'all downloads began')
        clients[0].kill()
        self.assertEqual(self.service.stop(), 0)
        for c in clients:
            self.assertNotEqual(c.wait(20), 0)
        self.assertNotIn('Fatal error', read_text(self.service.log))
        self.service.start()


if __name__ == '__main__':
    unittest.main()
