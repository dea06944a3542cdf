"""Pace: what slow receivers, several sessions and changed settings do to those on the wire, with real programs."""
import os
import subprocess
import time
import unittest

from castlab import CHUNK, Case, random_bytes, wait_until

SIZE = 24 * CHUNK


class Pace(Case):
    receivers = 5

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {'a.bin': random_bytes(SIZE, 51)}
        cls.service.publish('image', cls.files)
        cls.service.publish('other', {'a.bin': random_bytes(SIZE, 52)})
        cls.service.settings(content_access='anonymous')

    def setUp(self):
        self.service.settings(rate_ceiling_bps=None, rate_control='lan', rate_start_percent=50, slow_share_percent=10, gathering_delay_ms=1000)
        self.addCleanup(self.wait_for_the_end)

    def wait_for_the_end(self):
        wait_until(lambda: not [s for s in self.sessions() if s['ended_at'] is None], 60, 'all sessions have ended')

    def sessions(self):
        return self.service.get('/api/v1/sessions')['items']

    def running(self, package):
        return next((s for s in self.sessions() if s['package'] == package and s['state'] == 'running' and s['stats']['bytes_sent']), None)

    def shape(self, host, rate):
        """What reaches a receiver is shaped where the switch sends it: a slow last link."""
        self.lab.call('exec', 'sw', 'tc', 'qdisc', 'replace', 'dev', host, 'root', 'tbf', 'rate', rate, 'burst', '32768', 'limit', '200000')
        self.addCleanup(self.lab.call, 'exec', 'sw', 'tc', 'qdisc', 'del', 'dev', host, 'root')

    def receivers_of(self, session):
        return {r['client_name']: r for r in self.service.get(f'/api/v1/sessions/{session}/receivers')['items']}

    def test_a_slow_receiver_is_left_behind(self):
        """One of five on a fifth of the bandwidth: it moves to HTTPS for what is missing, the others finish at speed."""
        self.service.settings(rate_ceiling_bps=100_000_000, slow_share_percent=20)
        files = {'a.bin': random_bytes(64 * CHUNK, 53)}
        self.service.publish('large', files)
        self.shape('r5', '20mbit')
        began = time.monotonic()
        fetches = {f'r{i}': self.fetch(f'r{i}', 'large') for i in range(1, 6)}
        session = wait_until(lambda: self.running('large'), 20, 'the session runs')['id']
        for host in ('r1', 'r2', 'r3', 'r4'):
            self.assert_fetched(fetches[host], files)
        fast = time.monotonic() - began
        slow = fetches['r5']
        self.assert_fetched(slow, files)
        summary = slow.summary()
        self.assertIn('receiver-too-slow', str(self.service.get('/api/v1/events?kind=receiver-too-slow')), slow.text())
        event = self.service.get('/api/v1/events?kind=receiver-too-slow')['items'][0]
        self.assertEqual(event['subject'], f'session {session}')
        self.assertEqual(event['detail']['client_name'], 'r5')
        self.assertGreater(event['detail']['asked_symbols'], 0)
        self.assertGreater(event['detail']['loss_ppm'], 0)
        self.assertIn('repair symbols', slow.text())
        self.assertGreater(summary['bytes_https'], 0, summary)
        self.assertEqual(summary['bytes_multicast'] + summary['bytes_repair'] + summary['bytes_https'], 64 * CHUNK, summary)
        for host in ('r1', 'r2', 'r3', 'r4'):
            self.assertEqual(fetches[host].summary()['bytes_https'], 0)
        self.assertLess(fast, 18, 'at 100 Mbit/s it takes six seconds; at the slow one\'s pace half a minute')
        self.assertTrue(self.receivers_of(session)['r5']['seen']['over_budget'])

    def test_with_nobody_to_be_left_behind_the_slowest_sets_the_pace(self):
        self.service.settings(rate_ceiling_bps=100_000_000, slow_share_percent=0)
        self.shape('r3', '20mbit')
        fetches = [self.fetch(f'r{i}', 'image') for i in (1, 2, 3)]
        for f in fetches:
            self.assert_fetched(f, self.files)
            self.assertEqual(f.summary()['bytes_https'], 0)
        session = next(s for s in self.sessions() if s['package'] == 'image')
        self.assertEqual((session['receivers']['done'], session['pace']['over_budget']), (3, 0))

    def test_two_sessions_share_the_ceiling(self):
        """Together they stay below it on the wire, and each has its half."""
        self.service.settings(rate_ceiling_bps=60_000_000, rate_control='fixed')
        fetches = [self.fetch('r1', 'image'), self.fetch('r2', 'other')]
        wait_until(lambda: self.running('image') and self.running('other'), 20, 'both run')
        for package in ('image', 'other'):
            wait_until(lambda: abs(self.running(package)['pace']['ceiling_bps'] - 60e6 * 1472 / 1538 / 2) < 1e5, 10, f'{package} has its half')
        before, began = self.lab.tx_bytes(), time.monotonic()
        # An average needs a while: two seconds' worth at the ceiling.
        wait_until(lambda: self.lab.tx_bytes() - before >= 2 * 60e6 / 8, 10, 'so much has been sent')
        rate = (self.lab.tx_bytes() - before) * 8 / (time.monotonic() - began)
        self.assertTrue(self.running('image') and self.running('other'), 'both are still at it')
        self.assertLess(rate, 63e6)  # reports and TLS are on it too
        self.assertGreater(rate, 40e6)
        self.assert_fetched(fetches[0], self.files)
        self.assert_fetched(fetches[1], {'a.bin': random_bytes(SIZE, 52)})

    def test_a_new_ceiling_reaches_a_running_session(self):
        self.service.settings(rate_control='fixed', rate_ceiling_bps=5_000_000)  # would take 40 seconds
        began = time.monotonic()
        fetch = self.fetch('r1', 'image')
        wait_until(lambda: self.running('image'), 20, 'it runs')
        self.service.settings(rate_ceiling_bps=200_000_000)
        self.assert_fetched(fetch, self.files)
        self.assertLess(time.monotonic() - began, 20)

    def test_groups_may_be_ipv6(self):
        """Sent and received over IPv6 while HTTPS goes over IPv4."""
        usual = self.service.get('/api/v1/distribution-points/local/settings')['configured']
        self.addCleanup(self.service.settings, address_first=usual['address_first'], address_last=usual['address_last'])
        self.service.settings(address_first='ff15::77:1', address_last='ff15::77:9', rate_ceiling_bps=100_000_000)
        fetch = self.fetch('r1', 'image')
        self.assert_fetched(fetch, self.files)
        self.assertEqual(fetch.summary()['bytes_https'], 0, fetch.text())
        self.assertEqual(self.sessions()[0]['group'], 'ff15::77:1')

    def test_the_default_ceiling_is_the_links_speed(self):
        """A virtual link says 10 Gbit/s: nothing is held down to 1 Gbit/s any more."""
        settings = self.service.settings()
        speed = int(self.lab.call('exec', 'srv', 'cat', '/sys/class/net/eth0/speed')) * 1_000_000
        self.assertIsNone(settings['configured']['rate_ceiling_bps'])
        self.assertEqual(settings['effective']['rate_ceiling_bps'], speed)

    def test_a_small_receive_buffer_is_told(self):
        """Without the right to go beyond net.core.rmem_max."""
        out = os.path.join(self.folder, 'small')
        p = subprocess.run([os.path.join(os.path.dirname(__file__), '..', '..', 'tools', 'netlab.sh'), self.lab.prefix, 'exec', 'r1', 'setpriv',
            '--bounding-set=-net_admin', os.environ['CASTGET'], self.service.url, 'image', '-o', out, '--cacert', self.service.cert,
            '--client-id', 'small', '--log-format', 'json'], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        with open('/proc/sys/net/core/rmem_max') as f:
            small = int(f.read()) < 8 * CHUNK
        self.assertEqual(p.stderr.count('receive-buffer-small'), int(small), p.stderr)
        self.assertEqual('sysctl -w net.core.rmem_max=33554432' in p.stderr, small, p.stderr)


if __name__ == '__main__':
    unittest.main()
