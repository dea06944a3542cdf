"""One run: one file to all receivers with one tool, timed and checked in the same way for all of them.

The clock starts when the program that speaks first (the sender; for HTTPS the clients) is let go, just before its
first packet: it waits in its namespace until then. It stops when the last receiver has everything, and has verified
it where it does so: its own words if it stays or lingers, else its end. All output files are read and compared with
SHA-256 afterwards, outside the clock."""
import contextlib
import dataclasses
import hashlib
import os
import re
import secrets
import shutil
import signal
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import lab as machine
from process import Watch

GIB = 1 << 30
CHUNK = 1 << 20
LINGER = 15  # seconds that receivers (or the sender) may go on when the other side has ended
SETTLE = 0.3  # from a socket's appearance to a group that every bridge knows


@dataclasses.dataclass
class Content:
    """A file to send. digests: SHA-256 of each chunk, what castget knows from the manifest."""
    path: str
    size: int
    digest: str
    digests: str
    secret: str


@dataclasses.dataclass
class Job:
    content: Content
    receivers: int
    rate: str = 'none'
    loss: float = 0
    offload: str = 'off'
    timeout: float = 120
    folder: str = ''
    quiet: float = 0


def sha256_of(path):
    digest = hashlib.sha256()
    try:
        with open(path, 'rb', buffering=0) as f:
            while piece := f.read(CHUNK):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()


def make_content(folder, size):
    """A random file, unlike what any tool could compress or guess."""
    path = os.path.join(folder, f'file-{size}')
    whole = hashlib.sha256()
    with open(path, 'wb') as f, open(path + '.digests', 'wb') as digests:
        for at in range(0, size, CHUNK):
            piece = secrets.token_bytes(min(CHUNK, size - at))
            f.write(piece)
            whole.update(piece)
            digests.write(hashlib.sha256(piece).digest())
    with open(path + '.secret', 'wb') as f:
        f.write(secrets.token_bytes(32))
    return Content(path, size, whole.hexdigest(), path + '.digests', path + '.secret')


def fields_of(text):
    """The last line of key=value words of mc_bench or raw_bench, as a dictionary."""
    lines = [x for x in text.split('\n') if re.match(r'(send|recv|raw-send|raw-recv) ', x)]
    return dict(word.split('=', 1) for word in lines[-1].split()[1:] if '=' in word) if lines else {}


class Counters:
    """What the machine did between two moments."""

    def __init__(self, lab):
        self.lab = lab
        self.drops, self.tx = lab.drops(), lab.tx_bytes()
        self.kernel, self.own, self.busy = machine.kernel_seconds(), machine.own_seconds(), machine.busy_seconds()

    def since(self, processes, size):
        """Of the machine, as a record has it."""
        busy = machine.busy_seconds() - self.busy
        ours = sum(p.cpu for p in processes) + machine.own_seconds() - self.own
        other = max(0.0, busy - ours - (machine.kernel_seconds() - self.kernel))
        drops = self.lab.drops()
        return {'wire_ratio': (self.lab.tx_bytes() - self.tx) / size, 'cpu_machine_per_gib': busy * GIB / size, 'cpu_other': other,
                'queue_drops': drops['queue'] - self.drops['queue'], 'socket_drops': drops['sockets'] - self.drops['sockets']}


