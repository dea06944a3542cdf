"""Thousands of connections that stay open between their downloads, where the soft limit of open files is small at the start.
No namespaces needed."""
import concurrent.futures
import os
import resource
import socket
import ssl
import time
import unittest

import loopback
from castlab import random_bytes, sha256, wait_until

COUNT = 2000
PIECE = 100
SOFT = 1024  # open files, as most systems have it


class KeepAlive:
    """A raw connection over TLS: one that the service closes does not come back."""

    def __init__(self, service, context, path):
        self.rq = f'GET {path} HTTP/1.1\r\nHost: h\r\nRange: bytes=%d-%d\r\n\r\n'
        self.socket = context.wrap_socket(socket.create_connection(('127.0.0.1', service.port), 30))

    def ask(self, at):
        self.socket.sendall((self.rq % (at, at + PIECE - 1)).encode())

    def answer(self):
        """-> status, body"""
        data = b''
        while len(data.partition(b'\r\n\r\n')[2]) < PIECE:
            block = self.socket.recv(65536)
            if not block:
                raise AssertionError(f'the connection is closed after {data}')
            data += block
        head, _, body = data.partition(b'\r\n\r\n')
        return int(head.split(b' ', 2)[1]), body

    def close(self):
        self.socket.close()


class Connections(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        cls.addClassCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        hard = max(limits[1], 3 * COUNT)
        resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, hard))  # what the service inherits
        cls.service = loopback.Service(os.environ['CASTPOINT_TEST_DB'],
                                       extra=['--connections', str(COUNT + 100), '--connections-per-address', str(COUNT + 50)])
        cls.addClassCleanup(cls.service.close)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.password = cls.service.password()
        cls.content = random_bytes(100_000)
        package = '/api/v1/packages/image'
        cls.ask('POST', '/api/v1/packages', {'name': 'image', 'content_access': 'anonymous'})
        cls.ask('POST', package + '/versions', {})
        cls.ask('PUT', package + '/versions/1/files/a.img', cls.content)
        task = cls.ask('POST', package + '/versions/1/seal')['id']
        wait_until(lambda: cls.ask('GET', '/api/v1/tasks/' + task)['state'] == 'done', 30, 'the version is sealed')
        cls.context = ssl.create_default_context(cafile=cls.service.cert)
        cls.context.check_hostname = False
        cls.path = '/api/v1/content/' + sha256(cls.content)

    @classmethod
    def ask(cls, method, path, body=None):
        status, _, answer = cls.service.send(method, path, body, cls.password)
        if status >= 400:
            raise AssertionError(f'{method} {path}: {status} {answer}')
        return answer

    def part(self, at):
        return (206, self.content[at:at + PIECE])

    def opened(self, number):
        """One that had its first download at once: the service would cut it where that does not come within 30 s."""
        c = KeepAlive(self.service, self.context, self.path)
        self.addCleanup(c.close)
        c.ask(number)
        self.assertEqual(c.answer(), self.part(number))
        return c

    def test_thousands_stay_open(self):
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            connections = list(threads.map(self.opened, range(COUNT)))
        opened = time.monotonic()
        self.assertGreater(len(os.listdir(f'/proc/{self.service.process.pid}/fd')), COUNT)
        for i, c in enumerate(connections):
            c.ask(50_000 + i)
        for i, c in enumerate(connections):
            self.assertEqual(c.answer(), self.part(50_000 + i), f'connection {i}')
        print(f'{COUNT} connections opened in {opened - began:.1f} s, all asked again in {time.monotonic() - opened:.1f} s', flush=True)
        self.assertEqual(self.service.send('GET', self.path)[::2], (200, self.content), 'one more client')
        connections[0].ask(0)
        self.assertEqual(connections[0].answer(), self.part(0))


if __name__ == '__main__':
    unittest.main()
