"""What `cmake --install` puts in place: the programs, every manual page, and a unit that systemd understands.
Usage: installed.py ROOT BUILD"""
import os
import shutil
import subprocess
import sys
import tempfile

import tree

UNIT = 'lib/systemd/system/castpoint.service'


def wanted(root):
    pages = [name for name in os.listdir(os.path.join(root, 'docs')) if name[-2] == '.' and name[-1].isdigit()]
    return ['sbin/castpointd', 'bin/castget', UNIT] + [f'share/man/man{name[-1]}/{name}' for name in sorted(pages)]


def verify(prefix):
    """What systemd says of the unit, with the program where it was put (it is looked for in the usual folders)."""
    if shutil.which('systemd-analyze') is None:
        print('installed: no systemd-analyze here, the unit is not looked at')
        return []
    path = os.path.join(prefix, 'castpoint.service')
    text = tree.read(prefix, UNIT)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text.replace('ExecStart=castpointd', f'ExecStart={prefix}/sbin/castpointd'))
    p = subprocess.run(['systemd-analyze', 'verify', '--man=no', path], capture_output=True, text=True)
    return [f'{UNIT}: {line}' for line in p.stderr.splitlines()] or [f'{UNIT}: refused'] * (p.returncode != 0)


def main():
    root, build = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='castpoint-install-') as prefix:
        subprocess.run(['cmake', '--install', build, '--prefix', prefix], check=True, stdout=subprocess.DEVNULL)
        found = [f'{path} is not installed' for path in wanted(root) if not os.path.isfile(os.path.join(prefix, path))]
        found = found or verify(prefix)
    tree.finish('installed', len(wanted(root)), found)


if __name__ == '__main__':
    main()
