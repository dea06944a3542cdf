"""The machine: a laboratory of namespaces (tools/netlab.sh), its limits and its counters."""
import contextlib
import os
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NETLAB = os.path.join(ROOT, 'tools', 'netlab.sh')
TICKS = os.sysconf('SC_CLK_TCK')

BUFFER = 33554432  # of every tool's receiving socket; what castget recommends for net.core.rmem_max
# Host-wide, put back at the end. Clones of one burst for 20 receivers overrun the default backlog of 1000 packets.
LIMITS = {'net/core/netdev_max_backlog': 30000, 'net/core/rmem_max': BUFFER, 'net/core/wmem_max': BUFFER}


class Failed(Exception):
    """Something that the user is told in one sentence."""


@contextlib.contextmanager
def only_one(prefix):
    """Two benches with one prefix would take each other's namespaces away."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        try:
            s.bind(f'\0castpoint-bench-{prefix}')
        except OSError:
            raise Failed(f'another bench runs with the prefix {prefix}; use --prefix') from None
        yield


def sysctl(name):
    with open(f'/proc/sys/{name}', encoding='ascii') as f:
        return int(f.read())


def set_sysctl(name, value):
    with open(f'/proc/sys/{name}', 'w', encoding='ascii') as f:
        f.write(str(value))


@contextlib.contextmanager
def raised_limits():
    before = {}
    try:
        for name, value in LIMITS.items():
            before[name] = sysctl(name)
            set_sysctl(name, max(value, before[name]))
        yield
    finally:
        for name, value in before.items():
            set_sysctl(name, value)


def busy_seconds():
    """CPU time of the whole machine that was not idle: user, nice, system, interrupts of both kinds."""
    with open('/proc/stat', encoding='ascii') as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (v[0] + v[1] + v[2] + v[5] + v[6]) / TICKS


def kernel_seconds():
    """CPU time of the kernel's own threads that do our network work."""
    total = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as f:
                text = f.read()
        except OSError:
            continue  # it ended meanwhile
        if '(ksoftirqd' in text or '(kworker' in text:
            fields = text.rsplit(')', 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def own_seconds():
    used = os.times()
    return used.user + used.system


def wait_quiet(seconds):
    """Waits so long at most for a machine that does nothing else; whether it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(0.3)
        if busy_seconds() - before < 0.05:
            return True
    return False


def rows_of(path):
    try:
        with open(path, encoding='ascii') as f:
            return f.read().split('\n')[1:-1]
    except OSError:
        return []  # the process has ended


def has_udp_socket(pid):
    """The process's namespace is its own, so any UDP socket there is its socket."""
    return len(rows_of(f'/proc/{pid}/net/udp')) > 0


def listens_tcp(pid):
    return any(row.split()[3] == '0A' for row in rows_of(f'/proc/{pid}/net/tcp'))


class Lab:
    def __init__(self, prefix, net):
        self.prefix, self.net, self.receivers = prefix, net, 0
        self.server = f'198.18.{net}.1'

    def call(self, *words):
        p = subprocess.run([NETLAB, self.prefix, *map(str, words)], capture_output=True, text=True, check=False)
        if p.returncode:
            raise Failed(f'netlab {" ".join(map(str, words))}: {p.stderr.strip()} (network namespaces need root)')
        return p.stdout

    def namespace(self, host):
        return f'{self.prefix}-{host}'

    def up(self, receivers):
        if receivers == self.receivers:
            return
        self.down()
        self.call('up', receivers, '--net', self.net)
        self.receivers = receivers
        time.sleep(1.2)  # until the bridge's querier counts; before that it floods

    def condition(self, rate, loss, offload):
        self.call('rate', rate)
        self.call('offload', offload)
        for i in range(1, self.receivers + 1):
            self.call('loss', f'r{i}', loss, 'tcp')

    def tx_bytes(self):
        return int(self.call('tx-bytes'))

    def drops(self):
        """{'queue': packets that the shaped uplink dropped so far, 'sockets': those that full receive buffers did}"""
        return {k: int(v) for k, v in (line.split(' ') for line in self.call('drops').split('\n') if line)}

    def leftovers(self):
        """Processes in namespaces of this prefix: of a bench that was killed."""
        names = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True, check=False).stdout.split('\n')
        for name in (n.split(' ')[0] for n in names if n.startswith(self.prefix + '-')):
            pids = subprocess.run(['ip', 'netns', 'pids', name], capture_output=True, text=True, check=False).stdout
            yield from map(int, pids.split())

    def down(self):
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.call('down')
        self.receivers = 0
