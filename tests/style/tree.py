"""The project's own files, for the style tests: a walk that leaves out builds and what tools drop."""
import os
import sys

SKIP = {'.git', '.ci', 'build', 'node_modules', '__pycache__', 'dist'}


def files(root, suffixes, folders=None):
    """Paths relative to root, sorted, of files with one of the suffixes, in the given top folders."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(s for s in subfolders if s not in SKIP)
        relative = os.path.relpath(folder, root)
        if folders is not None and relative.split(os.sep)[0] not in folders:
            if relative != '.':
                subfolders[:] = []
            continue
        found += [os.path.normpath(os.path.join(relative, n)) for n in names if n.endswith(tuple(suffixes))]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as f:
        return f.read()


def finish(name, checked, complaints):
    """Prints what is wrong, one line each, and ends the program."""
    if checked == 0:
        complaints = complaints + [f'{name}: found no file to check']
    for complaint in complaints:
        print(complaint)
    print(f'{name}: {checked} files, {len(complaints)} complaints')
    sys.exit(1 if complaints else 0)
