"""What the interoperation tests share: a laboratory of namespaces, the two peers, a capture."""
import atexit
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NETLAB = os.path.join(ROOT, 'tools', 'netlab.sh')
HERE = os.path.join(ROOT, 'tests', 'interop')
GROUP, PORT = '239.192.57.40', 6003
SEGMENT, BLOCK, PARITY = 1408, 128, 32
DEADLINE = 50  # seconds that one transfer may take; it takes about 3


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

    def up(self, receivers):
        if subprocess.run([NETLAB, self.prefix, 'permitted'], capture_output=True, check=False).returncode != 0:
            raise AssertionError('network namespaces cannot be made here: run the tests as root, with CAP_SYS_ADMIN')
        # The tests need no address that anybody else can reach, so all labs may use the same ones.
        self.call('up', str(receivers), '--net', '91', '--snooping', 'off')
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
        self.folder, self.lab = tempfile.mkdtemp(prefix='interop.'), Lab()
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
        with open(self.path('object'), 'wb') as f:
            f.write(os.urandom(blocks * segment * block))
        return self.path('object')

    def start(self, host, *words):
        return Peer(self.lab, host, [str(w) for w in words])

    def mc(self, action, host, node, file, *more):
        return self.start(host, os.environ['MC_PEER'], action, '--group', GROUP, '--port', PORT, '--node', node,
                          '--file', file, '--timeout', DEADLINE, *more)

    def nrl(self, action, host, node, file, *more):
        return self.start(host, os.environ['NRL_PEER'], action, '--group', GROUP, '--port', PORT, '--node', node,
                          '--file', file, '--timeout', DEADLINE, '--cache', self.folder + '/', *more)

    def check_same(self, a, b):
        if subprocess.run(['cmp', a, b], check=False).returncode != 0:
            raise AssertionError(f'the content differs: {self.lab}')

    def check_ends(self, peer):
        if peer.end() != 0:
            raise AssertionError(f'exit status not 0: {self.lab}')
