"""Who may fetch what; what a refusal looks like; uploads that are refused; keys that heal."""
import subprocess
import unittest

from castlab import CHUNK, Case, Problem, random_bytes, wait_until


class Access(Case):
    receivers = 3

    def refused(self, fetch, status, code):
        self.assertEqual(fetch.wait(), status, fetch.text())
        lines = [l for l in fetch.text().splitlines() if l.startswith('castget:')]
        self.assertEqual(len(lines), 1, fetch.text())
        self.assertIn(code, lines[0])
        self.assertNotIn('digest', fetch.text())
        self.assert_nothing_visible(fetch)

    def test_credentials(self):
        self.service.settings(content_access='authenticated')
        self.service.publish('locked', {'a.bin': random_bytes(CHUNK)})
        self.service.account('reader', 'the right password')
        self.refused(self.fetch('r1', 'locked', name='none'), 3, 'authentication-required')
        wrong = self.secret_file('not the password')
        self.refused(self.fetch('r1', 'locked', '--account', 'reader', '--password-file', wrong, name='wrong'), 3, 'authentication-failed')
        self.refused(self.fetch('r1', 'locked', '--token-file', self.secret_file('cpt_nonsense'), name='token'), 3, 'authentication-failed')
        with self.assertRaises(Problem) as p:
            self.service.api('POST', '/api/v1/joins', {'package': 'locked', 'client_id': 'x', 'client_name': 'x', 'client_version': '0', 'multicast': True}, who=None)
        self.assertEqual((p.exception.status, p.exception.code), (401, 'authentication-required'))
        for path in ('/api/v1/packages/locked/versions/1/manifest', '/api/v1/packages/locked/versions/1/files/a.bin'):
            with self.assertRaises(Problem) as p:
                self.service.api('GET', path, who=None)
            self.assertEqual(p.exception.status, 401)

    def test_package_override(self):
        self.service.settings(content_access='authenticated')
        self.service.publish('open', {'a.bin': random_bytes(CHUNK, 2)}, content_access='anonymous')
        self.assert_fetched(self.fetch('r1', 'open'), {'a.bin': random_bytes(CHUNK, 2)})
        self.service.settings(content_access='anonymous')
        self.service.publish('closed', {'a.bin': random_bytes(CHUNK, 3)}, content_access='authenticated')
        self.refused(self.fetch('r1', 'closed', name='closed'), 3, 'authentication-required')

    def test_not_ready(self):
        self.service.settings(content_access='anonymous')
        self.refused(self.fetch('r1', 'no-such-package', name='none'), 4, 'package-not-found')
        self.service.api('POST', '/api/v1/packages', {'name': 'draft-only'})
        self.service.new_version('draft-only', {'a.bin': b'x'})
        self.refused(self.fetch('r1', 'draft-only', name='draft'), 4, 'version-not-sealed')

    def test_trust(self):
        self.service.settings(content_access='anonymous')
        files = {'a.bin': random_bytes(CHUNK, 4)}
        self.service.publish('pinned', files)
        self.refused(self.fetch('r1', 'pinned', name='untrusted', trust=False), 6, 'tls-untrusted')
        wrong = 'sha256//' + 'A' * 43 + '='
        self.refused(self.fetch('r1', 'pinned', '--pin', wrong, name='wrong', trust=False), 6, 'tls-untrusted')
        pin = subprocess.run(
            f'openssl x509 -in {self.service.cert} -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64',
            shell=True, check=True, capture_output=True, text=True).stdout.strip()
        self.assert_fetched(self.fetch('r1', 'pinned', '--pin', 'sha256//' + pin, name='right', trust=False), files)

    def test_refused_uploads(self):
        self.service.api('POST', '/api/v1/packages', {'name': 'uploads'})
        version = self.service.new_version('uploads', {'ok.bin': b'1'})
        base = f'/api/v1/packages/uploads/versions/{version}/files/'
        for path, data, code in (('empty.bin', b'', 'content-empty'), ('a/../b', b'1', 'path-invalid'), ('..%2f..%2fb', b'1', 'path-invalid'),
                                 ('/etc/passwd', b'1', 'path-invalid'), ('OK.bin', b'1', 'path-duplicate'), ('ok.bin/x', b'1', 'path-duplicate')):
            with self.subTest(path=path), self.assertRaises(Problem) as p:
                self.service.api('PUT', base + path, data)
            self.assertEqual(p.exception.code, code, p.exception)
            self.assertIn(path.split('/')[-1].split('%2f')[-1], str(p.exception.body['detail']) + str(p.exception.body.get('errors')))
        names = [f['path'] for f in self.service.get(base[:-1])['items']]
        self.assertEqual(names, ['ok.bin'])
        self.service.seal('uploads', version)
        with self.assertRaises(Problem) as p:
            self.service.api('PUT', base + 'more.bin', b'1')
        self.assertEqual(p.exception.code, 'version-sealed')
        with self.assertRaises(Problem) as p:
            self.service.api('DELETE', base + 'ok.bin')
        self.assertEqual(p.exception.code, 'version-sealed')

    def test_guessing_is_locked(self):
        """r3 has not failed at another name before: its address would remember."""
        self.service.settings(content_access='authenticated', login_failures=3)
        files = {'a.bin': random_bytes(CHUNK, 6)}
        self.service.publish('guessed', files)
        self.service.account('guessed', 'the right password')
        token = self.service.api('POST', '/api/v1/accounts/guessed/tokens', {'role': 'content'})[2]['secret']
        right = self.secret_file('the right password')
        for i in range(5):  # the same wrong password is one guess
            self.refused(self.fetch('r3', 'guessed', '--account', 'guessed', '--password-file', self.secret_file('last year'), name=f's{i}'), 3,
                         'authentication-failed')
        self.assert_fetched(self.fetch('r3', 'guessed', '--account', 'guessed', '--password-file', right, name='right'), files)
        for i in range(3):
            self.refused(self.fetch('r3', 'guessed', '--account', 'guessed', '--password-file', self.secret_file(f'guess {i}'), name=f'g{i}'), 3,
                         'authentication-failed')
        self.refused(self.fetch('r2', 'guessed', '--account', 'guessed', '--password-file', right, name='locked'), 3, 'account-locked')
        self.assert_fetched(self.fetch('r3', 'guessed', '--token-file', self.secret_file(token), name='token'), files)
        self.service.stop()
        self.service.start()  # the database remembers the name
        self.refused(self.fetch('r2', 'guessed', '--account', 'guessed', '--password-file', right, name='again'), 3, 'account-locked')
        self.service.api('POST', '/api/v1/accounts/guessed/unlock')
        self.assert_fetched(self.fetch('r2', 'guessed', '--account', 'guessed', '--password-file', right, name='unlocked'), files)
        self.service.settings(login_failures=10)

    def test_rekeyed_session_is_joined_again(self):
        """By multicast only, so that nothing but the new secret helps."""
        self.service.settings(content_access='anonymous', gathering_delay_ms=8000)
        files = {'a.bin': random_bytes(2 * CHUNK, 7)}
        self.service.publish('rekeyed', files, multicast='require')
        self.service.account('patient', 'a good password')
        known = self.fetch('r1', 'rekeyed', '--account', 'patient', '--password-file', self.secret_file('a good password'))
        wait_until(lambda: self.service.get('/api/v1/sessions?package=rekeyed&state=waiting')['items'], 20, 'it waits')
        stranger = self.fetch('r2', 'rekeyed', '-q')
        wait_until(lambda: self.service.get('/api/v1/sessions?package=rekeyed')['items'][0]['receivers']['total'] == 2, 20, 'both are in')
        said = self.service.settings(content_access='authenticated')['consequences']
        self.assertEqual((said['receivers_revoked'], said['sessions_rekeyed'], said['receivers_rejoining']), (1, 1, 1), said)
        self.assert_fetched(known, files)
        self.assertEqual(known.summary()['bytes_https'], 0)
        self.refused(stranger, 3, 'authentication-required')
        self.service.settings(gathering_delay_ms=500)

    def test_keys_heal(self):
        self.service.settings(content_access='anonymous')
        files = {'a.bin': random_bytes(2 * CHUNK, 5)}
        self.service.publish('healed', files)
        self.assert_fetched(self.fetch('r1', 'healed', name='before'), files)
        harm = ("DELETE FROM keys WHERE kind = 'multicast'",
                "UPDATE keys SET private_sealed = '\\x00' WHERE kind = 'multicast' AND state = 'active'",
                "UPDATE keys SET certificate = 'nonsense' WHERE kind = 'multicast' AND state = 'active'",
                "DELETE FROM keys")
        for i, sql in enumerate(harm):
            with self.subTest(sql=sql):
                before = int(self.service.sql('SELECT count(*) FROM events'))
                self.service.sql(sql)
                self.assert_fetched(self.fetch('r1', 'healed', name=f'after{i}'), files)
                kinds = self.service.sql(f'SELECT kind FROM events ORDER BY id OFFSET {before}').split()
                self.assertTrue([k for k in kinds if k.startswith('multicast-key-')], kinds)


if __name__ == '__main__':
    unittest.main()
