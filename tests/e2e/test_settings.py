"""Every setting of the distribution point changes what is on the wire, in the ticket, or who gets in."""
import subprocess
import time
import unittest

from castlab import CHUNK, SERVER, Case, Problem, random_bytes, wait_until

USUAL = {'multicast_enabled': True, 'address_first': '239.255.77.1', 'address_last': '239.255.77.254', 'port_first': 7001, 'port_last': 7099,
         'interface': 'eth0', 'ttl': 1, 'rate_ceiling_bps': None, 'gathering_delay_ms': 500, 'content_access': 'anonymous'}


SNIFF = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
s.bind(('eth0', 0x0800))
print('ready', flush=True)
count = 0
while count < 20:
    ip = s.recv(65535)
    udp = (ip[0] & 15) * 4
    if ip[9] == socket.IPPROTO_UDP and socket.inet_ntoa(ip[12:16]) == sys.argv[1] and ip[16] >> 4 == 14:
        count += 1
        print(ip[8], socket.inet_ntoa(ip[16:20]), int.from_bytes(ip[udp + 2:udp + 4], 'big'), flush=True)
"""


class Capture:
    """The first twenty multicast packets of castpointd that reach a receiver."""

    def __init__(self, lab, host):
        self.process = lab.popen(host, ['python3', '-c', SNIFF, SERVER], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == 'ready\n'

    def packets(self):
        """{(TTL, group, port)}"""
        out, _ = self.process.communicate(timeout=30)
        return {(int(ttl), group, int(port)) for ttl, group, port in map(str.split, out.splitlines())}

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Settings(Case):
    receivers = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {'a.bin': random_bytes(2 * CHUNK, 21)}
        cls.service.publish('image', cls.files)

    def setUp(self):
        self.service.settings(**USUAL)
        self.addCleanup(self.wait_for_the_end)

    def wait_for_the_end(self):
        wait_until(lambda: not [s for s in self.service.get('/api/v1/sessions')['items'] if s['state'] in ('waiting', 'running', 'draining')],
                   60, 'all sessions have ended')

    def session(self):
        return self.service.get('/api/v1/sessions?limit=1')['items'][0]

    def capture(self):
        capture = Capture(self.lab, 'r1')
        self.addCleanup(capture.stop)
        return capture

    def test_ttl_addresses_and_ports(self):
        for ttl, group, port in ((1, '239.255.77.1', 7001), (7, '239.192.3.9', 17005)):
            with self.subTest(ttl=ttl):
                self.service.settings(ttl=ttl, address_first=group, address_last=group, port_first=port, port_last=port)
                capture = self.capture()
                self.assert_fetched(self.fetch('r1', 'image', name=f'ttl{ttl}'), self.files)
                self.assertEqual(capture.packets(), {(ttl, group, port)})
                session = self.session()
                self.assertEqual((session['group'], session['port']), (group, port))
                self.wait_for_the_end()

    def test_ranges_run_out_and_ports_follow_addresses(self):
        self.service.settings(address_first='239.9.9.1', address_last='239.9.9.1', port_first=9001, port_last=9002, gathering_delay_ms=4000)
        for i in (1, 2, 3):
            self.service.publish(f'many{i}', {'a.bin': random_bytes(1000 + i, i)})
        fetches = [self.fetch('r1', f'many{i}', name=f'many{i}') for i in (1, 2)]
        wait_until(lambda: len([s for s in self.service.get('/api/v1/sessions')['items'] if s['state'] == 'waiting']) == 2, 20, 'two sessions wait')
        waiting = [s for s in self.service.get('/api/v1/sessions')['items'] if s['state'] == 'waiting']
        self.assertEqual({(s['group'], s['port']) for s in waiting}, {('239.9.9.1', 9001), ('239.9.9.1', 9002)})
        with self.assertRaises(Problem) as p:
            self.service.api('POST', '/api/v1/joins', {'package': 'many3', 'client_id': 'x'}, who=None)
        self.assertEqual(p.exception.code, 'address-in-use')
        for i, f in enumerate(fetches, 1):
            self.assert_fetched(f, {'a.bin': random_bytes(1000 + i, i)})

    def test_interface(self):
        """Sent by the interface that is named, and by no other."""
        self.service.settings(interface='lo')
        before = self.lab.tx_bytes()
        f = self.fetch('r1', 'image')
        self.assert_fetched(f, self.files)
        self.assertEqual((f.summary()['bytes_multicast'], f.summary()['bytes_https']), (0, 2 * CHUNK))
        self.assertLess(self.lab.tx_bytes() - before, 1.2 * 2 * CHUNK)  # HTTPS only
        with self.assertRaises(Problem) as p:
            self.service.settings(interface='eth7')
        self.assertEqual((p.exception.code, p.exception.body['errors'][0]['field']), ('invalid-request', 'interface'))

    def test_multicast_enabled(self):
        self.service.settings(multicast_enabled=False)
        f = self.fetch('r1', 'image')
        self.assert_fetched(f, self.files)
        self.assertEqual((f.summary()['bytes_multicast'], f.summary()['bytes_https']), (0, 2 * CHUNK))

    def test_rate_ceiling(self):
        files = {'a.bin': random_bytes(5 * CHUNK, 22)}
        self.service.publish('slow', files)
        self.service.settings(rate_ceiling_bps=10_000_000)
        f = self.fetch('r1', 'slow')
        self.assert_fetched(f, files)
        s = f.summary()
        self.assertEqual(s['bytes_https'], 0, s)
        self.assertGreater(s['rate_bps'], 5_000_000, s)
        self.assertLess(s['rate_bps'], 10_500_000, s)

    def test_gathering_delay(self):
        self.service.settings(gathering_delay_ms=3000)
        began = time.monotonic()
        fetches = [self.fetch(f'r{i}', 'image') for i in (1, 2)]
        for f in fetches:
            self.assert_fetched(f, self.files)
        self.assertGreater(time.monotonic() - began, 3)
        self.assertEqual(self.session()['receivers']['total'], 2)

    def test_content_access(self):
        for access, status in (('authenticated', 3), ('anonymous', 0)):
            self.service.settings(content_access=access)
            f = self.fetch('r1', 'image', name=access)
            self.assertEqual(f.wait(), status, f.text())


if __name__ == '__main__':
    unittest.main()
