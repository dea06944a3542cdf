"""Every option that a program's --help names stands under OPTIONS of its manual page, and no other.
Usage: manual.py ROOT CASTPOINTD CASTGET"""
import re
import subprocess
import sys

import tree

EVERYWHERE = {'help', 'version'}  # the synopsis has them


def helped(text):
    """Options that begin a line of --help, with or without a short one before them."""
    return set(re.findall(r'^\s*(?:-\w,\s*)?--([a-z][a-z-]*)', text, re.M))


def described(page):
    """Options in the headings (the line behind .TP) of the section OPTIONS."""
    section = re.search(r'^\.SH OPTIONS$(.*?)^\.SH ', page, re.M | re.S)
    headings = re.findall(r'^\.TP\n(.*)$', section[1] if section else '', re.M)
    return {name for h in headings for name in re.findall(r'--([a-z][a-z-]*)', h.replace('\\-', '-'))}


def complaints(name, text, page):
    there, told = helped(text) - EVERYWHERE, described(page) - EVERYWHERE
    return ([f'{name}: --{option} of --help is not under OPTIONS' for option in sorted(there - told)] +
            [f'{name}: --{option} is under OPTIONS, but not in --help' for option in sorted(told - there)])


def main():
    root, found, checked = sys.argv[1], [], 0
    for page, program in zip(('docs/castpointd.8', 'docs/castget.1'), sys.argv[2:]):
        text = subprocess.run([program, '--help'], capture_output=True, text=True, check=True).stdout
        checked += len(helped(text)) > len(EVERYWHERE)
        found += complaints(page, text, tree.read(root, page))
    tree.finish('manual', checked, found)


if __name__ == '__main__':
    main()
