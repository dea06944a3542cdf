"""What the interoperation tests share: a laboratory of namespaces, the two peers, a capture."""
import atexit
import hashlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import wire

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NETLAB = os.path.join(ROOT, 'tools', 'netlab.sh')
HERE = os.path.join(ROOT, 'tests', 'interop')
GROUP, PORT = '239.192.57.40', 6003
SEGMENT, BLOCK, PARITY = 1408, 128, 32
DEADLINE = 50  # seconds that one transfer may take; it takes one or two
OURS, THEIRS = 1, 91  # node ids: of the only one of ours, of the first of libnorm's
LOSSES = (0, 1, 5, 10)  # percent
EVER = 999_999  # packets that Scene.drop() drops
RATE = 50_000_000  # libnorm on a busy machine keeps up with that

# The first bits of a packet, for nftables: fec_id 129.
IS_INFO, IS_DATA, IS_FLUSH = '@th,68,4 1', '@th,68,4 2', '@th,68,4 3 @th,160,8 1'


def is_block(number):
    return f'{IS_DATA} @th,192,32 {number}'


def is_symbol(block, esi):
    """Symbol or range of symbols, "5-9"."""
    return f'{is_block(block)} @th,240,16 {esi}'


def base36(number):
    digits = ''
    while number:
        number, digit = divmod(number, 36)
        digits = '0123456789abcdefghijklmnopqrstuvwxyz'[digit] + digits
    return digits


