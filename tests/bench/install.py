"""What has to be there before anything is measured: packages of Debian, the programs, the file's folder."""
import os
import re
import shutil
import subprocess
import time

import lab as machine
import tools
from lab import ROOT, Failed

LAB_PACKAGES = ('iproute2', 'nftables', 'ethtool', 'util-linux')


def build_packages():
    """./check knows what a build needs."""
    with open(os.path.join(ROOT, 'check'), encoding='utf-8') as f:
        found = re.search(r'^packages=\(([^)]*)\)', f.read(), re.M)
    if not found:
        raise Failed('no list of packages in ./check')
    return found.group(1).split()


def is_installed(package):
    p = subprocess.run(['dpkg-query', '-W', '-f', '${db:Status-Status}', package], capture_output=True, text=True, check=False)
    return p.stdout == 'installed'


def install(packages, say):
    missing = sorted(p for p in set(packages) if not is_installed(p))
    if not missing:
        return
    say(f'installing {" ".join(missing)}')
    quiet = {'stdout': subprocess.DEVNULL, 'stdin': subprocess.DEVNULL, 'check': True}
    try:
        subprocess.run(['apt-get', 'update', '-q'], **quiet)
        # nginx must not start a service of its own here.
        subprocess.run(['apt-get', 'install', '-q', '-y', '--no-install-recommends', *missing],
                       env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive', 'RUNLEVEL': '1'}, **quiet)
    except subprocess.CalledProcessError as e:
        raise Failed(f'apt-get failed: {" ".join(e.cmd)}') from None


def programs_of(name):
    return tools.PEERS[name].programs if name in tools.PEERS else ()


def is_there(name):
    """Whether a tool's programs can be called. Debian has nginx in sbin."""
    path = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
    return all(shutil.which(p, path=path) for p in programs_of(name))


def prepare_tools(names, may_install, say):
    """Installs what the tools need, or leaves out those whose programs are missing; what is left."""
    if may_install:
        install([*LAB_PACKAGES, *(p for n in names if not is_there(n) for p in tools.PEERS[n].packages)], say)
    for name in names:
        if not is_there(name):
            say(f'{name} is not installed: left out')
    return [n for n in names if is_there(n)]


def build(folder, may_install, say):
    """Builds mc_bench and raw_bench (Release) in a folder."""
    if may_install:
        install(build_packages(), say)
    say(f'building in {folder}')
    for words in (['cmake', '-S', ROOT, '-B', folder, '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release'],
                  ['cmake', '--build', folder, '--target', 'mc_bench', 'raw_bench']):
        p = subprocess.run(words, capture_output=True, text=True, check=False)
        if p.returncode:
            raise Failed(f'{" ".join(words)}:\n{(p.stdout + p.stderr)[-3000:]}')


def programs(args, temporary, say):
    """Sets args.mc_bench and args.raw_bench to what --build has, or to what is built now."""
    folder = args.build or os.path.join(temporary, 'build')
    if not args.build:
        build(folder, args.install, say)
    for name in ('mc_bench', 'raw_bench'):
        path = os.path.abspath(os.path.join(folder, 'tests', 'bench', name))
        if not os.access(path, os.X_OK):
            raise Failed(f'{path} is missing: build the target {name}, or leave out --build')
        setattr(args, name, path)


def version_of(package):
    p = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', package], capture_output=True, text=True, check=False)
    return p.stdout if p.returncode == 0 else ''


def congestion_control():
    with open('/proc/sys/net/ipv4/tcp_congestion_control', encoding='ascii') as f:
        return f.read().strip()


def cpu_model():
    with open('/proc/cpuinfo', encoding='utf-8', errors='replace') as f:
        found = re.search(r'^model name\s*:\s*(.*)$', f.read(), re.M)
    return found.group(1) if found else 'unknown'


def host_record(names, folder):
    """The machine, what is compared, and the settings that matter."""
    commit = subprocess.run(['git', '-C', ROOT, 'describe', '--always', '--dirty', '--tags'], capture_output=True, text=True,
                            check=False).stdout.strip() or 'of no repository'
    packages = [tools.PEERS[n].packages[0] for n in names if n in tools.PEERS]
    if 'https' in names:
        packages.append('curl')
    return {'kind': 'host', 'when': time.strftime('%Y-%m-%d %H:%M:%S %z'), 'commit': commit, 'cpus': os.cpu_count(),
            'cpu': cpu_model(), 'kernel': os.uname().release, 'tcp': congestion_control(),
            'limits': {k.rsplit('/', 1)[1]: machine.sysctl(k) for k in machine.LIMITS},
            'versions': {p: version_of(p) for p in dict.fromkeys(packages)}, 'folder': folder}
