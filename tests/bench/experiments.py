"""What is measured: plans of runs, the search for uftp's rate, the raw limit, memory."""
import hashlib
import os
import re
import signal
import time

import lab as machine
import tools
from process import Watch
from transfer import CHUNK, GIB, Job, Transfer, fields_of, make_content

# Mbit/s per receiver that a tool reaches about, only to say beforehand how long it will take.
TYPICAL = {'castpoint': {1: 900, 5: 600, 10: 250, 20: 120}, 'https': {1: 900, 5: 190, 10: 95, 20: 45}}
TYPICAL_OTHER = {1: 450, 5: 250, 10: 90, 20: 45}
OVERHEAD = 3.0  # seconds of a run besides the transfer: start, settle, digests
# Where the search for uftp's rate begins, Mbit/s; then around it, and without limit.
UFTP_START = {1: 900, 5: 350, 10: 130, 20: 60}
UFTP_FACTORS = (1.0, 0.7, 1.4)
MEMORY_LIMIT = 64 << 20


def nearest(table, n):
    return table[min(table, key=lambda k: abs(k - n))]


def automatic_size(receivers):
    return 256 << 20 if receivers <= 5 else 64 << 20


def time_limit(size, given):
    """Seconds that a run may take: at 20 Mbit/s it would be through."""
    return given or 20 + size * 8 / 20e6


def typical_seconds(tool, size, receivers):
    return size * 8 / (nearest(TYPICAL.get(tool, TYPICAL_OTHER), receivers) * 1e6) + OVERHEAD


class Bench:
    """What all experiments share. say: a line of progress; store: keeps a record."""

    def __init__(self, args, lab, folder, say, store):
        self.args, self.lab, self.folder, self.say, self.store = args, lab, folder, say, store
        self.contents, self.records = {}, []

    def content(self, size):
        if size not in self.contents:
            for old in self.contents.values():
                for path in (old.path, old.digests, old.secret):
                    os.unlink(path)
            self.contents = {size: make_content(self.folder, size)}
        return self.contents[size]

    def job(self, size, receivers, **conditions):
        return Job(self.content(size), receivers, timeout=time_limit(size, self.args.timeout), folder=self.folder,
                   quiet=self.args.quiet, **conditions)

    def set_up(self, job):
        self.lab.up(job.receivers)
        self.lab.condition(job.rate, job.loss, job.offload)

    def keep(self, record):
        self.records.append(record)
        self.store(record)

    def cases(self):
        return cases(self.args)

    def measure(self, tool, job, kind='run', round_number=1, **more):
        record = {**Transfer(self.lab, tool, job, **more)(), 'kind': kind, 'round': round_number}
        speed = record['verdict']
        if speed == 'ok':
            speed = f"{record['goodput_mbps']:.0f} Mbit/s, {record['seconds']:.3f} s"
        label = {'search': f' (search, {tool.note})', 'small': ' (small)'}.get(kind, '')
        self.say(f"  {tool.name}{label}: {speed}, "
                 f"sent {record['wire_ratio']:.3f}, right {record['right']}/{job.receivers} {record['note']}".rstrip())
        return record


# ---- transfers ----

def cases(args):
    """(size, receivers, rate, loss, offload) of all that is to be run."""
    return [(args.size or automatic_size(n), n, rate, loss, offload) for offload in args.offload for rate in args.rate
            for n in args.receivers for loss in args.loss]


def estimate(args, plan, names):
    """Seconds, about."""
    once = sum(typical_seconds(t, size, n) for size, n, *_ in plan for t in names) * args.rounds
    searches = sum(t.startswith('uftp') for t in names) if args.uftp_rate == 'search' else 0
    return once + sum(typical_seconds('uftp', search_size(size), n) * 4 for size, n, *_ in plan) * searches


