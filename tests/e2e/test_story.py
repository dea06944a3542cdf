"""The founding story: what silently broke the service that castpoint replaces. Each thing here ends in success, or in the
right code with its remedy; never in a 200 with nothing in it. (What befalls keys is in test_keys.py.)"""
import base64
import hashlib
import os
import unittest

from castlab import CHUNK, Case, Problem, random_bytes, remedy, sha256, wait_until

# What is said of content that is not what was sealed, and castget's exit status.
HARMED = {'content-damaged': 4, 'chunk-digest-mismatch': 8}


class Story(Case):
    receivers = 3

    def refused(self, fetch, status, code):
        self.assertEqual(fetch.wait(), status, fetch.text())
        self.assertIn(f'castget: {code}: ', fetch.text())
        self.assertIn(remedy(code), fetch.text())
        summary = fetch.summary()
        self.assertEqual((summary['code'], summary['exit_status']), (code, status))
        self.assert_nothing_visible(fetch)

    def no_content(self, package, code):
        """Neither the manifest nor the file is given out, in part or in name."""
        for path in ('manifest', 'files/image.bin'):
            with self.assertRaises(Problem) as p:
                self.service.api('GET', f'/api/v1/packages/{package}/versions/1/{path}', who=None)
            self.assertEqual(p.exception.code, code)
            self.assertTrue(p.exception.body['remedy'])

    def session(self):
        items = self.service.get('/api/v1/sessions?limit=1')['items']
        return items[0] if items else {'state': None, 'id': None}

    def waits(self, before):
        """A new session gathers receivers."""
        return wait_until(lambda: (s := self.session())['state'] == 'waiting' and s['id'] != before and s['id'], 30, 'a session waits')

    def runs(self, fetch):
        def there():
            self.assertIsNone(fetch.process.poll(), fetch.text())
            session = self.session()
            if session['state'] not in ('running', 'draining'):
                return False
            receivers = self.service.get(f"/api/v1/sessions/{session['id']}/receivers")['items']
            return any(r['bytes_done'] > 0 and r['state'] != 'done' for r in receivers)
        wait_until(there, 30, 'a transfer is under way')

    def reader(self):
        try:
            self.service.account('reader', 'the right password')
        except Problem as p:
            self.assertEqual(p.status, 409)
        return '--account', 'reader', '--password-file', self.secret_file('the right password')

    # ---- anonymous off and on ----

    def test_anonymous_off_before_and_after(self):
        files = {'image.bin': random_bytes(CHUNK, 1)}
        self.service.settings(content_access='anonymous', gathering_delay_ms=500)
        self.service.publish('before', files)
        self.assert_fetched(self.fetch('r1', 'before', name='open'), files)
        self.service.settings(content_access='authenticated')
        self.refused(self.fetch('r1', 'before', name='closed'), 3, 'authentication-required')
        self.no_content('before', 'authentication-required')
        self.assert_fetched(self.fetch('r2', 'before', *self.reader(), name='reader'), files)
        self.service.settings(content_access='anonymous')
        self.assert_fetched(self.fetch('r1', 'before', name='again'), files)

    def test_anonymous_off_while_gathering(self):
        files = {'image.bin': random_bytes(CHUNK, 2)}
        before = self.session()['id']
        self.service.settings(content_access='anonymous', gathering_delay_ms=8000)
        self.service.publish('gathering', files)
        nobody = self.fetch('r1', 'gathering')
        known = self.fetch('r2', 'gathering', *self.reader())
        session = self.waits(before)
        wait_until(lambda: len(self.service.get(f'/api/v1/sessions/{session}/receivers')['items']) == 2, 30, 'both have joined')
        said = self.service.settings(content_access='authenticated')['consequences']
        self.assertEqual((said['receivers_revoked'], said['sessions_rekeyed']), (1, 1))
        self.refused(nobody, 3, 'authentication-required')
        self.assert_fetched(known, files)

    def test_anonymous_on_while_gathering(self):
        files = {'image.bin': random_bytes(CHUNK, 5)}
        before = self.session()['id']
        self.service.settings(content_access='authenticated', gathering_delay_ms=8000)
        self.service.publish('open-door', files)
        known = self.fetch('r1', 'open-door', *self.reader())
        session = self.waits(before)
        self.refused(self.fetch('r2', 'open-door', name='early'), 3, 'authentication-required')
        said = self.service.settings(content_access='anonymous')['consequences']
        self.assertEqual((said['receivers_revoked'], said['sessions_rekeyed']), (0, 0))
        nobody = self.fetch('r2', 'open-door', name='in-time')
        self.assert_fetched(nobody, files)
        self.assert_fetched(known, files)
        receivers = self.service.get(f'/api/v1/sessions/{session}/receivers')['items']
        self.assertEqual([r['state'] for r in receivers], ['done', 'done'], 'both took part in the one session')

    def test_anonymous_off_while_running(self):
        files = {'image.bin': random_bytes(30 * CHUNK, 3)}
        self.service.settings(content_access='anonymous', gathering_delay_ms=500)
        self.service.publish('running', files)
        self.lab.call('rate', '100mbit')
        fetch = self.fetch('r1', 'running')
        self.runs(fetch)
        said = self.service.settings(content_access='authenticated')['consequences']
        self.assertEqual((said['receivers_running'], said['sessions_rekeyed']), (1, 0))
        self.refused(self.fetch('r2', 'running', name='late'), 3, 'authentication-required')
        self.assert_fetched(fetch, files)
        self.lab.call('rate', 'none')

    def test_anonymous_on_while_running(self):
        files = {'image.bin': random_bytes(30 * CHUNK, 4)}
        self.service.settings(content_access='authenticated', gathering_delay_ms=500)
        self.service.publish('opening', files)
        self.lab.call('rate', '100mbit')
        fetch = self.fetch('r1', 'opening', *self.reader())
        self.runs(fetch)
        self.service.settings(content_access='anonymous')
        self.assert_fetched(self.fetch('r2', 'opening'), files)
        self.assert_fetched(fetch, files)
        self.lab.call('rate', 'none')

    # ---- empty files, wrong digests, damaged content ----

    def test_empty_file(self):
        self.service.api('POST', '/api/v1/packages', {'name': 'empty'})
        version = self.service.new_version('empty', {})
        base = f'/api/v1/packages/empty/versions/{version}'
        with self.assertRaises(Problem) as p:
            self.service.api('PUT', base + '/files/image.bin', b'')
        self.assertEqual((p.exception.status, p.exception.code), (422, 'content-empty'))
        self.assertIn('image.bin', p.exception.body['detail'])
        task = self.seal_fails('empty', version)
        self.assertEqual(task['error']['code'], 'content-empty')
        with self.assertRaises(Problem) as p:
            self.service.api('GET', base + '/manifest')
        self.assertEqual(p.exception.code, 'version-not-sealed')

    def seal_fails(self, package, version):
        """The seal of a version that cannot be sealed: refused at once, or by its task. -> something with error.code"""
        try:
            task = self.service.api('POST', f'/api/v1/packages/{package}/versions/{version}/seal')[2]['id']
        except Problem as p:
            return {'error': p.body}
        wait_until(lambda: self.service.get(f'/api/v1/tasks/{task}')['ended_at'], 30, 'the task has ended')
        return self.service.get(f'/api/v1/tasks/{task}')

    def test_wrong_digest_at_upload(self):
        self.service.api('POST', '/api/v1/packages', {'name': 'digest'})
        version = self.service.new_version('digest', {})
        path = f'/api/v1/packages/digest/versions/{version}/files/image.bin'
        wrong = base64.b64encode(hashlib.sha256(b'other').digest()).decode()
        with self.assertRaises(Problem) as p:
            self.service.api('PUT', path, b'image', headers={'Repr-Digest': f'sha-256=:{wrong}:'})
        self.assertEqual((p.exception.status, p.exception.code), (422, 'digest-mismatch'))
        self.assertEqual(self.service.get(f'/api/v1/packages/digest/versions/{version}/files')['items'], [])

    def blob(self, data):
        digest = sha256(data)
        for folder, _, names in os.walk(os.path.join(self.service.state, 'content')):
            if digest in names:
                return os.path.join(folder, digest)
        raise AssertionError(f'{digest} is not in the library')

    def harm(self, data, how):
        """Behind the service's back, as a failing disk does it."""
        blob = self.blob(data)
        os.chmod(blob, 0o600)
        with open(blob, 'r+b') as f:
            how(f)

    def flip(self, f):
        f.seek(CHUNK + 17)
        byte = f.read(1)
        f.seek(CHUNK + 17)
        f.write(bytes([byte[0] ^ 1]))

    def never_a_success(self, package, data):
        """Nobody takes harmed content for good, by multicast or by HTTPS."""
        for options in ((), ('--no-multicast',)):
            fetch = self.fetch('r1', package, *options, name='-'.join(('harmed', package, *options)))
            self.found_out(fetch)

    def found_out(self, fetch):
        status, summary = fetch.wait(), fetch.summary()
        self.assertEqual(HARMED.get(summary['code']), status, fetch.text())
        self.assertTrue(summary['detail'])
        self.assertIn(remedy(summary['code']), fetch.text())
        self.assert_nothing_visible(fetch)

    def heal(self, package, files):
        """Validation finds it, joins and downloads are refused with the remedy, which works."""
        task = self.service.api('POST', '/api/v1/distribution-points/local/library/validate', {'package': package})[2]['id']
        self.service.await_task(task)
        self.refused(self.fetch('r1', package, name=f'found-{package}'), 4, 'content-damaged')
        with self.assertRaises(Problem) as p:
            self.service.api('GET', f'/api/v1/packages/{package}/versions/1/files/image.bin', raw=True)
        self.assertEqual(p.exception.code, 'content-damaged')
        self.assertEqual(p.exception.body['remedy'], remedy('content-damaged'))
        self.service.api('POST', '/api/v1/packages', {'name': package + '-again'})
        self.service.new_version(package + '-again', files)
        self.assert_fetched(self.fetch('r1', package, name=f'healed-{package}'), files)

    def test_damaged_content(self):
        self.service.settings(content_access='anonymous', gathering_delay_ms=500)
        for name, how in (('flipped', self.flip), ('cut', lambda f: f.truncate(CHUNK + 5)), ('emptied', lambda f: f.truncate(0))):
            with self.subTest(harm=name):
                files = {'image.bin': random_bytes(3 * CHUNK, sum(name.encode()))}
                self.service.publish(name, files)
                self.harm(files['image.bin'], how)
                self.never_a_success(name, files['image.bin'])
                self.heal(name, files)

    def test_damaged_while_running(self):
        files = {'image.bin': random_bytes(120 * CHUNK, 9)}
        self.service.settings(content_access='anonymous', gathering_delay_ms=500)
        self.service.publish('torn', files)
        self.lab.call('rate', '100mbit')
        fetch = self.fetch('r1', 'torn')
        self.runs(fetch)

        def flip_the_end(f):
            f.seek(119 * CHUNK)
            f.write(b'\0' * 4096)
        self.harm(files['image.bin'], flip_the_end)
        self.found_out(fetch)
        self.lab.call('rate', 'none')
        self.heal('torn', files)


if __name__ == '__main__':
    unittest.main()