class Transfer:
    """during: a context manager that is entered just before the first packet and left after the last."""

    def __init__(self, lab, tool, job, during=contextlib.nullcontext):
        self.lab, self.tool, self.job, self.during = lab, tool, job, during
        self.run = os.path.join(job.folder, 'run')
        self.outs, self.note, self.sender, self.receivers, self.started = [], '', None, [], 0.0

    def prepare(self, watch):
        """Everything up to the moment before the first packet."""
        shutil.rmtree(self.run, ignore_errors=True)
        for i in range(1, self.job.receivers + 1):
            folder = f'{self.run}/r{i}'
            os.makedirs(folder)
            self.outs.append(f'{folder}/out')
            self.receivers.append(watch.start(self.lab.namespace(f'r{i}'), self.tool.receiver(self.job, i, folder),
                                              marker=self.tool.marker, folder=folder))
        os.makedirs(f'{self.run}/srv')
        self.sender = watch.start(self.lab.namespace('srv'), self.tool.sender(self.job, f'{self.run}/srv'), folder=f'{self.run}/srv')
        first, ready = (self.receivers, machine.has_udp_socket) if self.tool.multicast else ([self.sender], machine.listens_tcp)
        for p in first:
            p.go()
        if not watch.until(lambda: all(p.ended or ready(p.pid) for p in first), time.monotonic() + 10, step=0.02):
            self.note = 'a program was not ready within 10 s'
        watch.until(lambda: False, time.monotonic() + SETTLE)

    def over(self):
        quiet_side = all(p.done or p.ended for p in self.receivers)
        return quiet_side and (not self.tool.multicast or self.sender.ended is not None)

    def half_over(self):
        """One side has ended: the moment when it did, else None."""
        if self.tool.multicast and self.sender.ended is not None:
            return self.sender.ended
        ends = [p.done or p.ended for p in self.receivers]
        return max(ends) if all(ends) else None

    def watch_it(self, watch):
        end = self.started + self.job.timeout
        while not self.over():
            half = self.half_over()
            limit = end if half is None else min(end, half + LINGER)
            if time.monotonic() >= limit:
                missing = sum(p.done is None for p in self.receivers)
                self.note = f'{missing} receivers not done' if missing else 'the sender does not end'
                return False
            watch.until(lambda: self.over() or self.half_over() != half, limit)
        return True

    def __call__(self):
        quiet = machine.wait_quiet(self.job.quiet) if self.job.quiet > 0 else None
        with Watch() as watch:
            self.prepare(watch)
            before = Counters(self.lab)
            with self.during():
                self.started = time.monotonic()
                for p in [self.sender] if self.tool.multicast else self.receivers:
                    p.go()
                ended = self.watch_it(watch)
            watch.stop(signal.SIGTERM, 3)
            watch.stop(signal.SIGTERM if self.tool.multicast else signal.SIGQUIT, 3)
            counted = before.since(watch.processes, self.job.content.size)
        with ThreadPoolExecutor(2) as pool:
            right = sum(d == self.job.content.digest for d in pool.map(sha256_of, self.outs))
        return self.record(ended, right, {**counted, 'quiet': quiet})

    def record(self, ended, right, counted):
        job, size = self.job, self.job.content.size
        done = [p.done for p in self.receivers if p.done]
        good = ended and right == job.receivers and len(done) == job.receivers
        seconds = max(done) - self.started if good else None
        gib = size / GIB
        return {
            'kind': 'run', 'tool': self.tool.name, 'receivers': job.receivers, 'size': size, 'rate': job.rate,
            'loss': job.loss, 'offload': job.offload, 'verdict': 'ok' if good else 'WRONG' if ended else 'HANG',
            'right': right, 'seconds': seconds, 'goodput_mbps': size * 8 / seconds / 1e6 if good else None,
            'cpu_sender_per_gib': self.sender.cpu / gib,
            'cpu_receiver_per_gib': statistics.median(p.cpu for p in self.receivers) / gib,
            'setting': self.tool.note, 'note': self.explain(ended and not good), **counted,
            'sender': fields_of(self.sender.text()), 'receiver': self.slowest(),
        }

    def slowest(self):
        last = max(self.receivers, key=lambda p: p.done or float('inf'))
        return fields_of(last.text())

    def explain(self, wrong):
        if not wrong:
            return self.note
        failed = [p for p in [self.sender, *self.receivers] if p.status not in (0, None) and not p.done]
        words = failed[0].text().strip().split('\n')[-1] if failed else 'output differs'
        return (self.note + '; ' if self.note else '') + words
