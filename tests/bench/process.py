"""Programs in the laboratory's namespaces: started at one moment, watched without polling, always ended."""
import os
import re
import selectors
import signal
import subprocess
import time

# The program waits in its namespace for a line on standard input; what it costs to get there is not in any clock.
ARMED = 'read -r go && exec "$@" </dev/null'
OUTPUT_LIMIT = 1 << 16


class Process:
    """done is when it said that it has everything (marker, a regular expression), or ended well without a marker."""

    def __init__(self, namespace, words, marker=None, folder='/'):
        self.words, self.marker = words, re.compile(marker) if marker else None
        self.output, self.status, self.cpu, self.ended, self.done = b'', None, 0.0, None, None
        # pdeathsig: nothing is left even when this program is killed with no chance to clean up.
        self.child = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', 'ip', 'netns', 'exec', namespace, 'sh', '-c', ARMED, 'sh', *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True)
        self.pid = self.child.pid
        self.pidfd = os.pidfd_open(self.pid)
        os.set_blocking(self.child.stdout.fileno(), False)

    def go(self):
        try:
            self.child.stdin.write(b'go\n')
            self.child.stdin.close()
        except BrokenPipeError:
            pass  # it ended already; its status tells

    def on_output(self):
        """False at the end of its output."""
        try:
            text = os.read(self.child.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        self.output = (self.output + text)[-OUTPUT_LIMIT:]
        if self.done is None and self.marker and self.marker.search(self.output):
            self.done = time.monotonic()
        return bool(text)

    def on_exit(self):
        _, status, used = os.wait4(self.pid, 0)
        self.ended = time.monotonic()
        self.status = self.child.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = used.ru_utime + used.ru_stime
        self.on_output()
        if self.done is None and not self.marker and self.status == 0:
            self.done = self.ended

    def signal(self, number):
        if self.ended is None:
            os.kill(self.pid, number)

    def text(self):
        return self.output.decode(errors='replace')

    def close(self):
        """Kills it with its children when it still runs, and lets go of its descriptors."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # the group is empty: all have ended
        if self.ended is None:
            self.on_exit()
        os.close(self.pidfd)
        for stream in (self.child.stdin, self.child.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass


class Watch:
    """Waits for events of processes: output and end. A context that ends them all."""

    def __init__(self):
        self.selector, self.processes = selectors.DefaultSelector(), []

    def start(self, *args, **kw):
        p = Process(*args, **kw)
        self.processes.append(p)
        self.selector.register(p.child.stdout, selectors.EVENT_READ, lambda: self.output_of(p))
        self.selector.register(p.pidfd, selectors.EVENT_READ, lambda: self.end_of(p))
        return p

    def output_of(self, p):
        if not p.on_output():
            self.forget(p.child.stdout)

    def end_of(self, p):
        self.forget(p.pidfd)
        p.on_exit()

    def forget(self, handle):
        try:
            self.selector.unregister(handle)
        except KeyError:
            pass

    def until(self, condition, deadline, step=None):
        """Whether the condition came true before the deadline (monotonic); looked at after each event or step."""
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in self.selector.select(left if step is None else min(left, step)):
                key.data()
        return True

    def stop(self, number, grace):
        """Asks all that still run to end, and kills those that do not."""
        for number, seconds in ((number, grace), (signal.SIGKILL, 5)):
            for p in self.processes:
                p.signal(number)
            if self.until(lambda: all(p.ended for p in self.processes), time.monotonic() + seconds):
                break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not all(p.ended for p in self.processes):
            self.stop(signal.SIGTERM, 1)  # so that nginx takes its workers with it
        for p in self.processes:
            self.forget(p.pidfd)
            self.forget(p.child.stdout)
            p.close()
        self.selector.close()