def search_size(size):
    return max(size // 4, min(size, 16 << 20))


def set_uftp_rate(tool, kbps, how):
    tool.rate_kbps = kbps
    tool.note = f'rate {how}: {kbps // 1000} Mbit/s' if kbps > 0 else f'rate {how}: unlimited'


def tune_uftp(bench, tool, job):
    """uftp cannot find its pace: it gets the best of a few, each tried once with a quarter of the file."""
    wish = bench.args.uftp_rate
    if wish != 'search':
        set_uftp_rate(tool, int(wish), 'given')
        return
    start = nearest(UFTP_START, job.receivers)
    trial = bench.job(search_size(job.content.size), job.receivers, rate=job.rate, loss=job.loss, offload=job.offload)
    best = (-1.0, -1)
    for kbps in [-1] + [int(start * f * 1000) for f in UFTP_FACTORS]:
        set_uftp_rate(tool, kbps, 'tried')
        record = bench.measure(tool, trial, kind='search')
        bench.keep(record)
        best = max(best, (record['goodput_mbps'] or 0.0, kbps))
    set_uftp_rate(tool, best[1], 'searched')


def run_case(bench, names, case, kind='run'):
    """All rounds of one case, the tools in turn. A tool that hung twice here is not tried a third time."""
    size, receivers, rate, loss, offload = case
    conditions = {'rate': rate, 'loss': loss, 'offload': offload}
    bench.set_up(bench.job(size, receivers, **conditions))
    bench.say(f'{receivers} receivers, {size} bytes, loss {loss:g} %, rate {rate}, offload {offload}')
    made, hung = tools.make(names, bench.lab, bench.args), {}
    for tool in made:
        if isinstance(tool, tools.Uftp):
            tune_uftp(bench, tool, bench.job(size, receivers, **conditions))
    job = bench.job(size, receivers, **conditions)
    for number in range(bench.args.rounds):
        shift = number % len(made)
        for tool in made[shift:] + made[:shift]:
            if hung.get(tool.name, 0) < 2:
                record = bench.measure(tool, job, kind, number + 1)
                hung[tool.name] = hung.get(tool.name, 0) + (record['verdict'] == 'HANG')
                bench.keep(record)


def run(bench, names):
    for case in bench.cases():
        run_case(bench, names, case)


def small(bench, names):
    """A package of 1 MiB."""
    for loss in bench.args.loss:
        for receivers in bench.args.receivers:
            case = (bench.args.size or 1 << 20, receivers, bench.args.rate[0], loss, bench.args.offload[0])
            run_case(bench, names, case, 'small')


# ---- the machine's limit ----

def raw_once(bench, receivers, offload):
    """Bare packets of castpoint's size for some seconds."""
    lab, program = bench.lab, bench.args.raw_bench
    machine.wait_quiet(bench.args.quiet)
    with Watch() as watch:
        all_receivers = [watch.start(lab.namespace(f'r{i}'), [program, 'recv']) for i in range(1, receivers + 1)]
        sender = watch.start(lab.namespace('srv'), [program, 'send', '--seconds', str(bench.args.seconds)])
        for p in all_receivers:
            p.go()
        watch.until(lambda: all(machine.has_udp_socket(p.pid) for p in all_receivers), time.monotonic() + 10, step=0.02)
        watch.until(lambda: False, time.monotonic() + 0.3)
        sender.go()
        watch.until(lambda: all(p.ended for p in watch.processes), time.monotonic() + bench.args.seconds + 10)
        watch.stop(signal.SIGTERM, 2)
        return raw_record(receivers, offload, sender, all_receivers)


def raw_record(receivers, offload, sender, all_receivers):
    sent = fields_of(sender.text())
    got = [fields_of(p.text()) for p in all_receivers]
    if not sent or not all(got):
        failed = next((p for p in [sender, *all_receivers] if p.status != 0), sender)
        raise machine.Failed(f'raw_bench failed: {failed.text().strip()}')
    speeds = sorted(int(g['bytes']) * 8 / max(float(g['seconds']), float(sent['seconds'])) / 1e6 for g in got)
    carried = sum(int(g['bytes']) for g in got)
    return {'kind': 'raw', 'receivers': receivers, 'offload': offload, 'slowest_mbps': speeds[0],
            'median_mbps': speeds[len(speeds) // 2], 'lost': max(0.0, 1 - carried / (int(sent['bytes']) * receivers)),
            'cpu_sender': sender.cpu, 'cpu_receiver_per_gib': sum(p.cpu for p in all_receivers) * GIB / carried,
            'seconds': float(sent['seconds'])}


def raw_round(bench, receivers, offload):
    bench.lab.up(receivers)
    bench.lab.condition('none', 0, offload)
    record = raw_once(bench, receivers, offload)
    bench.say(f"raw: N={receivers} offload {offload}: {record['slowest_mbps']:.0f} Mbit/s (slowest), "
              f"{100 * record['lost']:.1f} % lost")
    bench.keep(record)


def raw(bench, _names=()):
    for offload in bench.args.offload:
        for receivers in bench.args.receivers:
            for _ in range(bench.args.rounds):
                raw_round(bench, receivers, offload)


def growth(bench, _names=()):
    """castpoint unshaped and the raw limit, in turn."""
    for offload in bench.args.offload:
        for receivers in bench.args.receivers:
            job = bench.job(bench.args.size or automatic_size(receivers), receivers, offload=offload)
            tool = tools.make(['castpoint'], bench.lab, bench.args)[0]
            for number in range(bench.args.rounds):
                raw_round(bench, receivers, offload)
                bench.keep(bench.measure(tool, job, 'growth', number + 1))


# ---- memory ----

class Resident:
    """Resident memory of a process, sampled; bytes."""

    def __init__(self, role, process):
        self.role, self.process, self.peaks = role, process, {}

    def sample(self):
        try:
            with open(f'/proc/{self.process.pid}/status', encoding='utf-8', errors='replace') as f:
                found = re.findall(r'^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem):\s+(\d+) kB', f.read(), re.M)
        except OSError:
            return  # it has ended
        now = {k: int(v) << 10 for k, v in found}
        if 'RssFile' in now:
            now['own'] = now['VmRSS'] - now['RssFile']
        self.peaks = {k: max(v, self.peaks.get(k, 0)) for k, v in {**self.peaks, **now}.items()}

    def record(self, size, moved, seconds):
        if 'own' not in self.peaks:
            raise machine.Failed(f'the {self.role} ended at once: {self.process.text().strip()}')
        return {'kind': 'memory', 'role': self.role, 'size': size, 'moved': moved, 'seconds': seconds, 'limit': MEMORY_LIMIT,
                'anonymous': self.peaks['RssAnon'], 'shared': self.peaks['RssFile'] + self.peaks['RssShmem'],
                'peak': self.peaks['VmHWM'], 'peak_own': self.peaks['own']}


def sparse_content(folder, size):
    """A sparse file with the digests of its chunks, all of which are the same but the last."""
    path, zeros = os.path.join(folder, 'sparse'), bytes(CHUNK)
    with open(path, 'wb') as f:
        f.truncate(size)
    with open(path + '.digests', 'wb') as f:
        f.write(hashlib.sha256(zeros).digest() * (size // CHUNK))
        if size % CHUNK:
            f.write(hashlib.sha256(zeros[:size % CHUNK]).digest())
    return path


def memory(bench, _names=()):
    """State is allocated when a transfer starts, so some seconds of a 50 GB object show its memory; losses fill the
    buffers."""
    size, program = bench.args.object_size, bench.args.mc_bench
    path, out = sparse_content(bench.folder, size), os.path.join(bench.folder, 'sparse-out')
    bench.lab.up(1)
    bench.lab.condition('1gbit', max(bench.args.loss), 'off')
    more = tools.Castpoint(program, bench.args.mac, bench.args.castpoint_send, bench.args.castpoint_recv)
    with Watch() as watch:
        receiver = watch.start(bench.lab.namespace('r1'), [program, 'recv', '--out', out, '--size', str(size), '--digests',
                                                           path + '.digests', *more.more_recv])
        sender = watch.start(bench.lab.namespace('srv'), [program, 'send', '--file', path, *more.more_send])
        receiver.go()
        watch.until(lambda: receiver.ended or machine.has_udp_socket(receiver.pid), time.monotonic() + 10, step=0.02)
        before, start = bench.lab.tx_bytes(), time.monotonic()
        sender.go()
        seen = [Resident('sender', sender), Resident('receiver', receiver)]
        while time.monotonic() < start + bench.args.seconds and not any(p.ended for p in watch.processes):
            watch.until(lambda: False, time.monotonic() + 0.05)
            for r in seen:
                r.sample()
        seconds, moved = time.monotonic() - start, bench.lab.tx_bytes() - before
        watch.stop(signal.SIGTERM, 5)
        for r in seen:
            record = {**r.record(size, moved, seconds), 'loss': max(bench.args.loss)}
            bench.say(f"memory of the {r.role}: {record['peak_own'] / (1 << 20):.1f} MiB of its own, "
                      f"{record['peak'] / (1 << 20):.1f} MiB with mapped files")
            bench.keep(record)
    for name in (path, path + '.digests', out):
        os.unlink(name)
