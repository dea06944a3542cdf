"""Killing and interrupting: nothing half-visible, nothing left behind, and the next try works."""
import os
import signal
import subprocess
import threading
import unittest

from castlab import CHUNK, SERVER, Case, random_bytes, wait_until


def processes(name):
    """Processes of that name in the laboratory's namespaces."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                words = f.read().split(b'\0')
        except OSError:
            continue
        if os.path.basename(words[0]).decode(errors='replace') == name and any(SERVER.encode() in w for w in words):
            found.append(int(pid))
    return found


class Crash(Case):
    receivers = 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {'image.bin': random_bytes(40 * CHUNK, 11)}
        cls.service.settings(content_access='anonymous')
        cls.service.publish('image', cls.files)
        cls.lab.call('rate', '100mbit')  # a transfer that takes about four seconds

    def in_the_middle(self, fetch):
        """Waits until the service knows that the newest session has moved on."""
        def there():
            self.assertIsNone(fetch.process.poll(), fetch.text())
            items = self.service.get('/api/v1/sessions?limit=1')['items']
            if not items or items[0]['state'] not in ('running', 'draining'):
                return False
            receivers = self.service.get(f"/api/v1/sessions/{items[0]['id']}/receivers")['items']
            return any(r['bytes_done'] > 0 and r['state'] != 'done' for r in receivers)
        wait_until(there, 30, 'a transfer is under way')

    def assert_nothing_half_visible(self, fetch):
        self.assertFalse(os.path.exists(os.path.join(fetch.out, 'image.bin')))

    def test_castget_killed(self):
        f = self.fetch('r1', 'image', name='killed')
        self.in_the_middle(f)
        f.process.kill()
        f.process.wait()
        self.assert_nothing_half_visible(f)
        again = self.fetch('r1', 'image', name='killed')
        self.assert_fetched(again, self.files)
        self.assertEqual(os.listdir(again.out), ['image.bin'])

    def test_castget_interrupted(self):
        f = self.fetch('r1', 'image')
        self.in_the_middle(f)
        f.process.send_signal(signal.SIGINT)
        self.assertEqual(f.wait(10), 12, f.text())
        self.assert_nothing_visible(f)
        self.assertEqual(processes('castget'), [])
        wait_until(lambda: self.service.get('/api/v1/sessions?limit=1')['items'][0]['state'] == 'finished', 20,
                   'the session ends when its only receiver is gone')

    def test_castpointd_killed_during_transfer(self):
        fetches = [self.fetch(f'r{i}', 'image') for i in (1, 2)]
        self.in_the_middle(fetches[0])
        self.service.stop(signal.SIGKILL)
        self.service.start()
        for f in fetches:
            self.assert_fetched(f, self.files)
        wait_until(lambda: self.service.sql("SELECT count(*) FROM sessions WHERE state IN ('waiting', 'running', 'draining')") == '0', 60,
                   'no session is left open')

    def test_castpointd_killed_during_upload_and_seal(self):
        self.service.api('POST', '/api/v1/packages', {'name': 'torn'})
        for attempt in range(5):
            version = self.service.new_version('torn', {'a.bin': random_bytes(8 * CHUNK, 100 + attempt)})
            path = f'/api/v1/packages/torn/versions/{version}'
            target = path + '/files/b.bin' if attempt % 2 else path + '/seal'
            call = threading.Thread(target=self.ignore_failure, args=('PUT' if attempt % 2 else 'POST', target,
                                                                      random_bytes(16 * CHUNK, attempt) if attempt % 2 else None))
            call.start()
            self.service.stop(signal.SIGKILL)
            call.join(60)
            self.service.start()
            wait_until(lambda: self.service.get('/api/v1/tasks?state=running')['items'] + self.service.get('/api/v1/tasks?state=waiting')['items'] == [],
                       60, 'what was begun before has ended')
            files = self.service.get(path + '/files')['items']
            state = self.service.get(path)['state']
            self.assertIn(state, ('draft', 'sealed'))
            self.assertIn('a.bin', [f['path'] for f in files])
            if state == 'draft':
                self.service.seal('torn', version)
            out = self.fetch('r1', f'torn@{version}', name=f'v{attempt}')
            self.assert_fetched(out, {'a.bin': random_bytes(8 * CHUNK, 100 + attempt)})
        incoming = os.path.join(self.service.state, 'content', 'incoming')
        self.assertEqual(os.listdir(incoming), [])

    def ignore_failure(self, method, path, body):
        try:
            self.service.api(method, path, body)
        except Exception:  # the connection breaks: that is the point
            pass

    def test_castpointd_interrupted(self):
        f = self.fetch('r1', 'image')
        self.in_the_middle(f)
        self.assertEqual(self.service.stop(signal.SIGINT), 0, self.service.tail())
        self.assertEqual(processes('castpointd'), [])
        sockets = self.lab.call('exec', 'srv', 'ss', '-Hlntu')
        self.assertEqual(sockets, '')
        self.assertEqual(self.service.sql("SELECT count(*) FROM sessions WHERE state = 'running'"), '0')
        self.service.start()
        self.assert_fetched(f, self.files)

    def test_nobody_on_the_network(self):
        f = self.fetch('r1', 'image', name='other', trust=True)
        f.process.kill()
        f.process.wait()
        missing = subprocess.run([os.environ['CASTGET'], 'https://127.0.0.1:1', 'image', '-o', f.out + '-x'], capture_output=True, text=True, timeout=60)
        self.assertEqual(missing.returncode, 5)
        self.assertIn('service-unreachable', missing.stderr)


if __name__ == '__main__':
    unittest.main()
