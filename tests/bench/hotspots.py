"""Where the time goes: a transfer while perf samples the whole machine, from its first packet to its last receiver."""
import contextlib
import os
import signal
import subprocess
import time

import lab as machine
import tools

PACKAGE = 'linux-perf'
HERTZ = 997  # no multiple of a timer's


@contextlib.contextmanager
def sampling(path):
    """perf at work; its data are in the file afterwards."""
    # The CPU's clock, for virtual machines seldom have counters.
    with subprocess.Popen(['perf', 'record', '-q', '-e', 'cpu-clock', '-F', str(HERTZ), '-a', '-o', path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as perf:
        try:
            end = time.monotonic() + 10
            while not os.path.exists(path) or os.path.getsize(path) == 0:
                if perf.poll() is not None or time.monotonic() > end:
                    raise machine.Failed('perf does not start')
                time.sleep(0.02)
            yield
        finally:
            perf.send_signal(signal.SIGINT)
            perf.communicate()


def ranking(path, keys, least):
    """perf's lines: share, and what it is of; shares below `least` percent are left out."""
    p = subprocess.run(['perf', 'report', '-q', '-i', path, '--stdio', '--sort', keys, '--percent-limit', str(least)],
                       capture_output=True, text=True, check=False)
    if p.returncode:
        raise machine.Failed(f'perf report: {p.stderr.strip()}')
    return '\n'.join(line.rstrip(' -') for line in p.stdout.split('\n') if line.strip())


def profile(bench, names):
    """One transfer of each case and tool."""
    for size, receivers, rate, loss, offload in bench.cases():
        for tool in tools.make(names, bench.lab, bench.args):
            job = bench.job(size, receivers, rate=rate, loss=loss, offload=offload)
            bench.set_up(job)
            path = os.path.join(bench.folder, 'perf.data')
            record = bench.measure(tool, job, 'profile', during=lambda: sampling(path))
            bench.keep({**record, 'programs': ranking(path, 'comm', 0.5), 'symbols': ranking(path, 'comm,symbol', 0.7)})
            os.unlink(path)
