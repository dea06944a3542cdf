"""The content library under a running distribution point: content that turns out damaged while it is being sent, content
that is collected while it is being fetched, and the cure."""
import os
import unittest

from castlab import CHUNK, Case, Problem, random_bytes, sha256, wait_until

LIBRARY = '/api/v1/distribution-points/local/library'


class Library(Case):
    receivers = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service.settings(content_access='anonymous', library_validate_rate_bps=None)

    def setUp(self):
        self.files = {'a.bin': random_bytes(8 * CHUNK, len(self._testMethodName))}

    def blob(self, path='a.bin'):
        digest = sha256(self.files[path])
        return os.path.join(self.service.state, 'content', 'sha256', digest[:2], digest)

    def work(self, what, body=None):
        task = self.service.api('POST', f'{LIBRARY}/{what}', body if body is not None else {})[2]['id']
        self.service.await_task(task)
        return self.service.get(f'/api/v1/tasks/{task}')['result']

    def running(self, package):
        def found():
            return [s for s in self.service.get(f'/api/v1/sessions?package={package}')['items'] if s['state'] == 'running' and s['stats']['bytes_sent'] > CHUNK]
        return wait_until(found, 30, 'the session sends')[0]

    def test_damage_ends_the_transmission_and_is_healed(self):
        self.service.publish('image', self.files)
        self.service.settings(rate_ceiling_bps=8_000_000)  # 8 s
        fetch = self.fetch('r1', 'image')
        session = self.running('image')
        with open(self.blob(), 'r+b') as f:
            f.seek(7 * CHUNK + 1)
            f.write(b'damaged')
        self.assertEqual(self.work('validate', {'package': 'image'})['damaged'], 1)
        self.assertEqual(fetch.wait(30), 4, fetch.text())
        self.assertEqual(fetch.summary()['code'], 'content-damaged', fetch.text())
        ended = self.service.get(f"/api/v1/sessions/{session['id']}")
        self.assertEqual((ended['state'], ended['end']['code']), ('failed', 'content-damaged'))
        self.assertFalse(os.path.exists(self.blob()))
        again = self.fetch('r2', 'image')
        self.assertEqual(again.wait(30), 4, again.text())  # at the join, at once
        self.assertIn('upload the same file again', again.text().lower())

        self.service.settings(rate_ceiling_bps=None)
        self.service.api('PUT', '/api/v1/packages/image/versions/1/files/a.bin', self.files['a.bin'])
        self.assert_fetched(self.fetch('r2', 'image', name='healed'), self.files)
        self.assert_fetched(self.fetch('r1', 'image'), self.files)
        kinds = [e['kind'] for e in self.service.get('/api/v1/events?limit=100')['items']]
        for kind in ('content-damaged', 'content-quarantined', 'session-failed', 'content-healed'):
            self.assertEqual(kinds.count(kind), 1, kind)

    def test_whoever_has_content_open_reads_it_to_the_end(self):
        """Its file goes from the store in mid-transmission: the session has it open."""
        self.service.publish('open', self.files, multicast='require')
        self.service.settings(rate_ceiling_bps=16_000_000)
        fetch = self.fetch('r1', 'open')
        self.running('open')
        os.remove(self.blob())
        self.assert_fetched(fetch, self.files)
        self.assertEqual(fetch.summary()['bytes_https'], 0)
        self.service.settings(rate_ceiling_bps=None)

    def test_collection_takes_what_nobody_has(self):
        self.service.settings(library_grace_hours=0)
        self.service.publish('gone', self.files)
        with self.assertRaises(Problem) as p:
            self.service.api('DELETE', '/api/v1/packages/gone/versions/1', headers={'If-Match': self.service.api('GET', '/api/v1/packages/gone/versions/1')[1]['ETag']})
        self.assertEqual(p.exception.status, 409)  # sealed
        self.assertEqual(self.work('collect')['blobs'], 0)
        self.assertTrue(os.path.exists(self.blob()))
        self.service.api('POST', '/api/v1/packages/gone/versions/1/retire')
        self.service.api('DELETE', '/api/v1/packages/gone/versions/1', headers={'If-Match': self.service.api('GET', '/api/v1/packages/gone/versions/1')[1]['ETag']})
        self.assertTrue(os.path.exists(self.blob()))
        result = self.work('collect')
        self.assertEqual((result['blobs'], result['bytes']), (1, 8 * CHUNK))
        self.assertFalse(os.path.exists(self.blob()))
        self.service.settings(library_grace_hours=24)


if __name__ == '__main__':
    unittest.main()
