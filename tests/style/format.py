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
    for path in paths:
        done = subprocess.run([tool, '--dry-run', '-Werror', path], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            complaints.append(done.stderr.split('\n')[0])
    tree.finish('format', len(paths), complaints)


if __name__ == '__main__':
    main()
