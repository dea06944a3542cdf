"""PostgreSQL clusters that a test may stop, kill, replicate and promote. Unix sockets only; nothing is left behind."""
import contextlib, os, pwd, shutil, signal, subprocess, tempfile

from castlab import read_text, wait_until

BIN = os.environ.get('CASTPOINT_PG_BIN', '/usr/lib/postgresql/15/bin')


def program(name):
    return os.path.join(BIN, name)


def unprivileged(words):
    """PostgreSQL refuses to run as root."""
    if os.getuid() == 0:
        words = ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--init-groups', '--', *words]
    return words


class Cluster:
    def __init__(self, *settings, copy_of=None):
        self.folder = tempfile.mkdtemp(prefix='castpoint-pg-')
        self.data = os.path.join(self.folder, 'data')
        self.log = os.path.join(self.folder, 'log')
        self.process, self.settings = None, settings
        if os.getuid() == 0:
            postgres = pwd.getpwnam('postgres')
            os.chown(self.folder, postgres.pw_uid, postgres.pw_gid)
        if copy_of:
            self.run('pg_basebackup', '-h', copy_of.folder, '-U', 'castpoint', '-D', self.data, '-R', '-C', '-S', 'standby', '-c', 'fast')
        else:
            self.run('initdb', '-D', self.data, '-U', 'castpoint', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions')

    def run(self, name, *words):
        p = subprocess.run(unprivileged([program(name), *words]), cwd='/', capture_output=True, text=True)
        if p.returncode:
            raise AssertionError(f'{name}: {p.stdout}{p.stderr}')

    def start(self):
        # A crash of this machine is not what is tested: fsync stays off.
        words = [program('postgres'), '-D', self.data, '-c', 'listen_addresses=', '-c', f'unix_socket_directories={self.folder}',
                 '-c', 'fsync=off', '-c', 'shared_buffers=32MB', '-c', 'max_connections=100']
        words += [word for setting in self.settings for word in ('-c', setting)]
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(unprivileged(words), cwd='/', stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(self.accepts, 30, f'PostgreSQL accepts connections: {self.log}')
        return self

    def accepts(self):
        if self.process.poll() is not None:
            raise AssertionError(read_text(self.log)[-2000:])
        return subprocess.run([program('pg_isready'), '-q', '-h', self.folder]).returncode == 0

    def stop(self, sig=signal.SIGINT):
        """SIGINT: connections are ended first. SIGQUIT: at once. SIGKILL: as if the machine had gone."""
        if self.process:
            if sig == signal.SIGKILL:
                os.killpg(self.process.pid, sig)
            else:
                self.process.send_signal(sig)
            self.process.wait(60)
            self.process = None

    def processes(self):
        """The postmaster first: nobody new comes once it is stopped."""
        yield self.process.pid
        yield from map(int, read_text(f'/proc/{self.process.pid}/task/{self.process.pid}/children').split())

    def signal_all(self, sig):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):  # a backend that has ended since it was listed
                os.kill(pid, sig)

    def hang(self):
        """As on a disk that does not answer: connections are there, answers are not."""
        self.signal_all(signal.SIGSTOP)

    def go_on(self):
        if self.process:
            self.signal_all(signal.SIGCONT)

    def close(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def conninfo(self, role, name):
        return f'host={self.folder} user={role} dbname={name}'

    def let_in(self, *rules):
        """The lines of pg_hba.conf, from now on."""
        with open(os.path.join(self.data, 'pg_hba.conf'), 'w') as f:
            f.write('\n'.join(rules) + '\n')
        self.process.send_signal(signal.SIGHUP)

    def sql(self, sql, name='postgres'):
        p = subprocess.run(['psql', '-qAtX', '-v', 'ON_ERROR_STOP=1', self.conninfo('castpoint', name), '-c', sql], capture_output=True, text=True)
        if p.returncode:
            raise AssertionError(p.stderr)
        return p.stdout.strip()
