#!/usr/bin/env python3
"""Every C file is as clang-format 14 lays it out. Usage: format.py ROOT CLANG_FORMAT"""
import subprocess
import sys

import tree
from sizes import SOURCES


def main():
    root, tool = sys.argv[1:3]
    paths = tree.files(root, ['.c', '.h'], SOURCES)
    version = subprocess.run([tool, '--version'], capture_output=True, text=True, check=True).stdout
    complaints = [] if 'version 14.' in version else [f'clang-format 14 is wanted, this is {version.strip()}']
    done = subprocess.run([tool, '--dry-run', '-Werror', *paths], cwd=root, capture_output=True, text=True, check=False)
    wrong = {line.split(':')[0]: line for line in reversed(done.stderr.split('\n')) if '[-Wclang-format' in line}
    complaints += [wrong[path] for path in sorted(wrong)]
    if done.returncode != 0 and not wrong:
        complaints.append(done.stderr)
    tree.finish('format', len(paths), complaints)


if __name__ == '__main__':
    main()
