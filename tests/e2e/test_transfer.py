"""An image travels: multicast with loss, both access modes, fallback, late joiner, several files."""
import unittest

from castlab import CHUNK, Case, random_bytes


class Transfer(Case):
    def setUp(self):
        for i in range(1, self.receivers + 1):
            self.lab.call('loss', f'r{i}', '2')

    def transfer(self, package, files, *options):
        """Five receivers by multicast at 2 % loss, the sixth is cut off from it."""
        self.lab.call('cut', 'r6')
        # On a busy machine too all are there when it starts, and all can keep up: the bytes that are
        # counted below are the protocol's, not those of drowned receivers.
        self.service.settings(gathering_delay_ms=3000, rate_ceiling_bps=150_000_000)
        self.addCleanup(self.service.settings, gathering_delay_ms=500, rate_ceiling_bps=None)
        size = sum(map(len, files.values()))
        before = self.lab.tx_bytes()
        fetches = [self.fetch(f'r{i}', package, *options) for i in range(1, 7)]
        for f in fetches:
            self.assert_fetched(f, files)
        sent = self.lab.tx_bytes() - before - int(self.lab.call('unicast-bytes', 'r6'))
        for f in fetches[:5]:
            s = f.summary()
            self.assertTrue(s['verified'])
            self.assertEqual(s['bytes_https'], 0, s)
            self.assertEqual(s['bytes_total'], size)
            self.assertGreater(s['loss_ppm'], 2000)  # the loss was really there
        last = fetches[5].summary()
        self.assertEqual((last['bytes_multicast'], last['bytes_https']), (0, size))
        # 7 % headers, 1.6 % proactive parity, about 5 % expected maximum of five receivers' losses.
        self.assertLess(sent, 1.25 * size)
        self.assertGreater(sent, size)

    def test_anonymous(self):
        self.service.settings(content_access='anonymous')
        files = {'sources/install.wim': random_bytes(48 * CHUNK + 12345), 'boot.ini': b'[boot]\n' * 7}
        self.service.publish('anonymous-image', files)
        self.transfer('anonymous-image', files)
        session = self.service.get('/api/v1/sessions?limit=1')['items'][0]
        self.assertEqual(session['state'], 'finished')

    def test_authenticated(self):
        self.service.settings(content_access='authenticated')
        files = {'image.bin': random_bytes(32 * CHUNK, 2)}
        self.service.publish('private-image', files)
        self.service.account('lab', 'correct horse battery')
        password = self.secret_file('correct horse battery')
        self.transfer('private-image', files, '--account', 'lab', '--password-file', password)

    def test_token(self):
        self.service.settings(content_access='authenticated')
        files = {'image.bin': random_bytes(3 * CHUNK, 3)}
        self.service.publish('token-image', files)
        self.service.account('robot', 'a long password 1')
        token = self.service.api('POST', '/api/v1/accounts/robot/tokens', {'role': 'content'})[2]['secret']
        f = self.fetch('r1', 'token-image', '--token-file', self.secret_file(token))
        self.assert_fetched(f, files)

    def test_clear_text_session(self):
        self.service.settings(content_access='anonymous')
        files = {'public.bin': random_bytes(5 * CHUNK + 1, 4)}
        self.service.publish('clear-image', files, encrypt=False)
        fetches = [self.fetch(f'r{i}', 'clear-image') for i in (1, 2)]
        for f in fetches:
            self.assert_fetched(f, files)

    def test_zero_chunks_are_not_sent(self):
        self.service.settings(content_access='anonymous')
        files = {'a.img': random_bytes(2 * CHUNK, 5) + bytes(30 * CHUNK) + random_bytes(CHUNK // 2, 6), 'zero': bytes(5 * CHUNK)}
        self.service.publish('sparse-image', files)
        before = self.lab.tx_bytes()
        f = self.fetch('r1', 'sparse-image')
        self.assert_fetched(f, files)
        self.assertLess(self.lab.tx_bytes() - before, 6 * CHUNK)

    def test_all_zero(self):
        self.service.settings(content_access='anonymous')
        files = {'zero': bytes(3 * CHUNK + 5)}
        self.service.publish('zero-image', files)
        self.assert_fetched(self.fetch('r1', 'zero-image'), files)

    def test_late_joiner(self):
        self.service.settings(content_access='anonymous')
        self.lab.call('rate', '40mbit')  # about seven seconds
        self.addCleanup(self.lab.call, 'rate', 'none')
        files = {'image.bin': random_bytes(32 * CHUNK, 7)}
        self.service.publish('late-image', files)
        first = self.fetch('r1', 'late-image', name='first')
        session = self.wait_for_progress('late-image', 0.2)
        late = self.fetch('r2', 'late-image', name='late')
        self.assert_fetched(first, files)
        self.assert_fetched(late, files)
        s = late.summary()
        self.assertGreater(s['bytes_multicast'], 0)  # of the first transmission
        self.assertGreater(s['bytes_repair'], 4 * CHUNK)  # what it had missed
        self.assertEqual(s['bytes_multicast'] + s['bytes_repair'], s['bytes_total'])
        receivers = self.service.get(f'/api/v1/sessions/{session}/receivers')['items']
        self.assertEqual([r['state'] for r in receivers], ['done', 'done'])

    def test_policy_require(self):
        self.service.settings(content_access='anonymous')
        files = {'image.bin': random_bytes(2 * CHUNK, 8)}
        self.service.publish('strict-image', files, multicast='require')
        self.assert_fetched(self.fetch('r1', 'strict-image'), files)
        self.lab.call('cut', 'r6')
        cut = self.fetch('r6', 'strict-image')
        self.assertEqual(cut.wait(), 7, cut.text())
        self.assertIn('no-multicast-heard', cut.text())
        self.assert_nothing_visible(cut)

    def test_policy_off(self):
        self.service.settings(content_access='anonymous')
        files = {'image.bin': random_bytes(2 * CHUNK + 9, 9)}
        self.service.publish('unicast-image', files, multicast='off')
        f = self.fetch('r1', 'unicast-image')
        self.assert_fetched(f, files)
        self.assertEqual(f.summary()['bytes_multicast'], 0)

    def wait_for_progress(self, package, share):
        from castlab import wait_until

        def there():
            items = self.service.get('/api/v1/sessions?limit=1')['items']
            if not items or items[0]['package'] != package:
                return None
            receivers = self.service.get(f"/api/v1/sessions/{items[0]['id']}/receivers")['items']
            r = receivers[0] if receivers else {'bytes_total': 0}
            return items[0]['id'] if r['bytes_total'] and r['bytes_done'] > share * r['bytes_total'] else None
        return wait_until(there, 60, f'{package} is at {share:.0%}')


if __name__ == '__main__':
    unittest.main()