class Peer:
    """A program in one namespace, whose lines on standard output are events."""

    def __init__(self, lab, host, words):
        self.lab, self.words, self.seen, self.lines = lab, words, [], queue.Queue()
        lab.peers.append(self)
        self.process = subprocess.Popen([NETLAB, lab.prefix, 'exec', host, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip('\n'))
        self.lines.put(None)

    def wait_for(self, word, seconds=DEADLINE):
        """The rest of the first line that begins with the word."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f'no "{word}" within {seconds} s: {self.lab}') from None
            if line is None:
                raise AssertionError(f'ended without "{word}": {self.lab}')
            self.seen.append(line)
            if line.split(' ')[0] == word:
                return line[len(word) + 1:]

    def tell(self, word):
        self.process.stdin.write(word + '\n')
        self.process.stdin.flush()

    def end(self, seconds=DEADLINE):
        """Closes its standard input (a receiver's sign to go) and gives its exit status."""
        self.process.stdin.close()
        self.process.stdin = None
        status = self.process.wait(seconds)
        self.reader.join()
        while not self.lines.empty():
            self.seen.append(self.lines.get() or '')
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def stats(self):
        line = next(x for x in self.seen if x.startswith('stats '))
        return {k: int(v) for k, v in (pair.split('=') for pair in line.split(' ')[1:])}

    def __str__(self):
        while not self.lines.empty():
            self.seen.append(self.lines.get() or '')
        status = self.process.poll()
        return f'{" ".join(self.words)}: exit {status}\n  ' + '\n  '.join(self.seen[-20:])


class Lab:
    """One sender's and some receivers' namespaces. The prefix is this process's own."""

    def __init__(self):
        self.prefix, self.peers = 'i' + base36(os.getpid())[-5:], []
        self.net = os.environ.get('INTEROP_NET', '79')

    def up(self, receivers):
        if subprocess.run([NETLAB, self.prefix, 'permitted'], capture_output=True, check=False).returncode != 0:
            raise AssertionError('network namespaces cannot be made here: run the tests as root, with CAP_SYS_ADMIN')
        # The tests need no address that anybody else can reach, so all labs may use the same ones.
        self.call('up', str(receivers), '--net', self.net, '--snooping', 'off')
        self.call('offload', 'off')

    def call(self, *words):
        done = subprocess.run([NETLAB, self.prefix, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f'netlab {" ".join(words)}: {done.stdout}{done.stderr}')

    def close(self):
        self.call('down')

    def __str__(self):
        return '\n'.join(str(p) for p in self.peers)


def interrupt(*_):
    raise KeyboardInterrupt


# unittest runs no clean-up after an interrupt; Scene leaves one at exit.
signal.signal(signal.SIGTERM, interrupt)


class Scene:
    """A laboratory with a folder of its own and the programs that run in it."""

    def __init__(self, receivers=1):
        self.folder, self.lab, self.pcap = tempfile.mkdtemp(prefix='interop.'), Lab(), None
        atexit.register(self.close)
        try:
            self.lab.up(receivers)
        except Exception:
            self.close()
            raise

    def close(self):
        atexit.unregister(self.close)
        for peer in self.lab.peers:
            peer.kill()
        self.lab.close()
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_object(self, blocks, segment=SEGMENT, block=BLOCK):
        """Random bytes, a whole number of blocks: then neither side pads."""
        return self.make_bytes(blocks * segment * block)

    def make_bytes(self, size):
        with open(self.path('object'), 'wb') as f:
            f.write(os.urandom(size))
        return self.path('object')

    def losses(self, percent):
        """What the hosts r1 … lose of what arrives there."""
        for i, share in enumerate(percent):
            self.lab.call('loss', f'r{i + 1}', str(share))

    def drop(self, host, match, count=1, device='eth0'):
        """The first `count` packets that arrive at the device and match."""
        self.lab.call('exec', host, 'nft', f'add table netdev first; add chain netdev first in {{ type filter hook ingress '
                      f'device {device} priority 1; }}; add rule netdev first in ip protocol udp {match} '
                      f'numgen inc mod {EVER + 1} < {count} drop')

    def drop_shared(self, block, esi):
        """Symbols that nobody gets when they are sent first: they are lost behind the sender's own interface."""
        first, last = (int(n) for n in esi.split('-'))
        self.drop('sw', is_symbol(block, esi), last - first + 1, 'srv')

    def jumbo(self, receivers):
        for host in ('srv', *[f'r{i + 1}' for i in range(receivers)]):
            self.lab.call('exec', host, 'ip', 'link', 'set', 'eth0', 'mtu', '9000')
            self.lab.call('exec', 'sw', 'ip', 'link', 'set', host, 'mtu', '9000')

    def tap(self):
        """Captures what passes the sender's interface, until captured()."""
        self.pcap = self.start('srv', sys.executable, '-B', os.path.join(HERE, 'capture.py'), 'eth0', self.path('pcap'))
        self.pcap.wait_for('ready')

    def captured(self):
        self.pcap.process.send_signal(signal.SIGTERM)
        self.pcap.wait_for('done')
        return wire.messages(self.path('pcap'))

    def start(self, host, *words):
        return Peer(self.lab, host, [str(w) for w in words])

    def mc(self, action, host, node, file, *more):
        return self.start(host, os.environ['MC_PEER'], action, '--group', GROUP, '--port', PORT, '--node', node,
                          '--file', file, '--timeout', DEADLINE, *more)

    def nrl(self, action, host, node, file, *more):
        return self.start(host, os.environ['NRL_PEER'], action, '--group', GROUP, '--port', PORT, '--node', node,
                          '--file', file, '--timeout', DEADLINE, '--cache', self.folder + '/', *more)

    def norm(self, action, host, node, file, *more):
        return self.start(host, os.environ['NORM_PEER'], action, '--group', GROUP, '--port', PORT, '--node', node,
                          '--file', file, '--timeout', DEADLINE, *more)

    def check_same(self, a, b):
        if digest(a) != digest(b):
            raise AssertionError(f'the content differs: {self.lab}')

    def check_ends(self, peer):
        if peer.end() != 0:
            raise AssertionError(f'exit status not 0: {self.lab}')


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').digest()


class InteropCase(unittest.TestCase):
    """One laboratory per test, with as many receivers' hosts as loss rates are tried at once."""
    hosts = len(LOSSES)

    def setUp(self):
        self.scene = Scene(self.hosts)
        self.addCleanup(self.scene.close)

    def nrl_receivers(self, *options, losses=LOSSES):
        """Receivers of libnorm, one for each loss rate, on r1 …, with nodes THEIRS …"""
        found = [self.scene.nrl('receive', f'r{i + 1}', THEIRS + i, self.scene.path(str(i)), '--rx-loss', loss, *options)
                 for i, loss in enumerate(losses)]
        for receiver in found:
            receiver.wait_for('ready')
        return found

    def complete(self, source, receivers):
        """All of them have it, and it is the same."""
        for receiver in receivers:
            receiver.wait_for('completed')
            self.scene.check_same(source, receiver.words[receiver.words.index('--file') + 1])

    def end(self, *peers):
        for peer in peers:
            self.scene.check_ends(peer)


def acks(*nodes):
    """Options that ask these nodes for ACK(FLUSH)."""
    return [word for node in nodes for word in ('--ack', node)]
